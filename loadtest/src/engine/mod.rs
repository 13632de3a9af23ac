//! Thousands of WebSockets on one thread: epoll, edge-triggered, no task a connection and no allocation a message.
//!
//! Spins instead of sleeping unless told otherwise: a server that has to wake its reader pays for the interrupt, and what
//! one measures is then the machine's idle states. The time in polls that found nothing is counted apart, so that
//! [`Engine::busy`] is what the load really took.

mod socket;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use self::socket::{Socket, Stage};
use crate::frames::{self, CLOSE, Closed, Found, PING, TEXT};

/// Read at once; what is larger comes in several reads.
const READ_BYTES: usize = 256 * 1024;
/// Events taken from the kernel at once.
const EVENTS_AT_ONCE: usize = 1_024;
const TIMER: Token = Token(usize::MAX);

/// What to do with what arrives.
pub trait Handler {
    /// A WebSocket is open: the text to begin with, if any.
    fn opened(&mut self, socket: usize) -> Option<String>;
    /// A text message came; `at` is when it was read from the kernel. `true` asks for the protocol's pong, `{}`.
    fn text(&mut self, socket: usize, text: &[u8], at: Instant) -> bool;
    /// The connection is over.
    fn closed(&mut self, socket: usize, why: anyhow::Error);
}

/// All sockets of the load tester.
pub struct Engine {
    poll: Poll,
    events: Events,
    sockets: Vec<Socket>,
    buffer: Vec<u8>,
    /// To wake up in time, when it does not spin: epoll counts milliseconds.
    timer: Option<TimerFd>,
    /// Everything until then is accounted for.
    mark: Instant,
    worked: bool,
    idle: Duration,
}

impl Engine {
    /// Without sockets. `sleep`: let the thread sleep while there is nothing to do.
    pub fn new(sleep: bool) -> Result<Self> {
        let poll = Poll::new()?;
        let timer = sleep.then(|| TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)).transpose()?;
        if let Some(timer) = &timer {
            poll.registry().register(&mut SourceFd(&timer.as_fd().as_raw_fd()), TIMER, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_AT_ONCE),
            sockets: Vec::new(),
            buffer: vec![0; READ_BYTES],
            timer,
            mark: Instant::now(),
            worked: true,
            idle: Duration::ZERO,
        })
    }

    /// Adds a socket that is not open yet, and says its number. They are numbered from 0.
    pub fn add(&mut self, address: SocketAddr, host: &str, path: &str) -> usize {
        self.sockets.push(Socket::new(address, frames::upgrade_request(host, path)));
        self.sockets.len() - 1
    }

    /// How many sockets there are, open or not.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Begins to connect; [`Handler::opened`] is called when the WebSocket is there.
    pub fn open(&mut self, socket: usize) -> Result<()> {
        self.worked = true;
        self.sockets[socket].connect(self.poll.registry(), Token(socket))
    }

    /// How long nothing was there to do, since the beginning.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Sends a text message.
    pub fn send(&mut self, socket: usize, text: &[u8]) -> Result<()> {
        let mut frame = Vec::with_capacity(text.len() + 14);
        frames::write_client(&mut frame, TEXT, text);
        self.send_frame(socket, &frame)
    }

    /// Sends a whole frame; what the kernel does not take goes later.
    pub fn send_frame(&mut self, socket: usize, frame: &[u8]) -> Result<()> {
        self.worked = true;
        self.sockets[socket].write(frame).with_context(|| format!("sending on connection {socket}"))
    }

    /// Says goodbye on all sockets and forgets them.
    pub fn close_all(&mut self) {
        let mut frame = Vec::new();
        frames::write_client(&mut frame, CLOSE, &1000_u16.to_be_bytes());
        for socket in &mut self.sockets {
            // Whoever is gone already needs no goodbye.
            let _ = socket.write(&frame);
        }
        self.sockets.clear();
    }

    /// Takes what has arrived. `until`: when there is something else to do; a sleeping engine sleeps until then.
    /// Returns whether anything happened.
    pub fn turn(&mut self, handler: &mut impl Handler, until: Instant) -> Result<bool> {
        if self.worked {
            self.mark = Instant::now();
            self.worked = false;
        }
        let timeout = self.timeout(until)?;
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            other => other?,
        }
        if timeout != Some(Duration::ZERO) || self.events.is_empty() {
            let now = Instant::now();
            self.idle += now - self.mark;
            self.mark = now;
        }
        if self.events.is_empty() {
            return Ok(false);
        }
        self.worked = true;
        // Taken out, so that a handler's answer can be sent while a frame in the buffer is looked at.
        let (events, mut buffer) =
            (std::mem::replace(&mut self.events, Events::with_capacity(0)), std::mem::take(&mut self.buffer));
        for event in &events {
            if event.token() == TIMER {
                continue;
            }
            let socket = event.token().0;
            if let Err(error) = self.event(event, &mut buffer, handler) {
                self.sockets[socket].close(self.poll.registry());
                handler.closed(socket, error);
            }
        }
        (self.events, self.buffer) = (events, buffer);
        Ok(true)
    }

    /// How long the poll may take.
    fn timeout(&self, until: Instant) -> Result<Option<Duration>> {
        let Some(timer) = &self.timer else {
            return Ok(Some(Duration::ZERO));
        };
        let left = until.saturating_duration_since(self.mark);
        if left.is_zero() {
            return Ok(Some(Duration::ZERO));
        }
        timer.set(Expiration::OneShot(TimeSpec::from_duration(left)), TimerSetTimeFlags::empty())?;
        Ok(None)
    }

    fn event(&mut self, event: &Event, buffer: &mut Vec<u8>, handler: &mut impl Handler) -> Result<()> {
        let index = event.token().0;
        let socket = &mut self.sockets[index];
        match socket.stage {
            Stage::New | Stage::Closed => return Ok(()),
            Stage::Connecting if event.is_writable() || event.is_error() => socket.connected()?,
            Stage::Connecting => return Ok(()),
            Stage::Upgrading | Stage::Open if event.is_writable() => socket.flush()?,
            Stage::Upgrading | Stage::Open => {}
        }
        if !event.is_readable() {
            return Ok(());
        }
        // After a read that did not fill the buffer there is nothing left, unless the other side has closed: its end
        // comes with the data that was before it.
        let to_the_end = event.is_read_closed();
        loop {
            let start = socket_leftover(&mut self.sockets[index], buffer);
            let space = buffer.len() - start;
            let Some(read) = self.sockets[index].read(&mut buffer[start..])? else {
                self.sockets[index].keep(&buffer[..start]);
                return Ok(());
            };
            self.frames(index, buffer, start + read, handler)?;
            if read < space && !to_the_end {
                return Ok(());
            }
        }
    }

    /// Hands on the frames in the first `end` bytes; what is behind the last whole one waits for the rest.
    fn frames(&mut self, index: usize, buffer: &[u8], end: usize, handler: &mut impl Handler) -> Result<()> {
        let at = Instant::now();
        let mut start = 0;
        if self.sockets[index].stage == Stage::Upgrading {
            let Some(head) = frames::upgraded(&buffer[..end])? else {
                self.sockets[index].keep(&buffer[..end]);
                return Ok(());
            };
            start = head;
            self.sockets[index].stage = Stage::Open;
            if let Some(text) = handler.opened(index) {
                self.send(index, text.as_bytes())?;
            }
        }
        while let Found::Whole(frame) = frames::parse(&buffer[start..end])? {
            let payload = &buffer[start + frame.payload.start..start + frame.payload.end];
            match frame.opcode {
                TEXT => {
                    if handler.text(index, payload, at) {
                        self.send(index, studyhall_protocol::client::PONG.as_bytes())?;
                    }
                }
                PING => {
                    let mut pong = Vec::new();
                    frames::write_client(&mut pong, frames::PONG, payload);
                    self.send_frame(index, &pong)?;
                }
                CLOSE => return Err(Closed::read(payload).into()),
                opcode => bail!("a frame with opcode {opcode}"),
            }
            start += frame.payload.end;
        }
        self.sockets[index].keep(&buffer[start..end]);
        Ok(())
    }
}

/// Puts what was left of the last read at the front of the buffer; returns how much that is.
fn socket_leftover(socket: &mut Socket, buffer: &mut Vec<u8>) -> usize {
    let leftover = std::mem::take(&mut socket.leftover);
    if buffer.len() < leftover.len() + READ_BYTES / 2 {
        buffer.resize(leftover.len() + READ_BYTES, 0);
    }
    buffer[..leftover.len()].copy_from_slice(&leftover);
    leftover.len()
}

#[cfg(test)]
mod tests;
