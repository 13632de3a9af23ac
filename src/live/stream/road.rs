//! The HTTP connection under a stream, as far as the stream has to know of it: when the kernel has taken what was written,
//! and how to end it.
//!
//! hyper keeps what the kernel does not take. It flushes the connection once it keeps nothing more, and only then the next
//! batch is gathered: so a slow reader of a stream costs one batch, and its slots are as fresh as a socket's.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Flow;
use crate::live::socket::prepare;

/// What an HTTP connection and a stream on it share. Comes with every request as an extension.
#[derive(Debug)]
pub struct Road {
    flow: OnceLock<Arc<Flow>>,
    /// Its place among the plain HTTP connections.
    place: Mutex<Option<OwnedSemaphorePermit>>,
    cut: CancellationToken,
    over: CancellationToken,
}

impl Road {
    /// For a new connection with its place.
    pub fn new(place: Option<OwnedSemaphorePermit>) -> Arc<Self> {
        let (cut, over) = (CancellationToken::new(), CancellationToken::new());
        Arc::new(Self { flow: OnceLock::new(), place: Mutex::new(place), cut, over })
    }

    /// Ends the connection at once.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    /// Done when the connection is to be ended at once.
    pub fn when_cut(&self) -> WaitForCancellationFutureOwned {
        self.cut.clone().cancelled_owned()
    }

    /// Waits until the connection is closed.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// The connection carries this stream from now on, and nothing else; the hub counts it. `false` when it carries one.
    pub(super) fn carry(&self, flow: &Arc<Flow>) -> bool {
        let carries = self.flow.set(flow.clone()).is_ok();
        if carries {
            *self.place.lock() = None;
        }
        carries
    }
}

/// For an answer to leave, once its reader has kept it waiting. Streams have a rule of their own.
const TAKEN_WITHIN: Duration = Duration::from_secs(25);

/// The socket of an HTTP connection.
#[derive(Debug)]
pub struct Watched {
    socket: TcpStream,
    road: OnRoad,
    /// Runs while an answer waits for a slow reader.
    late: Option<Pin<Box<Sleep>>>,
}

/// The connection, until it is over.
#[derive(Debug)]
struct OnRoad(Arc<Road>);

impl Drop for OnRoad {
    fn drop(&mut self) {
        self.0.over.cancel();
    }
}

impl Watched {
    /// Watches a socket.
    pub fn new(socket: TcpStream, road: Arc<Road>) -> io::Result<Self> {
        prepare(&socket)?;
        Ok(Self { socket, road: OnRoad(road), late: None })
    }

    /// The socket, after an upgrade.
    pub fn into_inner(self) -> TcpStream {
        self.socket
    }

    /// What came of a write: of one that waits, an error when it has waited for too long.
    fn wrote(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_pending() && self.road.0.flow.get().is_none() {
            let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(TAKEN_WITHIN)));
            return late.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        let written = ready!(written);
        if let Some(flow) = self.road.0.flow.get() {
            flow.moved();
        }
        Poll::Ready(written)
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.wrote(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.socket).poll_flush(cx));
        self.late = None;
        if let Some(flow) = self.road.0.flow.get() {
            flow.flushed();
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
