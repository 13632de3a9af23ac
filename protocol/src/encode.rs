//! What the server sends: replies and pushes, one JSON object per line, appended to a buffer.
//!
//! Empty fields are left out, except where SDKs read them unguarded: every reply carries its result
//! object, `connect.client`, `code` and `reason` always; a publication never says `"offset": 0`.

use std::io::Write;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::channel::Channel;
use crate::error::{Unsubscribed, WireError};

/// A ping, or the pong to one: an empty object.
pub const PING: &[u8] = b"{}";

/// `{"id":…,"<kind>":<result>}`
pub fn reply(buffer: &mut Vec<u8>, id: u32, kind: &str, result: &impl Serialize) {
    let _ = write!(buffer, r#"{{"id":{id},"{kind}":"#);
    json(buffer, result);
    buffer.push(b'}');
}

/// `{"id":…,"<kind>":{}}`
pub fn reply_empty(buffer: &mut Vec<u8>, id: u32, kind: &str) {
    let _ = write!(buffer, r#"{{"id":{id},"{kind}":{{}}}}"#);
}

/// `{"id":…,"error":{…}}`
pub fn reply_error(buffer: &mut Vec<u8>, id: u32, error: &WireError) {
    reply(buffer, id, "error", error);
}

/// The result of `connect`.
#[derive(Debug, Serialize)]
pub struct ConnectResult {
    /// The connection's name; new with every connection.
    pub client: String,
    /// Seconds between pings.
    pub ping: u32,
    /// Whether pings are to be answered.
    pub pong: bool,
    /// Who was recognised, and the server's time.
    pub data: ConnectData,
}

/// What the application sees of a connect.
#[derive(Debug, Serialize)]
pub struct ConnectData {
    /// The person.
    pub user_id: Uuid,
    /// Milliseconds since 1970, UTC.
    pub server_time: i64,
}

/// The result of `subscribe`.
#[derive(Debug, Serialize)]
pub struct SubscribeResult<'a> {
    /// Always: every channel has a log.
    pub recoverable: bool,
    /// Always.
    pub positioned: bool,
    /// The log's epoch, never empty.
    pub epoch: &'a str,
    /// Recovered from this number, or the head.
    #[serde(skip_serializing_if = "is_zero")]
    pub offset: u64,
    /// A position was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub was_recovering: bool,
    /// Everything after that position follows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
    /// The channel's slots, as [`crate::live::Slots`].
    pub data: &'a RawValue,
}

/// The result of `refresh`.
#[derive(Debug, Serialize)]
pub struct RefreshResult {
    /// The connection's name.
    pub client: String,
}

/// One person in `presence`, joins and leaves.
#[derive(Debug, Clone, Serialize)]
pub struct ClientInfo {
    /// The person.
    pub user: Uuid,
    /// The person again: presence is keyed by people, not by connections.
    pub client: Uuid,
    /// What the room shows of that person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn_info: Option<Box<RawValue>>,
    /// How many devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chan_info: Option<DeviceInfo>,
}

/// What lies behind one person in a room.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DeviceInfo {
    /// Connections of that person in this channel.
    pub devices: u32,
}

/// The result of `presence_stats`.
#[derive(Debug, Serialize)]
pub struct PresenceStatsResult {
    /// Connections.
    pub num_clients: u32,
    /// People.
    pub num_users: u32,
}

/// A numbered event: `{"push":{"channel":…,"pub":{"offset":…,"data":…}}}`
pub fn push_event(buffer: &mut Vec<u8>, channel: Channel, offset: u64, data: &[u8]) {
    let _ = write!(buffer, r#"{{"push":{{"channel":"{channel}","pub":{{"offset":{offset},"data":"#);
    buffer.extend_from_slice(data);
    buffer.extend_from_slice(b"}}}");
}

/// A slot value or a broadcast: a publication without a number.
pub fn push_unnumbered(buffer: &mut Vec<u8>, channel: Channel, data: &[u8]) {
    let _ = write!(buffer, r#"{{"push":{{"channel":"{channel}","pub":{{"data":"#);
    buffer.extend_from_slice(data);
    buffer.extend_from_slice(b"}}}");
}

/// Somebody came (`kind` "join") or went ("leave").
pub fn push_info(buffer: &mut Vec<u8>, channel: Channel, kind: &str, info: &ClientInfo) {
    let _ = write!(buffer, r#"{{"push":{{"channel":"{channel}","{kind}":{{"info":"#);
    json(buffer, info);
    buffer.extend_from_slice(b"}}}");
}

/// The server ended a subscription.
pub fn push_unsubscribe(buffer: &mut Vec<u8>, channel: Channel, why: Unsubscribed) {
    let Unsubscribed { code, reason } = why;
    let _ =
        write!(buffer, r#"{{"push":{{"channel":"{channel}","unsubscribe":{{"code":{code},"reason":"{reason}"}}}}}}"#);
}

fn json(buffer: &mut Vec<u8>, value: &impl Serialize) {
    // Our own types serialize without failing; a buffer cannot fail either.
    if serde_json::to_writer(&mut *buffer, value).is_err() {
        buffer.extend_from_slice(b"null");
    }
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
