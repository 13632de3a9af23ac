//! The client's side of the wire: building command lines, reading the server's lines.
//!
//! Knows no socket. A frame holds one or more lines joined by `\n`, both ways; [`lines`] splits one.
//! What is read borrows from the frame.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

pub use self::build::{PONG, Wishes, connect, history, presence, publish, rpc, send, subscribe, unsubscribe};
use crate::channel::Channel;
use crate::error::WireError;

mod build;

/// The lines of a frame.
pub fn lines(frame: &str) -> impl Iterator<Item = &str> {
    frame.split('\n').filter(|line| !line.is_empty())
}

/// One line from the server.
#[derive(Debug)]
pub enum ServerLine<'a> {
    /// To be answered with [`PONG`].
    Ping,
    /// The answer to the command with this number.
    Reply {
        /// The number.
        id: u32,
        /// Its result.
        result: Result<Reply<'a>, WireError>,
    },
    /// Something happened in a channel.
    Push {
        /// Where.
        channel: Channel,
        /// What.
        push: Push<'a>,
    },
}

/// What a command came to.
#[derive(Debug)]
pub enum Reply<'a> {
    /// Of `connect`.
    Connect(Connected),
    /// Of `subscribe`.
    Subscribe(Subscribed<'a>),
    /// Of `rpc`: a [`crate::Answer`].
    Rpc(&'a RawValue),
    /// Of `history`.
    History(History<'a>),
    /// Of `presence`, `presence_stats` and `refresh`: their result as it is.
    Other(&'a RawValue),
    /// Of `publish`, `unsubscribe` and `ping`, which have no result.
    Done,
}

/// The result of `connect`.
#[derive(Debug, Deserialize)]
pub struct Connected {
    /// The connection's name.
    pub client: String,
    /// Seconds between pings.
    pub ping: u32,
    /// Who we are.
    pub data: Recognised,
}

/// Who the server takes us for.
#[derive(Debug, Deserialize)]
pub struct Recognised {
    /// The person.
    pub user_id: Uuid,
    /// Milliseconds since 1970, UTC.
    pub server_time: i64,
}

/// The result of `subscribe`.
#[derive(Debug, Deserialize)]
pub struct Subscribed<'a> {
    /// The log's epoch.
    pub epoch: String,
    /// Recovered from this number, or the head.
    #[serde(default)]
    pub offset: u64,
    /// A position was asked for.
    #[serde(default)]
    pub was_recovering: bool,
    /// Everything after that position follows.
    #[serde(default)]
    pub recovered: bool,
    /// The first of what follows; usually none.
    #[serde(borrow, default)]
    pub publications: Vec<Pub<'a>>,
    /// The channel's slots.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// The result of `history`.
#[derive(Debug, Deserialize)]
pub struct History<'a> {
    /// The log's epoch.
    pub epoch: String,
    /// The head.
    #[serde(default)]
    pub offset: u64,
    /// Events, each with its number.
    #[serde(borrow, default)]
    pub publications: Vec<Pub<'a>>,
}

/// What can happen in a channel.
#[derive(Debug)]
pub enum Push<'a> {
    /// An event, a slot value or a broadcast.
    Pub(Pub<'a>),
    /// Somebody came.
    Join(Info<'a>),
    /// Somebody went.
    Leave(Info<'a>),
    /// The server ended our subscription.
    Unsubscribe(Ended<'a>),
    /// Something that a later server knows; to be ignored.
    Unknown,
}

/// A publication: with a number it is an event of the log.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Pub<'a> {
    /// The number; absent on slot values and broadcasts.
    #[serde(default)]
    pub offset: Option<u64>,
    /// What was said; [`Pub::read`] reads it.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// What every publication says, whichever kind it is; fields that it lacks are `None`.
#[derive(Debug, Deserialize)]
pub struct Said<'a> {
    /// The event's name, or the kind of the slot.
    #[serde(rename = "type", borrow, default)]
    pub kind: Cow<'a, str>,
    /// Which slot.
    #[serde(borrow, default)]
    pub key: Option<Cow<'a, str>>,
    /// Who.
    #[serde(default)]
    pub actor: Option<Uuid>,
    /// By which operation.
    #[serde(default)]
    pub op: Option<Uuid>,
    /// What.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

impl<'a> Pub<'a> {
    /// What it says; `None` for an event that was emptied, or something that is not ours.
    pub fn read(&self) -> Option<Said<'a>> {
        serde_json::from_str(self.data?.get()).ok()
    }
}

/// Who came or went.
#[derive(Debug, Deserialize)]
pub struct Info<'a> {
    /// The person.
    pub user: Uuid,
    /// What the room shows of them.
    #[serde(borrow, default)]
    pub conn_info: Option<&'a RawValue>,
}

/// Why a subscription ended.
#[derive(Debug, Deserialize)]
pub struct Ended<'a> {
    /// See [`crate::error::Unsubscribed`].
    pub code: u32,
    /// For people.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(default)]
    id: u32,
    #[serde(borrow, default)]
    push: Option<RawPush<'a>>,
    #[serde(default)]
    error: Option<WireError>,
    #[serde(default)]
    connect: Option<Connected>,
    #[serde(borrow, default)]
    subscribe: Option<Subscribed<'a>>,
    #[serde(borrow, default)]
    rpc: Option<RawRpc<'a>>,
    #[serde(borrow, default)]
    history: Option<History<'a>>,
    #[serde(borrow, default)]
    presence: Option<&'a RawValue>,
    #[serde(borrow, default)]
    presence_stats: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refresh: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawRpc<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawPush<'a> {
    channel: &'a str,
    #[serde(rename = "pub", borrow, default)]
    publication: Option<Pub<'a>>,
    #[serde(borrow, default)]
    join: Option<RawInfo<'a>>,
    #[serde(borrow, default)]
    leave: Option<RawInfo<'a>>,
    #[serde(borrow, default)]
    unsubscribe: Option<Ended<'a>>,
}

#[derive(Deserialize)]
struct RawInfo<'a> {
    #[serde(borrow)]
    info: Info<'a>,
}

impl<'a> ServerLine<'a> {
    /// Reads one line.
    pub fn parse(line: &'a str) -> Result<Self, serde_json::Error> {
        // The commonest line by count on an idle connection.
        if line == "{}" {
            return Ok(ServerLine::Ping);
        }
        let raw: RawLine<'a> = serde_json::from_str(line)?;
        if let Some(push) = raw.push {
            let channel = push.channel.parse().map_err(serde::de::Error::custom)?;
            return Ok(ServerLine::Push { channel, push: push.into() });
        }
        if raw.id == 0 {
            return Ok(ServerLine::Ping);
        }
        Ok(ServerLine::Reply { id: raw.id, result: raw.result() })
    }
}

impl<'a> RawLine<'a> {
    fn result(self) -> Result<Reply<'a>, WireError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        Ok(if let Some(rpc) = self.rpc {
            Reply::Rpc(rpc.data.unwrap_or(RawValue::NULL))
        } else if let Some(subscribed) = self.subscribe {
            Reply::Subscribe(subscribed)
        } else if let Some(connected) = self.connect {
            Reply::Connect(connected)
        } else if let Some(history) = self.history {
            Reply::History(history)
        } else {
            self.presence.or(self.presence_stats).or(self.refresh).map_or(Reply::Done, Reply::Other)
        })
    }
}

impl<'a> From<RawPush<'a>> for Push<'a> {
    fn from(raw: RawPush<'a>) -> Self {
        if let Some(publication) = raw.publication {
            Push::Pub(publication)
        } else if let Some(join) = raw.join {
            Push::Join(join.info)
        } else if let Some(leave) = raw.leave {
            Push::Leave(leave.info)
        } else {
            raw.unsubscribe.map_or(Push::Unknown, Push::Unsubscribe)
        }
    }
}

#[cfg(test)]
mod tests;
