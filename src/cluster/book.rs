//! What this node says: the latest entry of each person at each place, and which of them Redis does not have yet.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use tokio::sync::Notify;
use uuid::Uuid;

/// A person at a place.
pub(super) type Key = (Channel, Uuid);

/// Latest value wins, so an outage of Redis costs no more memory than the people who are there, and those who left
/// since and whom others still see.
#[derive(Default)]
pub(super) struct Book {
    pages: Mutex<Pages>,
    /// Something is to be said.
    pub changed: Notify,
}

#[derive(Default)]
struct Pages {
    lines: HashMap<Key, Line>,
    /// To be said.
    due: HashSet<Key>,
    /// Being said; nobody knows yet whether it arrived.
    sent: Vec<Key>,
}

struct Line {
    entry: Option<Bytes>,
    /// Whether others may have heard of it, so that its end has to be said.
    known: bool,
}

impl Book {
    /// Writes down the latest entry.
    pub fn write(&self, key: Key, entry: Option<Bytes>) {
        let mut pages = self.pages.lock();
        match (pages.lines.get_mut(&key), entry) {
            (None, None) => return,
            (None, entry) => {
                pages.lines.insert(key, Line { entry, known: false });
            }
            (Some(line), entry) if line.entry == entry => return,
            (Some(line), None) if !line.known => {
                pages.lines.remove(&key);
                pages.due.remove(&key);
                return;
            }
            (Some(line), entry) => line.entry = entry,
        }
        pages.due.insert(key);
        drop(pages);
        self.changed.notify_one();
    }

    /// The next batch to say. Ends with [`Book::confirm`], or, if that is not heard of, with [`Book::take_back`].
    pub fn next(&self, limit: usize) -> Vec<(Key, Option<Bytes>)> {
        let mut pages = self.pages.lock();
        let pages = &mut *pages;
        let keys: Vec<Key> = pages.due.iter().take(limit).copied().collect();
        let mut batch = Vec::with_capacity(keys.len());
        for key in keys {
            pages.due.remove(&key);
            if let Some(line) = pages.lines.get_mut(&key) {
                line.known = true;
                pages.sent.push(key);
                batch.push((key, line.entry.clone()));
            }
        }
        if pages.due.is_empty() {
            // After a storm there is room in it for everybody.
            pages.due = HashSet::new();
        }
        batch
    }

    /// The batch is stored.
    pub fn confirm(&self) {
        let mut pages = self.pages.lock();
        let pages = &mut *pages;
        for key in pages.sent.drain(..) {
            let over = pages.lines.get(&key).is_some_and(|line| line.entry.is_none());
            if over && !pages.due.contains(&key) {
                pages.lines.remove(&key);
            }
        }
    }

    /// The batch may not have arrived: it is to be said again.
    pub fn take_back(&self) {
        let mut pages = self.pages.lock();
        let pages = &mut *pages;
        pages.due.extend(pages.sent.drain(..));
        self.changed.notify_one();
    }

    /// Everything is to be said again.
    pub fn say_all(&self) {
        let mut pages = self.pages.lock();
        let pages = &mut *pages;
        pages.sent.clear();
        pages.due.extend(pages.lines.keys());
        self.changed.notify_one();
    }

    /// Whether there is something to say.
    pub fn is_due(&self) -> bool {
        !self.pages.lock().due.is_empty()
    }

    /// How many entries Redis has of this node, if it has all of them and nothing else.
    pub fn settled(&self) -> Option<usize> {
        let pages = self.pages.lock();
        (pages.due.is_empty() && pages.sent.is_empty()).then(|| pages.lines.len())
    }

    #[cfg(test)]
    fn lines(&self) -> usize {
        self.pages.lock().lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> Key {
        (Channel::Workspace(Uuid::from_u128(1)), Uuid::from_u128(number))
    }

    fn entry(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn the_latest_entry_is_said_once() {
        let book = Book::default();
        book.write(key(1), entry("a"));
        book.write(key(1), entry("b"));
        assert_eq!(book.next(10), [(key(1), entry("b"))]);
        assert_eq!(book.settled(), None);
        book.confirm();
        book.write(key(1), entry("b"));
        assert!(book.next(10).is_empty());
        assert_eq!(book.settled(), Some(1));
        book.write(key(1), None);
        assert_eq!(book.next(10), [(key(1), None)]);
        book.confirm();
        assert_eq!(book.settled(), Some(0));
        assert_eq!(book.lines(), 0);
    }

    #[test]
    fn what_changes_while_it_is_said_is_said_again() {
        let book = Book::default();
        book.write(key(1), entry("a"));
        book.next(10);
        book.write(key(1), None);
        book.confirm();
        assert_eq!(book.next(10), [(key(1), None)]);
        book.write(key(1), entry("b"));
        book.confirm();
        assert_eq!(book.next(10), [(key(1), entry("b"))]);
    }

    #[test]
    fn what_may_not_have_arrived_is_said_again() {
        let book = Book::default();
        book.write(key(1), entry("a"));
        book.next(10);
        book.take_back();
        assert_eq!(book.next(10), [(key(1), entry("a"))]);
        book.confirm();
        book.say_all();
        assert_eq!(book.next(10), [(key(1), entry("a"))]);
    }

    #[test]
    fn who_comes_and_goes_unheard_leaves_nothing() {
        let book = Book::default();
        for number in 0..1000 {
            book.write(key(number), entry("a"));
            book.write(key(number), None);
        }
        assert_eq!(book.lines(), 0);
        assert!(!book.is_due());
    }
}
