//! What a connection's bytes leave through: a WebSocket's own socket, or the body of an HTTP answer. TLS would be a third.

use std::io;

use socket2::SockRef;
use studyhall_protocol::format::Format;
use tokio::net::TcpStream;

use super::stream::Stream;
use super::ws::{HEADER_MAX, OpCode, encode_frame, seal_frame};

/// The way out of a connection.
#[derive(Debug)]
pub enum Transport {
    /// A socket after its upgrade.
    Socket(TcpStream),
    /// The answer to `POST /connection/http_stream`.
    Stream(Stream),
}

impl From<TcpStream> for Transport {
    fn from(socket: TcpStream) -> Self {
        Self::Socket(socket)
    }
}

impl From<Stream> for Transport {
    fn from(stream: Stream) -> Self {
        Self::Stream(stream)
    }
}

impl Transport {
    /// Hands on as much as is taken at once, without asking whether anything is. Whoever cannot send all of it goes on
    /// with [`Transport::try_write`], which notes that the socket is full and when it no longer is.
    pub fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => SockRef::from(socket).send(bytes),
            Self::Stream(stream) => stream.try_write(bytes),
        }
    }

    /// Hands on as much as is taken at once.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.try_write(bytes),
            Self::Stream(stream) => stream.try_write(bytes),
        }
    }

    /// Waits until more may be taken. Comes early as well: when something on its way has moved.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.writable().await,
            Self::Stream(stream) => stream.writable().await,
        }
    }

    /// Whether what was taken is still on its way to the kernel, so that nothing else may follow yet. A socket's is there.
    pub fn is_on_its_way(&self) -> bool {
        matches!(self, Self::Stream(stream) if !stream.is_idle())
    }

    /// Bytes that are on their way.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Socket(_) => 0,
            Self::Stream(stream) => stream.held_bytes(),
        }
    }

    /// Whether something has moved since the last question, though nothing more is taken yet.
    pub fn has_moved(&self) -> bool {
        matches!(self, Self::Stream(stream) if stream.take_moved())
    }

    /// Makes of the messages behind [`HEADER_MAX`] free bytes what is sent; returns where that begins.
    pub fn seal(&self, format: Format, batch: &mut Vec<u8>) -> usize {
        match self {
            Self::Socket(_) => {
                batch.truncate(as_frame(format, batch).len());
                seal_frame(batch, opcode(format))
            }
            Self::Stream(_) => HEADER_MAX,
        }
    }

    /// Appends messages to what is sent.
    pub fn append(&self, format: Format, messages: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Socket(_) if messages.is_empty() => {}
            Self::Socket(_) => encode_frame(opcode(format), as_frame(format, messages), out),
            Self::Stream(_) => out.extend_from_slice(messages),
        }
    }
}

fn opcode(format: Format) -> OpCode {
    match format {
        Format::Json => OpCode::Text,
        Format::Protobuf => OpCode::Binary,
    }
}

/// Messages as a frame has them. Lines are joined by newlines there: behind the last one a client would look for another.
fn as_frame(format: Format, messages: &[u8]) -> &[u8] {
    match format {
        Format::Json => messages.strip_suffix(b"\n").unwrap_or(messages),
        Format::Protobuf => messages,
    }
}
