//! Latest-value slots of one channel: drags in flight, pointers, typing.
//!
//! A slot keeps its newest value only. A reader remembers the version it has seen; what it has to
//! send are the slots with a higher one. So a slow reader skips values and never falls behind.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{self, data_of};
use studyhall_protocol::format::Format;
use uuid::Uuid;

use super::backend::{SlotKey, SlotWrite};
use super::conn::ConnId;
use super::limits::{
    ENDED_GESTURES_MAX, GESTURE_HOLD, GESTURES_MAX, ORPHAN_AFTER, SILENT_AFTER, SLOTS_MAX, TOMBSTONES_MAX,
};
use super::time::Ticks;

/// The values of one channel, in the order in which they changed.
#[derive(Debug, Default)]
pub struct Slots {
    by_version: BTreeMap<u64, Slot>,
    versions: HashMap<SlotKey, u64, RandomState>,
    /// The version of the newest change.
    version: u64,
    /// Cleared slots at or below this version are forgotten; a reader that is older gets everything.
    floor: u64,
    tombstones: usize,
    gestures: usize,
    ended: VecDeque<Uuid>,
}

/// One value.
#[derive(Debug)]
pub struct Slot {
    key: SlotKey,
    /// The push in JSON.
    line: Vec<u8>,
    /// The push in protobuf, once somebody has asked for it.
    protobuf: Vec<u8>,
    author: Uuid,
    conn: ConnId,
    gesture: Option<Uuid>,
    cleared: bool,
    written_at: Ticks,
    /// The author's connection went away then.
    author_gone: Option<Ticks>,
}

/// Who writes.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// The person.
    pub author: Uuid,
    /// The connection.
    pub conn: ConnId,
    /// When.
    pub now: Ticks,
}

/// Why a value was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotRefusal {
    /// Somebody else holds the slot.
    Held(Uuid),
    /// The gesture is over.
    Ended,
    /// The channel has too many slots.
    Full,
}

/// A slot whose author is gone or silent.
#[derive(Debug, PartialEq)]
pub struct Abandoned {
    /// Which slot.
    pub key: SlotKey,
    /// Whose.
    pub author: Uuid,
    /// Which gesture.
    pub gesture: Uuid,
    /// The last push.
    pub line: Vec<u8>,
}

impl Slot {
    /// The push, encoded when the first reader of its format comes by.
    pub fn message(&mut self, format: Format, channel: Channel) -> &[u8] {
        match format {
            Format::Json => &self.line,
            Format::Protobuf => {
                if self.protobuf.is_empty() {
                    let data = data_of(channel, &self.line);
                    encode::push_unnumbered(&mut self.protobuf, Format::Protobuf, channel, data);
                }
                &self.protobuf
            }
        }
    }
}

impl Slots {
    /// The version of the newest change; a new reader starts behind it.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether a reader that has seen `version` may have missed a cleared slot.
    pub fn forgot_since(&self, version: u64) -> bool {
        version < self.floor
    }

    /// Values that are set, in JSON, oldest change first.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.by_version.values().filter(|slot| !slot.cleared).map(|slot| slot.line.as_slice())
    }

    /// Changes after `version`, with their own versions.
    pub fn since(&mut self, version: u64) -> impl Iterator<Item = (u64, &mut Slot)> {
        self.by_version.range_mut(version + 1..).map(|(version, slot)| (*version, slot))
    }

    /// Takes a new value. `Ok(false)` when it cleared what was not set.
    pub fn write(&mut self, write: &SlotWrite, by: Writer, line: &[u8]) -> Result<bool, SlotRefusal> {
        if write.gesture.is_some_and(|gesture| self.ended.contains(&gesture)) {
            return Err(SlotRefusal::Ended);
        }
        let current = self.versions.get(&write.key).and_then(|version| self.by_version.get(version));
        let set = current.filter(|slot| !slot.cleared);
        if let Some(slot) = set {
            let held = slot.author != by.author && by.now.since(slot.written_at) < GESTURE_HOLD;
            // Giving up a gesture is its author's business, however long it has been silent.
            let foreign_end = write.clear && slot.author != by.author;
            if slot.gesture.is_some() && (held || foreign_end) {
                return Err(SlotRefusal::Held(slot.author));
            }
        } else if write.clear {
            return Ok(false);
        }
        let is_gesture = write.gesture.is_some() && !write.clear;
        let was_gesture = set.is_some_and(|slot| slot.gesture.is_some());
        let full = current.is_none() && self.by_version.len() >= SLOTS_MAX;
        if full || (is_gesture && !was_gesture && self.gestures >= GESTURES_MAX) {
            return Err(SlotRefusal::Full);
        }
        // A gesture that gives way to another one is over: its late values must not come back.
        let previous = set.and_then(|slot| slot.gesture);
        if let Some(previous) = previous.filter(|gesture| write.clear || write.gesture != Some(*gesture)) {
            self.end(previous);
        }
        self.put(write, by, line);
        Ok(true)
    }

    fn put(&mut self, write: &SlotWrite, by: Writer, line: &[u8]) {
        let old = self.versions.get(&write.key).and_then(|version| self.by_version.remove(version));
        let (mut buffer, mut protobuf) = (Vec::new(), Vec::new());
        if let Some(old) = old {
            self.gestures -= usize::from(old.gesture.is_some() && !old.cleared);
            self.tombstones -= usize::from(old.cleared);
            (buffer, protobuf) = (old.line, old.protobuf);
        }
        buffer.clear();
        buffer.extend_from_slice(line);
        protobuf.clear();
        self.version += 1;
        self.gestures += usize::from(write.gesture.is_some() && !write.clear);
        self.tombstones += usize::from(write.clear);
        self.versions.insert(write.key, self.version);
        let slot = Slot {
            key: write.key,
            line: buffer,
            protobuf,
            author: by.author,
            conn: by.conn,
            gesture: write.gesture,
            cleared: write.clear,
            written_at: by.now,
            author_gone: None,
        };
        self.by_version.insert(self.version, slot);
        self.forget_tombstones();
    }

    /// Ends a gesture, or whatever gesture holds the slot, and removes its value without a trace: the
    /// event that ended it says what is true now.
    pub fn end_gesture(&mut self, key: SlotKey, gesture: Option<Uuid>) {
        if let Some(gesture) = gesture {
            self.end(gesture);
        }
        let Some(version) = self.versions.get(&key).copied() else {
            return;
        };
        let held = self.by_version.get(&version).and_then(|slot| slot.gesture);
        let Some(held) = held.filter(|held| gesture.is_none_or(|gesture| gesture == *held)) else {
            return;
        };
        self.end(held);
        self.remove(version);
    }

    /// The connection is gone. Its plain slots are returned, to be cleared; its gestures wait.
    pub fn author_left(&mut self, conn: ConnId, now: Ticks) -> Vec<SlotKey> {
        let mut plain = Vec::new();
        for slot in self.by_version.values_mut().filter(|slot| slot.conn == conn && !slot.cleared) {
            match slot.gesture {
                Some(_) => slot.author_gone = Some(now),
                None => plain.push(slot.key),
            }
        }
        plain
    }

    /// These people may not be here any more: the keys of all their slots, to be cleared.
    pub fn of_authors(&self, authors: &HashSet<Uuid>) -> Vec<SlotKey> {
        let theirs = |slot: &&Slot| !slot.cleared && authors.contains(&slot.author);
        self.by_version.values().filter(theirs).map(|slot| slot.key).collect()
    }

    /// Who wrote the slot last, and its gesture.
    pub fn owner(&self, key: SlotKey) -> Option<(Uuid, Option<Uuid>)> {
        let slot = self.by_version.get(self.versions.get(&key)?)?;
        Some((slot.author, slot.gesture))
    }

    /// Gestures that nobody carries on. They stay in place, ended, until their end is an event or
    /// [`Slots::end_gesture`] is called.
    pub fn abandoned(&mut self, now: Ticks) -> Vec<Abandoned> {
        let given_up = |slot: &Slot| {
            slot.author_gone.is_some_and(|gone| now.since(gone) >= ORPHAN_AFTER)
                || now.since(slot.written_at) >= SILENT_AFTER
        };
        let mut abandoned = Vec::new();
        for slot in self.by_version.values().filter(|slot| !slot.cleared && given_up(slot)) {
            let Some(gesture) = slot.gesture.filter(|gesture| !self.ended.contains(gesture)) else {
                continue;
            };
            abandoned.push(Abandoned { key: slot.key, author: slot.author, gesture, line: slot.line.clone() });
        }
        for Abandoned { gesture, .. } in &abandoned {
            self.end(*gesture);
        }
        abandoned
    }

    /// Whether any gesture is under way, so that somebody has to look after it.
    pub fn has_gestures(&self) -> bool {
        self.gestures > 0
    }

    fn end(&mut self, gesture: Uuid) {
        if !self.ended.contains(&gesture) {
            if self.ended.len() == ENDED_GESTURES_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back(gesture);
        }
    }

    fn remove(&mut self, version: u64) {
        if let Some(slot) = self.by_version.remove(&version) {
            self.versions.remove(&slot.key);
            self.gestures -= usize::from(slot.gesture.is_some() && !slot.cleared);
            self.tombstones -= usize::from(slot.cleared);
        }
    }

    fn forget_tombstones(&mut self) {
        if self.tombstones <= TOMBSTONES_MAX {
            return;
        }
        let oldest = self.by_version.iter().find(|(_, slot)| slot.cleared).map(|(version, _)| *version);
        if let Some(oldest) = oldest {
            self.remove(oldest);
            self.floor = oldest;
        }
    }
}
