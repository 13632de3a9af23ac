//! A client that only counts what it gets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, bail};
use studyhall::live::ws::OpCode;
use studyhall_protocol::client as lines;

/// The end of an HTTP head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// One connection; it never waits.
pub struct Client {
    socket: TcpStream,
    /// What has come and is not a whole frame yet.
    input: Vec<u8>,
    upgraded: bool,
    /// Publications since somebody set this to 0.
    pub publications: usize,
    /// Replies since somebody set this to 0.
    pub replies: usize,
}

impl Client {
    /// Connects and asks for an upgrade, whose answer is read with the first messages.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let request = format!(
            "GET /connection/websocket HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        socket.write_all(request.as_bytes())?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, input: Vec::new(), upgraded: false, publications: 0, replies: 0 })
    }

    /// Sends lines as one frame, masked like any client's.
    pub fn send(&mut self, text: &str) -> anyhow::Result<()> {
        const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut frame = vec![0x80 | OpCode::Text as u8];
        match u8::try_from(text.len()) {
            Ok(short @ 0..126) => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(text.len()).context("a long line")?.to_be_bytes());
            }
        }
        frame.extend(KEY);
        frame.extend(text.bytes().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.socket.write_all(&frame).context("the server reads nothing")
    }

    /// Reads and counts what is there.
    pub fn read(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(read) => self.input.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        if !self.upgraded {
            let Some(head) = self.input.windows(HEAD_END.len()).position(|window| window == HEAD_END) else {
                return Ok(());
            };
            self.input.drain(..head + HEAD_END.len());
            self.upgraded = true;
        }
        while let Some((payload, end)) = frame(&self.input) {
            let text = str::from_utf8(&self.input[payload])?.to_owned();
            self.input.drain(..end);
            for line in lines::lines(&text) {
                match line {
                    "{}" => self.send(lines::PONG)?,
                    line if line.contains(r#""error":"#) => bail!("{line}"),
                    line if line.starts_with(r#"{"id":"#) => self.replies += 1,
                    line if line.contains(r#""pub":"#) => self.publications += 1,
                    line => bail!("unexpected: {line}"),
                }
            }
        }
        Ok(())
    }
}

/// The payload of the first frame, and where it ends; `None` while it is not all there.
fn frame(input: &[u8]) -> Option<(std::ops::Range<usize>, usize)> {
    let (begin, length) = match *input.get(1)? {
        126 => (4, u16::from_be_bytes(input.get(2..4)?.try_into().ok()?) as usize),
        127 => (10, usize::try_from(u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, short as usize),
    };
    (input.len() >= begin + length).then_some((begin..begin + length, begin + length))
}
