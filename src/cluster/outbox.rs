//! What is to be told and has not been: hints of events in order, of slots the newest value only.

use std::sync::atomic::{AtomicU64, Ordering};

use hashlink::LinkedHashMap;
use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use tokio::sync::Notify;

use crate::live::backend::SlotKey;

/// Bytes that may wait. Above it hints are dropped: events are found in the log, slots get newer values.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes taken at once, about.
const TURN_BYTES: usize = 256 * 1024;

/// Bounded, and never in anybody's way.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// There is something.
    pub ready: Notify,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    hints: LinkedHashMap<Key, (Channel, Vec<u8>)>,
    bytes: usize,
    numbers: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Slot(Channel, SlotKey),
    Each(u64),
}

impl Outbox {
    /// Tells this as soon as possible; of a slot only what is newest then.
    pub fn put(&self, channel: Channel, slot: Option<SlotKey>, hint: Vec<u8>) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + hint.len() > BYTES_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += hint.len();
        let key = match slot {
            Some(slot) => Key::Slot(channel, slot),
            None => {
                waiting.numbers += 1;
                Key::Each(waiting.numbers)
            }
        };
        match waiting.hints.get_mut(&key) {
            Some((_, old)) => {
                let freed = std::mem::replace(old, hint).len();
                waiting.bytes -= freed;
            }
            None => drop(waiting.hints.insert(key, (channel, hint))),
        }
        drop(waiting);
        self.ready.notify_one();
    }

    /// What is to be told next, put together by channel.
    pub fn take(&self) -> LinkedHashMap<Channel, Vec<u8>> {
        let mut waiting = self.waiting.lock();
        let mut turn: LinkedHashMap<Channel, Vec<u8>> = LinkedHashMap::new();
        let mut taken = 0;
        while taken < TURN_BYTES
            && let Some((_, (channel, hint))) = waiting.hints.pop_front()
        {
            taken += hint.len();
            match turn.get_mut(&channel) {
                Some(hints) => hints.extend_from_slice(&hint),
                None => drop(turn.insert(channel, hint)),
            }
        }
        waiting.bytes -= taken;
        if waiting.hints.is_empty() {
            // After a storm there is room in it for all of them.
            waiting.hints.shrink_to_fit();
        }
        turn
    }

    /// Nobody can be told now; later it is old.
    pub fn clear(&self) {
        let mut waiting = self.waiting.lock();
        *waiting = Waiting { numbers: waiting.numbers, ..Waiting::default() };
    }

    /// Hints that found no room, ever.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn room(number: u128) -> Channel {
        Channel::Workspace(Uuid::from_u128(number))
    }

    fn pointer(number: u128) -> Option<SlotKey> {
        Some(SlotKey { kind: "pointer", id: Uuid::from_u128(number) })
    }

    fn take(outbox: &Outbox) -> Vec<(Channel, String)> {
        let text = |(channel, hints)| (channel, String::from_utf8(hints).unwrap());
        outbox.take().into_iter().map(text).collect()
    }

    #[test]
    fn of_a_slot_the_newest_value_is_told_and_of_events_all() {
        let outbox = Outbox::default();
        outbox.put(room(1), pointer(1), b"a".into());
        outbox.put(room(1), None, b"1".into());
        outbox.put(room(2), pointer(1), b"x".into());
        outbox.put(room(1), None, b"2".into());
        outbox.put(room(1), pointer(1), b"bb".into());
        outbox.put(room(1), pointer(2), b"c".into());
        assert_eq!(take(&outbox), [(room(1), "bb12c".into()), (room(2), "x".into())]);
        assert_eq!(take(&outbox), []);
    }

    #[test]
    fn it_holds_so_much_and_says_what_it_dropped() {
        let outbox = Outbox::default();
        for _ in 0..20 {
            outbox.put(room(1), None, vec![0; BYTES_MAX / 16]);
        }
        assert_eq!(outbox.dropped(), 4);
        outbox.take();
        outbox.put(room(1), None, vec![0; BYTES_MAX / 16]);
        assert_eq!(outbox.dropped(), 4, "there is room again");
        outbox.clear();
        assert!(outbox.take().is_empty());
    }
}
