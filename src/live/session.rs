//! The Centrifuge protocol on one connection: what each command does.
//!
//! Commands run in the order in which they came. What needs no database runs at once, in the reader;
//! the rest of a frame that begins with a command that does is handled by [`Session::run_commands`].

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::value::RawValue;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{self, Kind, Outcome, PresenceResult, PresenceStatsResult};
use studyhall_protocol::error::{Disconnect, WireError};
use studyhall_protocol::format::Format;
use studyhall_protocol::frame::{ChannelOnly, ClientCommand, Commands, Publish, Said, Send, Unreadable};
use studyhall_protocol::live::{Json, Publication, Published};

use super::arrivals::Arrival;
use super::backend::Visitor;
use super::conn::{Conn, Out};
use super::hub::Hub;
use super::limits::LEFT_HOLD;
use super::people::Viewer;
use super::publish::From;
use super::socket::Next;
use super::time::Ticks;
use super::topic::Topic;
use super::ws::Message;

thread_local! {
    /// What is being published; its capacity is shared by all connections of a thread, and bounded by what may be.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One connection's side of the protocol.
pub(super) struct Session {
    pub(super) hub: Arc<Hub>,
    pub(super) conn: Arc<Conn>,
    pub(super) visitor: Visitor,
    pub(super) client: uuid::Uuid,
    pub(super) connected: bool,
    /// Until its first subscriptions are answered.
    pub(super) arrival: Option<Arrival>,
    bucket: Bucket,
}

/// What is left of the allowance of commands.
struct Bucket {
    tokens: f32,
    filled_at: Ticks,
}

/// What one command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Answered, or nothing to answer.
    Done,
    /// Needs the database.
    Later,
    /// Cannot be answered.
    Close(Disconnect),
}

impl Session {
    pub(super) fn new(hub: Arc<Hub>, conn: Arc<Conn>, visitor: Visitor) -> Self {
        let tokens = hub.limits.commands_burst as f32;
        let bucket = Bucket { tokens, filled_at: Ticks::now() };
        Self { hub, conn, visitor, client: uuid::Uuid::new_v4(), connected: false, arrival: None, bucket }
    }

    /// One that is counted as arriving until its first subscriptions are answered.
    pub(super) fn arriving(mut self, arrival: Arrival) -> Self {
        self.arrival = Some(arrival);
        self
    }

    /// One message of the client.
    pub(super) fn message(&mut self, message: Message<'_>) -> Next {
        match message {
            Message::Text(text) if self.conn.format == Format::Json => self.run_at_once(Commands::lines(text)),
            Message::Binary(bytes) if self.conn.format == Format::Protobuf => self.commands(bytes),
            Message::Text(_) | Message::Binary(_) => Next::Close(Disconnect::UNSUPPORTED_DATA),
            Message::Ping(payload) => {
                self.conn.pong(&self.hub.flusher, payload);
                if self.spend(1.0) { Next::Read } else { Next::Close(Disconnect::TOO_MANY_REQUESTS) }
            }
            Message::Pong(_) => Next::Read,
            Message::Close(close) => Next::Bye(close.map(|(code, _)| code)),
        }
    }

    /// The commands of one frame.
    pub(super) fn commands(&mut self, frame: &[u8]) -> Next {
        self.run_at_once(Commands::new(self.conn.format, frame))
    }

    /// Runs commands up to the first one that needs waiting.
    fn run_at_once(&mut self, mut commands: Commands<'_>) -> Next {
        loop {
            let here = commands.rest();
            if !self.conn.is_backed_up()
                && let Some(said) = commands.next_said()
            {
                match self.said(&said) {
                    Step::Close(why) => return Next::Close(why),
                    Step::Done | Step::Later => continue,
                }
            }
            let Some(command) = commands.next() else {
                return Next::Read;
            };
            if self.conn.is_backed_up() {
                return Next::Run(here.to_vec());
            }
            match self.step(&command) {
                Step::Done => {}
                Step::Later => return Next::Run(here.to_vec()),
                Step::Close(why) => return Next::Close(why),
            }
        }
    }

    /// One command, if it can be done at once.
    pub(super) fn step(&mut self, command: &Result<ClientCommand<'_>, Unreadable>) -> Step {
        let command = match command {
            Ok(command) => command,
            Err(Unreadable::Bad(id)) if self.connected => {
                let id = *id;
                if !self.spend(1.0) {
                    return self.too_fast(id);
                }
                self.refuse(id, &WireError::bad_request("the command has a field of the wrong type"));
                return Step::Done;
            }
            Err(_) => return Step::Close(Disconnect::BAD_REQUEST),
        };
        if command.is_pong() {
            return self.pong();
        }
        if command.send.is_none() && command.id == 0 {
            return Step::Close(Disconnect::BAD_REQUEST);
        }
        if command.connect.is_some() {
            return if self.connected { Step::Close(Disconnect::BAD_REQUEST) } else { Step::Later };
        }
        if !self.connected {
            return Step::Close(Disconnect::BAD_REQUEST);
        }
        if command.subscribe.is_some()
            || command.history.is_some()
            || command.rpc.is_some()
            || command.refresh.is_some()
        {
            return Step::Later;
        }
        if !self.spend(1.0) {
            // What is never answered gets no error either.
            return self.too_fast(if command.send.is_some() { 0 } else { command.id });
        }
        self.at_once(command)
    }

    /// A publication that needed no closer look.
    fn said(&mut self, said: &Said<'_>) -> Step {
        if !self.connected {
            return Step::Close(Disconnect::BAD_REQUEST);
        }
        if !self.spend(1.0) {
            return self.too_fast(said.id);
        }
        self.publish_to(said.id, said.channel, &said.publication);
        Step::Done
    }

    fn at_once(&mut self, command: &ClientCommand<'_>) -> Step {
        let id = command.id;
        if command.ping.is_some() {
            self.done(id, Kind::Ping);
        } else if let Some(unsubscribe) = &command.unsubscribe {
            self.unsubscribe(unsubscribe);
            self.done(id, Kind::Unsubscribe);
        } else if let Some(publish) = &command.publish {
            self.publish(id, publish);
        } else if let Some(presence) = &command.presence {
            self.presence(id, presence);
        } else if let Some(presence) = &command.presence_stats {
            self.presence_stats(id, presence);
        } else if let Some(send) = &command.send {
            self.send(send);
        } else {
            // sub_refresh, or a request that does not exist.
            let known = command.sub_refresh.is_some();
            let error = if known { WireError::not_available() } else { WireError::bad_request("no known request") };
            self.refuse(id, &error);
        }
        Step::Done
    }

    fn pong(&self) -> Step {
        if !self.connected {
            return Step::Close(Disconnect::BAD_REQUEST);
        }
        self.conn.times.pong_by.set(None);
        Step::Done
    }

    /// Takes from the allowance; `false` when it is used up.
    pub(super) fn spend(&mut self, commands: f32) -> bool {
        let limits = &self.hub.limits;
        let now = Ticks::now();
        let gained = now.since(self.bucket.filled_at).as_secs_f32() * limits.commands_per_second as f32;
        self.bucket.tokens = (self.bucket.tokens + gained).min(limits.commands_burst as f32) - commands;
        self.bucket.filled_at = now;
        self.bucket.tokens >= 0.0
    }

    /// Error 111, and after as much again the end.
    pub(super) fn too_fast_error(&self) -> Result<WireError, Disconnect> {
        if self.bucket.tokens < -(self.hub.limits.commands_burst as f32) {
            return Err(Disconnect::TOO_MANY_REQUESTS);
        }
        Ok(WireError::too_many_requests())
    }

    fn too_fast(&mut self, id: u32) -> Step {
        match self.too_fast_error() {
            Err(why) => Step::Close(why),
            Ok(error) => {
                if id > 0 {
                    self.refuse(id, &error);
                }
                Step::Done
            }
        }
    }

    /// Answers a command.
    pub(super) fn reply(&self, id: u32, result: Result<impl Outcome, WireError>) {
        let format = self.conn.format;
        self.conn.reply(&self.hub.flusher, |replies| match result {
            Ok(outcome) => encode::reply(replies, format, id, &outcome),
            Err(error) => encode::reply_error(replies, format, id, &error),
        });
    }

    /// Answers a command that has nothing to say but that it is done.
    fn done(&self, id: u32, kind: Kind) {
        self.conn.reply(&self.hub.flusher, |replies| encode::reply_empty(replies, self.conn.format, id, kind));
    }

    /// Answers a command with an error.
    pub(super) fn refuse(&self, id: u32, error: &WireError) {
        self.conn.reply(&self.hub.flusher, |replies| encode::reply_error(replies, self.conn.format, id, error));
    }

    /// Leaves a channel; idempotent.
    fn unsubscribe(&self, request: &ChannelOnly<'_>) {
        let Ok(channel) = request.channel.parse::<Channel>() else {
            return;
        };
        let mut out = self.conn.out.lock();
        let subscription = out.find(channel).and_then(|index| out.subscriptions[index].take());
        drop(out);
        if let Some(subscription) = subscription {
            subscription.topic.leave(subscription.place, self.conn.id, LEFT_HOLD, &self.hub.flusher);
            self.hub.watch(channel);
        }
    }

    fn publish(&self, id: u32, request: &Publish<'_>) {
        let data = request.data.ok_or_else(|| WireError::bad_request("publish needs data"));
        match data.and_then(read) {
            Ok(publication) => self.publish_to(id, &request.channel, &publication),
            Err(error) => self.refuse(id, &error),
        }
    }

    /// `send` has no reply: what cannot be taken is dropped.
    fn send(&self, request: &Send<'_>) {
        let publication = request.data.and_then(|data| read(data).ok());
        if let Some(publication) = publication
            && let Some(channel) = &publication.channel
        {
            self.publish_to(0, channel, &publication);
        }
    }

    /// Publishes and answers, under one lock. Without an `id` there is no answer.
    fn publish_to(&self, id: u32, channel: &str, publication: &Publication<'_>) {
        let mut out = self.conn.out.lock();
        let published = LINE.with_borrow_mut(|line| self.put(&out, channel, publication, line));
        if id == 0 {
            drop(out);
            if let Err(error) = published {
                tracing::debug!(conn = self.conn.id.0, %error, "dropped a send");
            }
            return;
        }
        match published {
            Ok(()) => encode::reply_empty(&mut out.replies, self.conn.format, id, Kind::Publish),
            Err(error) => encode::reply_error(&mut out.replies, self.conn.format, id, &error),
        }
        self.conn.note_backlog(&out);
        drop(out);
        self.hub.flusher.enlist(&self.conn);
    }

    /// Hands a publication to its channel. `line` is a buffer.
    fn put(
        &self,
        out: &Out,
        channel: &str,
        publication: &Publication<'_>,
        line: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        let channel: Channel = channel.parse().map_err(|_| WireError::unknown_channel())?;
        let subscription = out.find(channel).and_then(|index| out.subscriptions[index].as_ref());
        let subscription = subscription.ok_or_else(WireError::permission_denied)?;
        let author = *self.conn.user_id.get().ok_or_else(WireError::unauthorized)?;
        let action = self.hub.backend.publication(author, channel, subscription.grant, publication)?;
        let data = publication.data.map(Json::in_one_line);
        let published = Published {
            kind: &publication.kind,
            key: publication.key.as_deref(),
            actor: author,
            data: data.as_deref(),
        };
        line.clear();
        encode::push_published(line, channel, &published);
        let from = From { author, conn: self.conn.id, place: subscription.place, now: self.bucket.filled_at };
        if subscription.topic.publish(&action, from, line, &self.hub.flusher)? {
            self.hub.watch(channel);
        }
        Ok(())
    }

    fn presence(&self, id: u32, request: &ChannelOnly<'_>) {
        let people = self.place(request).map(|(topic, viewer)| {
            let people = topic.people(viewer).into_iter().map(|info| (info.user, info));
            PresenceResult { presence: people.collect() }
        });
        self.reply(id, people);
    }

    fn presence_stats(&self, id: u32, request: &ChannelOnly<'_>) {
        let stats = self.place(request).map(|(topic, viewer)| {
            let (num_clients, num_users) = topic.counts(viewer);
            PresenceStatsResult { num_clients, num_users }
        });
        self.reply(id, stats);
    }

    /// The topic of a place that this connection is subscribed to, and who looks.
    fn place(&self, request: &ChannelOnly<'_>) -> Result<(Arc<Topic>, Viewer), WireError> {
        let channel: Channel = request.channel.parse().map_err(|_| WireError::unknown_channel())?;
        let out = self.conn.out.lock();
        let subscription = out.find(channel).and_then(|index| out.subscriptions[index].as_ref());
        let subscription = subscription.ok_or_else(WireError::permission_denied)?;
        let user_id = out.identity.as_ref().map(|identity| identity.user_id).ok_or_else(WireError::unauthorized)?;
        // Who looks at a profile is nobody's business.
        if !matches!(channel, Channel::Workspace(_)) {
            return Err(WireError::not_available());
        }
        Ok((subscription.topic.clone(), Viewer { user_id, grant: subscription.grant }))
    }

    /// Notes that the sign-in behind the connection ends by itself then.
    pub(super) fn set_expiry(&self, expires_at: chrono::DateTime<chrono::Utc>) {
        // The second after, so that whoever comes back at once is told that the sign-in is over.
        let seconds = u64::try_from(expires_at.timestamp() + 1).unwrap_or(1);
        self.conn.times.expires_at.store(seconds, Ordering::Relaxed);
    }
}

/// Reads what is published: an object, though serde would take an array too.
fn read(data: &RawValue) -> Result<Publication<'_>, WireError> {
    if !data.get().starts_with('{') {
        return Err(WireError::bad_request("data must be an object: {type, key, data}"));
    }
    serde_json::from_str(data.get()).map_err(|error| WireError::bad_request(format_args!("data: {error}")))
}
