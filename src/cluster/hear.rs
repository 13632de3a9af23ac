//! What other nodes have told: looked at before it is believed, and handed to the engine.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use super::hint::{Hint, Message};
use super::link::Shared;
use crate::live::backend::LogEvent;

/// Nodes that are remembered. A restarted node is a new one.
const TALKERS_MAX: usize = 10_000;

/// What was heard so far.
#[derive(Default)]
pub(super) struct Heard {
    /// The number of the last message of each node: all come over one connection, in order.
    last: Mutex<HashMap<Uuid, u64>>,
    /// Messages that no node had written.
    forged: AtomicU64,
    /// Messages that had come before.
    stale: AtomicU64,
}

impl Heard {
    /// Messages with a wrong seal, or none.
    pub fn forged(&self) -> u64 {
        self.forged.load(Ordering::Relaxed)
    }

    /// Messages that came again, or too late.
    pub fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    /// Whether this is the newest message of its node, and from now on the last one.
    fn is_news(&self, message: &Message<'_>) -> bool {
        let mut last = self.last.lock();
        if last.len() >= TALKERS_MAX {
            last.clear();
        }
        let last = last.entry(message.node).or_default();
        let news = message.number > *last;
        *last = message.number.max(*last);
        news
    }
}

impl Shared {
    /// Hints for a channel. Runs in the task that reads from Redis, so nothing here waits.
    pub(super) fn hear_hints(&self, channel: Channel, bytes: &[u8]) {
        let message = Message::read(bytes);
        if message.as_ref().is_some_and(|message| message.node == self.node) {
            return;
        }
        let genuine = message.filter(|message| message.is_genuine(&self.seal, channel));
        let Some(message) = genuine else {
            if self.heard.forged.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!(%channel, "somebody who is no node of this database writes to the channels of this Redis");
            }
            return;
        };
        if !self.heard.is_news(&message) {
            self.heard.stale.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.has_company.store(true, Ordering::Relaxed);
        let Some(ear) = self.ear() else { return };
        let mut events: Vec<LogEvent> = Vec::new();
        let mut epoch = "";
        for hint in message.hints(channel) {
            match hint {
                Hint::Event(of, event) => {
                    if of != epoch && !events.is_empty() {
                        ear.clone().committed(epoch, std::mem::take(&mut events));
                    }
                    epoch = of;
                    events.push(event);
                }
                Hint::Published(data) => {
                    // After the events that were told before it: one of them may end what it belongs to.
                    if !events.is_empty() {
                        ear.clone().committed(epoch, std::mem::take(&mut events));
                    }
                    ear.published(message.node, channel, data);
                }
                Hint::Asked => ear.asked(channel),
            }
        }
        if !events.is_empty() {
            ear.committed(epoch, events);
        }
    }
}
