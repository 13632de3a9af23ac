//! The results of commands, in both formats.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Kind, Outcome};
use crate::protobuf;

/// The result of `connect`.
#[derive(Debug, Serialize)]
pub struct ConnectResult {
    /// The connection's name; new with every connection.
    pub client: String,
    /// Seconds between pings.
    pub ping: u32,
    /// Whether pings are to be answered.
    pub pong: bool,
    /// Where the client has no socket: what it sends its commands with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Where the client has no socket: the node to which its commands go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
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

impl Outcome for ConnectResult {
    const KIND: Kind = Kind::Connect;

    fn write_protobuf(&self, buffer: &mut Vec<u8>) {
        protobuf::text(buffer, 1, &self.client);
        protobuf::message(buffer, 5, |buffer| super::json(buffer, &self.data));
        protobuf::number(buffer, 7, u64::from(self.ping));
        protobuf::flag(buffer, 8, self.pong);
        protobuf::text(buffer, 9, self.session.as_deref().unwrap_or_default());
        protobuf::text(buffer, 10, self.node.as_deref().unwrap_or_default());
    }
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

impl Outcome for SubscribeResult<'_> {
    const KIND: Kind = Kind::Subscribe;

    fn write_protobuf(&self, buffer: &mut Vec<u8>) {
        protobuf::flag(buffer, 3, self.recoverable);
        protobuf::text(buffer, 6, self.epoch);
        protobuf::flag(buffer, 8, self.recovered);
        protobuf::number(buffer, 9, self.offset);
        protobuf::flag(buffer, 10, self.positioned);
        protobuf::text(buffer, 11, self.data.get());
        protobuf::flag(buffer, 12, self.was_recovering);
    }
}

/// The result of `refresh`.
#[derive(Debug, Serialize)]
pub struct RefreshResult {
    /// The connection's name.
    pub client: String,
}

impl Outcome for RefreshResult {
    const KIND: Kind = Kind::Refresh;

    fn write_protobuf(&self, buffer: &mut Vec<u8>) {
        protobuf::text(buffer, 1, &self.client);
    }
}

/// The result of `rpc`.
#[derive(Debug, Serialize)]
pub struct RpcResult<'a> {
    /// What the command answers.
    pub data: &'a RawValue,
}

impl Outcome for RpcResult<'_> {
    const KIND: Kind = Kind::Rpc;

    fn write_protobuf(&self, buffer: &mut Vec<u8>) {
        protobuf::text(buffer, 1, self.data.get());
    }
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

impl ClientInfo {
    pub(super) fn write_protobuf(&self, buffer: &mut Vec<u8>) {
        super::uuid(buffer, 1, self.user);
        super::uuid(buffer, 2, self.client);
        if let Some(info) = &self.conn_info {
            protobuf::text(buffer, 3, info.get());
        }
        if let Some(info) = &self.chan_info {
            protobuf::message(buffer, 4, |buffer| super::json(buffer, info));
        }
    }
}

/// The result of `presence`.
#[derive(Debug, Serialize)]
pub struct PresenceResult {
    /// Everybody, by the person's id.
    pub presence: BTreeMap<Uuid, ClientInfo>,
}

impl Outcome for PresenceResult {
    const KIND: Kind = Kind::Presence;

    fn write_protobuf(&self, buffer: &mut Vec<u8>) {
        // A map is a list of entries of key and value.
        for (id, info) in &self.presence {
            protobuf::message(buffer, 1, |buffer| {
                super::uuid(buffer, 1, *id);
                protobuf::message(buffer, 2, |buffer| info.write_protobuf(buffer));
            });
        }
    }
}

/// The result of `presence_stats`.
#[derive(Debug, Serialize)]
pub struct PresenceStatsResult {
    /// Connections.
    pub num_clients: u32,
    /// People.
    pub num_users: u32,
}

impl Outcome for PresenceStatsResult {
    const KIND: Kind = Kind::PresenceStats;

    fn write_protobuf(&self, buffer: &mut Vec<u8>) {
        protobuf::number(buffer, 1, u64::from(self.num_clients));
        protobuf::number(buffer, 2, u64::from(self.num_users));
    }
}

/// The result of `history`.
#[derive(Debug, Serialize)]
pub struct HistoryResult {
    /// The log's epoch.
    pub epoch: Arc<str>,
    /// The head.
    #[serde(skip_serializing_if = "is_zero")]
    pub offset: u64,
    /// Events, each with its number.
    pub publications: Vec<HistoryEvent>,
}

/// One event in `history`.
#[derive(Debug, Serialize)]
pub struct HistoryEvent {
    /// Its number.
    pub offset: u64,
    /// What it says.
    pub data: Box<RawValue>,
}

impl Outcome for HistoryResult {
    const KIND: Kind = Kind::History;

    fn write_protobuf(&self, buffer: &mut Vec<u8>) {
        for event in &self.publications {
            let data = event.data.get().as_bytes();
            protobuf::message(buffer, 1, |buffer| super::publication(buffer, event.offset, data));
        }
        protobuf::text(buffer, 2, &self.epoch);
        protobuf::number(buffer, 3, self.offset);
    }
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
