//! A server around the engine that keeps its log in memory and does as it is told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::WireError;
use studyhall_protocol::live::Publication;
use studyhall_protocol::presence::{self, Presence};
use studyhall_protocol::settings::PresenceVisibility;
use tokio::sync::watch;
use uuid::Uuid;

use crate::live::backend::{
    Action, Admission, Backend, Credential, Effect, Grant, Identity, LogEvent, LogPage, Orphan, Refusal, SlotKey,
    SlotWrite, Standing, Way,
};
use crate::live::conn::ConnId;
use crate::live::presence::DeviceId;
use crate::live::{Hub, HubLink};

/// Holds back who comes, while it is shut.
pub struct Gate {
    open: watch::Sender<bool>,
    arrived: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { open: watch::Sender::new(true), arrived: watch::Sender::new(0) }
    }
}

impl Gate {
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    pub fn count(&self) -> usize {
        *self.arrived.borrow()
    }

    /// Waits until so many have come since the beginning.
    pub async fn arrived(&self, count: usize) {
        let mut arrived = self.arrived.subscribe();
        let waited = tokio::time::timeout(super::DEADLINE, arrived.wait_for(|so_far| *so_far >= count)).await;
        waited.expect("nobody came to the gate").unwrap();
    }

    pub async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

pub struct Log {
    pub floor: u64,
    pub events: Vec<LogEvent>,
}

impl Default for Log {
    fn default() -> Self {
        Self { floor: 1, events: Vec::new() }
    }
}

impl Log {
    pub fn head(&self) -> u64 {
        self.events.last().map_or(0, |event| event.offset)
    }
}

#[derive(Default)]
pub struct State {
    pub logs: HashMap<Channel, Log>,
    pub epoch: Option<Arc<str>>,
    pub effects: HashMap<(Channel, u64), Vec<Effect>>,
    pub denied: HashSet<(Uuid, Channel)>,
    pub guests: HashSet<Uuid>,
    /// So many reads of the log fail before the next one works.
    pub failing_reads: usize,
    /// Pages of the log.
    pub reads: usize,
    /// Statements that read several.
    pub statements: usize,
    pub orphans: Vec<Orphan>,
    /// Bytes added to every payload.
    pub padding: usize,
    /// Of those whose is another than that of everybody.
    pub standings: HashMap<Uuid, Standing>,
    /// Viewers and those whose presence they may not see.
    pub unseen: HashSet<(Uuid, Uuid)>,
    /// What was written down, oldest first.
    pub stored: Vec<Presence>,
    /// So many times nothing can be written down.
    pub failing_stores: usize,
    /// How often it was asked who may see whom.
    pub questions: usize,
}

/// The toy. Gates stand behind the snapshot: who is held has an old answer.
#[derive(Default)]
pub struct Toy {
    pub state: Mutex<State>,
    pub authenticating: Gate,
    pub admitting: Gate,
    pub running: Gate,
    pub reading: Gate,
    pub asking: Gate,
    /// Of the nodes.
    pub hubs: Mutex<Vec<HubLink>>,
}

impl Toy {
    /// Appends an event to a log. The hub learns of it when the test says so.
    pub fn commit(&self, channel: Channel, effects: Vec<Effect>) -> LogEvent {
        let mut state = self.state.lock();
        let padding = "x".repeat(state.padding);
        let log = state.logs.entry(channel).or_default();
        let offset = log.head() + 1;
        let payload = Bytes::from(format!(r#"{{"type":"did","data":{{"n":{offset},"pad":"{padding}"}}}}"#));
        let event = LogEvent { channel, offset, name: "did".into(), payload };
        log.events.push(event.clone());
        for effect in &effects {
            match effect {
                Effect::Remove(user_id, _) => drop(state.denied.insert((*user_id, channel))),
                Effect::Bar { channel, user_id, .. } => drop(state.denied.insert((*user_id, *channel))),
                _ => {}
            }
        }
        state.effects.insert((channel, offset), effects);
        event
    }

    pub fn set_epoch(&self, epoch: &str) {
        self.state.lock().epoch = Some(epoch.into());
    }

    pub fn identity_of(&self, token: &str) -> Identity {
        identity(token).unwrap()
    }

    /// The log begins there now.
    pub fn forget_before(&self, channel: Channel, floor: u64) {
        let mut state = self.state.lock();
        let log = state.logs.entry(channel).or_default();
        log.floor = floor;
        log.events.retain(|event| event.offset >= floor);
    }

    /// The node that this connection is of.
    fn hub_of(&self, who: &Identity, conn: ConnId) -> Arc<Hub> {
        let hubs: Vec<_> = self.hubs.lock().iter().filter_map(HubLink::get).collect();
        let theirs =
            |hub: &Arc<Hub>| hub.conns.get(&conn.0).is_some_and(|conn| conn.user_id.get() == Some(&who.user_id));
        hubs.into_iter().find(theirs).unwrap()
    }

    fn page(&self, channel: Channel, choose: impl FnOnce(&[LogEvent]) -> Vec<LogEvent>) -> Result<LogPage, WireError> {
        let mut state = self.state.lock();
        state.reads += 1;
        if state.failing_reads > 0 {
            state.failing_reads -= 1;
            return Err(WireError::internal());
        }
        let epoch = state.epoch();
        let log = state.logs.entry(channel).or_default();
        Ok(LogPage { events: choose(&log.events), head: log.head(), floor: log.floor, epoch })
    }
}

impl State {
    fn epoch(&self) -> Arc<str> {
        self.epoch.clone().unwrap_or_else(|| "e1".into())
    }

    /// Everybody shows themselves to everybody, unless told otherwise.
    fn standing(&self, user_id: Uuid) -> Standing {
        let plain = Standing { user_id, audience: PresenceVisibility::Everyone, invisible: false, hidden: Vec::new() };
        self.standings.get(&user_id).cloned().unwrap_or(plain)
    }

    fn admission(&mut self, user_id: Uuid, channel: Channel) -> Result<Admission, WireError> {
        if self.denied.contains(&(user_id, channel)) {
            return Err(WireError::permission_denied());
        }
        let grant = if self.guests.contains(&user_id) { Grant::Guest } else { Grant::Member };
        let epoch = self.epoch();
        let log = self.logs.entry(channel).or_default();
        let place = matches!(channel, Channel::Workspace(_));
        let sees = !self.unseen.contains(&(user_id, channel.id()));
        let stored = self.stored.iter().rfind(|stored| stored.user_id == channel.id());
        let last_seen_at = stored.and_then(|stored| stored.last_seen_at);
        Ok(Admission { grant, head: log.head(), floor: log.floor, epoch, place, sees, last_seen_at })
    }
}

/// `u7` is person 7 with sign-in 1007; `u7:3` the same person with sign-in 3.
fn identity(token: &str) -> Result<Identity, Refusal> {
    match token {
        "expired" => return Err(Refusal::Expired),
        "down" => return Err(Refusal::Unavailable),
        _ => {}
    }
    let person = token.strip_prefix('u').ok_or(Refusal::Unauthorized)?;
    let (person, session) = person.split_once(':').unwrap_or((person, ""));
    let person: u128 = person.parse().map_err(|_| Refusal::Unauthorized)?;
    Ok(Identity {
        user_id: Uuid::from_u128(person),
        session_id: Uuid::from_u128(session.parse().unwrap_or(1_000 + person)),
        expires_at: chrono::Utc::now() + chrono::TimeDelta::hours(1),
        info: RawValue::from_string(format!(r#"{{"name":"u{person}"}}"#)).unwrap().into(),
    })
}

#[derive(serde::Deserialize)]
struct Drag {
    drag_id: Uuid,
}

impl Backend for Toy {
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Arc<Identity>, Refusal>> {
        let (Credential::Token(token) | Credential::Cookie(token)) = credential;
        async move {
            let identity = identity(&token).map(Arc::new);
            self.authenticating.pass().await;
            identity
        }
        .boxed()
    }

    fn admit<'a>(
        &'a self,
        who: &'a Identity,
        channels: Vec<Channel>,
    ) -> BoxFuture<'a, Result<Vec<Result<Admission, WireError>>, WireError>> {
        async move {
            let answers = {
                let mut state = self.state.lock();
                channels.into_iter().map(|channel| state.admission(who.user_id, channel)).collect()
            };
            self.admitting.pass().await;
            Ok(answers)
        }
        .boxed()
    }

    fn read_log(&self, channel: Channel, after: u64, limit: u32) -> BoxFuture<'_, Result<LogPage, WireError>> {
        async move {
            let page = self.page(channel, |events| {
                events.iter().filter(|event| event.offset > after).take(limit as usize).cloned().collect()
            });
            self.reading.pass().await;
            page
        }
        .boxed()
    }

    fn read_pages(
        &self,
        wanted: Vec<(Channel, u64)>,
        limit: u32,
        bytes_max: u32,
    ) -> BoxFuture<'_, Result<Vec<Option<LogPage>>, WireError>> {
        async move {
            self.state.lock().statements += 1;
            let (mut bytes, mut pages) = (0, Vec::new());
            for (channel, after) in wanted {
                let page = self.page(channel, |events| {
                    events.iter().filter(|event| event.offset > after).take(limit as usize).cloned().collect()
                })?;
                bytes += page.events.iter().map(|event| event.payload.len()).sum::<usize>();
                pages.push((pages.is_empty() || bytes <= bytes_max as usize).then_some(page));
            }
            self.reading.pass().await;
            Ok(pages)
        }
        .boxed()
    }

    fn read_log_back(&self, channel: Channel, before: u64, limit: u32) -> BoxFuture<'_, Result<LogPage, WireError>> {
        async move {
            self.page(channel, |events| {
                events.iter().rev().filter(|event| event.offset < before).take(limit as usize).cloned().collect()
            })
        }
        .boxed()
    }

    fn rpc<'a>(
        &'a self,
        who: &'a Identity,
        Way { conn, .. }: Way,
        method: &'a str,
        data: Option<&'a RawValue>,
    ) -> BoxFuture<'a, Result<Box<RawValue>, WireError>> {
        async move {
            self.running.pass().await;
            match method {
                presence::METHOD => {
                    let set =
                        serde_json::from_str(data.unwrap_or(RawValue::NULL).get()).map_err(WireError::bad_request)?;
                    self.hub_of(who, conn).set_presence(who, DeviceId::Conn(conn), &set);
                    Ok(RawValue::TRUE.to_owned())
                }
                "echo" => Ok(data.unwrap_or(RawValue::NULL).to_owned()),
                "large" => Ok(RawValue::from_string(format!(r#""{}""#, "y".repeat(6 * 1024))).unwrap()),
                "deny" => Err(WireError::new(1403, "forbidden: not yours")),
                _ => Err(WireError::method_not_found()),
            }
        }
        .boxed()
    }

    fn publication(
        &self,
        user_id: Uuid,
        _: Channel,
        grant: Grant,
        publication: &Publication<'_>,
    ) -> Result<Action, WireError> {
        let slot = |kind, id, gesture| {
            let key = SlotKey { kind, id };
            Ok(Action::Slot(SlotWrite { key, clear: publication.data.is_none(), gesture }))
        };
        match &*publication.kind {
            "reaction" => Ok(Action::Broadcast),
            "pointer" => {
                let id = publication.key.as_deref().and_then(|key| key.parse().ok());
                slot("pointer", id.unwrap_or(user_id), None)
            }
            "drag" if grant == Grant::Member => {
                let id = publication.key.as_deref().and_then(|key| key.parse().ok());
                let id = id.ok_or_else(|| WireError::bad_request("key"))?;
                let drag = publication.data.and_then(|data| serde_json::from_str::<Drag>(data.get()).ok());
                slot("drag", id, drag.map(|drag| drag.drag_id))
            }
            "drag" => Err(WireError::new(1403, "forbidden: guests look on")),
            _ => Err(WireError::bad_request("type")),
        }
    }

    fn effects(&self, event: &LogEvent) -> Vec<Effect> {
        self.state.lock().effects.get(&(event.channel, event.offset)).cloned().unwrap_or_default()
    }

    fn adopt_orphan(&self, orphan: Orphan) -> BoxFuture<'_, ()> {
        async move {
            self.state.lock().orphans.push(orphan);
        }
        .boxed()
    }

    fn standings(&self, people: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Standing>, WireError>> {
        async move {
            let answers = {
                let state = self.state.lock();
                people.into_iter().map(|user_id| state.standing(user_id)).collect()
            };
            self.asking.pass().await;
            Ok(answers)
        }
        .boxed()
    }

    fn sees(&self, pairs: Vec<(Uuid, Uuid)>) -> BoxFuture<'_, Result<Vec<bool>, WireError>> {
        async move {
            let answers = {
                let mut state = self.state.lock();
                state.questions += 1;
                pairs.into_iter().map(|pair| !state.unseen.contains(&pair)).collect()
            };
            self.asking.pass().await;
            Ok(answers)
        }
        .boxed()
    }

    fn store_presence(&self, people: Vec<Presence>) -> BoxFuture<'_, Result<(), WireError>> {
        async move {
            let mut state = self.state.lock();
            if state.failing_stores > 0 {
                state.failing_stores -= 1;
                return Err(WireError::internal());
            }
            state.stored.extend(people);
            Ok(())
        }
        .boxed()
    }
}
