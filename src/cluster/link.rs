//! The one connection to Redis: made, watched, replaced.
//!
//! Not a `ConnectionManager`: a new connection has to subscribe and read again before it is of use, one that is open and
//! silent has to be given up, and what was on its way has to be said again. Here all of that is the end of one function
//! call, and the beginning of the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, PushInfo, PushKind, RedisError, RedisResult, Value};
use studyhall_protocol::channel::Channel;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::book::Book;
use super::hear::Heard;
use super::hint::{self, Seal};
use super::message::{self, Letter, Names};
use super::mirror::Mirror;
use super::outbox::Outbox;
use super::servers::Servers;
use super::speak::Voice;
use super::{Desk, Timing, listen, send};
use crate::live::roster::Ear;

/// For an answer; a link that takes longer is given up. With the pulse before it, a silent one is replaced within three
/// seconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
/// Between attempts to connect: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// A link that held for so long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// What all tasks of this node share.
pub(super) struct Shared {
    pub node: Uuid,
    pub timing: Timing,
    pub book: Book,
    pub mirror: Mirror,
    pub ear: Mutex<Option<Weak<dyn Ear>>>,
    pub desk: Mutex<Option<Desk>>,
    /// This node speaks its last words.
    pub ending: CancellationToken,
    /// It has spoken them.
    pub ended: CancellationToken,
    /// Which lease counts.
    pub generation: AtomicU64,
    /// The newest pulse that came back.
    pub echo: AtomicU64,
    pub seal: Seal,
    pub outbox: Outbox,
    pub heard: Heard,
    /// Whether there are other nodes, as far as it is known.
    pub has_company: AtomicBool,
    names: Mutex<Names>,
    /// Counts messages with hints.
    messages: AtomicU64,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// Whether the others can be reached; `None` until that is known.
    reachable: Mutex<Option<bool>>,
    /// Redis lost data: until then, who is not in it may only not have been said again.
    doubt: Mutex<Option<Instant>>,
}

impl Shared {
    pub fn new(seal: Seal, timing: Timing) -> Self {
        Self {
            node: Uuid::new_v4(),
            timing,
            book: Book::default(),
            mirror: Mirror::default(),
            ear: Mutex::default(),
            desk: Mutex::default(),
            ending: CancellationToken::new(),
            ended: CancellationToken::new(),
            generation: AtomicU64::new(1),
            echo: AtomicU64::new(0),
            seal,
            outbox: Outbox::default(),
            heard: Heard::default(),
            has_company: AtomicBool::new(false),
            names: Mutex::new(message::SINGLE),
            messages: AtomicU64::new(0),
            connection: Mutex::default(),
            reachable: Mutex::default(),
            doubt: Mutex::default(),
        }
    }

    pub fn ear(&self) -> Option<Arc<dyn Ear>> {
        self.ear.lock().as_ref().and_then(Weak::upgrade)
    }

    /// The connection, while there is one.
    pub fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.lock().clone()
    }

    pub fn incarnation(&self) -> String {
        message::incarnation(self.node, self.generation.load(Ordering::Relaxed))
    }

    /// Whether anybody can be told anything.
    pub fn is_heard(&self) -> bool {
        self.has_company.load(Ordering::Relaxed) && self.is_reachable()
    }

    /// A message with hints.
    pub fn sealed(&self, channel: Channel, hints: &[u8]) -> Vec<u8> {
        let number = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        self.seal.message(channel, self.node, number, hints)
    }

    /// How things are called in the Redis of this connection.
    pub fn names(&self) -> Names {
        *self.names.lock()
    }

    pub fn is_reachable(&self) -> bool {
        *self.reachable.lock() == Some(true)
    }

    /// Says so once.
    pub fn reached(&self) {
        if self.reachable.lock().replace(true) != Some(true) {
            tracing::info!(node = %self.node, "reached Redis; this node and the others hear each other");
        }
    }

    /// Says so once.
    pub fn lost(&self, error: &RedisError) {
        if self.reachable.lock().replace(false) != Some(false) {
            tracing::warn!(%error, "cannot reach Redis at REDIS_URL; going on without it, and trying again");
        }
    }

    /// Redis lost data: others need time to say theirs again.
    pub fn begin_doubt(&self) {
        *self.doubt.lock() = Some(Instant::now() + self.timing.grace);
        self.mirror.wishes.notify_one();
    }

    pub fn doubt(&self) -> Option<Instant> {
        *self.doubt.lock()
    }

    /// Everything was read after `doubt` and is complete, unless there is a newer one.
    pub fn end_doubt(&self, doubt: Instant) {
        let mut current = self.doubt.lock();
        if *current == Some(doubt) {
            *current = None;
        }
    }

    /// What Redis pushes. Runs in the task that reads from it, so nothing here waits.
    fn pushed(&self, data: &[Value]) {
        let [Value::BulkString(channel), Value::BulkString(text)] = data else { return };
        if let Some(place) = self.names().place_of(channel) {
            if text.first() == Some(&hint::MARK) {
                return self.hear_hints(place, text);
            }
            match message::word(text) {
                Some(word) if word.node != self.node => self.mirror.hear(place, word),
                Some(_) => {}
                None => tracing::debug!(%place, "a message that no node writes"),
            }
            return;
        }
        match message::letter(text) {
            Some(Letter::Pulse(number)) => {
                self.echo.fetch_max(number, Ordering::Relaxed);
            }
            Some(Letter::Forwarded { session, data }) => {
                let desk = self.desk.lock().clone();
                if let Some(desk) = desk {
                    desk(session, data);
                }
            }
            None => tracing::debug!("a letter that no node writes"),
        }
    }
}

/// Keeps a connection until this node hands over.
pub(super) async fn keep(shared: Arc<Shared>, mut servers: Servers) {
    let mut voice = Voice::new();
    let mut wait = RETRY.0;
    // Since when nothing is heard, until that has had its consequence.
    let mut silent: Option<Instant> = None;
    while !shared.ending.is_cancelled() {
        let began = Instant::now();
        let end = hold(&shared, &mut servers, &mut voice).await;
        if shared.connection.lock().take().is_some() {
            silent = Some(Instant::now());
        }
        shared.mirror.end();
        shared.outbox.clear();
        shared.book.take_back();
        if let Err(error) = end {
            shared.lost(&error);
        }
        if silent.is_some_and(|since| since.elapsed() >= shared.timing.forget) {
            silent = None;
            shared.mirror.forget();
        }
        wait = if began.elapsed() > GOOD_AFTER { RETRY.0 } else { RETRY.1.min(wait * 2) };
        // Not all nodes at the same moment.
        let pause = wait.mul_f64(rand::random_range(0.5..1.0));
        let _ = shared.ending.run_until_cancelled(sleep(pause)).await;
    }
    shared.ended.cancel();
}

/// One connection, from its beginning to its end. `Ok` if this node has handed over.
async fn hold(shared: &Arc<Shared>, servers: &mut Servers, voice: &mut Voice) -> RedisResult<()> {
    let down = Arc::new(Notify::new());
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN))
        .set_push_sender(push_sender(Arc::downgrade(shared), down.clone()));
    let (mut connection, names) = servers.connect(&config).await?;
    *shared.names.lock() = names;
    redis::cmd(names.subscribe).arg(names.node(shared.node)).exec_async(&mut connection).await?;
    // First the lease: whether it is still there decides what a read proves.
    voice.begin(shared, &mut connection).await?;
    *shared.connection.lock() = Some(connection.clone());
    let mut listener = connection.clone();
    let sender = connection.clone();
    tokio::select! {
        end = voice.speak(shared, &mut connection) => end,
        end = listen::listen(shared, &mut listener) => end,
        end = send::send(shared, &sender) => end,
        () = down.notified() => Err(RedisError::from((ErrorKind::Io, "the connection was closed"))),
    }
}

/// Weakly: what it gives to owns the connection, which owns it.
fn push_sender(
    shared: Weak<Shared>,
    down: Arc<Notify>,
) -> impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + Send + Sync + 'static {
    move |push| {
        match push.kind {
            PushKind::Disconnection => down.notify_one(),
            PushKind::Message | PushKind::SMessage => {
                if let Some(shared) = shared.upgrade() {
                    shared.pushed(&push.data);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
