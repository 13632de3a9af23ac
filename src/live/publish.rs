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
use super::slots::{SlotRefusal, Writer};
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
                return Ok(false);
            }
            Action::Slot(write) => write,
        };
        let by = Writer { author: from.author, conn: from.conn, now: from.now };
        let slots = state.slots.get_or_insert_default();
        match slots.write(self.channel, write, by, line) {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            // A late value of a gesture that is over says nothing; that is not the sender's mistake.
            Err(SlotRefusal::Ended) => return Ok(false),
            Err(SlotRefusal::Held(by)) => {
                return Err(WireError::new(1409, format!("widget_held: {by} is dragging this widget")));
            }
            Err(SlotRefusal::Full) => return Err(WireError::limit_exceeded()),
        }
        let watch = slots.has_gestures() && !state.watched;
        state.watched |= watch;
        state.last_used = by.now;
        state.mark_all(flusher);
        Ok(watch)
    }

    /// Looks after holds and gestures; says whether there is anything left to look after.
    pub fn tick(&self, now: Ticks, flusher: &Flusher) -> (Vec<Orphan>, bool) {
        let mut state = self.state.lock();
        state.people_left(self.channel, now, flusher);
        let abandoned = state.slots.as_mut().map(|slots| slots.abandoned(now)).unwrap_or_default();
        let orphans = abandoned.into_iter().map(|abandoned| Orphan {
            channel: self.channel,
            key: abandoned.key,
            author: abandoned.author,
            gesture: abandoned.gesture,
            data: value_of(data_of(self.channel, &abandoned.line)),
        });
        let orphans = orphans.collect();
        let timed = state.people.as_ref().is_some_and(|people| people.any_leaving())
            || state.slots.as_ref().is_some_and(|slots| slots.has_gestures());
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
    /// Empties a slot; whoever calls it marks the subscribers.
    pub fn clear_slot(&mut self, channel: Channel, key: SlotKey) {
        let Some(slots) = &mut self.slots else { return };
        let Some((author, gesture)) = slots.owner(key) else {
            return;
        };
        let id = key.id.as_hyphenated().to_string();
        let mut line = Vec::with_capacity(192);
        let published = Published { kind: key.kind, key: gesture.map(|_| id.as_str()), actor: author, data: None };
        encode::push_published(&mut line, channel, &published);
        let write = SlotWrite { key, clear: true, gesture: None };
        let by = Writer { author, conn: ConnId::NONE, now: Ticks::now() };
        // What is cleared already stays so.
        let _ = slots.write(channel, &write, by, &line);
        self.last_used = by.now;
    }
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
