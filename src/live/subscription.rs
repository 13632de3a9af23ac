//! One subscription of one connection: where it is in its channel.

use std::num::NonZeroU64;
use std::sync::Arc;

use studyhall_protocol::channel::Channel;

use super::backend::Grant;
use super::conn::Out;
use super::limits::CHANNELS_MAX;
use super::topic::Topic;

/// A set of cursors into one topic.
#[derive(Debug)]
pub struct Subscription {
    pub(super) topic: Arc<Topic>,
    pub(super) grant: Grant,
    /// Its seat in the topic.
    pub(super) place: u32,
    /// The number of the next event to send.
    pub(super) next_event: u64,
    /// The number of the next broadcast to send.
    pub(super) next_cast: u64,
    /// The number of the next join or leave to send; `None` when they are not wanted.
    pub(super) next_move: Option<NonZeroU64>,
    /// Slots up to this version have been sent.
    pub(super) slots_seen: u64,
    /// The version of the person's presence that was sent; 0 when none is to be seen.
    pub(super) shown: u32,
}

impl Out {
    /// The index of the subscription to `channel`.
    pub(super) fn find(&self, channel: Channel) -> Option<usize> {
        self.subscriptions.iter().position(|slot| slot.as_ref().is_some_and(|held| held.topic.channel == channel))
    }

    /// An index for a new subscription; `None` when the connection has as many as it may.
    pub(super) fn free_index(&mut self) -> Option<usize> {
        if let Some(free) = self.subscriptions.iter().position(Option::is_none) {
            return Some(free);
        }
        (self.subscriptions.len() < CHANNELS_MAX).then(|| {
            // Exactly one more: most connections have a handful, and there are many connections.
            self.subscriptions.reserve_exact(if self.subscriptions.len() < 16 { 1 } else { 16 });
            self.subscriptions.push(None);
            self.subscriptions.len() - 1
        })
    }
}
