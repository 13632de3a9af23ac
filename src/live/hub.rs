//! The hub: the channels and connections of this node.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::Disconnect;
use studyhall_protocol::format::Format;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::arrivals::Arrivals;
use super::backend::{Backend, Effect, Identity, LogEvent};
use super::bars::BarringEvents;
use super::conn::{Conn, ConnId};
use super::elsewhere::Nodes;
use super::flush::Flusher;
use super::limits::{CONNECT_WITHIN, ENDED_SESSIONS_FOR, LOG_RETRY, Limits};
use super::pages::LogPages;
use super::presence::Presences;
use super::rechecks::Rechecks;
use super::records::Records;
use super::roster::Roster;
use super::standing::Standings;
use super::stream::Streams;
use super::time::{Deadline, Ticks};
use super::topic::Topic;
use super::transport::Transport;

/// The engine of one node.
pub struct Hub {
    /// What an operator set.
    pub limits: Limits,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) roster: Arc<dyn Roster>,
    pub(super) presences: Presences,
    pub(super) standings: Standings,
    pub(super) rechecks: Rechecks,
    pub(super) records: Records,
    pub(super) flusher: Flusher,
    pub(super) pages: LogPages,
    pub(super) topics: DashMap<Channel, Arc<Topic>>,
    pub(super) conns: DashMap<u64, Arc<Conn>>,
    users: DashMap<Uuid, Vec<Arc<Conn>>>,
    pub(super) streams: Streams,
    /// A name that no other node has.
    pub(super) node: String,
    /// Sign-ins that ended a short while ago.
    ended: Mutex<VecDeque<EndedSession>>,
    pub(super) barring_events: Mutex<BarringEvents>,
    /// Channels with holds or gestures to look after.
    pub(super) timed: Mutex<HashSet<Channel>>,
    /// When this node ran for certain.
    pub(super) ran_at: Deadline,
    next_id: AtomicU64,
    pub(super) open: AtomicUsize,
    pub(super) arrivals: Arrivals,
    pub(super) draining: AtomicBool,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("topics", &self.topics.len()).field("conns", &self.conns.len()).finish()
    }
}

struct EndedSession {
    session_id: Uuid,
    why: Disconnect,
    at: Ticks,
}

impl Hub {
    /// Starts the engine: one flush task per worker thread, the clock, the readers of the log, those who ask about
    /// people and write down where they are.
    pub fn start(limits: Limits, backend: Arc<dyn Backend>, roster: Arc<dyn Roster>, workers: usize) -> Arc<Self> {
        let hub = Arc::new(Self {
            backend,
            roster,
            presences: Presences::default(),
            standings: Standings::default(),
            rechecks: Rechecks::default(),
            records: Records::default(),
            flusher: Flusher::new(workers),
            pages: LogPages::new(limits.page_bytes),
            topics: DashMap::new(),
            conns: DashMap::new(),
            users: DashMap::new(),
            streams: Streams::default(),
            node: format!("{:016x}", rand::random::<u64>()),
            ended: Mutex::default(),
            barring_events: Mutex::default(),
            timed: Mutex::default(),
            ran_at: Deadline::default(),
            next_id: AtomicU64::new(1),
            open: AtomicUsize::new(0),
            arrivals: Arrivals::new(limits.arrivals_max),
            draining: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            limits,
        });
        for shard in 0..hub.flusher.shards() {
            let flushing = hub.clone();
            // Stopped by itself: it runs for every message, and nothing is to be asked as often as that.
            hub.tasks.spawn(async move { flushing.flusher.run(shard, &flushing.pages).await });
        }
        let clock = hub.clone();
        hub.spawn(async move { clock.run_clock().await });
        let reader = hub.clone();
        hub.spawn(async move { reader.read_pages().await });
        hub.spawn(hub.clone().ask_standings());
        hub.spawn(hub.clone().ask_rechecks());
        // Not ended half-way: it writes down the last changes when the engine stops.
        hub.tasks.spawn(hub.clone().keep_records());
        hub
    }

    /// Runs a task until it ends or the engine stops.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }

    async fn read_pages(self: Arc<Self>) {
        while let Some((permit, keys)) = self.pages.wanted().await {
            let hub = self.clone();
            self.spawn(async move {
                let check = |channel: Channel, epoch: &Arc<str>| {
                    if let Some(topic) = hub.topics.get(&channel) {
                        topic.check_epoch(epoch, &hub.flusher);
                    }
                };
                let later = hub.pages.read(keys, &*hub.backend, &hub.flusher, check).await;
                drop(permit);
                if !later.is_empty() {
                    tokio::time::sleep(LOG_RETRY).await;
                    later.into_iter().for_each(|key| hub.pages.wake(key, &hub.flusher));
                }
            });
        }
    }

    /// Takes over an upgraded socket, or a stream.
    pub(super) fn register(&self, transport: impl Into<Transport>, format: Format) -> Arc<Conn> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let conn = Arc::new(Conn::new(ConnId(id), transport, format));
        conn.times.connect_by.set(Some(Ticks::now().after(CONNECT_WITHIN)));
        self.conns.insert(id, conn.clone());
        // Behind the insertion: the drain sees the connection, or the connection the drain.
        if self.draining.load(Ordering::SeqCst) {
            conn.close(Disconnect::SHUTDOWN);
        }
        conn
    }

    /// The connection is known to be this person's now, by this sign-in.
    pub(super) fn identify(&self, conn: &Arc<Conn>, identity: Arc<Identity>) {
        let (user_id, session_id) = (identity.user_id, identity.session_id);
        conn.out.lock().identity = Some(identity.clone());
        if conn.user_id.set(user_id).is_ok() {
            let mut theirs = self.users.entry(user_id).or_default();
            theirs.reserve_exact(1);
            theirs.push(conn.clone());
            drop(theirs);
            self.device_came(conn.id, &identity);
        }
        // It may have ended since its credential was checked: before that was to be seen above.
        let ended = self.ended.lock().iter().find(|ended| ended.session_id == session_id).map(|ended| ended.why);
        if let Some(why) = ended {
            conn.close(why);
        }
    }

    /// The connection is over; its person is held for a while.
    pub(super) fn unregister(&self, conn: &Arc<Conn>, hold: Duration) {
        if let Some(user_id) = conn.user_id.get() {
            self.users.remove_if_mut(user_id, |_, conns| {
                conns.retain(|other| other.id != conn.id);
                conns.is_empty()
            });
            self.device_left(*user_id, conn.id, hold);
        }
        let subscriptions = std::mem::take(&mut conn.out.lock().subscriptions);
        for subscription in subscriptions.into_iter().flatten() {
            subscription.topic.leave(subscription.place, conn.id, hold, &self.flusher);
            self.watch(subscription.topic.channel);
        }
        // Last: who waits for all connections to be gone waits for what follows from it.
        self.conns.remove(&conn.id.0);
        self.release_connection();
    }

    /// The topic of a channel, made if need be. Make it before reading where its log is: events that
    /// are committed meanwhile wait in it.
    pub(super) fn topic(&self, channel: Channel) -> Arc<Topic> {
        if let Some(topic) = self.topics.get(&channel) {
            return topic.clone();
        }
        let new = || Arc::new(Topic::new(channel, Nodes(self.roster.clone())));
        self.topics.entry(channel).or_insert_with(new).clone()
    }

    /// Forgets a topic that is of no use any more, so that the next one to ask gets a new one.
    pub(super) fn forget(&self, topic: &Arc<Topic>) {
        self.topics.remove_if(&topic.channel, |_, known| {
            let it = Arc::ptr_eq(known, topic);
            if it {
                // While nobody can make a new one, which would begin to listen.
                topic.state.lock().desert(topic.channel);
            }
            it
        });
    }

    /// The channel has holds or gestures: look at it at every tick until it has none.
    pub(super) fn watch(&self, channel: Channel) {
        if matches!(channel, Channel::Workspace(_)) {
            self.timed.lock().insert(channel);
        }
    }

    /// Committed events, in any order, any number of times. This is the only way into the rings.
    pub fn apply(self: &Arc<Self>, events: Vec<LogEvent>) {
        for event in events {
            let effects = self.effects(&event);
            let topic = self.topics.get(&event.channel).map(|topic| topic.clone());
            let Some(topic) = topic else { continue };
            if topic.apply(event, effects, &self.flusher).repair {
                self.start_repair(topic);
            }
        }
    }

    /// Events that another node says it has committed. Of a log that is another one than a subscriber knows nothing is
    /// taken on hearsay.
    pub(super) fn apply_hints(self: &Arc<Self>, epoch: &str, events: Vec<LogEvent>) {
        let ours = |event: &LogEvent| self.topics.get(&event.channel).is_some_and(|topic| topic.may_be_of(epoch));
        self.apply(events.into_iter().filter(ours).collect());
    }

    /// What an event does; what it does to people's sockets and rights and to other channels is done at once.
    fn effects(&self, event: &LogEvent) -> Vec<Effect> {
        let effects = self.backend.effects(event);
        for effect in &effects {
            match effect {
                Effect::EndSessions { user_id, session_ids, why } => self.end_sessions(*user_id, session_ids, *why),
                Effect::Recheck { author, viewer } => self.recheck(*author, *viewer),
                Effect::Reload(user_id) => self.reload(*user_id),
                _ => {}
            }
        }
        self.bar(event, &effects);
        effects
    }

    /// The topic has a hole, and this caller was told to see to it.
    pub(super) fn start_repair(self: &Arc<Self>, topic: Arc<Topic>) {
        let hub = self.clone();
        self.spawn(async move { hub.repair(topic).await });
    }

    /// Reads what a topic has missed, until it has no hole.
    async fn repair(self: Arc<Self>, topic: Arc<Topic>) {
        // The missing one is most often being applied at this moment.
        tokio::task::yield_now().await;
        while let Some(after) = topic.hole_after() {
            match self.backend.read_log(topic.channel, after, 256).await {
                Ok(page) => {
                    topic.check_epoch(&page.epoch, &self.flusher);
                    topic.skip_to(page.floor, &self.flusher);
                    for event in page.events {
                        let effects = self.effects(&event);
                        topic.apply(event, effects, &self.flusher);
                    }
                }
                Err(error) => {
                    tracing::warn!(channel = %topic.channel, %error, "cannot read the log to close a hole; trying again");
                }
            }
            if topic.hole_after() == Some(after) {
                tokio::time::sleep(LOG_RETRY).await;
            }
        }
    }

    fn end_sessions(&self, user_id: Uuid, session_ids: &[Uuid], why: Disconnect) {
        let now = Ticks::now();
        let mut ended = self.ended.lock();
        while ended.front().is_some_and(|ended| now.since(ended.at) >= ENDED_SESSIONS_FOR) {
            ended.pop_front();
        }
        ended.extend(session_ids.iter().map(|session_id| EndedSession { session_id: *session_id, why, at: now }));
        drop(ended);
        self.end_programs(user_id, session_ids);
        for conn in self.conns_of(user_id) {
            let session_id = conn.out.lock().identity.as_ref().map(|identity| identity.session_id);
            if session_id.is_some_and(|id| session_ids.contains(&id)) {
                conn.close(why);
            }
        }
    }

    /// This person's connections.
    pub(super) fn conns_of(&self, user_id: Uuid) -> Vec<Arc<Conn>> {
        self.users.get(&user_id).map(|conns| conns.clone()).unwrap_or_default()
    }

    /// Open sockets and channels in use.
    pub fn counts(&self) -> (usize, usize) {
        (self.conns.len(), self.topics.len())
    }

    /// Bytes held for all connections that are not in any ring.
    pub fn held_bytes(&self) -> usize {
        self.conns.iter().map(|conn| conn.held_bytes()).sum()
    }
}
