//! The tests' own protobuf: turns the JSON that tests are written in into messages, and messages into JSON. It goes by a
//! table of `client.proto` and shares nothing with the code that it tests.

use serde_json::{Map, Value, json};

/// The fields of a message: number, name, type.
type Schema = &'static [(u32, &'static str, Kind)];

#[derive(Clone, Copy)]
enum Kind {
    /// A number, a truth or a text, whatever the value is.
    Plain,
    Text,
    Flag,
    /// Bytes that are JSON.
    Json,
    Message(Schema),
    List(Schema),
    /// From texts to messages.
    Map(Schema),
}

use Kind::{Flag, Json, List, Map as Table, Message, Plain, Text};

const CHANNEL: Schema = &[(1, "channel", Plain)];
const TOKEN: Schema = &[(1, "token", Plain), (4, "name", Plain)];
const EMPTY: Schema = &[];
const SINCE: Schema = &[(1, "offset", Plain), (2, "epoch", Plain)];
const SUBSCRIBE: Schema = &[
    (1, "channel", Plain),
    (3, "recover", Plain),
    (6, "epoch", Plain),
    (7, "offset", Plain),
    (11, "join_leave", Plain),
    (13, "tf", Message(EMPTY)),
    (14, "flag", Plain),
    (15, "type", Plain),
];
const HISTORY: Schema =
    &[(1, "channel", Plain), (7, "limit", Plain), (8, "since", Message(SINCE)), (9, "reverse", Plain)];
const COMMAND: Schema = &[
    (1, "id", Plain),
    (4, "connect", Message(TOKEN)),
    (5, "subscribe", Message(SUBSCRIBE)),
    (6, "unsubscribe", Message(CHANNEL)),
    (7, "publish", Message(&[(1, "channel", Plain), (2, "data", Json)])),
    (8, "presence", Message(CHANNEL)),
    (9, "presence_stats", Message(CHANNEL)),
    (10, "history", Message(HISTORY)),
    (11, "ping", Message(EMPTY)),
    (12, "send", Message(&[(1, "data", Json)])),
    (13, "rpc", Message(&[(1, "data", Json), (2, "method", Plain)])),
    (14, "refresh", Message(TOKEN)),
    (15, "sub_refresh", Message(CHANNEL)),
    (99, "fly", Message(EMPTY)),
];

const INFO: Schema = &[(1, "user", Text), (2, "client", Text), (3, "conn_info", Json), (4, "chan_info", Json)];
const PUBLICATION: Schema = &[(4, "data", Json), (6, "offset", Plain)];
const WHY: Schema = &[(2, "code", Plain), (3, "reason", Text)];
const PUSH: Schema = &[
    (2, "channel", Text),
    (4, "pub", Message(PUBLICATION)),
    (5, "join", Message(&[(1, "info", Message(INFO))])),
    (6, "leave", Message(&[(1, "info", Message(INFO))])),
    (7, "unsubscribe", Message(WHY)),
    (11, "disconnect", Message(&[(1, "code", Plain), (2, "reason", Text)])),
];
const CONNECTED: Schema = &[
    (1, "client", Text),
    (5, "data", Json),
    (7, "ping", Plain),
    (8, "pong", Flag),
    (9, "session", Text),
    (10, "node", Text),
];
const SUBSCRIBED: Schema = &[
    (3, "recoverable", Flag),
    (6, "epoch", Text),
    (8, "recovered", Flag),
    (9, "offset", Plain),
    (10, "positioned", Flag),
    (11, "data", Json),
    (12, "was_recovering", Flag),
];
const REPLY: Schema = &[
    (1, "id", Plain),
    (2, "error", Message(&[(1, "code", Plain), (2, "message", Text), (3, "temporary", Flag)])),
    (4, "push", Message(PUSH)),
    (5, "connect", Message(CONNECTED)),
    (6, "subscribe", Message(SUBSCRIBED)),
    (7, "unsubscribe", Message(EMPTY)),
    (8, "publish", Message(EMPTY)),
    (9, "presence", Message(&[(1, "presence", Table(INFO))])),
    (10, "presence_stats", Message(&[(1, "num_clients", Plain), (2, "num_users", Plain)])),
    (11, "history", Message(&[(1, "publications", List(PUBLICATION)), (2, "epoch", Text), (3, "offset", Plain)])),
    (12, "ping", Message(EMPTY)),
    (13, "rpc", Message(&[(1, "data", Json)])),
    (14, "refresh", Message(&[(1, "client", Text)])),
];

/// A frame of commands. What is no object stays as wrong as it was.
pub fn commands(lines: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    if lines.is_empty() {
        return frame;
    }
    for line in lines.split('\n') {
        match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(command)) => delimited(&mut frame, &message(COMMAND, &command)),
            // Not even a length.
            _ if line.is_empty() => frame.push(0x80),
            _ => delimited(&mut frame, line.as_bytes()),
        }
    }
    frame
}

/// The replies and pushes of a frame.
pub fn replies(mut frame: &[u8]) -> Vec<Value> {
    assert!(!frame.is_empty(), "an empty frame");
    let mut replies = Vec::new();
    while !frame.is_empty() {
        replies.push(read(REPLY, take(&mut frame)));
    }
    replies
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7F {
        out.push(value as u8 & 0x7F | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn delimited(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn field(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    varint(out, u64::from(number << 3 | 2));
    delimited(out, bytes);
}

fn message(schema: Schema, object: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in object {
        let found = schema.iter().find(|(_, known, _)| known == name);
        let (number, kind) = found.map_or((98, Plain), |(number, _, kind)| (*number, *kind));
        match (kind, value) {
            (_, Value::Null) => {}
            (Json, value) => field(&mut out, number, value.to_string().as_bytes()),
            (Message(schema), Value::Object(inner)) => field(&mut out, number, &message(schema, inner)),
            (_, Value::String(text)) => field(&mut out, number, text.as_bytes()),
            (_, Value::Bool(truth)) => {
                varint(&mut out, u64::from(number << 3));
                varint(&mut out, u64::from(*truth));
            }
            // There is no such offset: a value of the wrong type.
            (_, value) if name == "offset" && value.as_i64().is_some_and(|number| number < 0) => {
                field(&mut out, number, b"-1");
            }
            (_, value) => {
                varint(&mut out, u64::from(number << 3));
                varint(&mut out, value.as_u64().unwrap_or_else(|| value.as_i64().unwrap_or_default() as u64));
            }
        }
    }
    out
}

fn take_varint(input: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = input[0];
        *input = &input[1..];
        value |= u64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

fn take<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let length = take_varint(input) as usize;
    let (taken, rest) = input.split_at(length);
    *input = rest;
    taken
}

/// Panics at whatever is not in the table.
fn read(schema: Schema, mut input: &[u8]) -> Value {
    let mut object = Map::new();
    for (_, name, kind) in schema {
        match kind {
            // Left out when they are empty, and read as empty all the same.
            List(_) => object.insert((*name).to_owned(), json!([])),
            Table(_) => object.insert((*name).to_owned(), json!({})),
            _ => None,
        };
    }
    while !input.is_empty() {
        let tag = take_varint(&mut input);
        let found = schema.iter().find(|(number, _, _)| u64::from(*number) == tag >> 3);
        let (_, name, kind) = found.unwrap_or_else(|| panic!("field {}", tag >> 3));
        assert_eq!(tag & 7, if matches!(kind, Plain | Flag) { 0 } else { 2 }, "{name}");
        let value = match kind {
            Plain => json!(take_varint(&mut input)),
            Flag => json!(take_varint(&mut input) == 1),
            Text => json!(str::from_utf8(take(&mut input)).unwrap()),
            Json => serde_json::from_slice(take(&mut input)).unwrap(),
            Message(schema) => read(schema, take(&mut input)),
            List(schema) => {
                let one = read(schema, take(&mut input));
                object[*name].as_array_mut().unwrap().push(one);
                continue;
            }
            Table(schema) => {
                let mut entry = take(&mut input);
                assert_eq!(take_varint(&mut entry), 1 << 3 | 2);
                let key = str::from_utf8(take(&mut entry)).unwrap().to_owned();
                assert_eq!(take_varint(&mut entry), 2 << 3 | 2);
                object[*name][key] = read(schema, take(&mut entry));
                continue;
            }
        };
        assert!(object.insert((*name).to_owned(), value).is_none(), "{name} twice");
    }
    Value::Object(object)
}
