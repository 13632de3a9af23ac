//! `protocol/typescript/index.d.ts`: the types of everything that travels, for front-ends.

use std::fmt::Write;

use serde_json::{Value, json};
use studyhall_protocol::codes::CODES;
use studyhall_protocol::error::{Disconnect, Unsubscribed};
use studyhall_protocol::live::{Key, Life};

use crate::model::{Call, Live, Model};

/// What JSON Schema has no words for.
const HEAD: &str = include_str!("head.d.ts");
/// These are in the head, or said by a generic type.
const BY_HAND: &[&str] = &["Channel", "EventRecord", "LoggedEvent", "Shown", "ErrorCode"];

/// The whole file.
pub fn typescript(model: &Model) -> String {
    let mut out = HEAD.replace("<version>", env!("CARGO_PKG_VERSION"));
    commands(&mut out, model);
    events(&mut out, model);
    publications(&mut out, model);
    calls(&mut out, model);
    codes(&mut out);
    for (name, shape) in &model.generics {
        declare(&mut out, &name.replace("OfT", "<T>"), shape);
    }
    for (name, shape) in &model.types {
        let generic = ["AnswerOf", "PageOf"].iter().any(|prefix| name.starts_with(prefix));
        if !generic && !BY_HAND.contains(&name.as_str()) {
            declare(&mut out, name, shape);
        }
    }
    out
}

/// What npm has to know to install the directory.
pub fn package() -> Value {
    json!({
        "name": "studyhall-protocol",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "The types of everything that travels between a Studyhall server and its clients",
        "license": "MIT OR Apache-2.0",
        "private": true,
        "types": "index.d.ts",
    })
}

fn commands(out: &mut String, model: &Model) {
    out.push_str(
        "\n/** What `rpc` does: the fields of each command, and what it answers. */\nexport interface Commands {\n",
    );
    for line in &model.methods {
        let (data, answer) = (type_of(&line.data, 1), type_of(&line.answer, 1));
        comment(out, 1, line.message.doc);
        let _ = writeln!(out, "  '{}': {{ data: {data}; answer: {answer} }};", line.message.name);
    }
    out.push_str("}\n");
}

fn events(out: &mut String, model: &Model) {
    out.push_str(
        "\n/** The numbered events: the kind of channel that each is on, and its data. */\nexport interface Events {\n",
    );
    for line in &model.events {
        comment(out, 1, line.message.doc);
        let on = line.message.on.unwrap();
        let _ = writeln!(out, "  '{}': {{ on: '{on}'; data: {} }};", line.message.name, type_of(&line.data, 1));
    }
    out.push_str("}\n");
}

fn publications(out: &mut String, model: &Model) {
    out.push_str("\n/** What travels without a number: slots, whose latest value is kept, and broadcasts. */\n");
    out.push_str("export interface Publications {\n");
    for live in &model.live {
        publication(out, live);
    }
    out.push_str("}\n");
}

fn publication(out: &mut String, live: &Live) {
    let kind = &live.kind;
    let life = if kind.life == Life::Slot { "slot" } else { "broadcast" };
    let by = if kind.by_clients { "clients" } else { "server" };
    let key = match kind.key {
        Key::Absent => "{}",
        Key::Id(_) => "{ key: Uuid }",
        Key::Own => "{ key?: Uuid }",
        Key::Free => "{ key?: string }",
    };
    let data = type_of(&live.data, 1);
    let clears = kind.life == Life::Slot && data != "unknown";
    let data = if clears { format!("{data} | null") } else { data };
    comment(out, 1, kind.doc);
    let _ = writeln!(
        out,
        "  {}: {{ on: '{}'; life: '{life}'; by: '{by}'; key: {key}; data: {data} }};",
        kind.name, kind.on
    );
}

fn calls(out: &mut String, model: &Model) {
    out.push_str("\n/** The calls of REST, below `/api/v1`. */\nexport interface Calls {\n");
    for call in &model.calls {
        let route = &call.route;
        comment(out, 1, call.doc);
        let _ = writeln!(
            out,
            "  '{} {}': {{ path: {}; query: {}; body: {}; answer: {} }};",
            route.method,
            route.path,
            path(route.path),
            query(call),
            body(call),
            answer(call),
        );
    }
    out.push_str("}\n");
}

fn path(path: &str) -> String {
    let fields: Vec<_> = path_names(path)
        .map(|name| format!("{name}: {}", if name == "channel" { "Channel" } else { "Uuid" }))
        .collect();
    if fields.is_empty() { "{}".into() } else { format!("{{ {} }}", fields.join("; ")) }
}

/// The names in braces.
pub fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0))
}

fn query(call: &Call) -> String {
    let mut fields: Vec<_> = call.route.query.iter().map(|(name, _)| format!("{name}?: string | number")).collect();
    if call.route.paged {
        fields.extend(["limit?: number", "cursor?: string"].map(str::to_owned));
    }
    if fields.is_empty() { "{}".into() } else { format!("{{ {} }}", fields.join("; ")) }
}

fn answer(call: &Call) -> String {
    match &call.answer {
        Value::Null if call.route.file => "Blob".into(),
        Value::Null => "undefined".into(),
        shape => type_of(shape, 1),
    }
}

fn body(call: &Call) -> String {
    if call.route.file && call.route.makes {
        return "Blob".into();
    }
    if call.takes_nothing() {
        return "undefined".into();
    }
    let name = type_of(&call.body, 1);
    match call.route.ids {
        [] => name,
        ids => format!("Omit<{name}, {}>", ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(" | ")),
    }
}

fn codes(out: &mut String) {
    out.push_str("\n/** What an error begins with: what happened, and what to do. */\nexport interface ErrorCodes {\n");
    for code in CODES {
        comment(out, 1, code.text);
        let rpc = if code.rpc.is_empty() {
            "never".into()
        } else {
            code.rpc.iter().map(u32::to_string).collect::<Vec<_>>().join(" | ")
        };
        let status = code.status.map_or("never".into(), |status| status.to_string());
        let _ = writeln!(out, "  {}: {{ status: {status}; rpc: {rpc} }};", code.code);
    }
    out.push_str("}\n\n/** Why a connection was closed, by its close code. */\nexport interface CloseCodes {\n");
    for Disconnect { code, reason } in Disconnect::ALL {
        let _ = writeln!(out, "  {code}: '{reason}';");
    }
    out.push_str("}\n\n/** Why a subscription ended without being asked to. */\nexport interface UnsubscribeCodes {\n");
    for Unsubscribed { code, reason } in Unsubscribed::ALL {
        let _ = writeln!(out, "  {code}: '{reason}';");
    }
    out.push_str("}\n");
}

/// One type, as it stands in the file.
pub fn declaration(name: &str, shape: &Value) -> String {
    let mut out = String::new();
    declare(&mut out, name, shape);
    out
}

fn declare(out: &mut String, name: &str, shape: &Value) {
    out.push('\n');
    comment(out, 0, shape["description"].as_str().unwrap_or_default());
    if shape["properties"].is_object() {
        let _ = writeln!(out, "export interface {name} {}", type_of(shape, 0));
    } else {
        let _ = writeln!(out, "export type {name} = {};", type_of(shape, 0));
    }
}

fn comment(out: &mut String, depth: usize, text: &str) {
    if !text.trim().is_empty() {
        let _ = writeln!(out, "{}/** {} */", "  ".repeat(depth), text.trim().replace("*/", "*\u{200b}/"));
    }
}

/// The TypeScript type of a schema. Unknown words of JSON Schema are a mistake, not `unknown`.
pub fn type_of(shape: &Value, depth: usize) -> String {
    if let Some(reference) = shape["$ref"].as_str() {
        return name_of(reference.trim_start_matches("#/$defs/"));
    }
    if let Some(word) = shape.get("const").or_else(|| shape.get("enum")) {
        let words = word.as_array().cloned().unwrap_or_else(|| vec![word.clone()]);
        return words.iter().map(|word| word.to_string().replace('"', "'")).collect::<Vec<_>>().join(" | ");
    }
    if let Some(choices) = shape.get("oneOf").or_else(|| shape.get("anyOf")) {
        return choices.as_array().unwrap().iter().map(|choice| type_of(choice, depth)).collect::<Vec<_>>().join(" | ");
    }
    match &shape["type"] {
        Value::Array(types) => {
            let one = |one: &Value| {
                let mut shape = shape.clone();
                shape["type"] = one.clone();
                type_of(&shape, depth)
            };
            types.iter().map(one).collect::<Vec<_>>().join(" | ")
        }
        Value::String(word) => simple(word, shape, depth),
        Value::Null => "unknown".into(),
        other => panic!("no type for {other}"),
    }
}

fn simple(word: &str, shape: &Value, depth: usize) -> String {
    match (word, shape["format"].as_str()) {
        ("string", Some("uuid")) => "Uuid".into(),
        ("string", Some("date-time")) => "Timestamp".into(),
        ("string", Some("date")) => "Day".into(),
        ("null", _) | ("string" | "boolean", None) => word.into(),
        // JSON.parse makes numbers; offsets stay below 2^53.
        ("integer" | "number", _) => "number".into(),
        ("array", None) => {
            let item = type_of(&shape["items"], depth);
            if item.contains(' ') { format!("({item})[]") } else { format!("{item}[]") }
        }
        ("object", None) if shape["properties"].is_object() => object(shape, depth),
        ("object", None) => "Record<string, unknown>".into(),
        other => panic!("no type for {other:?}"),
    }
}

fn object(shape: &Value, depth: usize) -> String {
    let properties = shape["properties"].as_object().unwrap();
    let required: Vec<&str> = shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // Those that are always there are listed in the order of the code.
    let optional = properties.keys().map(String::as_str).filter(|name| !required.contains(name));
    let mut out = String::from("{\n");
    for name in required.iter().copied().chain(optional) {
        let mark = if required.contains(&name) { "" } else { "?" };
        comment(&mut out, depth + 1, properties[name]["description"].as_str().unwrap_or_default());
        let _ = writeln!(out, "{}{name}{mark}: {};", "  ".repeat(depth + 1), type_of(&properties[name], depth + 1));
    }
    let _ = write!(out, "{}}}", "  ".repeat(depth));
    out
}

fn name_of(name: &str) -> String {
    for generic in ["Answer", "Page"] {
        if let Some(of) = name.strip_prefix(generic).and_then(|rest| rest.strip_prefix("Of")) {
            return format!("{generic}<{}>", name_of(of));
        }
    }
    match name {
        "Shown" => "SlotValue".into(),
        "EventRecord" => "Event".into(),
        name => name.into(),
    }
}
