//! `protocol/asyncapi.json`: the live side, as AsyncAPI 3. What the document calls the application is the server.

use serde_json::{Map, Value, json};

use crate::model::{Line, Model};
use crate::schemas::{in_components, reachable};

const CHANNELS: &[(&str, &str)] = &[
    ("user", "Everything private of one person; only that person subscribes."),
    ("profile", "The public activity of one person."),
    ("workspace", "One room."),
];

/// The whole document.
pub fn asyncapi(model: &Model) -> Value {
    let mut messages = Map::new();
    let mut channels = Map::new();
    let mut operations = Map::new();
    for (kind, text) in CHANNELS {
        channel(model, kind, text, &mut messages, &mut channels, &mut operations);
    }
    rpc(model, &mut messages, &mut channels, &mut operations);
    let mut roots = json!(messages);
    roots["also"] = json!([{"$ref": "#/$defs/Connected"}, {"$ref": "#/$defs/Present"}, {"$ref": "#/$defs/Occupant"}]);
    let types = reachable(model, &roots);
    in_components(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Studyhall",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The live side: the Centrifuge client protocol, and what travels in it. docs/live.md tells \
                the story. Made by `make documents` from protocol/src: change it there.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "here": {
                "host": "127.0.0.1:8080",
                "pathname": "/connection/websocket",
                "protocol": "ws",
                "description": "The frames are those of the Centrifuge client protocol; its SDKs speak them.",
            },
        },
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": types},
    }))
}

fn channel(
    model: &Model,
    kind: &str,
    text: &str,
    messages: &mut Map<String, Value>,
    channels: &mut Map<String, Value>,
    operations: &mut Map<String, Value>,
) {
    let mut here = Map::new();
    let mut sent = Vec::new();
    let mut taken = Vec::new();
    for line in model.events.iter().filter(|line| line.message.on == Some(kind)) {
        let name = line.message.name;
        messages.insert(name.into(), message(name, line.message.doc, event(model, line)));
        sent.push(put(&mut here, kind, name));
    }
    for live in model.live.iter().filter(|live| live.kind.on == kind) {
        let (name, publish) = (live.kind.name, format!("{}.publish", live.kind.name));
        messages.insert(name.into(), message(name, live.kind.doc, live.shape(true)));
        sent.push(put(&mut here, kind, name));
        if live.kind.by_clients {
            messages.insert(publish.clone(), message(name, live.kind.doc, live.shape(false)));
            taken.push(put(&mut here, kind, &publish));
        }
    }
    let parameters = json!({"id": {"description": "A UUID, lower case with hyphens."}});
    channels.insert(
        kind.into(),
        json!({"address": format!("{kind}:{{id}}"), "description": text, "parameters": parameters, "messages": here}),
    );
    let at = json!({"$ref": format!("#/channels/{kind}")});
    let summary = "What subscribers get: events with consecutive offsets, slots and broadcasts without.";
    operations
        .insert(format!("{kind}.push"), json!({"action": "send", "channel": at, "summary": summary, "messages": sent}));
    if !taken.is_empty() {
        let summary = "What subscribers publish.";
        operations.insert(
            format!("{kind}.publish"),
            json!({"action": "receive", "channel": at, "summary": summary, "messages": taken}),
        );
    }
}

/// The shape of one event, out of the shape of all.
fn event(model: &Model, line: &Line) -> Value {
    let all = model.types["EventRecord"]["oneOf"].as_array().unwrap();
    all.iter().find(|shape| shape["properties"]["type"]["const"] == line.message.name).unwrap().clone()
}

fn rpc(
    model: &Model,
    messages: &mut Map<String, Value>,
    channels: &mut Map<String, Value>,
    operations: &mut Map<String, Value>,
) {
    let mut here = Map::new();
    let error = json!({
        "type": "object",
        "properties": {
            "code": {"type": "integer", "description": "1000 and the HTTP status, or a number of the Centrifuge protocol."},
            "message": {"type": "string", "description": "Begins with the stable word, as in REST."},
            "temporary": {"type": "boolean", "description": "Goes away by itself: send the same again later."},
        },
        "required": ["code", "message"],
    });
    messages.insert("error".into(), message("error", "Why it was not done.", error));
    let error = put(&mut here, "rpc", "error");
    for line in &model.methods {
        let (name, reply) = (line.message.name, format!("{}.answer", line.message.name));
        messages.insert(name.into(), message(name, line.message.doc, model.rpc_data(line)));
        messages.insert(reply.clone(), message(&reply, "What it answers.", line.answer.clone()));
        let (asked, answered) = (put(&mut here, "rpc", name), put(&mut here, "rpc", &reply));
        let at = json!({"$ref": "#/channels/rpc"});
        operations.insert(
            name.into(),
            json!({
                "action": "receive", "channel": at, "summary": line.message.doc.trim(), "messages": [asked],
                "reply": {"channel": at, "messages": [answered, error]},
            }),
        );
    }
    let text = "Commands: `rpc` with the message's name as the method and its payload as the data.";
    channels.insert("rpc".into(), json!({"address": null, "description": text, "messages": here}));
}

fn message(name: &str, text: &str, payload: Value) -> Value {
    json!({"name": name, "summary": text.trim(), "payload": payload})
}

/// Puts a message into a channel and refers to it there.
fn put(here: &mut Map<String, Value>, channel: &str, name: &str) -> Value {
    here.insert(name.into(), json!({"$ref": format!("#/components/messages/{name}")}));
    json!({"$ref": format!("#/channels/{channel}/messages/{name}")})
}
