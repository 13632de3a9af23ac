//! What a client sends: one command per line of a text frame, or one behind the other in a binary frame.
//!
//! Source: `client.proto` of the Centrifuge protocol. Both formats are read into the same commands. Fields that we
//! do not use are ignored. Everything borrows from the frame; nothing is copied to read a command.

mod plain;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::format::Format;
use crate::protobuf;

pub use self::plain::Said;

/// One command. The first request that is present, in the order of the fields, is the command.
#[derive(Debug, Default, Deserialize)]
pub struct ClientCommand<'a> {
    /// The reply carries the same number; 0 only for `send` and pong.
    #[serde(default)]
    pub id: u32,
    /// Opens the session.
    #[serde(borrow, default, deserialize_with = "object")]
    pub connect: Option<Connect<'a>>,
    /// Not used by SDKs of this generation; answered all the same.
    #[serde(default, deserialize_with = "object")]
    pub ping: Option<Empty>,
    /// Starts a subscription.
    #[serde(borrow, default, deserialize_with = "object")]
    pub subscribe: Option<Subscribe<'a>>,
    /// Ends a subscription.
    #[serde(borrow, default, deserialize_with = "object")]
    pub unsubscribe: Option<ChannelOnly<'a>>,
    /// A slot value or a broadcast.
    #[serde(borrow, default, deserialize_with = "object")]
    pub publish: Option<Publish<'a>>,
    /// Who is in the channel.
    #[serde(borrow, default, deserialize_with = "object")]
    pub presence: Option<ChannelOnly<'a>>,
    /// How many are in the channel.
    #[serde(borrow, default, deserialize_with = "object")]
    pub presence_stats: Option<ChannelOnly<'a>>,
    /// The log of a channel.
    #[serde(borrow, default, deserialize_with = "object")]
    pub history: Option<History<'a>>,
    /// A command of the table in [`crate::command`].
    #[serde(borrow, default, deserialize_with = "object")]
    pub rpc: Option<Rpc<'a>>,
    /// Like publish, without a reply.
    #[serde(borrow, default, deserialize_with = "object")]
    pub send: Option<Send<'a>>,
    /// A new token for this connection.
    #[serde(borrow, default, deserialize_with = "object")]
    pub refresh: Option<Refresh<'a>>,
    /// Not available here.
    #[serde(default, deserialize_with = "object")]
    pub sub_refresh: Option<Empty>,
}

/// A request without fields that we read.
#[derive(Debug, Deserialize)]
pub struct Empty {}

/// `connect`
#[derive(Debug, Default, Deserialize)]
pub struct Connect<'a> {
    /// `shs_…`; without one, the cookie of the upgrade counts.
    #[serde(borrow, default)]
    pub token: Cow<'a, str>,
}

/// `subscribe`
#[derive(Debug, Default, Deserialize)]
pub struct Subscribe<'a> {
    /// The channel's name.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
    /// Whether `offset` and `epoch` are a position to go on from.
    #[serde(default)]
    pub recover: bool,
    /// The last number seen; absent is 0, "before the first event".
    #[serde(default)]
    pub offset: u64,
    /// The epoch of that number.
    #[serde(borrow, default)]
    pub epoch: Cow<'a, str>,
    /// Bits: 1 channel compaction (ignored), 2 reject unrecovered.
    #[serde(default)]
    pub flag: i64,
    /// Whether joins and leaves are wanted.
    #[serde(default)]
    pub join_leave: bool,
    /// Kinds of subscription other than a stream are not available.
    #[serde(default, rename = "type")]
    pub kind: i64,
    /// A publication filter; not supported.
    #[serde(borrow, default)]
    pub tf: Option<&'a RawValue>,
}

impl Subscribe<'_> {
    /// The client would rather load its state again than live with a hole.
    pub fn reject_unrecovered(&self) -> bool {
        self.flag & 2 != 0
    }
}

/// A request about one channel.
#[derive(Debug, Default, Deserialize)]
pub struct ChannelOnly<'a> {
    /// The channel's name.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
}

/// `publish`
#[derive(Debug, Default, Deserialize)]
pub struct Publish<'a> {
    /// The channel's name.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
    /// A [`crate::live::Publication`].
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// `history`
#[derive(Debug, Default, Deserialize)]
pub struct History<'a> {
    /// The channel's name.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
    /// How many at most; 0 asks for the position only, negative for as many as allowed.
    #[serde(default)]
    pub limit: i64,
    /// Exclusive start.
    #[serde(borrow, default, deserialize_with = "object")]
    pub since: Option<Since<'a>>,
    /// Newest first.
    #[serde(default)]
    pub reverse: bool,
}

/// A position in a request.
#[derive(Debug, Default, Deserialize)]
pub struct Since<'a> {
    /// The last number seen.
    #[serde(default)]
    pub offset: u64,
    /// Its epoch.
    #[serde(borrow, default)]
    pub epoch: Cow<'a, str>,
}

/// `rpc`
#[derive(Debug, Default, Deserialize)]
pub struct Rpc<'a> {
    /// A command's name, such as `task.create`.
    #[serde(borrow, default)]
    pub method: Cow<'a, str>,
    /// Its fields, and optionally `op`.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// `send`
#[derive(Debug, Default, Deserialize)]
pub struct Send<'a> {
    /// `{"channel", "type", "key", "data"}`
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// `refresh`
#[derive(Debug, Default, Deserialize)]
pub struct Refresh<'a> {
    /// The new token.
    #[serde(borrow, default)]
    pub token: Cow<'a, str>,
}

/// Reads an object or `null`. What serde derives would also take an array, as the fields in their order: a second
/// spelling of everything that nobody has thought about.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Object(PhantomData))
}

/// Why a line could not be read as a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// No id to answer to: the connection is closed with 3501.
    Malformed,
    /// A JSON object with an id whose content is wrong: error 107 to that id.
    Bad(u32),
}

impl<'a> ClientCommand<'a> {
    /// Reads one line of a frame.
    pub fn parse(line: &'a str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct IdOnly {
            id: u32,
        }
        // Arrays deserialize into structs too; a command is an object.
        if !line.trim_ascii_start().starts_with('{') {
            return Err(Unreadable::Malformed);
        }
        serde_json::from_str(line).map_err(|_| match serde_json::from_str::<IdOnly>(line) {
            Ok(IdOnly { id }) if id > 0 => Unreadable::Bad(id),
            _ => Unreadable::Malformed,
        })
    }

    /// Reads one message behind its length.
    pub fn parse_protobuf(message: &'a [u8]) -> Result<Self, Unreadable> {
        protobuf::command(message)
    }

    /// A client's answer to a ping: an object without a request and without an id.
    pub fn is_pong(&self) -> bool {
        self.id == 0
            && self.connect.is_none()
            && self.ping.is_none()
            && self.subscribe.is_none()
            && self.unsubscribe.is_none()
            && self.publish.is_none()
            && self.presence.is_none()
            && self.presence_stats.is_none()
            && self.history.is_none()
            && self.rpc.is_none()
            && self.send.is_none()
            && self.refresh.is_none()
            && self.sub_refresh.is_none()
    }
}

/// The commands of one frame, in order.
#[derive(Debug, Clone, Copy)]
pub struct Commands<'a> {
    /// What has not been read; `None` behind the last command.
    rest: Option<Rest<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Rest<'a> {
    Lines(&'a str),
    /// Of which nobody has said that they are text.
    Bytes(&'a [u8]),
    Messages(&'a [u8]),
}

impl<'a> Commands<'a> {
    /// All commands of a frame. A frame without any has one that cannot be read.
    pub fn new(format: Format, frame: &'a [u8]) -> Self {
        Self {
            rest: Some(match format {
                Format::Json => Rest::Bytes(frame),
                Format::Protobuf => Rest::Messages(frame),
            }),
        }
    }

    /// The same for JSON that is known to be text.
    pub fn lines(frame: &'a str) -> Self {
        Self { rest: Some(Rest::Lines(frame)) }
    }

    /// What has not been read, as a frame of its own.
    pub fn rest(&self) -> &'a [u8] {
        match self.rest {
            Some(Rest::Lines(text)) => text.as_bytes(),
            Some(Rest::Bytes(bytes) | Rest::Messages(bytes)) => bytes,
            None => &[],
        }
    }

    /// The next command, if it is a publication in JSON and spelled as nearly all are: that takes a third of the time.
    /// `None` says nothing about it; [`Iterator::next`] reads the same command.
    pub fn next_said(&mut self) -> Option<Said<'a>> {
        let (line, rest) = match self.rest? {
            Rest::Lines(text) => split_text(text),
            Rest::Bytes(bytes) => {
                let (line, rest) = split_line(bytes);
                (str::from_utf8(line).ok()?, rest.map(Rest::Bytes))
            }
            Rest::Messages(_) => return None,
        };
        let said = plain::read(line)?;
        self.rest = rest;
        Some(said)
    }

    fn message(&mut self, frame: &'a [u8]) -> Result<ClientCommand<'a>, Unreadable> {
        let (message, rest) = protobuf::split(frame).ok_or(Unreadable::Malformed)?;
        self.rest = Some(rest).filter(|rest| !rest.is_empty()).map(Rest::Messages);
        ClientCommand::parse_protobuf(message)
    }
}

/// A line without its end, and what follows it.
fn split_line(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'\n', text).and_then(|end| text.split_at_checked(end)) {
        Some((line, rest)) => (line, rest.get(1..)),
        None => (text, None),
    }
}

fn split_text(text: &str) -> (&str, Option<Rest<'_>>) {
    match memchr::memchr(b'\n', text.as_bytes()).and_then(|end| text.split_at_checked(end)) {
        Some((line, rest)) => (line, rest.get(1..).map(Rest::Lines)),
        None => (text, None),
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<ClientCommand<'a>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.rest.take()? {
            Rest::Lines(text) => {
                let (line, rest) = split_text(text);
                self.rest = rest;
                ClientCommand::parse(line)
            }
            Rest::Bytes(bytes) => {
                let (line, rest) = split_line(bytes);
                self.rest = rest.map(Rest::Bytes);
                str::from_utf8(line).map_err(|_| Unreadable::Malformed).and_then(ClientCommand::parse)
            }
            Rest::Messages(frame) => self.message(frame),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_sdks_send() {
        let line = r#"{"id":5,"subscribe":{"channel":"user:7f","flag":3,"recover":true,"offset":40,"epoch":"k3v9","positioned":true}}"#;
        let command = ClientCommand::parse(line).unwrap();
        let subscribe = command.subscribe.unwrap();
        assert_eq!((command.id, subscribe.offset, &*subscribe.epoch), (5, 40, "k3v9"));
        assert!(subscribe.reject_unrecovered() && subscribe.recover);
        assert!(ClientCommand::parse("{}").unwrap().is_pong());
    }

    #[test]
    fn requests_are_objects() {
        for line in [
            r#"{"id":1,"rpc":["task_list.create",{"name":"x"}]}"#,
            r#"{"id":1,"publish":["workspace:1",{}]}"#,
            r#"{"id":1,"ping":[]}"#,
            r#"{"id":1,"history":{"channel":"user:1","since":[1,"e"]}}"#,
            r#"{"id":1,"subscribe":"user:1"}"#,
        ] {
            assert_eq!(ClientCommand::parse(line).unwrap_err(), Unreadable::Bad(1), "{line}");
        }
        assert!(ClientCommand::parse(r#"{"id":1,"rpc":null,"ping":{}}"#).unwrap().rpc.is_none());
    }

    #[test]
    fn tells_malformed_from_bad() {
        assert_eq!(ClientCommand::parse("[5]").unwrap_err(), Unreadable::Malformed);
        assert_eq!(ClientCommand::parse("[]").unwrap_err(), Unreadable::Malformed);
        assert_eq!(ClientCommand::parse("").unwrap_err(), Unreadable::Malformed);
        assert_eq!(ClientCommand::parse("nope").unwrap_err(), Unreadable::Malformed);
        assert_eq!(ClientCommand::parse(r#"{"id":-1,"rpc":{}}"#).unwrap_err(), Unreadable::Malformed);
        assert_eq!(ClientCommand::parse(r#"{"id":7,"subscribe":{"channel":5}}"#).unwrap_err(), Unreadable::Bad(7));
    }
}
