//! Commands that ask the server around the engine: connect, subscribe, rpc, history, refresh.

use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{
    self, ConnectData, ConnectResult, HistoryEvent, HistoryResult, RefreshResult, RpcResult, SubscribeResult,
};
use studyhall_protocol::error::WireError;
use studyhall_protocol::frame::{ClientCommand, Commands, Connect, History, Refresh, Rpc, Subscribe};

use super::backend::{Admission, Credential, Identity, LogPage, Refusal, Way};
use super::limits::{CHANNELS_MAX, HISTORY_MAX, PING_EVERY};
use super::newcomer::{Asked, Newcomer, NoSeat};
use super::session::{Session, Step};
use super::socket::Next;
use super::subscription::Subscription;
use super::time::Ticks;
use super::topic::Topic;

/// How often a permission that was revoked meanwhile is asked for again before giving up.
const ADMIT_TRIES: usize = 4;

/// A subscription that is asked for: the command's id, the request, its channel.
type Wanted<'c> = (u32, Subscribe<'c>, Channel);

impl Session {
    /// Runs the commands of a frame.
    pub(super) async fn run_commands(&mut self, frame: &[u8]) -> Next {
        self.arrival.iter().for_each(|arrival| arrival.set_working(true));
        let next = self.run_all(frame).await;
        self.arrival.iter().for_each(|arrival| arrival.set_working(false));
        next
    }

    /// One by one; neighbouring subscribes together. On a node that goes away the one that runs is the last.
    async fn run_all(&mut self, frame: &[u8]) -> Next {
        let mut commands = Commands::new(self.conn.format, frame);
        while let Some(read) = commands.next() {
            self.conn.room().await;
            let next = match read {
                Ok(ClientCommand { id, subscribe: Some(first), connect: None, .. }) if self.connected && id > 0 => {
                    let mut batch = vec![(id, first)];
                    let mut ahead = commands;
                    while let Some(Ok(ClientCommand { id: id @ 1.., subscribe: Some(next), connect: None, .. })) =
                        ahead.next()
                    {
                        batch.push((id, next));
                        commands = ahead;
                    }
                    let next = self.subscribe(batch).await;
                    // It has what it came for.
                    self.arrival = None;
                    next
                }
                read => match (self.step(&read), read) {
                    (Step::Later, Ok(command)) => self.run(&command).await,
                    (Step::Close(why), _) => Next::Close(why),
                    (Step::Done | Step::Later, _) => Next::Read,
                },
            };
            if !matches!(next, Next::Read) {
                return next;
            }
            if let Some(why) = self.conn.closing() {
                return Next::Close(why);
            }
        }
        Next::Read
    }

    async fn run(&mut self, command: &ClientCommand<'_>) -> Next {
        let id = command.id;
        if !self.spend(1.0) {
            return match self.too_fast_error() {
                Ok(error) => {
                    self.refuse(id, &error);
                    // Nothing in the frame of a refused connect counts.
                    if command.connect.is_some() { Next::Drop } else { Next::Read }
                }
                Err(why) => Next::Close(why),
            };
        }
        if let Some(connect) = &command.connect {
            return self.connect(id, connect).await;
        }
        if let Some(history) = &command.history {
            let result = self.history(history).await;
            self.reply(id, result);
        } else if let Some(rpc) = &command.rpc {
            match self.rpc(rpc).await {
                Ok(data) => self.reply(id, Ok(RpcResult { data: &data })),
                Err(error) => self.refuse(id, &error),
            }
        } else if let Some(refresh) = &command.refresh {
            let result = self.refresh(refresh).await;
            self.reply(id, result);
        }
        Next::Read
    }

    async fn connect(&mut self, id: u32, connect: &Connect<'_>) -> Next {
        let credential = match (connect.token.is_empty(), self.visitor.cookie.clone()) {
            (false, _) => Some(Credential::Token(connect.token.to_string())),
            (true, Some(cookie)) => Some(Credential::Cookie(cookie)),
            (true, None) => None,
        };
        let identity = match credential {
            Some(credential) => self.hub.backend.authenticate(credential).await,
            None => Err(Refusal::Unauthorized),
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(refusal) => {
                self.refuse(id, &refused(refusal));
                // The rest of the frame was sent in the hope of a connection. SDKs close by themselves, and
                // the deadline closes the others.
                return Next::Drop;
            }
        };
        self.set_expiry(identity.expires_at);
        let now = Ticks::now();
        let result = ConnectResult {
            client: self.client.to_string(),
            ping: PING_EVERY.as_secs() as u32,
            pong: true,
            session: self.conn.stream_session(),
            node: self.conn.stream_session().map(|_| self.hub.node().to_owned()),
            data: ConnectData { user_id: identity.user_id, server_time: chrono::Utc::now().timestamp_millis() },
        };
        self.connected = true;
        self.conn.times.connect_by.set(None);
        // The first one at random between half and the whole interval, or a storm would ping in step.
        let half = PING_EVERY / 2;
        self.conn.times.ping_at.set(Some(now.after(half + half.mul_f32(rand::random::<f32>()))));
        self.hub.identify(&self.conn, identity);
        self.reply(id, Ok(result));
        Next::Read
    }

    fn identity(&self) -> Result<Arc<Identity>, WireError> {
        self.conn.out.lock().identity.clone().ok_or_else(WireError::unauthorized)
    }

    async fn refresh(&mut self, refresh: &Refresh<'_>) -> Result<RefreshResult, WireError> {
        let token = Credential::Token(refresh.token.to_string());
        let identity = self.hub.backend.authenticate(token).await.map_err(refused)?;
        if identity.user_id != self.identity()?.user_id {
            return Err(WireError::unauthorized());
        }
        self.set_expiry(identity.expires_at);
        self.hub.identify(&self.conn, identity);
        Ok(RefreshResult { client: self.client.to_string() })
    }

    async fn rpc(&mut self, rpc: &Rpc<'_>) -> Result<Box<RawValue>, WireError> {
        let identity = self.identity()?;
        let way = Way { conn: self.conn.id, address: self.visitor.address };
        self.hub.backend.rpc(&identity, way, &rpc.method, rpc.data).await
    }

    async fn history(&mut self, request: &History<'_>) -> Result<HistoryResult, WireError> {
        let channel: Channel = request.channel.parse().map_err(|_| WireError::unknown_channel())?;
        if self.conn.out.lock().find(channel).is_none() {
            return Err(WireError::permission_denied());
        }
        // What was committed after this may be after a removal: nothing beyond it is shown.
        let identity = self.identity()?;
        let admitted = self.hub.backend.admit(&identity, vec![channel]).await?.pop();
        let admission = admitted.unwrap_or_else(|| Err(WireError::permission_denied()))?;
        let limit = u32::try_from(request.limit).map_or(HISTORY_MAX, |limit| limit.min(HISTORY_MAX));
        let backend = &self.hub.backend;
        let page = match (&request.since, request.reverse) {
            (since, true) => {
                let before = since.as_ref().map_or(u64::MAX, |since| since.offset);
                backend.read_log_back(channel, before, limit).await?
            }
            (Some(since), false) => backend.read_log(channel, since.offset, limit).await?,
            (None, false) => backend.read_log(channel, admission.floor.saturating_sub(1), limit).await?,
        };
        if let Some(since) = &request.since {
            let reachable = request.reverse || reaches(since.offset, page.floor, page.head);
            if since.epoch != *page.epoch || !reachable {
                return Err(WireError::unrecoverable_position());
            }
        }
        history_of(page, admission.head)
    }

    /// Subscribes to several channels with one question to the database, or two: the profiles on a page are many, and a
    /// room does not wait for them.
    async fn subscribe(&mut self, batch: Vec<(u32, Subscribe<'_>)>) -> Next {
        let Ok(identity) = self.identity() else {
            return Next::Read;
        };
        let mut wanted = Vec::with_capacity(batch.len());
        for (id, request) in batch {
            self.conn.room().await;
            if !self.spend(1.0) {
                match self.too_fast_error() {
                    Ok(error) => self.refuse(id, &error),
                    Err(why) => return Next::Close(why),
                }
                continue;
            }
            match self.readable(&request, &wanted) {
                Ok(channel) => wanted.push((id, request, channel)),
                Err(error) => self.refuse(id, &error),
            }
        }
        let is_profile = |(_, _, channel): &Wanted<'_>| matches!(channel, Channel::Profile(_));
        let (profiles, first) = wanted.into_iter().partition(is_profile);
        self.take_seats(&identity, first).await;
        self.take_seats(&identity, profiles).await;
        Next::Read
    }

    /// Subscribes with one question. The topics are made before it: what is committed while the answer is on its way waits
    /// in them.
    async fn take_seats(&self, identity: &Arc<Identity>, mut wanted: Vec<Wanted<'_>>) {
        for _ in 0..ADMIT_TRIES {
            if wanted.is_empty() {
                return;
            }
            let channels: Vec<Channel> = wanted.iter().map(|(_, _, channel)| *channel).collect();
            let topics: Vec<_> = channels.iter().map(|channel| self.hub.topic(*channel)).collect();
            let (ticket, asked_at) = (self.hub.rechecks.ticket(), Instant::now());
            let admitted = self.hub.backend.admit(identity, channels);
            let (admissions, standing) = match tokio::try_join!(admitted, self.hub.standing_of(identity.user_id)) {
                Ok(answers) => answers,
                Err(error) => {
                    wanted.iter().for_each(|(id, _, _)| self.refuse(*id, &error));
                    return;
                }
            };
            self.prepare(&topics, &admissions).await;
            let mut again = Vec::new();
            for (((id, request, channel), topic), admission) in wanted.into_iter().zip(topics).zip(admissions) {
                self.conn.room().await;
                let seated = admission.and_then(|admission| {
                    let (standing, at) = (&standing, asked_at);
                    self.take_seat(id, &request, &topic, &Asked { identity, standing, admission: &admission, at })
                });
                match seated {
                    Ok(Ok(())) => self.hub.confirm(&topic, ticket, &standing),
                    Ok(Err(NoSeat::Retired)) => {
                        self.hub.forget(&topic);
                        again.push((id, request, channel));
                    }
                    Ok(Err(NoSeat::Revoked)) => again.push((id, request, channel)),
                    Err(error) => self.refuse(id, &error),
                }
            }
            wanted = again;
        }
        wanted.iter().for_each(|(id, _, _)| self.refuse(*id, &WireError::internal()));
    }

    /// Topics that are new learn who is there, here and on the other nodes, before anybody takes a seat.
    async fn prepare(&self, topics: &[Arc<Topic>], admissions: &[Result<Admission, WireError>]) {
        let admitted = topics.iter().zip(admissions).filter(|(_, admission)| admission.is_ok());
        let admitted: Vec<Arc<Topic>> = admitted.map(|(topic, _)| topic.clone()).collect();
        for topic in admitted.iter().filter(|topic| matches!(topic.channel, Channel::Profile(_))) {
            self.hub.show_on(topic);
        }
        self.hub.attend(admitted).await;
    }

    /// What can be refused without asking anybody.
    fn readable(&self, request: &Subscribe<'_>, wanted: &[Wanted<'_>]) -> Result<Channel, WireError> {
        let channel: Channel = request.channel.parse().map_err(|_| WireError::unknown_channel())?;
        if request.kind != 0 {
            return Err(WireError::not_available());
        }
        if request.tf.is_some() {
            return Err(WireError::bad_request("publication filters are not supported"));
        }
        let out = self.conn.out.lock();
        if out.find(channel).is_some() || wanted.iter().any(|(_, _, other)| *other == channel) {
            return Err(WireError::already_subscribed());
        }
        if out.subscriptions.iter().flatten().count() + wanted.len() >= CHANNELS_MAX {
            return Err(WireError::limit_exceeded());
        }
        Ok(channel)
    }

    /// Enters the channel and answers, under one lock, so that the reply precedes the first push.
    fn take_seat(
        &self,
        id: u32,
        request: &Subscribe<'_>,
        topic: &Arc<Topic>,
        asked: &Asked<'_>,
    ) -> Result<Result<(), NoSeat>, WireError> {
        let admission = asked.admission;
        // The upper bound first: a number out of nowhere must not overflow.
        let recovered = request.recover
            && request.epoch == *admission.epoch
            && reaches(request.offset, admission.floor, admission.head);
        if request.recover && request.epoch == *admission.epoch && request.offset > admission.head {
            self.hub.backend.doubt();
        }
        if request.recover && !recovered && request.reject_unrecovered() {
            return Err(WireError::unrecoverable_position());
        }
        let offset = if recovered { request.offset } else { admission.head };
        let mut out = self.conn.out.lock();
        let index = out.free_index().ok_or_else(WireError::limit_exceeded)?;
        let newcomer = Newcomer { conn: &self.conn, index: index as u16, asked };
        let seated = match topic.enter(newcomer, &self.hub.flusher) {
            Ok(seated) => seated,
            Err(none) => return Ok(Err(none)),
        };
        out.subscriptions[index] = Some(Subscription {
            topic: topic.clone(),
            grant: admission.grant,
            place: seated.place,
            next_event: offset + 1,
            next_cast: seated.next_cast,
            next_move: (request.join_leave && admission.place).then_some(seated.next_move),
            slots_seen: seated.slots_seen,
            shown: seated.shown,
        });
        let data = String::from_utf8(seated.data).ok().and_then(|data| RawValue::from_string(data).ok());
        let data = data.unwrap_or_else(|| RawValue::NULL.to_owned());
        let result = SubscribeResult {
            recoverable: true,
            positioned: true,
            epoch: &admission.epoch,
            offset,
            was_recovering: request.recover,
            recovered,
            data: &data,
        };
        encode::reply(&mut out.replies, self.conn.format, id, &result);
        self.conn.note_backlog(&out);
        drop(out);
        if seated.repair {
            self.hub.start_repair(topic.clone());
        }
        if seated.timed {
            self.hub.watch(topic.channel);
        }
        // Whatever lies behind the position goes out after the reply.
        self.hub.flusher.mark(&self.conn, index as u16);
        Ok(Ok(()))
    }
}

/// Whether everything after `offset` is in the log.
fn reaches(offset: u64, floor: u64, head: u64) -> bool {
    offset >= floor.saturating_sub(1) && offset <= head
}

fn refused(refusal: Refusal) -> WireError {
    match refusal {
        Refusal::Unauthorized => WireError::unauthorized(),
        Refusal::Expired => WireError::token_expired(),
        Refusal::Unavailable => WireError::internal(),
    }
}

fn history_of(page: LogPage, head: u64) -> Result<HistoryResult, WireError> {
    let publications = page.events.iter().filter(|event| event.offset <= head).map(|event| {
        let data: Box<RawValue> = serde_json::from_slice(&event.payload).map_err(|_| WireError::internal())?;
        Ok(HistoryEvent { offset: event.offset, data })
    });
    let publications = publications.collect::<Result<_, WireError>>()?;
    Ok(HistoryResult { epoch: page.epoch, offset: head, publications })
}
