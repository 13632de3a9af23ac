//! The engines, the log, the clients, and what is true.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::{Disconnect, Unsubscribed};
use uuid::Uuid;

use super::Seen;
use super::client::{Client, Position};
use super::plan::{CHANNELS, CLIENTS, NODES, Step};
use crate::live::backend::{Effect, LogEvent};
use crate::live::roster::Alone;
use crate::live::tests::json::suite::backend::Toy;
use crate::live::tests::json::suite::room;
use crate::live::time::Ticks;
use crate::live::{Hub, HubLink, Limits};

/// A lost event is found within this; then a repair, a page and a write.
const COMPLETE_WITHIN: Duration = Duration::from_secs(2);
/// Long enough for everything to be forgotten that is ever forgotten.
const LATER: Duration = Duration::from_secs(3_600);

/// An engine and what is on its way to it.
struct Node {
    hub: Arc<Hub>,
    hints: Vec<LogEvent>,
    /// So many commits it has looked at itself.
    followed: usize,
}

/// What is in the log, and was.
pub struct Truth {
    toy: Arc<Toy>,
    epochs: usize,
    /// What each event says, in each epoch.
    contents: HashMap<(String, Channel, u64), u64>,
    /// When people were put out (`true`) and let in again.
    rights: HashMap<(Uuid, Channel), Vec<(u64, bool)>>,
}

pub struct World {
    random: StdRng,
    truth: Truth,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    /// In the order of their commits.
    committed: Vec<LogEvent>,
    next: u64,
    seen: Seen,
}

fn epoch(number: usize) -> String {
    format!("e{number}")
}

impl Truth {
    pub fn restores(&self) -> usize {
        self.epochs
    }

    pub fn head(&self, channel: Channel) -> u64 {
        self.toy.state.lock().logs.entry(channel).or_default().head()
    }

    fn floor(&self, channel: Channel) -> u64 {
        self.toy.state.lock().logs.entry(channel).or_default().floor
    }

    pub fn position(&self, channel: Channel) -> Position {
        Position { offset: self.head(channel), epoch: epoch(self.epochs) }
    }

    /// What a load over REST answers; nothing to people who may not be there.
    pub fn load(&self, user_id: Uuid, channel: Channel) -> Option<Position> {
        (!self.is_out(user_id, channel)).then(|| self.position(channel))
    }

    pub fn content(&self, epoch: &str, channel: Channel, offset: u64) -> Option<u64> {
        self.contents.get(&(epoch.to_owned(), channel, offset)).copied()
    }

    pub fn is_unrecoverable(&self, channel: Channel, from: &Position) -> bool {
        from.epoch != epoch(self.epochs) || from.offset + 1 < self.floor(channel) || from.offset > self.head(channel)
    }

    fn rights(&self, user_id: Uuid, channel: Channel) -> impl Iterator<Item = (u64, bool)> {
        self.rights.get(&(user_id, channel)).into_iter().flatten().copied()
    }

    pub fn is_out(&self, user_id: Uuid, channel: Channel) -> bool {
        self.rights(user_id, channel).last().is_some_and(|(_, out)| out)
    }

    /// Whether they were put out behind this event.
    pub fn was_put_out(&self, user_id: Uuid, channel: Channel, since: u64) -> bool {
        self.rights(user_id, channel).any(|(at, out)| out && at > since)
    }

    /// Whether they were out at any time since this event.
    pub fn was_out(&self, user_id: Uuid, channel: Channel, since: u64) -> bool {
        let before = self.rights(user_id, channel).filter(|(at, _)| *at <= since).last();
        before.is_some_and(|(_, out)| out) || self.was_put_out(user_id, channel, since)
    }

    /// Whether a subscription may not have this event: a removal lies between, and the right was not asked for after
    /// they were let in again.
    pub fn is_beyond_a_removal(&self, user_id: Uuid, channel: Channel, asked: u64, answered: u64, offset: u64) -> bool {
        let let_in_meanwhile =
            |removal: u64| self.rights(user_id, channel).any(|(at, out)| !out && at > removal && at <= answered);
        self.rights(user_id, channel).any(|(at, out)| out && at > asked && at < offset && !let_in_meanwhile(at))
    }
}

impl World {
    pub fn new(random: StdRng) -> Self {
        let toy = Arc::<Toy>::default();
        toy.set_epoch(&epoch(0));
        let truth = Truth { toy, epochs: 0, contents: HashMap::new(), rights: HashMap::new() };
        let clients = (0..CLIENTS).map(Client::new).collect();
        let (committed, seen) = (Vec::new(), Seen::default());
        let mut world = Self { random, truth, nodes: Vec::new(), clients, committed, next: 1, seen };
        world.nodes = (0..NODES).map(|_| world.node()).collect();
        for client in 0..CLIENTS {
            world.connect(client);
        }
        world
    }

    fn node(&self) -> Node {
        let toy = self.truth.toy.clone();
        let hub = Hub::start(Limits::default(), toy.clone(), Arc::new(Alone), 1);
        let link = HubLink::default();
        link.set(&hub);
        toy.hubs.lock().push(link);
        Node { hub, hints: Vec::new(), followed: self.committed.len() }
    }

    fn connect(&mut self, client: usize) {
        let node = self.random.random_range(0..NODES);
        self.clients[client].connect(node, &self.nodes[node].hub);
    }

    fn commit(&mut self, channel: Channel, effects: Vec<Effect>) -> LogEvent {
        let id = self.next;
        self.next += 1;
        let mut event = self.truth.toy.commit(channel, effects);
        // Numbers come again after a restore: what an event says never does.
        let text = String::from_utf8(event.payload.to_vec()).unwrap();
        event.payload = text.replacen(r#""data":{"#, &format!(r#""data":{{"id":{id},"#), 1).into();
        let mut state = self.truth.toy.state.lock();
        state.logs.entry(channel).or_default().events.last_mut().unwrap().payload = event.payload.clone();
        drop(state);
        self.truth.contents.insert((epoch(self.truth.epochs), channel, event.offset), id);
        self.committed.push(event.clone());
        for node in &mut self.nodes {
            let copies = match self.random.random_range(0..10) {
                0..3 => 0,
                3..9 => 1,
                _ => 2,
            };
            self.seen.lost_hints += u64::from(copies == 0);
            node.hints.extend(std::iter::repeat_n(event.clone(), copies));
        }
        event
    }

    pub async fn step(&mut self, step: Step) {
        match step {
            Step::Commit { channel, count, large } => {
                self.truth.toy.state.lock().padding = if large { 3_000 } else { 10 };
                (0..count).for_each(|_| drop(self.commit(room(channel), Vec::new())));
            }
            Step::Deliver { node, count } => self.deliver(node, count),
            Step::Follow { node } => self.follow(node),
            Step::Subscribe { client, channel } => self.clients[client].subscribe(room(channel), &self.truth),
            Step::Unsubscribe { client, channel } => self.clients[client].unsubscribe(room(channel)),
            Step::Read { client, batches } => {
                for _ in 0..batches {
                    self.clients[client].read(&self.truth, &mut self.seen);
                    tokio::task::yield_now().await;
                }
            }
            Step::Vanish { client } => self.clients[client].vanish(),
            Step::PutOut { client, channel } => self.put_out(client, room(channel)),
            Step::LetIn { client, channel } => self.let_in(client, room(channel)),
            Step::Crash { node } => self.crash(node),
            Step::Retire { node } => self.nodes[node].hub.retire_idle(Ticks::now().after(LATER)),
            Step::DropRings { node } => self.nodes[node].hub.topics.iter().for_each(|topic| topic.drop_rings()),
            Step::HoldAnswers { held: true } => self.truth.toy.admitting.shut(),
            Step::HoldAnswers { held: false } => self.truth.toy.admitting.open(),
            Step::HoldPages { held: true } => self.truth.toy.reading.shut(),
            Step::HoldPages { held: false } => self.truth.toy.reading.open(),
            Step::FailReads { count } => self.truth.toy.state.lock().failing_reads = count,
            Step::Trim { channel } => self.trim(room(channel)),
            Step::Restore => self.restore(),
            Step::Turns { count } => {
                for _ in 0..count {
                    tokio::task::yield_now().await;
                }
            }
            Step::Pass { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
        for client in 0..CLIENTS {
            if self.clients[client].link.is_none() {
                self.connect(client);
            }
        }
    }

    fn deliver(&mut self, node: usize, count: u32) {
        let mut some = Vec::new();
        for _ in 0..count {
            let waiting = self.nodes[node].hints.len();
            if waiting > 0 {
                some.push(self.nodes[node].hints.swap_remove(self.random.random_range(0..waiting)));
            }
        }
        self.nodes[node].hub.apply(some);
    }

    fn follow(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        let mut missed = self.committed[node.followed..].to_vec();
        node.followed = self.committed.len();
        missed.sort_by_key(|event| (event.channel, event.offset));
        node.hub.apply(missed);
    }

    fn put_out(&mut self, client: usize, channel: Channel) {
        let user_id = self.clients[client].user_id;
        if self.truth.is_out(user_id, channel) {
            return;
        }
        let event = self.commit(channel, vec![Effect::Remove(user_id, Unsubscribed::REMOVED)]);
        self.truth.rights.entry((user_id, channel)).or_default().push((event.offset, true));
    }

    fn let_in(&mut self, client: usize, channel: Channel) {
        let user_id = self.clients[client].user_id;
        if self.truth.is_out(user_id, channel) {
            self.truth.toy.state.lock().denied.remove(&(user_id, channel));
            let event = self.commit(channel, Vec::new());
            self.truth.rights.entry((user_id, channel)).or_default().push((event.offset, false));
        }
    }

    fn crash(&mut self, node: usize) {
        let fresh = self.node();
        let gone = std::mem::replace(&mut self.nodes[node], fresh);
        gone.hub.stop.cancel();
        gone.hub.flusher.stop();
        for client in &mut self.clients {
            if client.link.as_ref().is_some_and(|link| link.node == node) {
                client.vanish();
            }
        }
        self.seen.crashes += 1;
    }

    fn trim(&mut self, channel: Channel) {
        let (floor, head) = (self.truth.floor(channel), self.truth.head(channel));
        let floor = self.random.random_range(floor..=head.max(floor));
        self.truth.toy.forget_before(channel, floor);
    }

    /// The log is that of an earlier moment. Every node has learned of it before anything else is committed, and has
    /// told all its connections.
    fn restore(&mut self) {
        let old = epoch(self.truth.epochs);
        self.truth.epochs += 1;
        let new = epoch(self.truth.epochs);
        for channel in (0..CHANNELS).map(room) {
            let mut state = self.truth.toy.state.lock();
            let log = state.logs.entry(channel).or_default();
            let keep = self.random.random_range(0..=log.events.len());
            if log.events.len() > keep {
                log.events.truncate(keep.max(1));
            }
            let kept: HashSet<u64> = log.events.iter().map(|event| event.offset).collect();
            state.effects.retain(|(of, offset), _| *of != channel || kept.contains(offset));
            drop(state);
            for offset in kept {
                let content = self.truth.contents[&(old.clone(), channel, offset)];
                self.truth.contents.insert((new.clone(), channel, offset), content);
            }
        }
        // Rights are of the moment as well; here everybody is in again, with nothing in the log about it.
        self.truth.rights.clear();
        self.truth.toy.state.lock().denied.clear();
        self.truth.toy.set_epoch(&new);
        for node in &mut self.nodes {
            node.hints.clear();
            node.followed = self.committed.len();
            let seen: Arc<str> = new.as_str().into();
            node.hub.topics.iter().for_each(|topic| topic.check_epoch(&seen, &node.hub.flusher));
            // Also whoever has an answer of before on its way.
            node.hub.conns.iter().for_each(|conn| conn.close(Disconnect::INSUFFICIENT_STATE));
        }
    }

    /// Everybody leaves, and nothing is left of them: a connection and its topics know each other, so one that never ended
    /// would stay in memory, with all that it waits for.
    async fn end(&mut self) {
        self.clients.iter_mut().for_each(Client::vanish);
        let until = tokio::time::Instant::now() + COMPLETE_WITHIN;
        while self.nodes.iter().any(|node| !node.hub.conns.is_empty()) {
            assert!(tokio::time::Instant::now() < until, "a connection never ends");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.nodes.iter().for_each(|node| node.hub.stop.cancel());
    }

    /// Nothing goes wrong any more: within two seconds everybody has everything.
    pub async fn heal(mut self) -> Seen {
        self.truth.toy.admitting.open();
        self.truth.toy.reading.open();
        self.truth.toy.state.lock().failing_reads = 0;
        self.nodes.iter_mut().for_each(|node| node.hints.clear());
        (0..NODES).for_each(|node| self.follow(node));
        let until = tokio::time::Instant::now() + COMPLETE_WITHIN;
        while tokio::time::Instant::now() < until {
            for client in 0..CLIENTS {
                if self.clients[client].link.is_none() {
                    self.connect(client);
                }
                let client = &mut self.clients[client];
                while client.read(&self.truth, &mut self.seen) {
                    tokio::task::yield_now().await;
                }
                for channel in (0..CHANNELS).map(room) {
                    if !client.is_subscribed(channel) && !self.truth.is_out(client.user_id, channel) {
                        client.subscribe(channel, &self.truth);
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for client in &self.clients {
            assert!(!client.is_waiting(), "a question was never answered");
            client.assert_complete(&self.truth);
        }
        for node in &self.nodes {
            for topic in &node.hub.topics {
                let state = topic.state.lock();
                let early: Vec<u64> = state.early.keys().copied().collect();
                assert!(!state.repairing, "a hole that is never closed: {:?} {early:?}", state.phase);
            }
        }
        self.seen.pages = self.truth.toy.state.lock().reads as u64;
        self.end().await;
        self.seen
    }
}
