//! Who has something to send: lists of connections with news, and the tasks that write them out.
//!
//! A publisher only marks and enlists. The flush task runs after the readers that are ready now have
//! had their turn, so what they publish together leaves together: one write per socket.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::conn::Conn;
use super::limits::FLUSH_SLICE;
use super::pages::LogPages;

/// The lists, one per worker thread.
#[derive(Debug)]
pub struct Flusher {
    shards: Vec<Shard>,
    stopped: AtomicBool,
    /// How often somebody was marked.
    #[cfg(test)]
    pub(super) marks: std::sync::atomic::AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    enlisted: Mutex<Vec<Arc<Conn>>>,
    waker: AtomicWaker,
}

impl Flusher {
    /// Lists for so many flush tasks.
    pub fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards.max(1)).map(|_| Shard::default()).collect(),
            stopped: AtomicBool::new(false),
            #[cfg(test)]
            marks: Default::default(),
        }
    }

    /// How many flush tasks there have to be.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Subscription `index` of this connection has news.
    pub fn mark(&self, conn: &Arc<Conn>, index: u16) {
        #[cfg(test)]
        self.marks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        conn.mark(index);
        self.enlist(conn);
    }

    /// The connection has something to send.
    pub fn enlist(&self, conn: &Arc<Conn>) {
        if !conn.set_enlisted() {
            return;
        }
        let shard = &self.shards[conn.id.0 as usize % self.shards.len()];
        let was_empty = {
            let mut enlisted = shard.enlisted.lock();
            enlisted.push(conn.clone());
            enlisted.len() == 1
        };
        if was_empty {
            shard.waker.wake();
        }
    }

    /// Ends all tasks.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.shards.iter().for_each(|shard| shard.waker.wake());
    }

    /// Writes out one list until it is stopped, a slice at a time.
    pub async fn run(&self, shard: usize, pages: &LogPages) {
        let shard = &self.shards[shard];
        let mut due: Vec<Arc<Conn>> = Vec::new();
        let mut waited = false;
        poll_fn(|cx| {
            shard.waker.register(cx.waker());
            if self.stopped.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            if due.is_empty() {
                let mut enlisted = shard.enlisted.lock();
                if enlisted.is_empty() {
                    waited = false;
                    return Poll::Pending;
                }
                if waited {
                    std::mem::swap(&mut due, &mut enlisted);
                    due.reverse();
                }
            }
            if waited {
                let rest = due.len().saturating_sub(FLUSH_SLICE);
                for conn in due.drain(rest..).rev() {
                    conn.flush(self, pages);
                }
                // This wake was a turn for the readers as well: what they have enlisted meanwhile need not wait.
                if due.is_empty() && shard.enlisted.lock().is_empty() {
                    waited = false;
                    return Poll::Pending;
                }
            }
            waited = true;
            // Waking oneself while running means the back of the run queue, behind every reader that
            // is ready: they add to what the next write will carry.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}
