//! One connection to the floor.

use std::io::{self, Read, Write};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;

use crate::frames::{self, CLOSE, Found, PING, TEXT};

/// A reader that takes nothing is given up when this many bytes wait for it.
const UNSENT_MAX: usize = 64 << 20;
/// The largest request to upgrade.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// One connection.
pub struct Conn {
    stream: TcpStream,
    /// `None` before the upgrade.
    pub room: Option<usize>,
    /// The beginning of a frame, or of the request.
    leftover: Vec<u8>,
    unsent: Vec<u8>,
    /// So much of it is with the kernel by now.
    unsent_from: usize,
}

/// What a connection said with one read.
#[derive(Default)]
pub struct Said {
    /// It was the request to upgrade, with this path.
    pub path: Option<String>,
    /// Messages, as frames of a server.
    pub frames: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<usize>,
}

impl Said {
    /// Nothing yet.
    pub fn clear(&mut self) {
        self.path = None;
        self.frames.clear();
        self.ends.clear();
    }
}

impl Conn {
    /// Just accepted.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, room: None, leftover: Vec::new(), unsent: Vec::new(), unsent_from: 0 }
    }

    /// Reads once; `None` when there is nothing.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("closed"),
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes what was read; an error ends the connection, after what was said before it.
    pub fn take(&mut self, bytes: &mut [u8], said: &mut Said) -> Result<()> {
        if self.leftover.is_empty() {
            let taken = self.parse(bytes, said)?;
            self.leftover.extend_from_slice(&bytes[taken..]);
        } else {
            let mut all = std::mem::take(&mut self.leftover);
            all.extend_from_slice(bytes);
            let taken = self.parse(&mut all, said)?;
            all.drain(..taken);
            self.leftover = all;
        }
        Ok(())
    }

    /// How much of it was whole.
    fn parse(&mut self, bytes: &mut [u8], said: &mut Said) -> Result<usize> {
        let mut start = 0;
        if self.room.is_none() {
            let Some(end) = frames::head_end(bytes) else {
                return if bytes.len() < REQUEST_BYTES_MAX { Ok(0) } else { bail!("an endless request") };
            };
            said.path = Some(self.upgrade(&bytes[..end])?);
            // Clients wait for the answer before they say anything.
            start = end;
        }
        while let Found::Whole(frame) = frames::parse(&bytes[start..])? {
            let next = start + frame.payload.end;
            let payload = &mut bytes[start + frame.payload.start..next];
            frames::unmask(payload, frame.mask.unwrap_or_default());
            match frame.opcode {
                TEXT => {
                    frames::write_server(&mut said.frames, TEXT, payload);
                    said.ends.push(said.frames.len());
                }
                PING => self.control(frames::PONG, payload)?,
                CLOSE => {
                    self.control(CLOSE, payload)?;
                    bail!("closed");
                }
                _ => {}
            }
            start = next;
        }
        Ok(start)
    }

    fn control(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        let mut frame = Vec::new();
        frames::write_server(&mut frame, opcode, payload);
        self.write(&frame)
    }

    /// Answers the request; returns its path.
    fn upgrade(&mut self, request: &[u8]) -> Result<String> {
        let request = std::str::from_utf8(request)?;
        let mut lines = request.lines();
        let path = lines.next().and_then(|line| line.split(' ').nth(1)).context("a request without a path")?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let key = headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
        let (_, key) = key.context("a request without a key")?;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            frames::accept_key(key.trim())
        );
        self.write(answer.as_bytes())?;
        Ok(path.to_owned())
    }

    /// Writes, or keeps for later what the kernel does not take.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let taken = if self.unsent.is_empty() { self.offer(bytes)? } else { 0 };
        if taken < bytes.len() {
            self.unsent.extend_from_slice(&bytes[taken..]);
            if self.unsent.len() > UNSENT_MAX {
                bail!("the client takes nothing any more");
            }
        }
        Ok(())
    }

    /// Writes what was kept.
    pub fn flush(&mut self) -> Result<()> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            self.unsent_from += self.offer(&unsent[self.unsent_from..])?;
            if self.unsent_from < unsent.len() {
                self.unsent = unsent;
            } else {
                self.unsent_from = 0;
            }
        }
        Ok(())
    }

    fn offer(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() {
            match self.stream.write(&bytes[taken..]) {
                Ok(0) => bail!("closed"),
                Ok(written) => taken += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(taken)
    }
}
