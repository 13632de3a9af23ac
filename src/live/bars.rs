//! Bars: a person may not be in a channel any more because of an event in another one, as when a block comes between two
//! people. Two logs have no order between them, so a bar has no number in the channel that it ends: what counts is when
//! this node learned of it. Nothing of the channel that was not sent by then is sent any more.

use std::collections::VecDeque;
use std::time::Instant;

use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::Unsubscribed;
use uuid::Uuid;

use super::backend::{Effect, LogEvent};
use super::flush::Flusher;
use super::hub::Hub;
use super::limits::{BARRING_EVENTS_MAX, REVOKED_MAX};
use super::topic::Topic;

/// Who was barred from a channel, and when, for newcomers whose permission was asked for before.
#[derive(Debug, Default)]
pub(super) struct Bars {
    barred: Vec<(Uuid, Instant)>,
    /// Bars up to this moment are forgotten: whoever asked before it has to ask again.
    forgotten: Option<Instant>,
}

impl Bars {
    /// Whether an answer to a question of that moment may be older than a bar.
    pub fn may_hold(&self, user_id: Uuid, asked_at: Instant) -> bool {
        self.forgotten.is_some_and(|until| asked_at <= until)
            || self.barred.iter().any(|(barred, at)| *barred == user_id && asked_at <= *at)
    }

    fn add(&mut self, user_id: Uuid) {
        self.barred.push((user_id, Instant::now()));
        if self.barred.len() > REVOKED_MAX {
            let forgotten = self.barred.drain(..REVOKED_MAX / 2).next_back();
            self.forgotten = forgotten.map(|(_, at)| at).or(self.forgotten);
        }
    }
}

/// The last events that barred somebody. One that comes again must not bar again: a block may be over by then.
#[derive(Debug, Default)]
pub(super) struct BarringEvents(VecDeque<(Channel, u64)>);

impl BarringEvents {
    fn is_new(&mut self, event: &LogEvent) -> bool {
        let key = (event.channel, event.offset);
        if self.0.contains(&key) {
            return false;
        }
        if self.0.len() >= BARRING_EVENTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(key);
        true
    }
}

impl Hub {
    /// Does the bars among the effects of an event, the first time that it comes.
    ///
    /// A channel without a topic has nobody to put out, nor anybody on the way in: whoever asks makes the topic first.
    pub(super) fn bar(&self, event: &LogEvent, effects: &[Effect]) {
        let mut bars = effects.iter().filter_map(|effect| match effect {
            Effect::Bar { channel, user_id, why } => Some((*channel, *user_id, *why)),
            _ => None,
        });
        let Some(first) = bars.next() else { return };
        if !self.barring_events.lock().is_new(event) {
            return;
        }
        for (channel, user_id, why) in std::iter::once(first).chain(bars) {
            let topic = self.topics.get(&channel).map(|topic| topic.clone());
            if let Some(topic) = topic {
                topic.bar(user_id, why, &self.flusher);
            }
        }
    }
}

impl Topic {
    fn bar(&self, user_id: Uuid, why: Unsubscribed, flusher: &Flusher) {
        let mut state = self.state.lock();
        state.bars.get_or_insert_default().add(user_id);
        state.expel(self.channel, (0, why), |seat| seat.user_id() == user_id, flusher);
    }
}
