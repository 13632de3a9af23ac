//! One connection to the server.
//!
//! For scenarios that wait, retry and reconnect; those that count every microsecond use [`crate::engine`]. A test can
//! decide how fast its end of the socket reads.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use socket2::SockRef;
use studyhall_protocol::client::{self, PONG, ServerLine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

use crate::frames::{self, CLOSE, Found, Frame, PING, TEXT};

pub use crate::frames::Closed;

/// Read at once by a reader that takes all it gets.
const READ_BYTES: usize = 64 * 1024;
/// A server that takes nothing for this long is stuck.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// What a network would allow a segment to hold.
const NETWORK_MSS: u32 = 1_400;

/// How fast a reader reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As fast as it can.
    Open,
    /// Not at all.
    Stopped,
    /// Bytes a second.
    Bytes(u32),
}

/// The sending half; may be used from any thread.
#[derive(Clone)]
pub struct Sender(Arc<Mutex<OwnedWriteHalf>>);

impl Sender {
    /// Sends one text frame. Waits for the kernel to take it, which it nearly always does at once.
    pub fn send(&self, text: &str) -> Result<()> {
        self.frame(TEXT, text.as_bytes())
    }

    /// Says goodbye, so that the server need not wait whether we come back.
    pub fn close(&self) {
        let _ = self.frame(CLOSE, &1000_u16.to_be_bytes());
    }

    fn frame(&self, opcode: u8, payload: &[u8]) -> Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        frames::write_client(&mut frame, opcode, payload);
        self.write(&frame)
    }

    fn write(&self, mut bytes: &[u8]) -> Result<()> {
        let half = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        while !bytes.is_empty() {
            match half.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if started.elapsed() > WRITE_WITHIN {
                        bail!("the server takes nothing any more");
                    }
                    std::thread::sleep(Duration::from_micros(50));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The receiving half.
pub struct Receiver {
    half: OwnedReadHalf,
    sender: Sender,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    read_at: Instant,
    pace: Option<Rc<Cell<Pace>>>,
    may_read_at: Instant,
}

/// How a connection is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `SO_RCVBUF`, so that what is unread stays with the server.
    pub receive_buffer: Option<u32>,
    /// Read at this pace, which may change meanwhile.
    pub pace: Option<Rc<Cell<Pace>>>,
}

/// Opens a WebSocket. `host` is `name:port`.
pub async fn open(host: &str, options: Options) -> Result<(Sender, Receiver)> {
    let address = tokio::net::lookup_host(host).await?.next().context("the host has no address")?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
        // On loopback a segment holds 64 KiB, more than such a window ever opens: the kernel would send by its probe
        // timer alone. Over a network it does not.
        SockRef::from(&socket).set_tcp_mss(NETWORK_MSS)?;
    }
    let mut stream = socket.connect(address).await.with_context(|| format!("connecting to {host}"))?;
    stream.set_nodelay(true)?;
    let request = frames::upgrade_request(host, "/connection/websocket");
    stream.write_all(request.as_bytes()).await?;
    let (mut buffer, start) = handshake(&mut stream).await?;
    let end = buffer.len();
    buffer.resize(end.max(4 * 1024), 0);
    let (read, write) = stream.into_split();
    let sender = Sender(Arc::new(Mutex::new(write)));
    let now = Instant::now();
    let (pace, half) = (options.pace, read);
    let receiver = Receiver { half, sender: sender.clone(), buffer, start, end, read_at: now, pace, may_read_at: now };
    Ok((sender, receiver))
}

/// Reads the answer to the upgrade; returns all that was read and where the frames begin.
async fn handshake(stream: &mut TcpStream) -> Result<(Vec<u8>, usize)> {
    let mut buffer = Vec::with_capacity(4 * 1024);
    loop {
        if let Some(start) = frames::upgraded(&buffer)? {
            return Ok((buffer, start));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(Closed::lost().into());
        }
    }
}

impl Receiver {
    /// Hands every line to `handle` until it breaks or the connection ends. Answers pings. `Instant` is
    /// when the line was read from the socket.
    pub async fn listen<B>(
        &mut self,
        mut handle: impl FnMut(ServerLine<'_>, Instant) -> std::ops::ControlFlow<B>,
    ) -> Result<B> {
        loop {
            let (opcode, payload) = self.frame().await?;
            let payload = &self.buffer[payload];
            match opcode {
                TEXT => {}
                PING => {
                    self.sender.frame(frames::PONG, payload)?;
                    continue;
                }
                CLOSE => return Err(Closed::read(payload).into()),
                _ => bail!("a frame with opcode {opcode}"),
            }
            for line in client::lines(std::str::from_utf8(payload)?) {
                let line = ServerLine::parse(line).map_err(|error| anyhow!("{error} in {line}"))?;
                if matches!(line, ServerLine::Ping) {
                    self.sender.send(PONG)?;
                } else if let std::ops::ControlFlow::Break(value) = handle(line, self.read_at) {
                    return Ok(value);
                }
            }
        }
    }

    /// The next whole frame: its opcode, and where its payload is.
    async fn frame(&mut self) -> Result<(u8, Range<usize>)> {
        loop {
            match frames::parse(&self.buffer[self.start..self.end])? {
                Found::Whole(Frame { opcode, payload, .. }) => {
                    let payload = self.start + payload.start..self.start + payload.end;
                    self.start = payload.end;
                    return Ok((opcode, payload));
                }
                Found::Part(whole) if self.buffer.len() - self.start < whole => {
                    self.buffer.resize(self.start + whole, 0);
                }
                Found::Part(_) => {}
            }
            self.make_room();
            self.fill().await?;
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let larger = (self.buffer.len() * 2).max(READ_BYTES.min(self.buffer.len() * 4));
            self.buffer.resize(larger, 0);
        }
    }

    async fn fill(&mut self) -> Result<()> {
        let mut space = self.buffer.len() - self.end;
        let mut rate = None;
        if let Some(pace) = self.pace.clone() {
            loop {
                match pace.get() {
                    Pace::Open => break,
                    Pace::Stopped => tokio::time::sleep(Duration::from_millis(20)).await,
                    Pace::Bytes(bytes) => {
                        rate = Some(bytes);
                        // Twenty sips a second.
                        space = space.min((bytes as usize / 20).max(256));
                        tokio::time::sleep_until(self.may_read_at.into()).await;
                        break;
                    }
                }
            }
        }
        // Less than the buffer holds tells the runtime that nothing is left: no second system call.
        let read = match self.half.read(&mut self.buffer[self.end..self.end + space]).await {
            Ok(0) | Err(_) => return Err(Closed::lost().into()),
            Ok(read) => read,
        };
        self.end += read;
        self.read_at = Instant::now();
        if let Some(rate) = rate {
            self.may_read_at = self.read_at + Duration::from_secs_f64(read as f64 / f64::from(rate.max(1)));
        }
        Ok(())
    }
}
