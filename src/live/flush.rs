//! Who has something to send: lists of connections with news, and the tasks that write them out.
//!
//! A publisher only marks and enlists. The flush task runs after the readers that are ready now have
//! had their turn, so what they publish together leaves together: one write per socket.
//!
//! A message to thousands is thousands of writes. Whoever got news from a smaller channel meanwhile does not wait behind
//! them: there are two lists, and each has its share of every visit.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use super::conn::Conn;
use super::limits::FLUSH_SLICE;
use super::pages::LogPages;
use super::sync::Mutex;

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

    /// Whose turn it is: half of a slice from each list, or more of one where the other has less. Whether there are more.
    fn take(&mut self, due: &mut Vec<Arc<Conn>>) -> bool {
        let half = FLUSH_SLICE / 2;
        let few = self.few.len().min(FLUSH_SLICE - self.many.len().min(half));
        due.extend(self.few.drain(..few));
        let many = self.many.len().min(FLUSH_SLICE - few);
        due.extend(self.many.drain(..many));
        !self.is_empty()
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
        let enlisted = subscribers.into_iter().filter(|(conn, index)| {
            #[cfg(test)]
            self.marks.fetch_add(1, Ordering::Relaxed);
            conn.mark(*index);
            conn.set_enlisted()
        });
        let enlisted = enlisted.map(|(conn, _)| conn);
        match self.shards.as_slice() {
            // One lock for all of them.
            [shard] => shard.add(many, enlisted),
            _ => enlisted.for_each(|conn| self.shard_of(conn).add(many, [conn])),
        }
    }

    /// The connection has something to send.
    pub fn enlist(&self, conn: &Arc<Conn>) {
        if conn.set_enlisted() {
            self.shard_of(conn).add(false, [conn]);
        }
    }

    /// The connection has had its turn and has more to send.
    pub fn enlist_behind(&self, conn: &Arc<Conn>) {
        if conn.set_enlisted() {
            self.shard_of(conn).add(true, [conn]);
        }
    }

    fn shard_of(&self, conn: &Conn) -> &Shard {
        &self.shards[conn.id.0 as usize % self.shards.len()]
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
            let mut more = false;
            if waited {
                more = shard.enlisted.lock().take(&mut due);
                for conn in due.drain(..) {
                    conn.flush(self, pages);
                }
            }
            // Being woken is a turn for the readers as well: what is enlisted from now on has had it when this comes back.
            waited = !shard.enlisted.lock().is_empty();
            if more {
                behind_the_kernel(cx);
            } else if waited {
                behind_the_ready(cx);
            }
            Poll::Pending
        })
        .await
    }
}

/// Waking oneself while running means the back of the run queue, behind every reader that is ready: they add to what the
/// next write will carry.
fn behind_the_ready(cx: &Context<'_>) {
    cx.waker().wake_by_ref();
}

/// As long as somebody can run, the runtime hardly ever asks the kernel who else has something to read; one who yields
/// comes after that question. It costs a system call, little beside a slice of writes.
fn behind_the_kernel(cx: &mut Context<'_>) {
    let _yielded = pin!(tokio::task::yield_now()).poll(cx);
}

impl Shard {
    /// Whoever adds the first ones wakes the task.
    fn add<'a>(&self, many: bool, conns: impl IntoIterator<Item = &'a Arc<Conn>>) {
        let mut lists = self.enlisted.lock();
        let was_empty = lists.is_empty();
        let list = if many { &mut lists.many } else { &mut lists.few };
        list.extend(conns.into_iter().cloned());
        let wake = was_empty && !lists.is_empty();
        drop(lists);
        if wake {
            self.wake();
        }
    }

    fn wake(&self) {
        // Not there before its first look at the lists, which comes behind.
        if let Some(writer) = self.writer.get() {
            writer.wake_by_ref();
        }
    }
}
