//! The other nodes: who is where on them, and what is said there at this moment. The engine tells them the same of this
//! one.
//!
//! A place is a channel: a room, with the people in it; or a person's own `profile:`, where that person is as long as
//! any of their devices is connected. What a node says of a person at a place is an entry, opaque here. Entries of a
//! node that died are taken back for it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use super::backend::{LogEvent, SlotKey};

/// What one node says of a person at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The node. A restarted one is another one.
    pub node: Uuid,
    /// What it says.
    pub said: Bytes,
}

/// What the other nodes say of one person at one place: an entry each, in no order; none when nobody has one.
pub type Others = (Uuid, Vec<Entry>);

/// Is told what the other nodes say. Must not block.
pub trait Ear: Send + Sync + 'static {
    /// What all other nodes say now of this person at a place that is attended. Comes again and again; the last one
    /// counts.
    fn heard(&self, place: Channel, others: Others);

    /// Events that another node committed, of channels that are attended. They may come in any order, several times, or
    /// not at all: only the log is complete.
    fn committed(self: Arc<Self>, epoch: &str, events: Vec<LogEvent>);

    /// What was published on another node, named as in its entries: the `data` of the push.
    fn published(&self, node: Uuid, channel: Channel, data: &[u8]);

    /// Somebody begins to listen: what was published here and still holds is to be published again.
    fn asked(&self, channel: Channel);

    /// Something may have been missed. Whatever holds is published again.
    fn interrupted(&self);
}

/// Tells the other nodes, and listens to them.
pub trait Roster: Send + Sync + 'static {
    /// This node's entry of a person at a place; `None` once they are not there on this node. Never blocks; the last one
    /// counts, and is said again to a store that forgot it.
    fn tell(&self, place: Channel, person: Uuid, entry: Option<Bytes>);

    /// Listens to these places from now on, and answers what the others say of each, in order. What cannot be reached in
    /// short time is empty, and is heard later. What is heard after the call is newer than the answer.
    fn attend(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>>;

    /// Does not listen to this place any more.
    fn desert(&self, place: Channel);

    /// What the others say of these places, in order, without listening on.
    fn look(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>>;

    /// Tells the other nodes what was published here: the `data` of the push, and which slot it is in if it is in one, of
    /// which only the newest value counts. Never blocks; what is lost is not told again.
    fn publish(&self, channel: Channel, slot: Option<SlotKey>, data: &[u8]);

    /// Whether the other nodes can be heard now, so that who is silent is not there.
    fn hears(&self) -> bool;

    /// This node ends: its people stay for as long as a lost connection is held, unless they turn up elsewhere.
    fn hand_over(&self) -> BoxFuture<'_, ()>;
}

/// The roster of a node that has no others.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Roster for Alone {
    fn tell(&self, _place: Channel, _person: Uuid, _entry: Option<Bytes>) {}

    fn attend(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>> {
        self.look(places)
    }

    fn desert(&self, _place: Channel) {}

    fn look(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>> {
        let nobody = vec![Vec::new(); places.len()];
        async move { nobody }.boxed()
    }

    fn publish(&self, _channel: Channel, _slot: Option<SlotKey>, _data: &[u8]) {}

    fn hears(&self) -> bool {
        false
    }

    fn hand_over(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
