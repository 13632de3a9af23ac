//! A connection without a WebSocket: what the server says is the body of one long HTTP answer, what the client says comes
//! in requests of its own.
//!
//! Read in this order: [`Flow`] (how a batch leaves through hyper), [`road`] (how it is known that it has left), [`inbox`]
//! (how commands come in), [`serve`] (the task of the connection).

mod inbox;
mod road;
mod serve;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(super) use inbox::Streams;
pub use inbox::{Forward, Undelivered};
pub use road::{Road, Watched};
pub use serve::{Opening, open};

/// The way out of a stream connection.
#[derive(Debug)]
pub struct Stream {
    flow: Arc<Flow>,
    road: Arc<Road>,
    /// What the client shows to send commands to it: 128 bits that nobody guesses.
    session: u128,
}

/// What is between the connection and hyper: one batch at most.
#[derive(Debug, Default)]
pub(super) struct Flow {
    state: Mutex<State>,
    /// Wakes hyper, to take the batch.
    body: AtomicWaker,
    /// Wakes the connection's task: something has moved.
    news: Notify,
    moved: AtomicBool,
    /// hyper wants nothing more: the client is gone, or everything was said.
    gone: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    /// Nothing follows.
    ended: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Batch {
    /// The kernel has everything.
    #[default]
    Gone,
    /// For hyper to take.
    Offered(Bytes),
    /// hyper has these many bytes, the kernel not yet all of them.
    Taken(usize),
}

impl Stream {
    pub(super) fn new(road: Arc<Road>) -> Self {
        Self { flow: Arc::default(), road, session: rand::random() }
    }

    /// Takes all, or nothing as long as the last batch is on its way.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.flow.is_gone() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut state = self.flow.state.lock();
        if state.batch != Batch::Gone {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if !bytes.is_empty() {
            state.batch = Batch::Offered(Bytes::copy_from_slice(bytes));
            self.flow.moved.store(false, Ordering::Release);
            drop(state);
            self.flow.body.wake();
        }
        Ok(bytes.len())
    }

    /// As hyper and the kernel would: takes the batch, if there is one.
    #[cfg(test)]
    pub(super) fn take(&self) -> Option<Bytes> {
        let Batch::Offered(bytes) = std::mem::take(&mut self.flow.state.lock().batch) else { return None };
        self.flow.news.notify_one();
        Some(bytes)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flow.state.lock().batch == Batch::Gone
    }

    pub(super) fn held_bytes(&self) -> usize {
        match &self.flow.state.lock().batch {
            Batch::Gone => 0,
            Batch::Offered(bytes) => bytes.len(),
            Batch::Taken(bytes) => *bytes,
        }
    }

    pub(super) fn take_moved(&self) -> bool {
        self.flow.moved.swap(false, Ordering::AcqRel)
    }

    /// Only the connection's own task waits.
    pub(super) async fn writable(&self) -> io::Result<()> {
        if !self.flow.is_gone() && !self.is_idle() {
            self.flow.news.notified().await;
        }
        if self.flow.is_gone() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Waits until hyper wants nothing more.
    async fn gone(&self) {
        while !self.flow.is_gone() {
            self.flow.news.notified().await;
        }
    }

    /// Ends the body behind what is on its way, and waits until the connection is over with it.
    pub(super) async fn finish(&self) {
        self.flow.state.lock().ended = true;
        self.flow.body.wake();
        self.road.over().await;
    }

    /// What the client shows to send commands.
    pub(super) fn session(&self) -> String {
        format!("{:032x}", self.session)
    }
}

impl Flow {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The kernel took bytes.
    fn moved(&self) {
        self.moved.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// hyper keeps nothing.
    fn flushed(&self) {
        let mut state = self.state.lock();
        if matches!(state.batch, Batch::Taken(_)) {
            state.batch = Batch::Gone;
            drop(state);
            self.news.notify_one();
        }
    }
}

/// The body of the answer.
struct Body(Arc<Flow>);

impl futures_util::Stream for Body {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.body.register(cx.waker());
        let mut state = self.0.state.lock();
        if let Batch::Offered(bytes) = &mut state.batch {
            let bytes = std::mem::take(bytes);
            state.batch = Batch::Taken(bytes.len());
            return Poll::Ready(Some(Ok(bytes)));
        }
        if state.ended { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
        self.0.news.notify_one();
    }
}
