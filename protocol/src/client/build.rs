//! The lines that a client sends.

use serde::Serialize;
use serde_json::json;

use crate::channel::Channel;
use crate::rest::Position;

/// The answer to a ping.
pub const PONG: &str = "{}";

/// What a subscription asks for besides its channel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes<'a> {
    /// Go on after this position; absent: from the head.
    pub since: Option<&'a Position>,
    /// Be told who comes and goes.
    pub join_leave: bool,
    /// Get error 112 rather than a subscription with a hole.
    pub reject_unrecovered: bool,
}

/// `connect`
pub fn connect(id: u32, token: &str) -> String {
    json!({"id": id, "connect": {"token": token, "name": "rust"}}).to_string()
}

/// `subscribe`
pub fn subscribe(id: u32, channel: Channel, wishes: Wishes<'_>) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        id: u32,
        subscribe: Subscribe<'a>,
    }
    #[derive(Serialize)]
    struct Subscribe<'a> {
        channel: Channel,
        #[serde(skip_serializing_if = "is_false")]
        recover: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<&'a str>,
        flag: u8,
        #[serde(skip_serializing_if = "is_false")]
        join_leave: bool,
    }
    let subscribe = Subscribe {
        channel,
        recover: wishes.since.is_some(),
        offset: wishes.since.map(|position| position.offset),
        epoch: wishes.since.map(|position| position.epoch.as_str()),
        flag: if wishes.reject_unrecovered { 2 } else { 0 },
        join_leave: wishes.join_leave,
    };
    line(&Line { id, subscribe })
}

/// `unsubscribe`
pub fn unsubscribe(id: u32, channel: Channel) -> String {
    json!({"id": id, "unsubscribe": {"channel": channel}}).to_string()
}

/// `publish`: a slot value or a broadcast, such as `{"type":"drag","key":…,"data":…}`.
pub fn publish(id: u32, channel: Channel, publication: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, P> {
        id: u32,
        publish: Publish<'a, P>,
    }
    #[derive(Serialize)]
    struct Publish<'a, P> {
        channel: Channel,
        data: &'a P,
    }
    line(&Line { id, publish: Publish { channel, data: publication } })
}

/// `rpc`: a command of the table in [`crate::command`]; `data` may hold an `op`.
pub fn rpc(id: u32, method: &str, data: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, D> {
        id: u32,
        rpc: Rpc<'a, D>,
    }
    #[derive(Serialize)]
    struct Rpc<'a, D> {
        method: &'a str,
        data: &'a D,
    }
    line(&Line { id, rpc: Rpc { method, data } })
}

/// `send`: a publication that names its `channel` and gets no reply.
pub fn send(publication: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, P> {
        send: Send<'a, P>,
    }
    #[derive(Serialize)]
    struct Send<'a, P> {
        data: &'a P,
    }
    line(&Line { send: Send { data: publication } })
}

/// `history`: at most `limit` events after `since`; 0 asks for the position alone.
pub fn history(id: u32, channel: Channel, since: Option<&Position>, limit: i64) -> String {
    let since = since.map(|position| json!({"offset": position.offset, "epoch": position.epoch}));
    json!({"id": id, "history": {"channel": channel, "limit": limit, "since": since}}).to_string()
}

/// `presence`
pub fn presence(id: u32, channel: Channel) -> String {
    json!({"id": id, "presence": {"channel": channel}}).to_string()
}

fn line(value: &impl Serialize) -> String {
    // Fails only for maps whose keys are not text; the server closes on an empty line, loudly.
    serde_json::to_string(value).unwrap_or_default()
}

fn is_false(value: &bool) -> bool {
    !value
}
