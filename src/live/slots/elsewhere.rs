//! Values from other nodes: who goes first when two nodes let somebody begin at the same moment, and what becomes of
//! values that nobody vouches for any more.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Origin, Slot, Slots, Writer};
use crate::live::backend::{SlotKey, SlotWrite};
use crate::live::limits::{GESTURE_HOLD, SAID_AGAIN_WITHIN, SILENT_AFTER};
use crate::live::time::Ticks;

impl Writer {
    /// Whether it is on this node.
    pub(in crate::live) fn is_here(&self) -> bool {
        matches!(self.from, Origin::Here(_))
    }
}

impl Slot {
    /// Whose it is and by which node, if it was published on another one.
    fn elsewhere(&self) -> Option<(Uuid, Uuid)> {
        match self.from {
            Origin::Elsewhere(node) if !self.cleared => Some((self.author, node)),
            _ => None,
        }
    }

    pub(super) fn is_from_elsewhere(&self) -> bool {
        self.elsewhere().is_some()
    }

    /// Whether the gesture that is under way here goes before another one. Two that began on different nodes before
    /// these heard of each other both hold the slot: on all nodes the smaller id goes on.
    pub(super) fn is_held_against(&self, write: &SlotWrite, by: Writer) -> bool {
        let fresh = by.now.since(self.written_at) < GESTURE_HOLD;
        if !by.is_here() && self.author_gone.is_none() && !write.clear {
            return fresh && self.gesture < write.gesture;
        }
        fresh && self.author != by.author
    }
}

impl Slots {
    /// The person is not on that node any more, or that is not known (`!known`). Their plain slots from there are returned,
    /// to be cleared; their gestures wait as those of [`Slots::author_left`], unless nobody knows.
    pub fn author_left_elsewhere(&mut self, author: Uuid, node: Uuid, known: bool, now: Ticks) -> Vec<SlotKey> {
        let mut plain = Vec::new();
        for (key, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.elsewhere() == Some((author, node))) {
            match slot.gesture.filter(|_| known) {
                Some(_) => slot.author_gone = Some(now),
                None => plain.push(*key),
            }
        }
        plain
    }

    /// Whose values from which nodes have been here for a while, and may be without anybody who is there.
    pub fn authors_elsewhere(&self, now: Ticks) -> HashSet<(Uuid, Uuid)> {
        let old = |slot: &&Slot| slot.author_gone.is_none() && now.since(slot.written_at) >= GESTURE_HOLD;
        self.slots.values().filter(old).filter_map(Slot::elsewhere).collect()
    }

    /// Whether anything here is from another node, so that somebody has to look after it.
    pub fn has_any_from_elsewhere(&self) -> bool {
        self.slots.values().any(Slot::is_from_elsewhere)
    }

    /// Values from other nodes that nobody vouches for any more, to be cleared: those older than the doubt about them, and
    /// gestures that have been silent for too long. To commit a gesture is for the node of its author.
    pub fn stale(&mut self, now: Ticks) -> Vec<SlotKey> {
        let doubt = self.doubt.take_if(|doubt| now.since(*doubt) >= SAID_AGAIN_WITHIN);
        let stale = |slot: &Slot| match slot.gesture {
            Some(_) => slot.author_gone.is_none() && now.since(slot.written_at) >= SILENT_AFTER,
            None => doubt.is_some_and(|doubt| now.since(slot.written_at) > now.since(doubt)),
        };
        let elsewhere = self.slots.iter().filter(|(_, slot)| slot.is_from_elsewhere() && stale(slot));
        elsewhere.map(|(key, _)| *key).collect()
    }

    /// Something from other nodes may have been missed. Returns whether there is anything to be doubted.
    pub fn doubt(&mut self, now: Ticks) -> bool {
        let any = self.has_any_from_elsewhere();
        self.doubt = any.then_some(now);
        any
    }

    /// What was published on this node and still holds, oldest first.
    pub fn published_here(&self) -> impl Iterator<Item = (SlotKey, &[u8])> {
        let here = |slot: &Slot| !slot.cleared && !slot.is_from_elsewhere();
        self.slots.iter().filter(move |(_, slot)| here(slot)).map(|(key, slot)| (*key, slot.line.as_slice()))
    }

    /// Whether its value was published on this node.
    pub fn is_from_here(&self, key: SlotKey) -> bool {
        self.slots.get(&key).is_some_and(|slot| matches!(slot.from, Origin::Here(_)))
    }
}
