//! WebSocket frames, read and written without a socket: what a client and a bare server need of RFC 6455.
//!
//! One read takes as many frames as there are, and nothing is copied.

use std::ops::Range;

use anyhow::{Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};

/// Text.
pub const TEXT: u8 = 0x1;
/// The closing handshake.
pub const CLOSE: u8 = 0x8;
/// To be answered with [`PONG`].
pub const PING: u8 = 0x9;
/// The answer to [`PING`].
pub const PONG: u8 = 0xA;

/// The key that our clients send. It guards caches against being fooled, and there are none.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// A whole frame at the start of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// [`TEXT`], [`CLOSE`], [`PING`] or [`PONG`].
    pub opcode: u8,
    /// Where the payload is.
    pub payload: Range<usize>,
    /// What the payload is masked with; clients only.
    pub mask: Option<[u8; 4]>,
}

/// What the start of some bytes is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A frame, whole.
    Whole(Frame),
    /// A part of one; the whole has this many bytes, as far as one can tell.
    Part(usize),
}

/// Reads the frame at the start of the bytes.
///
/// # Errors
///
/// A fragment: neither side of ours sends any.
pub fn parse(bytes: &[u8]) -> Result<Found> {
    let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else {
        return Ok(Found::Part(2));
    };
    if first & FIN == 0 {
        bail!("a fragmented frame");
    }
    let (mut head, length) = match second & !MASKED {
        126 if bytes.len() >= 4 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        126 => return Ok(Found::Part(4)),
        127 if bytes.len() >= 10 => {
            let length = bytes[2..10].iter().fold(0, |length, byte| (length << 8) | u64::from(*byte));
            (10, usize::try_from(length)?)
        }
        127 => return Ok(Found::Part(10)),
        length => (2, usize::from(length)),
    };
    let mut mask = None;
    if second & MASKED != 0 {
        mask = bytes.get(head..head + 4).and_then(|mask| mask.try_into().ok());
        head += 4;
    }
    let end = head + length;
    if bytes.len() < end {
        return Ok(Found::Part(end));
    }
    Ok(Found::Whole(Frame { opcode: first & 0x0F, payload: head..end, mask }))
}

/// Appends a frame of a client. The mask guards proxies against hostile pages. We are neither, and zeros mask for free.
pub fn write_client(buffer: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    write_head(buffer, opcode, payload.len(), MASKED);
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(payload);
}

/// Appends a frame of a server.
pub fn write_server(buffer: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    write_head(buffer, opcode, payload.len(), 0);
    buffer.extend_from_slice(payload);
}

fn write_head(buffer: &mut Vec<u8>, opcode: u8, length: usize, masked: u8) {
    buffer.push(FIN | opcode);
    match length {
        0..=125 => buffer.push(masked | length as u8),
        126..=0xFFFF => {
            buffer.push(masked | 126);
            buffer.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            buffer.push(masked | 127);
            buffer.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Takes the mask off a payload.
pub fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    if mask != [0; 4] {
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// The request that opens a WebSocket.
pub fn upgrade_request(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Where the frames begin behind the answer to [`upgrade_request`]; `None` until all of it is there.
///
/// # Errors
///
/// The server does not want to.
pub fn upgraded(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = head_end(bytes) else {
        return Ok(None);
    };
    if !bytes.starts_with(b"HTTP/1.1 101") {
        return Err(Refused(String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned()).into());
    }
    Ok(Some(end))
}

/// Where the head of a request or an answer ends.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// What a server answers to a client's key.
pub fn accept_key(key: &str) -> String {
    let digest = Sha1::new_with_prefix(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    BASE64_STANDARD.encode(digest)
}

/// The server does not open the connection; its status line.
#[derive(Debug)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused to upgrade: {}", self.0)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Whether the server asks to come again.
    pub fn for_now(&self) -> bool {
        self.0.starts_with("HTTP/1.1 503")
    }
}

/// The server closed the connection.
#[derive(Debug)]
pub struct Closed {
    /// The close code; 1006 when there was none.
    pub code: u16,
    /// What the server said.
    pub reason: String,
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "closed with {} {:?}", self.code, self.reason)
    }
}

impl std::error::Error for Closed {}

impl Closed {
    /// What a close frame says.
    pub fn read(payload: &[u8]) -> Self {
        match payload {
            [high, low, reason @ ..] => {
                let reason = String::from_utf8_lossy(reason).into_owned();
                Self { code: u16::from_be_bytes([*high, *low]), reason }
            }
            _ => Self { code: 1005, reason: String::new() },
        }
    }

    /// Without a word.
    pub fn lost() -> Self {
        Self { code: 1006, reason: "connection lost".into() }
    }

    /// Whether the SDKs would reconnect.
    pub fn resumable(&self) -> bool {
        self.code != 1009 && !matches!(self.code, 3500..=3999 | 4500..=4999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_however_they_are_cut() {
        for length in [0, 1, 125, 126, 200, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            for write in [write_client, write_server] {
                let mut bytes = Vec::new();
                write(&mut bytes, TEXT, &payload);
                let whole = bytes.len();
                bytes.extend_from_slice(b"next");
                // Every cut in small frames, those around the head and the end in large ones.
                let cuts = (0..whole).filter(|cut| whole < 300 || *cut < 20 || *cut > whole - 5);
                for cut in cuts {
                    let Found::Part(needed) = parse(&bytes[..cut]).unwrap() else { panic!("{cut} of {whole}") };
                    assert!(needed > cut && needed <= whole, "{cut} of {whole}: asks for {needed}");
                }
                let Found::Whole(frame) = parse(&bytes).unwrap() else { panic!("not whole") };
                assert_eq!((frame.opcode, frame.payload.end), (TEXT, whole));
                assert_eq!(&bytes[frame.payload], payload);
            }
        }
    }

    #[test]
    fn a_fragment_is_refused() {
        assert!(parse(&[TEXT, 0]).is_err());
    }

    #[test]
    fn the_key_of_the_standard_gets_its_answer() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_mask_comes_off() {
        let mut payload = *b"hello";
        unmask(&mut payload, [1, 2, 3, 4]);
        assert_ne!(&payload, b"hello");
        unmask(&mut payload, [1, 2, 3, 4]);
        assert_eq!(&payload, b"hello");
    }
}
