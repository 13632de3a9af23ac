//! Pages of the log for readers that lag behind the ring. Readers of one channel share them, and a
//! page is read once however many wait for it. What is wanted while pages are being read is read together next:
//! when everybody comes back at once, thousands of channels are a few dozen statements.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode;
use studyhall_protocol::format::Format;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::backend::{Backend, LogPage};
use super::conn::{Conn, ConnId};
use super::flush::Flusher;
use super::limits::{PAGE_EVENTS, PAGE_READS_MAX, PAGES_AT_ONCE};
use super::ring::Ring;
use super::sync::Mutex;

pub(super) type PageKey = (Channel, u64);

/// One page: encoded messages, and where the log began when it was read.
#[derive(Debug)]
pub struct Page {
    /// The events.
    pub messages: Ring,
    /// The oldest number in the log.
    pub floor: u64,
    /// The log that they are of.
    epoch: Arc<str>,
}

/// The pages of this node.
#[derive(Debug)]
pub struct LogPages {
    state: Mutex<PagesState>,
    reads: Arc<Semaphore>,
    bytes_max: usize,
    /// Wakes whoever reads the pages that are wanted.
    asked: Notify,
}

#[derive(Debug, Default)]
struct PagesState {
    /// In each format that somebody waited for when they were read.
    pages: HashMap<(PageKey, Format), Arc<Page>>,
    /// In the order in which they were read; the oldest go first.
    order: VecDeque<(PageKey, Format)>,
    bytes: usize,
    waiting: HashMap<PageKey, Waiting>,
    /// What nobody reads yet. A key is in it once while it is waited for, so it is no longer than that list.
    wanted: VecDeque<PageKey>,
}

/// Who waits for a page. A busy channel marks them again and again: each is noted once.
#[derive(Debug, Default)]
struct Waiting {
    subscriptions: HashMap<(ConnId, u16), Arc<Conn>>,
    /// The highest number that somebody wants.
    wanted: u64,
}

impl Waiting {
    fn speak(&self, format: Format) -> bool {
        self.subscriptions.values().any(|conn| conn.format == format)
    }

    fn wake(&self, flusher: &Flusher) {
        for ((_, index), conn) in &self.subscriptions {
            flusher.mark(conn, *index);
        }
    }
}

impl LogPages {
    /// No pages yet. Whoever asks [`LogPages::wanted`] has to pass the answers to [`LogPages::read`].
    pub fn new(bytes_max: usize) -> Self {
        let (state, asked) = (Mutex::default(), Notify::new());
        Self { state, reads: Arc::new(Semaphore::new(PAGE_READS_MAX)), bytes_max, asked }
    }

    /// The right to read, and the pages that somebody waits for, those first that were wanted first. One task asks.
    pub async fn wanted(&self) -> Option<(OwnedSemaphorePermit, Vec<PageKey>)> {
        // The right first: what is wanted while others are reading goes into one statement.
        let permit = self.reads.clone().acquire_owned().await.ok()?;
        loop {
            let keys: Vec<PageKey> = {
                let mut state = self.state.lock();
                let some = state.wanted.len().min(PAGES_AT_ONCE);
                state.wanted.drain(..some).collect()
            };
            if !keys.is_empty() {
                return Some((permit, keys));
            }
            self.asked.notified().await;
            // Whoever is ready to ask at this moment comes along.
            tokio::task::yield_now().await;
        }
    }

    /// The page with the event `next` in it, if it is here and reaches that far; otherwise subscription `index` of this
    /// connection is marked when it is. Under one lock, or a page that comes between the look and the wait is read anew.
    pub fn get_or_wait(
        &self,
        channel: Channel,
        next: u64,
        epoch: &Arc<str>,
        conn: &Arc<Conn>,
        index: u16,
    ) -> Option<Arc<Page>> {
        let key = key_of(channel, next);
        let mut state = self.state.lock();
        let useful = |page: &&Arc<Page>| page.epoch == *epoch && (next < page.messages.next() || next < page.floor);
        if let Some(page) = state.pages.get(&(key, conn.format)).filter(useful) {
            return Some(page.clone());
        }
        let waiting = state.waiting.entry(key).or_default();
        waiting.wanted = waiting.wanted.max(next);
        // Whoever waits already and comes again, because more events came, asks for nothing new.
        let first = waiting.subscriptions.is_empty();
        waiting.subscriptions.insert((conn.id, index), conn.clone());
        if first {
            state.wanted.push_back(key);
            self.asked.notify_one();
        }
        None
    }

    /// Reads pages and wakes whoever waits for them. `check` learns of which log each is, before they do. Returns those
    /// that could not be read, or are not what is waited for: try again later, by [`LogPages::wake`].
    pub async fn read(
        &self,
        keys: Vec<PageKey>,
        backend: &dyn Backend,
        flusher: &Flusher,
        check: impl Fn(Channel, &Arc<str>),
    ) -> Vec<PageKey> {
        let wanted = keys.iter().map(|(channel, number)| (*channel, number * PAGE_EVENTS)).collect();
        // Half of what is kept, or readers would find their pages gone again.
        let bytes_max = u32::try_from(self.bytes_max / (2 * PAGE_READS_MAX)).unwrap_or(u32::MAX);
        let pages = match backend.read_pages(wanted, PAGE_EVENTS as u32, bytes_max).await {
            Ok(pages) => pages,
            Err(error) => {
                tracing::warn!(%error, "cannot read the log for readers that lag; trying again");
                return keys;
            }
        };
        let (mut later, mut unread) = (Vec::new(), Vec::new());
        for (key, page) in keys.into_iter().zip(pages) {
            match page {
                None => unread.push(key),
                Some(page) => {
                    check(key.0, &page.epoch);
                    if self.take(key, &page) { self.wake(key, flusher) } else { later.push(key) }
                }
            }
        }
        if !unread.is_empty() {
            let mut state = self.state.lock();
            unread.into_iter().rev().for_each(|key| state.wanted.push_front(key));
            self.asked.notify_one();
        }
        later
    }

    /// Keeps a page in the formats that somebody waits for; says whether it reaches as far as they want.
    fn take(&self, key: PageKey, page: &LogPage) -> bool {
        let mut reaches = true;
        for format in [Format::Json, Format::Protobuf] {
            if self.is_awaited(key, format) {
                reaches &= self.keep(key, format, to_page(key.0, key.1, format, page));
            }
        }
        reaches
    }

    /// Whoever waits for this page looks again whether it is here, or asks for it anew.
    pub fn wake(&self, key: PageKey, flusher: &Flusher) {
        let waiting = self.state.lock().waiting.remove(&key).unwrap_or_default();
        waiting.wake(flusher);
    }

    /// How many pages somebody waits for.
    #[cfg(test)]
    pub fn awaited(&self) -> usize {
        self.state.lock().waiting.len()
    }

    fn is_awaited(&self, key: PageKey, format: Format) -> bool {
        self.state.lock().waiting.get(&key).is_some_and(|waiting| waiting.speak(format))
    }

    /// Keeps a page; says whether it is what those who wait for it want.
    fn keep(&self, key: PageKey, format: Format, page: Page) -> bool {
        let spelt = (key, format);
        let mut state = self.state.lock();
        let wanted = state.waiting.get(&key).map_or(0, |waiting| waiting.wanted);
        let reaches = wanted < page.messages.next() || wanted < page.floor;
        state.bytes += size_of_page(&page);
        if let Some(old) = state.pages.insert(spelt, Arc::new(page)) {
            state.bytes -= size_of_page(&old);
        } else {
            state.order.push_back(spelt);
        }
        while state.bytes > self.bytes_max && state.order.len() > PAGE_READS_MAX {
            let Some(oldest) = state.order.pop_front() else { break };
            if let Some(old) = state.pages.remove(&oldest) {
                state.bytes -= size_of_page(&old);
            }
        }
        reaches
    }
}

/// Empty pages take room as well.
fn size_of_page(page: &Page) -> usize {
    page.messages.held_bytes() + size_of::<Page>() + 2 * size_of::<(PageKey, Format)>()
}

/// Events 1 … [`PAGE_EVENTS`] are page 0.
fn key_of(channel: Channel, offset: u64) -> PageKey {
    (channel, offset.saturating_sub(1) / PAGE_EVENTS)
}

fn to_page(channel: Channel, number: u64, format: Format, page: &LogPage) -> Page {
    let first = page.events.first().map_or(number * PAGE_EVENTS + 1, |event| event.offset);
    let mut messages = Ring::starting_at(first);
    let mut message = Vec::new();
    for event in &page.events {
        // A hole in what was read would become a hole in what is sent: stop before it.
        if event.offset != messages.next() {
            break;
        }
        message.clear();
        encode::push_event(&mut message, format, channel, event.offset, &event.payload);
        messages.push(&message, usize::MAX);
    }
    messages.shrink();
    Page { messages, floor: page.floor, epoch: page.epoch.clone() }
}
