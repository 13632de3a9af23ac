//! What the server sends: replies and pushes, appended to a buffer as whole messages. In JSON that is one object and a
//! newline, in protobuf a message behind its length.
//!
//! Empty fields are left out, except where SDKs read them unguarded: every reply carries its result
//! object, `connect.client`, `code` and `reason` always; a publication never says `"offset": 0`.

mod results;

use std::io::Write;

use serde::Serialize;
use uuid::Uuid;

use crate::channel::Channel;
use crate::error::{Disconnect, Unsubscribed, WireError};
use crate::format::Format;
use crate::live::Published;
use crate::protobuf;

pub use results::{
    ClientInfo, ConnectData, ConnectResult, DeviceInfo, HistoryEvent, HistoryResult, PresenceResult,
    PresenceStatsResult, RefreshResult, RpcResult, SubscribeResult,
};

/// What is answered: the name of the result in a reply, and its number in protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `connect`
    Connect = 5,
    /// `subscribe`
    Subscribe = 6,
    /// `unsubscribe`
    Unsubscribe = 7,
    /// `publish`
    Publish = 8,
    /// `presence`
    Presence = 9,
    /// `presence_stats`
    PresenceStats = 10,
    /// `history`
    History = 11,
    /// `ping`
    Ping = 12,
    /// `rpc`
    Rpc = 13,
    /// `refresh`
    Refresh = 14,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Connect => "connect",
            Kind::Subscribe => "subscribe",
            Kind::Unsubscribe => "unsubscribe",
            Kind::Publish => "publish",
            Kind::Presence => "presence",
            Kind::PresenceStats => "presence_stats",
            Kind::History => "history",
            Kind::Ping => "ping",
            Kind::Rpc => "rpc",
            Kind::Refresh => "refresh",
        }
    }
}

/// The result of a command. In JSON it is what serde makes of it.
pub trait Outcome: Serialize {
    /// Which command's.
    const KIND: Kind;

    /// Its fields in protobuf.
    fn write_protobuf(&self, buffer: &mut Vec<u8>);
}

/// The numbers of what a push says.
mod push {
    pub const CHANNEL: u32 = 2;
    pub const PUBLICATION: u32 = 4;
    pub const JOIN: u32 = 5;
    pub const LEAVE: u32 = 6;
    pub const UNSUBSCRIBE: u32 = 7;
    pub const DISCONNECT: u32 = 11;
}

/// The numbers of a reply's own fields.
const ID: u32 = 1;
const ERROR: u32 = 2;
const PUSH: u32 = 4;

/// A ping: an empty reply.
pub fn ping(buffer: &mut Vec<u8>, format: Format) {
    match format {
        Format::Json => buffer.extend_from_slice(b"{}\n"),
        Format::Protobuf => protobuf::delimited(buffer, |_| {}),
    }
}

/// `{"id":…,"<kind>":<result>}`
pub fn reply<O: Outcome>(buffer: &mut Vec<u8>, format: Format, id: u32, outcome: &O) {
    match format {
        Format::Json => reply_json(buffer, id, O::KIND.name(), outcome),
        Format::Protobuf => reply_protobuf(buffer, id, O::KIND as u32, |buffer| outcome.write_protobuf(buffer)),
    }
}

/// `{"id":…,"<kind>":{}}`
pub fn reply_empty(buffer: &mut Vec<u8>, format: Format, id: u32, kind: Kind) {
    match format {
        Format::Json => {
            buffer.reserve(48);
            buffer.extend_from_slice(br#"{"id":"#);
            json(buffer, &id);
            buffer.extend_from_slice(br#",""#);
            buffer.extend_from_slice(kind.name().as_bytes());
            buffer.extend_from_slice(b"\":{}}\n");
        }
        Format::Protobuf => reply_protobuf(buffer, id, kind as u32, |_| {}),
    }
}

/// `{"id":…,"error":{…}}`
pub fn reply_error(buffer: &mut Vec<u8>, format: Format, id: u32, error: &WireError) {
    match format {
        Format::Json => reply_json(buffer, id, "error", error),
        Format::Protobuf => reply_protobuf(buffer, id, ERROR, |buffer| {
            protobuf::number(buffer, 1, u64::from(error.code));
            protobuf::text(buffer, 2, &error.message);
            protobuf::flag(buffer, 3, error.temporary);
        }),
    }
}

fn reply_json(buffer: &mut Vec<u8>, id: u32, name: &str, value: &impl Serialize) {
    let _ = write!(buffer, r#"{{"id":{id},"{name}":"#);
    json(buffer, value);
    buffer.extend_from_slice(b"}\n");
}

fn reply_protobuf(buffer: &mut Vec<u8>, id: u32, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    protobuf::delimited(buffer, |buffer| {
        protobuf::number(buffer, ID, u64::from(id));
        protobuf::message(buffer, field, write);
    });
}

/// A numbered event: `{"push":{"channel":…,"pub":{"offset":…,"data":…}}}`
pub fn push_event(buffer: &mut Vec<u8>, format: Format, channel: Channel, offset: u64, data: &[u8]) {
    match format {
        Format::Json => {
            push_json(buffer, channel, br#"","pub":{"offset":"#);
            json(buffer, &offset);
            buffer.extend_from_slice(br#","data":"#);
            buffer.extend_from_slice(data);
            buffer.extend_from_slice(TAIL);
        }
        Format::Protobuf => push_publication(buffer, channel, offset, data),
    }
}

/// A slot value or a broadcast: a publication without a number.
pub fn push_unnumbered(buffer: &mut Vec<u8>, format: Format, channel: Channel, data: &[u8]) {
    match format {
        Format::Json => {
            push_json(buffer, channel, MIDDLE);
            buffer.extend_from_slice(data);
            buffer.extend_from_slice(TAIL);
        }
        Format::Protobuf => push_publication(buffer, channel, 0, data),
    }
}

/// What everybody gets of a publication without a number, in JSON; protobuf is made of that where somebody reads it. Of
/// all messages nearly all are of this kind, so it is put together of parts that are there.
pub fn push_published(buffer: &mut Vec<u8>, channel: Channel, published: &Published<'_>) {
    push_json(buffer, channel, MIDDLE);
    buffer.extend_from_slice(br#"{"type":"#);
    quoted(buffer, published.kind);
    if let Some(key) = published.key {
        buffer.extend_from_slice(br#","key":"#);
        quoted(buffer, key);
    }
    buffer.extend_from_slice(br#","actor":""#);
    hyphenated(buffer, published.actor);
    buffer.extend_from_slice(br#"","data":"#);
    buffer.extend_from_slice(published.data.unwrap_or("null").as_bytes());
    buffer.push(b'}');
    buffer.extend_from_slice(TAIL);
}

const HEAD: &[u8] = br#"{"push":{"channel":""#;
const MIDDLE: &[u8] = br#"","pub":{"data":"#;
const TAIL: &[u8] = b"}}}\n";

/// The beginning of a push, up to what follows the channel's name.
fn push_json(buffer: &mut Vec<u8>, channel: Channel, next: &[u8]) {
    buffer.extend_from_slice(HEAD);
    buffer.extend_from_slice(channel.kind().as_bytes());
    buffer.push(b':');
    hyphenated(buffer, channel.id());
    buffer.extend_from_slice(next);
}

fn hyphenated(buffer: &mut Vec<u8>, id: Uuid) {
    buffer.extend_from_slice(id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
}

fn quoted(buffer: &mut Vec<u8>, text: &str) {
    // To the end in any case, which the compiler does many bytes at a time.
    if text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\')) {
        buffer.push(b'"');
        buffer.extend_from_slice(text.as_bytes());
        buffer.push(b'"');
    } else {
        json(buffer, text);
    }
}

/// The `data` inside an unnumbered push of this channel, encoded in JSON.
pub fn data_of(channel: Channel, line: &[u8]) -> &[u8] {
    // The kind, a colon and a hyphenated UUID.
    let name = channel.kind().len() + 1 + 36;
    let head = HEAD.len() + name + MIDDLE.len();
    line.get(head..line.len().saturating_sub(TAIL.len())).unwrap_or(b"null")
}

/// Somebody came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Came.
    Join,
    /// Went.
    Leave,
}

/// Somebody came or went: `{"push":{"channel":…,"join":{"info":…}}}`
pub fn push_info(buffer: &mut Vec<u8>, format: Format, channel: Channel, kind: Move, info: &ClientInfo) {
    let (name, field) = match kind {
        Move::Join => ("join", push::JOIN),
        Move::Leave => ("leave", push::LEAVE),
    };
    match format {
        Format::Json => {
            let _ = write!(buffer, r#"{{"push":{{"channel":"{channel}","{name}":{{"info":"#);
            json(buffer, info);
            buffer.extend_from_slice(TAIL);
        }
        Format::Protobuf => push_protobuf(buffer, Some(channel), field, |buffer| {
            protobuf::message(buffer, 1, |buffer| info.write_protobuf(buffer));
        }),
    }
}

/// The server ended a subscription.
pub fn push_unsubscribe(buffer: &mut Vec<u8>, format: Format, channel: Channel, why: Unsubscribed) {
    let Unsubscribed { code, reason } = why;
    match format {
        Format::Json => {
            let _ = writeln!(
                buffer,
                r#"{{"push":{{"channel":"{channel}","unsubscribe":{{"code":{code},"reason":"{reason}"}}}}}}"#
            );
        }
        Format::Protobuf => push_protobuf(buffer, Some(channel), push::UNSUBSCRIBE, |buffer| {
            protobuf::number(buffer, 2, u64::from(code));
            protobuf::text(buffer, 3, reason);
        }),
    }
}

/// The server ends the connection, where there is no close frame to say so.
pub fn push_disconnect(buffer: &mut Vec<u8>, format: Format, why: Disconnect) {
    let Disconnect { code, reason } = why;
    match format {
        Format::Json => {
            let _ = writeln!(buffer, r#"{{"push":{{"disconnect":{{"code":{code},"reason":"{reason}"}}}}}}"#);
        }
        Format::Protobuf => push_protobuf(buffer, None, push::DISCONNECT, |buffer| {
            protobuf::number(buffer, 1, u64::from(code));
            protobuf::text(buffer, 2, reason);
        }),
    }
}

fn push_publication(buffer: &mut Vec<u8>, channel: Channel, offset: u64, data: &[u8]) {
    push_protobuf(buffer, Some(channel), push::PUBLICATION, |buffer| publication(buffer, offset, data));
}

fn push_protobuf(buffer: &mut Vec<u8>, channel: Option<Channel>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    protobuf::delimited(buffer, |buffer| {
        protobuf::message(buffer, PUSH, |buffer| {
            if let Some(channel) = channel {
                protobuf::message(buffer, push::CHANNEL, |buffer| {
                    let _ = write!(buffer, "{channel}");
                });
            }
            protobuf::message(buffer, field, write);
        });
    });
}

fn publication(buffer: &mut Vec<u8>, offset: u64, data: &[u8]) {
    protobuf::bytes(buffer, 4, data);
    protobuf::number(buffer, 6, offset);
}

fn json(buffer: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Our own types serialize without failing; a buffer cannot fail either.
    if serde_json::to_writer(&mut *buffer, value).is_err() {
        buffer.extend_from_slice(b"null");
    }
}

fn uuid(buffer: &mut Vec<u8>, field: u32, id: Uuid) {
    protobuf::text(buffer, field, id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
}

#[cfg(test)]
mod tests;
