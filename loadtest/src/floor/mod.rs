//! The physical floor: a bare server that checks nothing, stores nothing and writes each message to each socket of the
//! room, its author's included. Nearly all of its time is the kernel's; what another server needs beyond it is its own.
//!
//! One send for each message, or, merged, one for all that came during a round of the event loop.

mod conn;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use self::conn::{Conn, Said};

/// Connections that may wait to be accepted; few would make a storm wait for retransmissions.
const BACKLOG: i32 = 4_096;
const READ_BYTES: usize = 64 * 1024;
const EVENTS_AT_ONCE: usize = 1_024;
const LISTENER: Token = Token(usize::MAX);

/// `floor`
#[derive(Debug, Clone, clap::Args)]
pub struct FloorArgs {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Write everything of a round of the event loop with one send a socket.
    #[arg(long)]
    merged: bool,
}

/// The server.
pub struct Floor {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    merged: bool,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    rooms: Vec<Room>,
    /// Rooms with something to write.
    dirty: Vec<usize>,
    buffer: Vec<u8>,
    said: Said,
}

/// The connections that asked for the same path.
struct Room {
    path: String,
    members: Vec<usize>,
    /// What has not been written to anybody yet.
    batch: Vec<u8>,
}

/// Serves until it is stopped from outside.
pub fn run(args: &FloorArgs) -> Result<()> {
    let mut floor = Floor::bind(args.listen, args.merged)?;
    eprintln!("floor{} listens on {}", if args.merged { ", merged," } else { "" }, floor.address()?);
    loop {
        floor.round(None)?;
    }
}

impl Floor {
    /// Listens.
    pub fn bind(address: SocketAddr, merged: bool) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into()).with_context(|| format!("listening on {address}"))?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let events = Events::with_capacity(EVENTS_AT_ONCE);
        let buffer = vec![0; READ_BYTES];
        let (conns, free, rooms, dirty) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { poll, events, listener, merged, conns, free, rooms, dirty, buffer, said: Said::default() })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Waits for something to happen and does what follows from it.
    pub fn round(&mut self, within: Option<Duration>) -> Result<()> {
        match self.poll.poll(&mut self.events, within) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let (events, mut buffer) =
            (std::mem::replace(&mut self.events, Events::with_capacity(0)), std::mem::take(&mut self.buffer));
        for event in &events {
            if event.token() == LISTENER {
                self.accept()?;
            } else {
                self.event(event, &mut buffer);
            }
        }
        (self.events, self.buffer) = (events, buffer);
        for room in std::mem::take(&mut self.dirty) {
            let mut batch = std::mem::take(&mut self.rooms[room].batch);
            self.write(room, &batch);
            batch.clear();
            self.rooms[room].batch = batch;
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("accepting"),
            };
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            self.conns[index] = Some(Conn::new(stream));
        }
    }

    fn event(&mut self, event: &Event, buffer: &mut [u8]) {
        let index = event.token().0;
        let Some(conn) = self.conns.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let mut fine = !event.is_writable() || conn.flush().is_ok();
        // After a read that did not fill the buffer there is nothing left, unless the other side has closed.
        let to_the_end = event.is_read_closed();
        let mut more = fine && event.is_readable();
        while more {
            let Some(conn) = self.conns[index].as_mut() else {
                return;
            };
            match conn.read(buffer) {
                Ok(None) => more = false,
                Ok(Some(read)) => {
                    fine = self.heard(index, &mut buffer[..read]).is_ok();
                    more = fine && (read == buffer.len() || to_the_end);
                }
                Err(_) => (fine, more) = (false, false),
            }
        }
        if !fine {
            self.remove(index);
        }
    }

    /// Takes what one connection sent.
    fn heard(&mut self, index: usize, bytes: &mut [u8]) -> Result<()> {
        let Some(conn) = self.conns[index].as_mut() else {
            return Ok(());
        };
        let mut said = std::mem::take(&mut self.said);
        said.clear();
        let taken = conn.take(bytes, &mut said);
        if let Some(path) = said.path.take() {
            self.seat(index, &path);
        }
        if let Some(room) = self.conns[index].as_ref().and_then(|conn| conn.room).filter(|_| !said.frames.is_empty()) {
            if self.merged {
                if self.rooms[room].batch.is_empty() {
                    self.dirty.push(room);
                }
                self.rooms[room].batch.extend_from_slice(&said.frames);
            } else {
                let mut start = 0;
                for &end in &said.ends {
                    self.write(room, &said.frames[start..end]);
                    start = end;
                }
            }
        }
        self.said = said;
        taken
    }

    fn seat(&mut self, index: usize, path: &str) {
        let room = self.rooms.iter().position(|room| room.path == path).unwrap_or_else(|| {
            self.rooms.push(Room { path: path.to_owned(), members: Vec::new(), batch: Vec::new() });
            self.rooms.len() - 1
        });
        self.rooms[room].members.push(index);
        if let Some(conn) = &mut self.conns[index] {
            conn.room = Some(room);
        }
    }

    /// Writes to all connections of a room.
    fn write(&mut self, room: usize, bytes: &[u8]) {
        for place in (0..self.rooms[room].members.len()).rev() {
            let member = self.rooms[room].members[place];
            if let Some(conn) = &mut self.conns[member]
                && conn.write(bytes).is_err()
            {
                self.remove(member);
            }
        }
    }

    fn remove(&mut self, index: usize) {
        if let Some(conn) = self.conns[index].take() {
            if let Some(room) = conn.room {
                self.rooms[room].members.retain(|member| *member != index);
            }
            self.free.push(index);
        }
    }
}

#[cfg(test)]
mod tests;
