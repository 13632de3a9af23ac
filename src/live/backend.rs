//! What the engine asks of the server around it. The engine knows channels and frames; who may do
//! what, what a publication means and where the log is kept, it asks here.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::{Disconnect, Unsubscribed, WireError};
use studyhall_protocol::live::Publication;
use studyhall_protocol::presence::Presence;
use studyhall_protocol::settings::PresenceVisibility;
use uuid::Uuid;

use super::conn::ConnId;

/// Who is behind a connection.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The person.
    pub user_id: Uuid,
    /// The sign-in; when it ends, its sockets are closed.
    pub session_id: Uuid,
    /// When the sign-in ends by itself.
    pub expires_at: DateTime<Utc>,
    /// What rooms show of the person: a JSON object.
    pub info: Arc<RawValue>,
}

/// What a connection shows to say who it is.
#[derive(Clone)]
pub enum Credential {
    /// From the connect command.
    Token(String),
    /// From the upgrade request, whose `Origin` was allowed.
    Cookie(String),
}

/// What the request brought along that became a connection.
#[derive(Debug, Clone, Default)]
pub struct Visitor {
    /// If the page may use it.
    pub cookie: Option<String>,
    /// Where the client is, if that is known.
    pub address: Option<IpAddr>,
}

/// How a command came.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// Over this connection.
    pub conn: ConnId,
    /// From there.
    pub address: Option<IpAddr>,
}

/// What a person may do in a channel; a small number so that a subscription can carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Reads; publishes only what guests may.
    Guest,
    /// Reads and publishes.
    Member,
}

/// The answer to "may this person subscribe, and where is the log?", from one snapshot.
#[derive(Debug, Clone)]
pub struct Admission {
    /// What the person may do there.
    pub grant: Grant,
    /// The newest number of the log.
    pub head: u64,
    /// The oldest number that is still in the log; `head + 1` when it is empty.
    pub floor: u64,
    /// The log's epoch.
    pub epoch: Arc<str>,
    /// Whether the channel is a place where people are, with joins, leaves and presence.
    pub place: bool,
    /// Whether the person may see the presence of the one whose `profile:` it is.
    pub sees: bool,
    /// When the one whose `profile:` it is was here last, as far as it is written down.
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// What of a person others may see. It changes while they are here; events say when to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub user_id: Uuid,
    /// Whom they show that they are here.
    pub audience: PresenceVisibility,
    /// They look as if they were not here, to everybody.
    pub invisible: bool,
    /// Whom a block parts them from, whoever blocked whom.
    pub hidden: Vec<Uuid>,
}

/// One numbered event, ready to be sent.
#[derive(Debug, Clone)]
pub struct LogEvent {
    /// Which log.
    pub channel: Channel,
    /// Its number.
    pub offset: u64,
    /// Its name, such as `widget.moved`.
    pub name: Arc<str>,
    /// The payload `{"type","data","actor","op","at"}`, without newlines.
    pub payload: Bytes,
}

/// A part of a log.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// Consecutive events, oldest first.
    pub events: Vec<LogEvent>,
    /// The newest number when this was read.
    pub head: u64,
    /// The oldest number when this was read.
    pub floor: u64,
    /// The epoch when this was read.
    pub epoch: Arc<str>,
}

/// Names one slot of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotKey {
    /// `drag`, `pointer`, `typing`.
    pub kind: &'static str,
    /// Of what: a widget, a person.
    pub id: Uuid,
}

/// What a publication does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Sets or clears a slot.
    Slot(SlotWrite),
    /// Goes to whoever is there, in order; nobody keeps it.
    Broadcast,
}

/// A new value of a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotWrite {
    /// Which slot.
    pub key: SlotKey,
    /// Clears instead of setting.
    pub clear: bool,
    /// Set for slots that one person holds at a time: the gesture that holds it.
    pub gesture: Option<Uuid>,
}

/// What an event does to the channel besides being sent. Derived from the event alone, so that
/// every node that reads the log comes to the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The slot's gesture ended; with `None` whatever gesture holds it.
    EndGesture {
        /// Which slot.
        key: SlotKey,
        /// Which gesture; its late values are void.
        gesture: Option<Uuid>,
    },
    /// A person may not be here any more.
    Remove(Uuid, Unsubscribed),
    /// Guests may not be here any more.
    RemoveGuests(Unsubscribed),
    /// Nobody may: the thing is gone.
    RemoveAll(Unsubscribed),
    /// Sign-ins of this person ended.
    EndSessions {
        /// The person.
        user_id: Uuid,
        /// The sign-ins.
        session_ids: Vec<Uuid>,
        /// How their sockets are closed.
        why: Disconnect,
    },
    /// Who may see whose presence has changed. Without an author it is everybody whose presence the viewer may see,
    /// without a viewer everybody who may see the author's.
    Recheck {
        /// Whose presence.
        author: Option<Uuid>,
        /// Who sees it or not.
        viewer: Option<Uuid>,
    },
    /// What others may see of this person has changed: their [`Standing`].
    Reload(Uuid),
    /// A person may not be in another channel any more, nor hear what they have not heard yet of it.
    Bar {
        /// Not the channel of the event.
        channel: Channel,
        /// The person.
        user_id: Uuid,
        /// What they are told.
        why: Unsubscribed,
    },
}

/// A held slot whose author is gone.
#[derive(Debug, Clone)]
pub struct Orphan {
    /// Where.
    pub channel: Channel,
    /// Which slot.
    pub key: SlotKey,
    /// Who held it.
    pub author: Uuid,
    /// The gesture.
    pub gesture: Uuid,
    /// Its last value.
    pub data: Box<RawValue>,
}

/// Why a credential does not open a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown or ended.
    Unauthorized,
    /// Was good once.
    Expired,
    /// Cannot be told now.
    Unavailable,
}

/// The server around the engine.
pub trait Backend: Send + Sync + 'static {
    /// Who is it?
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Arc<Identity>, Refusal>>;

    /// May they subscribe? One answer per channel, in order; all from one snapshot.
    fn admit<'a>(
        &'a self,
        who: &'a Identity,
        channels: Vec<Channel>,
    ) -> BoxFuture<'a, Result<Vec<Result<Admission, WireError>>, WireError>>;

    /// At most `limit` events with numbers above `after`.
    fn read_log(&self, channel: Channel, after: u64, limit: u32) -> BoxFuture<'_, Result<LogPage, WireError>>;

    /// The same for each wanted channel and number, in order, all from one snapshot. Those whose events have no room within
    /// `bytes_max` are `None`; the first one always has.
    fn read_pages(
        &self,
        wanted: Vec<(Channel, u64)>,
        limit: u32,
        bytes_max: u32,
    ) -> BoxFuture<'_, Result<Vec<Option<LogPage>>, WireError>>;

    /// The newest events below `before`, newest first, for `history` in reverse.
    fn read_log_back(&self, channel: Channel, before: u64, limit: u32) -> BoxFuture<'_, Result<LogPage, WireError>>;

    /// Runs a command to its end, whatever becomes of the connection that it came by.
    fn rpc<'a>(
        &'a self,
        who: &'a Identity,
        way: Way,
        method: &'a str,
        data: Option<&'a RawValue>,
    ) -> BoxFuture<'a, Result<Box<RawValue>, WireError>>;

    /// What does this publication do, if this person may publish it?
    fn publication(
        &self,
        user_id: Uuid,
        channel: Channel,
        grant: Grant,
        publication: &Publication<'_>,
    ) -> Result<Action, WireError>;

    /// What does this event do?
    fn effects(&self, event: &LogEvent) -> Vec<Effect>;

    /// Commits what a vanished author held, once. Afterwards the slot is cleared in any case.
    fn adopt_orphan(&self, orphan: Orphan) -> BoxFuture<'_, ()>;

    /// How do these people stand? Who does not exist any more is left out.
    fn standings(&self, people: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Standing>, WireError>>;

    /// May the first of each pair see the presence of the second? One answer per pair, in order.
    fn sees(&self, pairs: Vec<(Uuid, Uuid)>) -> BoxFuture<'_, Result<Vec<bool>, WireError>>;

    /// Writes down what was last to be seen of these people, each at most once. Without a time the old one stays.
    fn store_presence(&self, people: Vec<Presence>) -> BoxFuture<'_, Result<(), WireError>>;

    /// A client claims a position that the log has not reached. Perhaps the log was restored; or the client lies.
    fn doubt(&self) {}
}
