//! One socket of the engine.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use anyhow::Result;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::frames::Closed;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not begun.
    New,
    /// On its way.
    Connecting,
    /// Connected; the answer to the upgrade is awaited.
    Upgrading,
    /// A WebSocket.
    Open,
    /// Over.
    Closed,
}

/// One socket.
pub struct Socket {
    pub stage: Stage,
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// The beginning of a frame whose end has not come.
    pub leftover: Vec<u8>,
    /// What the kernel has not taken yet; before the connection, the request.
    unsent: Vec<u8>,
}

impl Socket {
    /// Will connect to this address and send this request.
    pub fn new(address: SocketAddr, request: String) -> Self {
        let (leftover, unsent) = (Vec::new(), request.into_bytes());
        Self { stage: Stage::New, address, stream: None, leftover, unsent }
    }

    pub fn connect(&mut self, registry: &Registry, token: Token) -> Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        (self.stream, self.stage) = (Some(stream), Stage::Connecting);
        Ok(())
    }

    /// The connection is there, or failed.
    pub fn connected(&mut self) -> Result<()> {
        if let Some(stream) = &self.stream {
            if let Some(error) = stream.take_error()? {
                return Err(error.into());
            }
            stream.set_nodelay(true)?;
        }
        self.stage = Stage::Upgrading;
        self.flush()
    }

    /// Reads once; `None` when there is nothing.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        loop {
            match stream.read(buffer) {
                Ok(0) => return Err(Closed::lost().into()),
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Keeps the beginning of a frame.
    pub fn keep(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.leftover = rest.to_vec();
        }
    }

    /// Writes, or keeps for later what the kernel does not take.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.stage == Stage::Closed {
            return Err(Closed::lost().into());
        }
        let taken = if self.unsent.is_empty() { self.offer(bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// Writes what was kept.
    pub fn flush(&mut self) -> Result<()> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            let taken = self.offer(&unsent)?;
            self.unsent.extend_from_slice(&unsent[taken..]);
        }
        Ok(())
    }

    /// How much of it the kernel took.
    fn offer(&mut self, bytes: &[u8]) -> Result<usize> {
        let Some(stream) = &mut self.stream else {
            return Ok(0);
        };
        let mut taken = 0;
        while taken < bytes.len() {
            match stream.write(&bytes[taken..]) {
                Ok(0) => return Err(Closed::lost().into()),
                Ok(written) => taken += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(taken)
    }

    /// Ends it.
    pub fn close(&mut self, registry: &Registry) {
        if let Some(mut stream) = self.stream.take() {
            // Dropping it takes it out of the poll as well.
            let _ = registry.deregister(&mut stream);
        }
        self.stage = Stage::Closed;
    }
}
