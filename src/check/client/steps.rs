//! What comes to a client's mind.

use std::time::Duration;

use rand::RngExt;
use rand::seq::{IndexedRandom, IteratorRandom};
use serde_json::Value;
use studyhall_protocol::Channel;
use studyhall_protocol::client;
use tokio::time::Instant;
use uuid::Builder;

use super::super::api::fields;
use super::super::history::What;
use super::super::shared::{Attempt, Errand};
use super::{Asked, Client};

/// Requests by REST that one client has under way.
const AT_ONCE: usize = 40;

impl Client {
    /// One thing.
    pub(super) async fn step(&mut self) {
        let mut cost = 1;
        match self.random.random_range(0..1_000) {
            0..700 => cost = self.commands(false).await,
            700..712 => cost = self.commands(true).await,
            712..780 => self.resolve().await,
            780..830 => self.repeat().await,
            830..890 => {
                let channels: Vec<Channel> = self.wanted.iter().copied().collect();
                if let Some(channel) = channels.choose(&mut self.random) {
                    self.load(*channel).await;
                }
            }
            890..925 => self.reload().await,
            925..985 => self.wish().await,
            985..993 => {
                if let Some(session) = self.session.take() {
                    session.bye(&self.shared).await;
                    self.moved_on();
                }
            }
            _ => self.vanish(),
        }
        let pause = f64::from(cost) / self.shared.rate * self.random.random_range(0.5..1.5);
        self.next_step = Instant::now() + Duration::from_secs_f64(pause);
    }

    /// 1 to 20 commands at once, by one door. `lost`: the connection is broken off as soon as they are on their way.
    async fn commands(&mut self, lost: bool) -> u32 {
        let most = [1, 1, 2, 5, 10, 20].choose(&mut self.random).copied().unwrap_or(1);
        let count = self.random.random_range(1..=most);
        let live = self.session.as_ref().is_some_and(|session| session.connected) && self.random.random_bool(0.6);
        let mut lines = Vec::new();
        for _ in 0..count {
            let errand = self.errand();
            match self.session.as_mut().filter(|_| (live || lost) && errand.person == self.me) {
                Some(session) => {
                    self.shared.invoke(&errand, Some(session.conn));
                    let (name, data) = (errand.command.name(), data(&errand));
                    lines.push(client::rpc(session.ask(Asked::Command(errand, Attempt::First)), name, &data));
                }
                None if self.by_rest.len() < AT_ONCE => {
                    self.shared.invoke(&errand, None);
                    self.post(errand, Attempt::First);
                }
                None => {}
            }
        }
        self.send(lines).await;
        if lost {
            self.vanish();
        }
        count
    }

    fn errand(&mut self) -> Errand {
        let op = Builder::from_random_bytes(self.random.random()).into_uuid();
        let world = self.shared.world.lock();
        let command = world.command(&mut self.random, self.me);
        let person = world.actor(&command, self.me);
        Errand { op, person, command }
    }

    /// By REST, at any address, beside everything else.
    fn post(&mut self, errand: Errand, attempt: Attempt) {
        let url = if self.random.random_bool(0.7) { self.url } else { self.random.random_range(0..100) };
        let (shared, url) = (self.shared.clone(), url % self.shared.api.count());
        self.by_rest.spawn(async move { shared.by_rest(url, errand, attempt).await });
    }

    /// Sends a command of mine again of which nobody knows what became of it.
    async fn resolve(&mut self) {
        let errand = {
            let mut unresolved = self.shared.unresolved.lock();
            let mine = unresolved.iter().position(|errand| errand.person == self.me);
            mine.map(|at| unresolved.swap_remove(at))
        };
        if let Some(errand) = errand {
            self.again(errand, Attempt::Again).await;
        }
    }

    /// Sends a command again that was acknowledged, as if its answer had been lost.
    async fn repeat(&mut self) {
        let done = { self.shared.done.lock().iter().choose(&mut self.random).cloned() };
        if let Some(errand) = done {
            self.again(errand, Attempt::Repeat).await;
        }
    }

    async fn again(&mut self, errand: Errand, attempt: Attempt) {
        let live = self.session.as_ref().is_some_and(|session| session.connected) && self.random.random_bool(0.5);
        match self.session.as_mut().filter(|_| live && errand.person == self.me) {
            Some(session) => {
                let (name, data) = (errand.command.name(), data(&errand));
                let line = client::rpc(session.ask(Asked::Command(errand, attempt)), name, &data);
                self.send(vec![line]).await;
            }
            None => self.post(errand, attempt),
        }
    }

    /// Ends a subscription, loads the state and subscribes from there, as a page that is opened anew.
    async fn reload(&mut self) {
        let Some(channel) = self.any_open() else { return };
        self.unsubscribe(channel).await;
        self.load(channel).await;
        let line = self.subscribe(channel);
        self.send(line.into_iter().collect()).await;
    }

    /// Ends a subscription for a while, or begins one again from where it was. One that the server ended is tried again
    /// too: that person may have been let in again.
    async fn wish(&mut self) {
        let open = self.any_open();
        let room = { self.shared.world.lock().rooms.choose(&mut self.random).map(|room| Channel::Workspace(room.id)) };
        self.wanted.extend(room);
        if !self.subscribe_missing().await
            && let Some(channel) = open
        {
            self.unsubscribe(channel).await;
        }
    }

    /// Subscribes to what is wanted and not had; whether there was anything.
    pub(super) async fn subscribe_missing(&mut self) -> bool {
        let Some(session) = self.session.as_ref().filter(|session| session.connected) else { return false };
        let asked = |channel: Channel| {
            session.asked.values().any(|(asked, _)| matches!(asked, Asked::Subscribe(other, _) if *other == channel))
        };
        let missing = self.wanted.iter().copied().filter(|channel| !session.open.contains(channel) && !asked(*channel));
        let missing: Vec<Channel> = missing.collect();
        for channel in &missing {
            if !self.positions.contains_key(channel) && self.random.random_bool(0.7) {
                self.load(*channel).await;
            }
            let line = self.subscribe(*channel);
            self.send(line.into_iter().collect()).await;
        }
        !missing.is_empty()
    }

    fn any_open(&mut self) -> Option<Channel> {
        let open: Vec<Channel> = self.session.as_ref()?.open.iter().copied().collect();
        open.choose(&mut self.random).copied()
    }

    async fn unsubscribe(&mut self, channel: Channel) {
        let Some(session) = &mut self.session else { return };
        // From here on it is not ours any more, though what is under way still comes.
        session.open.remove(&channel);
        self.shared.recorder.record(What::Unsubscribing { conn: session.conn, channel });
        let line = client::unsubscribe(session.ask(Asked::Unsubscribe(channel)), channel);
        self.send(vec![line]).await;
    }
}

/// The data of an `rpc`: the fields, and the operation id.
fn data(errand: &Errand) -> Value {
    let mut fields = fields(&errand.command);
    fields.insert("op".into(), errand.op.to_string().into());
    Value::Object(fields)
}
