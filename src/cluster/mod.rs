//! Nodes that share a Redis: what each says of who is where and of what happens, and what it hears from the others.
//!
//! Redis holds hints and leases only. Every entry belongs to an incarnation of a node, and every incarnation has a lease:
//! a sorted set whose scores are ends by Redis' own clock. Who does not renew is taken out, and what they said with them;
//! who finds the lease gone says everything again under the next. Nothing here is waited for by a person for longer than
//! [`LOOK_WITHIN`], and no failure leaves this module.
//!
//! What happens on this node is told to the others as hints: they get it sooner than from PostgreSQL, where they would find
//! it all the same.
//!
//! Read in this order: [`book`] (what this node says), [`mirror`] (what it hears), [`link`] (the connection), [`speak`]
//! and [`listen`] (what goes on over it), [`message`] (how that is written); of hints [`outbox`], [`send`], [`hear`] and
//! [`hint`].

mod book;
mod hear;
mod hint;
mod inspect;
mod leases;
mod link;
mod listen;
mod message;
mod mirror;
mod outbox;
mod send;
mod servers;
mod speak;

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use studyhall_protocol::channel::Channel;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use crate::live::backend::{LogEvent, SlotKey};
use crate::live::roster::{Ear, Others, Roster};
pub use hint::Seal;
pub use inspect::inspect;
use link::Shared;
use servers::Servers;

/// For whoever asks who is where.
const LOOK_WITHIN: Duration = Duration::from_millis(250);
/// For a message to another node.
const FORWARD_WITHIN: Duration = Duration::from_secs(1);
/// For the last words of a node that ends.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(1);
/// People told of before others get the thread.
const NEWS_PER_TURN: usize = 256;

/// How fast things go. Tests are in a hurry.
#[derive(Debug, Clone)]
pub struct Timing {
    /// A node that has not renewed for this long is dead.
    pub lease: Duration,
    /// Between renewals.
    pub pulse: Duration,
    /// After Redis lost its data: the other nodes have this long to say theirs again before it counts as gone.
    pub grace: Duration,
    /// Without Redis for this long, others are not shown any more.
    pub forget: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            pulse: Duration::from_secs(1),
            grace: Duration::from_secs(6),
            forget: Duration::from_secs(15),
        }
    }
}

/// This node among the others. Dropped without [`Roster::hand_over`] it is a node that died.
pub struct Cluster {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// Hints that were not told or not believed, since this node started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Found no room in the outbox.
    pub dropped: u64,
    /// Messages that no node had written.
    pub forged: u64,
    /// Messages that came again, or too late.
    pub stale: u64,
}

/// Is given what other nodes forward, by the name of the session. Must not block.
pub type Desk = Arc<dyn Fn(&str, Bytes) + Send + Sync>;

impl Cluster {
    /// Joins the nodes that share the Redis at `url` and the key of `seal`, now or as soon as it can be reached. Of a Redis
    /// Cluster several addresses may be given, separated by commas.
    pub fn start(url: &str, seal: Seal, timing: Timing) -> Arc<Self> {
        let shared = Arc::new(Shared::new(seal, timing));
        let mut tasks = JoinSet::new();
        match Servers::new(url) {
            Ok(servers) => {
                tasks.spawn(link::keep(shared.clone(), servers));
            }
            Err(error) => shared.lost(&error),
        }
        tasks.spawn(tell_the_ear(shared.clone()));
        Arc::new(Self { shared, _tasks: tasks })
    }

    /// The name of this node, for [`Cluster::forward`] on the others. A restarted server has a new one.
    pub fn node(&self) -> Uuid {
        self.shared.node
    }

    /// Who is told what the others say.
    pub fn set_ear(&self, ear: Weak<dyn Ear>) {
        *self.shared.ear.lock() = Some(ear);
    }

    /// Who is given what the others forward.
    pub fn set_desk(&self, desk: Desk) {
        *self.shared.desk.lock() = Some(desk);
    }

    /// Whether the other nodes can be reached now.
    pub fn is_reachable(&self) -> bool {
        self.shared.is_reachable()
    }

    /// Tells the others of events that were committed here, in this epoch of the log. Never blocks.
    pub fn tell_events(&self, epoch: &str, events: &[LogEvent]) {
        if self.shared.is_heard() {
            for event in events {
                self.shared.outbox.put(event.channel, None, hint::event(epoch, event));
            }
        }
    }

    /// What became of hints.
    pub fn counted(&self) -> Counted {
        let Shared { outbox, heard, .. } = &*self.shared;
        Counted { dropped: outbox.dropped(), forged: heard.forged(), stale: heard.stale() }
    }

    /// Gives `data` to a session on another node. `false`: that node is not there, or cannot be reached.
    pub async fn forward(&self, node: Uuid, session: &str, data: &[u8]) -> bool {
        let (Some(message), Some(mut connection)) = (message::forwarded(session, data), self.shared.connection())
        else {
            return false;
        };
        let names = self.shared.names();
        let mut publish = redis::cmd(names.publish);
        publish.arg(names.node(node)).arg(message);
        let receivers = timeout(FORWARD_WITHIN, publish.query_async::<u64>(&mut connection)).await;
        matches!(receivers, Ok(Ok(1..)))
    }
}

impl Roster for Cluster {
    fn tell(&self, place: Channel, person: Uuid, entry: Option<Bytes>) {
        if self.shared.ending.is_cancelled() {
            // A node that ends loses its people one after another; they are not to leave, but to turn up elsewhere.
            return;
        }
        if entry.as_ref().is_some_and(|entry| entry.len() > message::ENTRY_BYTES_MAX) {
            tracing::warn!(%place, "an entry is too long for the other nodes");
            return;
        }
        self.shared.book.write((place, person), entry);
    }

    fn attend(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>> {
        let mirror = &self.shared.mirror;
        mirror.attend(&places);
        async move {
            let fresh = async {
                loop {
                    let mut read = std::pin::pin!(mirror.read.notified());
                    read.as_mut().enable();
                    if mirror.are_fresh(&places) {
                        return;
                    }
                    read.await;
                }
            };
            if self.shared.connection().is_some() {
                let _ = timeout(LOOK_WITHIN, fresh).await;
            }
            places.iter().map(|place| mirror.fresh(*place).unwrap_or_default()).collect()
        }
        .boxed()
    }

    fn desert(&self, place: Channel) {
        self.shared.mirror.desert(place);
    }

    fn look(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>> {
        async move {
            let mut seen: Vec<Option<Vec<Others>>> =
                places.iter().map(|place| self.shared.mirror.fresh(*place)).collect();
            let unknown: Vec<Channel> =
                places.iter().zip(&seen).filter(|(_, seen)| seen.is_none()).map(|(place, _)| *place).collect();
            if !unknown.is_empty()
                && let Some(mut connection) = self.shared.connection()
                && let Ok(Ok(found)) = timeout(LOOK_WITHIN, listen::look(&self.shared, &mut connection, &unknown)).await
            {
                seen.iter_mut().filter(|seen| seen.is_none()).zip(found).for_each(|(seen, found)| *seen = Some(found));
            }
            seen.into_iter().map(Option::unwrap_or_default).collect()
        }
        .boxed()
    }

    fn publish(&self, channel: Channel, slot: Option<SlotKey>, data: &[u8]) {
        if self.shared.is_heard() {
            self.shared.outbox.put(channel, slot, hint::published(data));
        }
    }

    fn hears(&self) -> bool {
        self.shared.is_reachable()
    }

    fn hand_over(&self) -> BoxFuture<'_, ()> {
        async move {
            self.shared.ending.cancel();
            if self.shared.connection().is_some()
                && timeout(HAND_OVER_WITHIN, self.shared.ended.cancelled()).await.is_err()
            {
                tracing::warn!("the other nodes could not be told that this one ends");
            }
        }
        .boxed()
    }
}

/// One task tells, so what is told last is newest. It asks the mirror as late as possible: what changes meanwhile is told
/// once.
async fn tell_the_ear(shared: Arc<Shared>) {
    loop {
        shared.mirror.news.notified().await;
        loop {
            let news = shared.mirror.next_news(NEWS_PER_TURN);
            if news.is_empty() {
                break;
            }
            if let Some(ear) = shared.ear() {
                news.into_iter().for_each(|(place, others)| ear.heard(place, others));
            }
            tokio::task::yield_now().await;
        }
    }
}
