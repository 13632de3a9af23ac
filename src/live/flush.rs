//! Who has something to send: lists of connections with news, and the tasks that write them out.
//!
//! A publisher only marks and enlists. The flush task runs after the readers that are ready now have
//! had their turn, so what they publish together leaves together: one write per socket.
//!
//! A message to thousands is thousands of writes. Whoever got news from a smaller channel meanwhile does not wait behind
//! them: there are two lists, and each has its share of every visit.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

use super::conn::Conn;
use super::limits::FLUSH_SLICE;
use super::pages::LogPages;

/// The lists, one pair per worker thread.
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
    enlisted: Mutex<Lists>,
    /// Of the one task that writes these lists out.
    writer: OnceLock<Waker>,
}

#[derive(Debug, Default)]
struct Lists {
    /// Those with news for a few.
    few: Vec<Arc<Conn>>,
    /// Those with news for many, and those who have had their turn and have more to send.
    many: Vec<Arc<Conn>>,
}

impl Lists {
    fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty()
    }

    /// Whose turn it is: half of a slice from each list, or more of one where the other has less.
    fn take(&mut self, due: &mut Vec<Arc<Conn>>) {
        let half = FLUSH_SLICE / 2;
        let few = self.few.len().min(FLUSH_SLICE - self.many.len().min(half));
        due.extend(self.few.drain(..few));
        let many = self.many.len().min(FLUSH_SLICE - few);
        due.extend(self.many.drain(..many));
    }
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
        self.mark_all(1, [(conn, index)]);
    }

    /// These subscriptions of theirs, some `count`, have the same news.
    pub fn mark_all<'a>(&self, count: usize, subscribers: impl IntoIterator<Item = (&'a Arc<Conn>, u16)>) {
        let many = count > FLUSH_SLICE;
        // One lock for as many as follow each other in one list: on one core that is all of them.
        let mut held = Held { flusher: self, open: None };
        for (conn, index) in subscribers {
            #[cfg(test)]
            self.marks.fetch_add(1, Ordering::Relaxed);
            conn.mark(index);
            if conn.set_enlisted() {
                held.push(conn, many);
            }
        }
    }

    /// The connection has something to send.
    pub fn enlist(&self, conn: &Arc<Conn>) {
        if conn.set_enlisted() {
            Held { flusher: self, open: None }.push(conn, false);
        }
    }

    /// The connection has had its turn and has more to send.
    pub fn enlist_behind(&self, conn: &Arc<Conn>) {
        if conn.set_enlisted() {
            Held { flusher: self, open: None }.push(conn, true);
        }
    }

    /// Ends all tasks.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.shards.iter().for_each(Shard::wake);
    }

    /// Writes out one pair of lists until it is stopped, a slice at a time. Once for each of them.
    pub async fn run(&self, shard: usize, pages: &LogPages) {
        let shard = &self.shards[shard];
        let mut due: Vec<Arc<Conn>> = Vec::new();
        let mut waited = false;
        poll_fn(|cx| {
            shard.writer.get_or_init(|| cx.waker().clone());
            if self.stopped.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            if waited {
                shard.enlisted.lock().take(&mut due);
                for conn in due.drain(..) {
                    conn.flush(self, pages);
                }
            }
            // Being woken is a turn for the readers as well: what is enlisted from now on has had it when this comes back.
            waited = !shard.enlisted.lock().is_empty();
            if waited {
                again(cx);
            }
            Poll::Pending
        })
        .await
    }
}

/// Waking oneself while running means the back of the run queue, behind every reader that is ready: they add to what the
/// next write will carry.
fn again(cx: &Context<'_>) {
    cx.waker().wake_by_ref();
}

impl Shard {
    fn wake(&self) {
        // Not there before its first look at the lists, which comes behind.
        if let Some(writer) = self.writer.get() {
            writer.wake_by_ref();
        }
    }
}

/// The lists that are being added to. Whoever adds the first one wakes the task, once the lock is gone.
struct Held<'f> {
    flusher: &'f Flusher,
    open: Option<(usize, MutexGuard<'f, Lists>, bool)>,
}

impl Held<'_> {
    fn push(&mut self, conn: &Arc<Conn>, many: bool) {
        let shards = self.flusher.shards.len();
        let shard = if shards == 1 { 0 } else { conn.id.0 as usize % shards };
        if self.open.as_ref().is_none_or(|(open, _, _)| *open != shard) {
            self.close();
            let lists = self.flusher.shards[shard].enlisted.lock();
            let was_empty = lists.is_empty();
            self.open = Some((shard, lists, was_empty));
        }
        if let Some((_, lists, _)) = &mut self.open {
            let list = if many { &mut lists.many } else { &mut lists.few };
            list.push(conn.clone());
        }
    }

    fn close(&mut self) {
        if let Some((shard, lists, was_empty)) = self.open.take() {
            drop(lists);
            if was_empty {
                self.flusher.shards[shard].wake();
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
