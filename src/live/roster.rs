//! Who is where on the other nodes. The engine says who is where on this one, and is told about the others.
//!
//! A place is a channel: a room, with the people in it; or a person's own `profile:`, where that person is as long as
//! any of their devices is connected. What a node says of a person at a place is an entry, opaque here. Entries of a
//! node that died are taken back for it.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

/// What the other nodes say of one person at one place: an entry each, in no order; none when nobody has one.
pub type Others = (Uuid, Vec<Bytes>);

/// Is told what the other nodes say. Must not block.
pub trait Ear: Send + Sync + 'static {
    /// What all other nodes say now of this person at a place that is attended. Comes again and again; the last one
    /// counts.
    fn heard(&self, place: Channel, others: Others);
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

    fn hand_over(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
