//! What clients of streams say, on its way to their connections.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::live::Hub;
use crate::live::limits::{DELIVER_WITHIN, DELIVERIES_MAX, MESSAGE_BYTES_MAX};

/// Reaches the streams of other nodes.
pub trait Forward: Send + Sync + 'static {
    /// What the others call this node.
    fn node(&self) -> &str;

    /// Hands commands to a session of another node. `false` when there is no such node or no such session.
    fn forward<'a>(&'a self, node: &'a str, session: &'a str, data: Bytes) -> BoxFuture<'a, Result<bool, Undelivered>>;
}

/// Why commands did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    /// Nobody has such a session.
    Unknown,
    /// The connection has not come to what was sent before.
    Full,
    /// The other node cannot be reached now.
    Unreachable,
}

/// The streams of this node, by session.
#[derive(Default)]
pub(in crate::live) struct Streams {
    inboxes: DashMap<u128, Arc<Inbox>>,
    forward: OnceLock<Arc<dyn Forward>>,
}

/// Commands of one frame, and their share of the room.
pub(super) type Delivery = (Bytes, OwnedSemaphorePermit);

/// Holds as many bytes as one message may have.
struct Inbox {
    room: Arc<Semaphore>,
    /// Whoever waits for room holds it, so that nobody overtakes.
    sender: Mutex<mpsc::Sender<Delivery>>,
}

impl Inbox {
    async fn put(&self, data: Bytes) -> Result<(), Undelivered> {
        let share = u32::try_from(data.len().clamp(1, MESSAGE_BYTES_MAX)).unwrap_or(u32::MAX);
        let put = async {
            let sender = self.sender.lock().await;
            let share = self.room.clone().acquire_many_owned(share).await.map_err(|_| Undelivered::Unknown)?;
            sender.send((data, share)).await.map_err(|_| Undelivered::Unknown)
        };
        tokio::time::timeout(DELIVER_WITHIN, put).await.unwrap_or(Err(Undelivered::Full))
    }

    /// Only if there is room at once and nobody waits for it.
    fn put_now(&self, data: Bytes) -> Result<(), Undelivered> {
        let share = u32::try_from(data.len().clamp(1, MESSAGE_BYTES_MAX)).unwrap_or(u32::MAX);
        let sender = self.sender.try_lock().map_err(|_| Undelivered::Full)?;
        let share = self.room.clone().try_acquire_many_owned(share).map_err(|_| Undelivered::Full)?;
        sender.try_send((data, share)).map_err(|_| Undelivered::Full)
    }
}

impl Streams {
    /// Opens the inbox of a session.
    pub(super) fn open(&self, session: u128) -> mpsc::Receiver<Delivery> {
        let (sender, receiver) = mpsc::channel(DELIVERIES_MAX);
        let inbox = Inbox { room: Arc::new(Semaphore::new(MESSAGE_BYTES_MAX)), sender: Mutex::new(sender) };
        self.inboxes.insert(session, Arc::new(inbox));
        receiver
    }

    pub(super) fn close(&self, session: u128) {
        self.inboxes.remove(&session);
    }

    /// How many there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.inboxes.len()
    }
}

impl Hub {
    /// The name of this node, as connections over streams are told it.
    pub fn node(&self) -> &str {
        self.streams.forward.get().map_or(&self.node, |forward| forward.node())
    }

    /// How the streams of other nodes are reached; once.
    pub fn set_forward(&self, forward: Arc<dyn Forward>) {
        let _ = self.streams.forward.set(forward);
    }

    /// Hands commands to a session of this node, in the order of the calls.
    pub async fn deliver(&self, session: &str, data: Bytes) -> Result<(), Undelivered> {
        self.inbox(session)?.put(data).await
    }

    /// The same without waiting for room.
    pub fn deliver_now(&self, session: &str, data: Bytes) -> Result<(), Undelivered> {
        self.inbox(session)?.put_now(data)
    }

    fn inbox(&self, session: &str) -> Result<Arc<Inbox>, Undelivered> {
        let session = parse(session).ok_or(Undelivered::Unknown)?;
        // Cloned: nobody waits while holding a part of the map.
        let inbox = self.streams.inboxes.get(&session).map(|inbox| inbox.clone());
        inbox.ok_or(Undelivered::Unknown)
    }

    /// Hands commands to a session, wherever it is.
    pub async fn emulate(&self, node: &str, session: &str, data: Bytes) -> Result<(), Undelivered> {
        if node == self.node() {
            return self.deliver(session, data).await;
        }
        let forward = self.streams.forward.get().ok_or(Undelivered::Unknown)?;
        match forward.forward(node, session, data).await? {
            true => Ok(()),
            false => Err(Undelivered::Unknown),
        }
    }
}

/// Exactly as it was given out.
fn parse(session: &str) -> Option<u128> {
    let plain = session.len() == 32 && session.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u128::from_str_radix(session, 16).ok()).flatten()
}
