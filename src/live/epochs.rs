//! A log that is another one than it was: whoever has a cursor into the old one is told, all of them at once.

use std::sync::Arc;

use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::Disconnect;

use super::Hub;
use super::conn::Conn;
use super::topic::{Phase, Topic};

impl Hub {
    /// The log has this epoch now. Every channel of another one ends here, before an event of the new one gets to it, and
    /// every connection is told to load its state again: its sign-in and its rights may be others as well.
    pub fn begin_epoch(&self, epoch: &Arc<str>) {
        *self.epoch.lock() = Some(epoch.clone());
        // Those who are here now: who was told by a channel and is back already has nothing old.
        let conns: Vec<Arc<Conn>> = self.conns.iter().map(|conn| conn.clone()).collect();
        for topic in &self.topics {
            topic.check_epoch(epoch, &self.flusher);
        }
        conns.iter().for_each(|conn| conn.close(Disconnect::INSUFFICIENT_STATE));
    }

    /// Tells every connection to come back elsewhere; new ones are taken all the same.
    pub fn send_away(&self) {
        self.conns.iter().for_each(|conn| conn.close(Disconnect::SHUTDOWN));
    }

    /// How far this node has seen each log of this epoch.
    pub fn heads(&self, epoch: &str) -> Vec<(Channel, u64)> {
        self.topics.iter().filter_map(|topic| Some((topic.channel, topic.head_in(epoch)?))).collect()
    }
}

impl Topic {
    /// The newest event that was seen here, if this is its epoch.
    fn head_in(&self, epoch: &str) -> Option<u64> {
        let state = self.state.lock();
        matches!(&state.phase, Phase::Live { epoch: own } if **own == *epoch).then(|| state.rings.next_event() - 1)
    }
}
