//! Latest-value slots of one channel: drags in flight, pointers, typing.
//!
//! A slot keeps its newest value only. A reader remembers the version it has seen; what it has to
//! send are the slots with a higher one. So a slow reader skips values and never falls behind.
//!
//! A reader that keeps up skips nothing: the last values of all slots are also in a short ring, in the
//! order in which they came, each under its version.

mod elsewhere;

use std::collections::{HashSet, VecDeque};

use foldhash::fast::RandomState;
use hashlink::LinkedHashMap;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{self, data_of};
use studyhall_protocol::format::Format;
use uuid::Uuid;

use super::backend::{SlotKey, SlotWrite};
use super::conn::ConnId;
use super::limits::{
    ENDED_GESTURES_MAX, GESTURES_MAX, ORPHAN_AFTER, RECENT_BYTES, SILENT_AFTER, SLOTS_MAX, TOMBSTONES_MAX,
};
use super::ring::Ring;
use super::time::Ticks;

/// The values of one channel.
#[derive(Debug)]
pub struct Slots {
    /// In the order in which they changed.
    slots: LinkedHashMap<SlotKey, Slot, RandomState>,
    /// The version of the newest change.
    version: u64,
    /// The last changes, in JSON; the number of each is its version. Whatever ends a gesture empties it: no value of a
    /// gesture may be seen after the event that ended it.
    recent: Ring,
    /// The same in protobuf, once somebody has asked for it.
    recent_protobuf: Option<Ring>,
    /// Cleared slots at or below this version are forgotten; a reader that is older gets everything.
    floor: u64,
    tombstones: usize,
    gestures: usize,
    ended: VecDeque<Uuid>,
    /// Since when values from other nodes may be outdated.
    doubt: Option<Ticks>,
}

/// One value.
#[derive(Debug)]
pub struct Slot {
    version: u64,
    /// The push in JSON.
    line: Vec<u8>,
    /// The push in protobuf, once somebody has asked for it.
    protobuf: Vec<u8>,
    author: Uuid,
    from: Origin,
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
    /// From where.
    pub from: Origin,
    /// When.
    pub now: Ticks,
}

/// Where a value was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// On this node, over this connection.
    Here(ConnId),
    /// On another node.
    Elsewhere(Uuid),
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

impl Default for Slots {
    fn default() -> Self {
        Self {
            slots: LinkedHashMap::default(),
            version: 0,
            recent: Ring::starting_at(1),
            recent_protobuf: None,
            floor: 0,
            tombstones: 0,
            gestures: 0,
            ended: VecDeque::new(),
            doubt: None,
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
        self.slots.values().filter(|slot| !slot.cleared).map(|slot| slot.line.as_slice())
    }

    /// Every change, for a reader that has seen `version`; `None` when they are not all there any more.
    pub fn recent(&mut self, version: u64, format: Format) -> Option<&Ring> {
        let ring = match format {
            Format::Json => &self.recent,
            Format::Protobuf => self.recent_protobuf.get_or_insert_with(|| Ring::starting_at(self.version + 1)),
        };
        (version + 1 >= ring.first()).then_some(ring)
    }

    /// The newest values of the slots that have changed after `version`, with their own versions.
    pub fn since(&mut self, version: u64) -> impl Iterator<Item = (u64, &mut Slot)> {
        let newer = self.slots.values_mut().rev().take_while(|slot| slot.version > version);
        let newer: Vec<&mut Slot> = newer.collect();
        newer.into_iter().rev().map(|slot| (slot.version, slot))
    }

    /// Forgets how the values came about, and gives the memory back. Readers that have not seen them all yet get the
    /// newest ones.
    pub fn forget_recent(&mut self) {
        self.recent.clear();
        self.recent_protobuf.iter_mut().for_each(Ring::clear);
    }

    /// Nobody speaks protobuf any more.
    pub fn end_protobuf(&mut self) {
        self.recent_protobuf = None;
    }

    /// Bytes taken from the heap for recent values.
    pub fn held_bytes(&self) -> usize {
        self.recent.held_bytes() + self.recent_protobuf.as_ref().map_or(0, |ring| ring.held_bytes())
    }

    /// Takes a new value. `Ok(false)` when it cleared what was not set.
    pub fn write(&mut self, channel: Channel, write: &SlotWrite, by: Writer, line: &[u8]) -> Result<bool, SlotRefusal> {
        if write.gesture.is_some_and(|gesture| self.ended.contains(&gesture)) {
            return Err(SlotRefusal::Ended);
        }
        let current = self.slots.get(&write.key);
        let set = current.filter(|slot| !slot.cleared);
        if let Some(slot) = set {
            // Giving up a gesture is its author's business, however long it has been silent.
            let foreign_end = write.clear && slot.author != by.author;
            if slot.gesture.is_some() && (foreign_end || slot.is_held_against(write, by)) {
                return Err(SlotRefusal::Held(slot.author));
            }
        } else if write.clear {
            return Ok(false);
        }
        let is_gesture = write.gesture.is_some() && !write.clear;
        let was_gesture = set.is_some_and(|slot| slot.gesture.is_some());
        let full = current.is_none() && self.slots.len() >= SLOTS_MAX;
        if full || (is_gesture && !was_gesture && self.gestures >= GESTURES_MAX) {
            return Err(SlotRefusal::Full);
        }
        // A gesture that gives way to another one is over: its late values must not come back. Unless the other one began
        // on another node: then its author is still to be told.
        let previous = set.and_then(|slot| slot.gesture);
        if let Some(previous) =
            previous.filter(|gesture| write.clear || by.is_here() && write.gesture != Some(*gesture))
        {
            self.end(previous);
        }
        self.put(write, by, line);
        self.remember(channel, line);
        Ok(true)
    }

    fn put(&mut self, write: &SlotWrite, by: Writer, line: &[u8]) {
        let (mut buffer, mut protobuf) = (Vec::new(), Vec::new());
        if let Some(old) = self.slots.remove(&write.key) {
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
        let slot = Slot {
            version: self.version,
            line: buffer,
            protobuf,
            author: by.author,
            from: by.from,
            gesture: write.gesture,
            cleared: write.clear,
            written_at: by.now,
            author_gone: None,
        };
        self.slots.insert(write.key, slot);
        self.forget_tombstones();
    }

    fn remember(&mut self, channel: Channel, line: &[u8]) {
        self.recent.push(line, RECENT_BYTES);
        if let Some(ring) = &mut self.recent_protobuf {
            let mut message = Vec::with_capacity(line.len());
            encode::push_unnumbered(&mut message, Format::Protobuf, channel, data_of(channel, line));
            ring.push(&message, RECENT_BYTES);
        }
    }

    /// Ends a gesture, or whatever gesture holds the slot, and removes its value without a trace: the
    /// event that ended it says what is true now. Returns whose it was, if it was published on this node.
    pub fn end_gesture(&mut self, key: SlotKey, gesture: Option<Uuid>) -> Option<Uuid> {
        if let Some(gesture) = gesture {
            self.end(gesture);
            self.forget_recent();
        }
        let held = self.slots.get(&key).and_then(|slot| slot.gesture);
        let held = held.filter(|held| gesture.is_none_or(|gesture| gesture == *held))?;
        let author = self.owner(key).map(|(author, _)| author).filter(|_| self.is_from_here(key));
        self.end(held);
        self.remove(key);
        self.forget_recent();
        author
    }

    /// The connection is gone. Its plain slots are returned, to be cleared; its gestures wait.
    pub fn author_left(&mut self, conn: ConnId, now: Ticks) -> Vec<SlotKey> {
        let mut plain = Vec::new();
        for (key, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.from == Origin::Here(conn) && !slot.cleared) {
            match slot.gesture {
                Some(_) => slot.author_gone = Some(now),
                None => plain.push(*key),
            }
        }
        plain
    }

    /// These people may not be here any more: the keys of all their slots, to be cleared.
    pub fn of_authors(&self, authors: &HashSet<Uuid>) -> Vec<SlotKey> {
        let theirs = |(_, slot): &(&SlotKey, &Slot)| !slot.cleared && authors.contains(&slot.author);
        self.slots.iter().filter(theirs).map(|(key, _)| *key).collect()
    }

    /// Who wrote the slot last, and its gesture.
    pub fn owner(&self, key: SlotKey) -> Option<(Uuid, Option<Uuid>)> {
        self.slots.get(&key).map(|slot| (slot.author, slot.gesture))
    }

    /// Gestures that nobody carries on. They stay in place, ended, until their end is an event or
    /// [`Slots::end_gesture`] is called.
    pub fn abandoned(&mut self, now: Ticks) -> Vec<Abandoned> {
        let given_up = |slot: &Slot| {
            slot.author_gone.is_some_and(|gone| now.since(gone) >= ORPHAN_AFTER)
                || (!slot.is_from_elsewhere() && now.since(slot.written_at) >= SILENT_AFTER)
        };
        let mut abandoned = Vec::new();
        for (key, slot) in self.slots.iter().filter(|(_, slot)| !slot.cleared && given_up(slot)) {
            let Some(gesture) = slot.gesture.filter(|gesture| !self.ended.contains(gesture)) else {
                continue;
            };
            abandoned.push(Abandoned { key: *key, author: slot.author, gesture, line: slot.line.clone() });
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

    fn remove(&mut self, key: SlotKey) {
        if let Some(slot) = self.slots.remove(&key) {
            self.gestures -= usize::from(slot.gesture.is_some() && !slot.cleared);
            self.tombstones -= usize::from(slot.cleared);
        }
    }

    /// Half of them at once, the oldest: looking for them is a walk.
    fn forget_tombstones(&mut self) {
        if self.tombstones <= TOMBSTONES_MAX {
            return;
        }
        let cleared = self.slots.iter().filter(|(_, slot)| slot.cleared);
        let oldest: Vec<(SlotKey, u64)> =
            cleared.take(TOMBSTONES_MAX / 2).map(|(key, slot)| (*key, slot.version)).collect();
        for (key, version) in oldest {
            self.remove(key);
            self.floor = version;
        }
    }
}
