//! Publications without a number: slot values and broadcasts.

use serde_json::value::RawValue;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{self, data_of};
use studyhall_protocol::error::WireError;
use studyhall_protocol::live::Published;
use uuid::Uuid;

use super::backend::{Action, Orphan, SlotKey, SlotWrite};
use super::conn::ConnId;
use super::flush::Flusher;
use super::slots::{Origin, SlotRefusal, Writer};
use super::time::Ticks;
use super::topic::{Phase, Topic, TopicState};

/// Who publishes, and from which seat.
#[derive(Debug, Clone, Copy)]
pub struct From {
    /// The person.
    pub author: Uuid,
    /// The connection.
    pub conn: ConnId,
    /// Its seat.
    pub place: u32,
    /// When.
    pub now: Ticks,
}

impl Topic {
    /// Publishes. The seat is checked under the same lock: who was removed publishes nothing more.
    /// Returns whether the channel has something to be watched, and is not yet.
    pub fn publish(&self, action: &Action, from: From, line: &[u8], flusher: &Flusher) -> Result<bool, WireError> {
        let mut state = self.state.lock();
        if !state.seats.holds(from.place, from.conn) || !matches!(state.phase, Phase::Live { .. }) {
            return Err(WireError::permission_denied());
        }
        let write = match action {
            Action::Broadcast => {
                state.push_cast(self.channel, line, from.now, flusher);
                state.nodes.0.publish(self.channel, None, data_of(self.channel, line));
                return Ok(false);
            }
            Action::Slot(write) => write,
        };
        let by = Writer { author: from.author, from: Origin::Here(from.conn), now: from.now };
        match state.write_slot(self.channel, write, by, line, flusher) {
            Ok(None) => Ok(false),
            Ok(Some(watch)) => {
                state.nodes.0.publish(self.channel, Some(write.key), data_of(self.channel, line));
                Ok(watch)
            }
            // A late value of a gesture that is over says nothing; that is not the sender's mistake.
            Err(SlotRefusal::Ended) => Ok(false),
            Err(SlotRefusal::Held(by)) => {
                Err(WireError::new(1409, format!("widget_held: {by} is dragging this widget")))
            }
            Err(SlotRefusal::Full) => Err(WireError::limit_exceeded()),
        }
    }

    /// What was published on another node. Returns as [`Topic::publish`] does.
    pub(super) fn published_elsewhere(
        &self,
        action: &Action,
        (author, node): (Uuid, Uuid),
        line: &[u8],
        flusher: &Flusher,
    ) -> bool {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Void | Phase::Retired) {
            return false;
        }
        let now = Ticks::now();
        match action {
            Action::Broadcast => {
                state.push_cast(self.channel, line, now, flusher);
                false
            }
            Action::Slot(write) => {
                let by = Writer { author, from: Origin::Elsewhere(node), now };
                // Who is refused is told on their own node.
                state.write_slot(self.channel, write, by, line, flusher).unwrap_or_default().unwrap_or_default()
            }
        }
    }

    /// Somebody on another node has just begun to listen.
    pub(super) fn publish_again(&self) {
        let state = self.state.lock();
        for (key, line) in state.slots.iter().flat_map(|slots| slots.published_here()) {
            state.nodes.0.publish(self.channel, Some(key), data_of(self.channel, line));
        }
    }

    /// Values from other nodes may have been missed. Returns as [`Topic::publish`] does.
    pub(super) fn doubt_others(&self, now: Ticks) -> bool {
        let mut state = self.state.lock();
        let watch = state.slots.as_mut().is_some_and(|slots| slots.doubt(now)) && !state.watched;
        state.watched |= watch;
        watch
    }

    /// Looks after holds and gestures; says whether there is anything left to look after.
    pub fn tick(&self, now: Ticks, flusher: &Flusher) -> (Vec<Orphan>, bool) {
        let mut state = self.state.lock();
        state.people_left(self.channel, now, flusher);
        state.miss_authors(self.channel, now, flusher);
        let abandoned = state.slots.as_mut().map(|slots| slots.abandoned(now)).unwrap_or_default();
        let orphans = abandoned.into_iter().map(|abandoned| Orphan {
            channel: self.channel,
            key: abandoned.key,
            author: abandoned.author,
            gesture: abandoned.gesture,
            data: value_of(data_of(self.channel, &abandoned.line)),
        });
        let orphans = orphans.collect();
        let stale = state.slots.as_mut().map(|slots| slots.stale(now)).unwrap_or_default();
        state.clear_slots(self.channel, stale, flusher);
        let timed = state.people.as_ref().is_some_and(|people| people.any_leaving())
            || state.slots.as_ref().is_some_and(|slots| slots.has_gestures() || slots.has_any_from_elsewhere());
        state.watched = timed;
        (orphans, timed)
    }

    /// A gesture was given up and nothing committed: everybody is told that the slot is empty.
    pub fn clear_orphan(&self, key: SlotKey, gesture: Uuid, flusher: &Flusher) {
        let mut state = self.state.lock();
        let owner = state.slots.as_ref().and_then(|slots| slots.owner(key));
        if owner.is_some_and(|(_, held)| held == Some(gesture)) {
            state.clear_slot(self.channel, key);
            state.mark_all(flusher);
        }
    }
}

impl TopicState {
    /// Writes a slot and tells the subscribers. Returns whether the channel is to be watched from now on; `None` when
    /// nothing has changed.
    fn write_slot(
        &mut self,
        channel: Channel,
        write: &SlotWrite,
        by: Writer,
        line: &[u8],
        flusher: &Flusher,
    ) -> Result<Option<bool>, SlotRefusal> {
        let slots = self.slots.get_or_insert_default();
        if !slots.write(channel, write, by, line)? {
            return Ok(None);
        }
        let watch = (slots.has_gestures() || !by.is_here()) && !self.watched;
        self.watched |= watch;
        self.last_used = by.now;
        self.mark_all(flusher);
        Ok(Some(watch))
    }

    /// An event has ended a gesture. Another node may get one of its values later than the event, and not know that it is
    /// over because it began to listen in between: so it is told.
    pub fn end_gesture(&mut self, channel: Channel, key: SlotKey, gesture: Option<Uuid>) {
        let author = self.slots.get_or_insert_default().end_gesture(key, gesture);
        if let Some(author) = author {
            self.nodes.0.publish(channel, Some(key), data_of(channel, &cleared(channel, key, true, author)));
        }
    }

    /// Empties these slots and tells the subscribers.
    pub fn clear_slots(&mut self, channel: Channel, keys: Vec<SlotKey>, flusher: &Flusher) {
        if keys.is_empty() {
            return;
        }
        for key in keys {
            self.clear_slot(channel, key);
        }
        self.mark_all(flusher);
    }

    /// Empties a slot; whoever calls it marks the subscribers.
    pub fn clear_slot(&mut self, channel: Channel, key: SlotKey) {
        let Some(slots) = &mut self.slots else { return };
        let Some((author, gesture)) = slots.owner(key) else {
            return;
        };
        let here = slots.is_from_here(key);
        let line = cleared(channel, key, gesture.is_some(), author);
        let write = SlotWrite { key, clear: true, gesture: None };
        let by = Writer { author, from: Origin::Here(ConnId::NONE), now: Ticks::now() };
        // What is cleared already stays so.
        if slots.write(channel, &write, by, &line) == Ok(true) && here {
            self.nodes.0.publish(channel, Some(key), data_of(channel, &line));
        }
        self.last_used = by.now;
    }
}

/// The push that says that a slot is empty.
fn cleared(channel: Channel, key: SlotKey, of_gesture: bool, author: Uuid) -> Vec<u8> {
    let id = key.id.as_hyphenated().to_string();
    let mut line = Vec::with_capacity(192);
    let published = Published { kind: key.kind, key: of_gesture.then_some(id.as_str()), actor: author, data: None };
    encode::push_published(&mut line, channel, &published);
    line
}

/// The `data` of a published slot value.
fn value_of(published: &[u8]) -> Box<RawValue> {
    #[derive(serde::Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    serde_json::from_slice::<Inner<'_>>(published)
        .map(|inner| inner.data.to_owned())
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}
