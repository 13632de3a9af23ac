//! Pages of the log for readers that lag behind the ring. Readers of one channel share them, and a
//! page is read once however many wait for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode;
use tokio::sync::Semaphore;

use super::backend::{Backend, LogPage};
use super::conn::Conn;
use super::flush::Flusher;
use super::limits::{PAGE_EVENTS, PAGE_READS_MAX};
use super::ring::Ring;

type PageKey = (Channel, u64);

/// One page: encoded lines, and where the log began when it was read.
#[derive(Debug)]
pub struct Page {
    /// The lines.
    pub lines: Ring,
    /// The oldest number in the log.
    pub floor: u64,
}

/// The pages of this node.
#[derive(Debug)]
pub struct LogPages {
    state: Mutex<PagesState>,
    reads: Semaphore,
    bytes_max: usize,
    /// Asks for a page; the other end reads it.
    wanted: tokio::sync::mpsc::Sender<PageKey>,
}

#[derive(Debug, Default)]
struct PagesState {
    pages: HashMap<PageKey, Arc<Page>>,
    /// In the order in which they were read; the oldest go first.
    order: VecDeque<PageKey>,
    bytes: usize,
    waiting: HashMap<PageKey, Vec<(Arc<Conn>, u16)>>,
}

impl LogPages {
    /// No pages yet. What is sent to the receiver has to be passed to [`LogPages::read`].
    pub fn new(bytes_max: usize) -> (Self, tokio::sync::mpsc::Receiver<PageKey>) {
        // A key is sent once while it is waited for. When the queue is full, waiters are woken and ask again.
        let (wanted, receiver) = tokio::sync::mpsc::channel(4_096);
        let pages = Self { state: Mutex::default(), reads: Semaphore::new(PAGE_READS_MAX), bytes_max, wanted };
        (pages, receiver)
    }

    /// The page with the event `next` in it, if it is here and reaches that far.
    pub fn get(&self, channel: Channel, next: u64) -> Option<Arc<Page>> {
        let page = self.state.lock().pages.get(&key_of(channel, next)).cloned()?;
        let useful = next < page.lines.next() || next < page.floor;
        useful.then_some(page)
    }

    /// Marks subscription `index` of this connection when the page is here.
    pub fn wait(&self, channel: Channel, next: u64, conn: &Arc<Conn>, index: u16, flusher: &Flusher) {
        let key = key_of(channel, next);
        let mut state = self.state.lock();
        let waiters = state.waiting.entry(key).or_default();
        waiters.push((conn.clone(), index));
        if waiters.len() == 1 && self.wanted.try_send(key).is_err() {
            let waiters = state.waiting.remove(&key).unwrap_or_default();
            drop(state);
            wake(&waiters, flusher);
        }
    }

    /// Reads a page and wakes whoever waits for it.
    pub async fn read(&self, key: PageKey, backend: &dyn Backend, flusher: &Flusher) {
        let Ok(_permit) = self.reads.acquire().await else { return };
        let (channel, number) = key;
        let read = backend.read_log(channel, number * PAGE_EVENTS, PAGE_EVENTS as u32).await;
        match read {
            Ok(page) => self.keep(key, to_page(channel, number, &page)),
            Err(error) => {
                tracing::warn!(%channel, %error, "cannot read the log for readers that lag; trying again");
                tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            }
        }
        let waiters = self.state.lock().waiting.remove(&key).unwrap_or_default();
        wake(&waiters, flusher);
    }

    fn keep(&self, key: PageKey, page: Page) {
        let mut state = self.state.lock();
        state.bytes += page.lines.len_bytes();
        if let Some(old) = state.pages.insert(key, Arc::new(page)) {
            state.bytes -= old.lines.len_bytes();
        } else {
            state.order.push_back(key);
        }
        while state.bytes > self.bytes_max && state.order.len() > PAGE_READS_MAX {
            let Some(oldest) = state.order.pop_front() else { break };
            if let Some(old) = state.pages.remove(&oldest) {
                state.bytes -= old.lines.len_bytes();
            }
        }
    }
}

/// Events 1 … [`PAGE_EVENTS`] are page 0.
fn key_of(channel: Channel, offset: u64) -> PageKey {
    (channel, offset.saturating_sub(1) / PAGE_EVENTS)
}

fn wake(waiters: &[(Arc<Conn>, u16)], flusher: &Flusher) {
    for (conn, index) in waiters {
        flusher.mark(conn, *index);
    }
}

fn to_page(channel: Channel, number: u64, page: &LogPage) -> Page {
    let first = page.events.first().map_or(number * PAGE_EVENTS + 1, |event| event.offset);
    let mut lines = Ring::starting_at(first);
    let mut line = Vec::new();
    for event in &page.events {
        // A hole in what was read would become a hole in what is sent: stop before it.
        if event.offset != lines.next() {
            break;
        }
        line.clear();
        encode::push_event(&mut line, channel, event.offset, &event.payload);
        lines.push(&line, usize::MAX);
    }
    Page { lines, floor: page.floor }
}
