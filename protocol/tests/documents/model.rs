//! What the tables say about themselves, as JSON Schemas: the one thing that all documents are made from.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use studyhall_protocol::codes::CODES;
use studyhall_protocol::describe::{Message, schema_of};
use studyhall_protocol::event::EventRecord;
use studyhall_protocol::live::{Connected, Key, Life, Occupant, Shown, UNNUMBERED, Unnumbered};
use studyhall_protocol::rest::{Answer, Page, Problem};
use studyhall_protocol::routes::{ROUTES, Route};
use studyhall_protocol::{Command, Event, presence};

/// A command or an event with the shapes of what it carries.
pub struct Line {
    pub message: Message,
    pub data: Value,
    pub answer: Value,
}

/// A call with the shapes of its body and its answer; `null` where there is none.
pub struct Call {
    pub route: Route,
    pub doc: &'static str,
    pub body: Value,
    pub answer: Value,
}

/// A publication without a number.
pub struct Live {
    pub kind: Unnumbered,
    pub data: Value,
}

/// Everything. References are `#/$defs/<name>`.
pub struct Model {
    pub types: BTreeMap<String, Value>,
    /// `Answer<T>` and `Page<T>`, of any `T`.
    pub generics: BTreeMap<String, Value>,
    /// The commands, and what else `rpc` does.
    pub methods: Vec<Line>,
    pub events: Vec<Line>,
    pub live: Vec<Live>,
    pub calls: Vec<Call>,
}

/// Stands for any type.
struct T;

impl JsonSchema for T {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "T".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

pub fn model() -> Model {
    // What people send and what they get differ: a field with a default may be left out, but is always in an answer.
    let mut taken = SchemaSettings::draft2020_12().into_generator();
    let mut given = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut line = |message: &Message, sent: bool| {
        let data = if sent { (message.data)(&mut taken) } else { (message.data)(&mut given) };
        let answer = message.answer.map_or(Value::Null, |answer| tidy(answer(&mut given)));
        Line { message: *message, data: tidy(data), answer }
    };
    let methods = Command::MESSAGES.iter().chain([&presence::MESSAGE]).map(|message| line(message, true)).collect();
    let events = Event::MESSAGES.iter().map(|message| line(message, false)).collect();
    let live = UNNUMBERED.iter().map(|kind| {
        let data = if kind.by_clients { (kind.data)(&mut taken) } else { (kind.data)(&mut given) };
        Live { kind: *kind, data: tidy(data) }
    });
    let live = live.collect();
    let calls = ROUTES.iter().map(|route| call(route, &mut taken, &mut given)).collect();
    for also in [schema_of::<Connected>, schema_of::<Occupant>, schema_of::<Shown>, schema_of::<EventRecord>] {
        also(&mut given);
    }
    schema_of::<Problem>(&mut given);
    let mut types = definitions(&mut taken);
    for (name, shape) in definitions(&mut given) {
        let shape = never_null_when_absent(shape);
        let same = types.insert(name.clone(), shape.clone()).is_none_or(|other| other == shape);
        assert!(same, "{name} is taken in another shape than it is given; make two types of it");
    }
    types.insert("ErrorCode".into(), error_code());
    types.get_mut("Problem").unwrap()["properties"]["code"] = json!({"$ref": "#/$defs/ErrorCode"});
    let mut open = SchemaSettings::draft2020_12().for_serialize().into_generator();
    schema_of::<Answer<T>>(&mut open);
    schema_of::<Page<T>>(&mut open);
    let generics = definitions(&mut open).into_iter().filter(|(name, _)| name.ends_with("OfT")).collect();
    Model { types, generics, methods, events, live, calls }
}

fn error_code() -> Value {
    let words: Vec<_> = CODES.iter().map(|code| code.code).collect();
    json!({"description": "The word that an error begins with, the same in REST and `rpc`.", "type": "string", "enum": words})
}

fn call(route: &Route, taken: &mut SchemaGenerator, given: &mut SchemaGenerator) -> Call {
    let Some(name) = route.command else {
        let body = route.body.map_or(Value::Null, |body| tidy(body(taken)));
        let answer = route.answer.map_or(Value::Null, |answer| tidy(answer(given)));
        return Call { route: *route, doc: route.doc, body, answer };
    };
    let message = Command::MESSAGES.iter().find(|message| message.name == name);
    let message = message.unwrap_or_else(|| panic!("{name} of {} {} is no command", route.method, route.path));
    let data = message.data;
    let answer = tidy(message.answer.unwrap()(given));
    Call { route: *route, doc: message.doc.trim(), body: tidy(data(taken)), answer }
}

fn definitions(generator: &mut SchemaGenerator) -> BTreeMap<String, Value> {
    generator.take_definitions(true).into_iter().map(|(name, shape)| (name, tidy_value(shape))).collect()
}

/// What is left out when there is nothing is never `null` in what people get.
fn never_null_when_absent(mut shape: Value) -> Value {
    let required = shape["required"].as_array().cloned().unwrap_or_default();
    for (name, field) in shape.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some([one, null]) = field["type"].as_array().map(Vec::as_slice)
            && null == "null"
            && !required.contains(&json!(name))
        {
            field["type"] = one.clone();
        }
    }
    shape
}

fn tidy(schema: Schema) -> Value {
    tidy_value(schema.to_value())
}

/// Without what says nothing to people who do not read Rust.
fn tidy_value(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            let plain = |format: &Value| format.as_str().is_some_and(|format| format.starts_with("uint"));
            if fields.get("format").is_some_and(plain) {
                fields.remove("format");
            }
            if fields.get("default").is_some_and(|default| default.is_null() || *default == json!([])) {
                fields.remove("default");
            }
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = plain_text(text);
            }
            fields.values_mut().for_each(|field| *field = tidy_value(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = tidy_value(item.take())),
        _ => {}
    }
    value
}

/// Links into the Rust documentation become words: [`crate::state::UserState`] is `UserState`.
fn plain_text(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split("[`");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (link, rest) = part.split_once("`]").unwrap_or((part, ""));
        plain.push_str(&format!("`{}`{rest}", link.rsplit("::").next().unwrap_or(link)));
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Model {
    /// What is behind a reference, or the shape itself.
    pub fn resolve<'m>(&'m self, shape: &'m Value) -> &'m Value {
        match shape["$ref"].as_str() {
            Some(name) => &self.types[name.trim_start_matches("#/$defs/")],
            None => shape,
        }
    }

    /// The object `shape` without `fields`, which come from elsewhere.
    pub fn without(&self, shape: &Value, fields: &[&str]) -> Value {
        let mut shape = self.resolve(shape).clone();
        for field in fields {
            let gone = shape["properties"].as_object_mut().and_then(|properties| properties.remove(*field));
            assert!(gone.is_some(), "no field {field} in {shape}");
            shape["required"].as_array_mut().unwrap().retain(|name| name != field);
        }
        shape
    }

    /// What `rpc` takes: the fields, and beside those of a command the operation id.
    pub fn rpc_data(&self, line: &Line) -> Value {
        if line.message.name == presence::METHOD {
            return line.data.clone();
        }
        let mut shape = self.resolve(&line.data).clone();
        let text = "Makes a retry safe: sent again with the same id, the command happens once.";
        shape["properties"]["op"] = json!({"description": text, "type": ["string", "null"], "format": "uuid"});
        shape
    }
}

impl Call {
    /// No body, or one of which nothing is left because all of it is in the path.
    pub fn takes_nothing(&self) -> bool {
        self.body.is_null() || matches!(self.route.method, "PUT" | "DELETE") && !self.route.ids.is_empty()
    }
}

impl Live {
    /// As it is published (`to_all` false) or as everybody gets it.
    pub fn shape(&self, to_all: bool) -> Value {
        let kind = &self.kind;
        // Free JSON includes null already.
        let clears = kind.life == Life::Slot && self.data.get("$ref").is_some();
        let data = if clears { json!({"oneOf": [self.data, {"type": "null"}]}) } else { self.data.clone() };
        let mut shape = json!({
            "description": kind.doc,
            "type": "object",
            "properties": {"type": {"type": "string", "const": kind.name}, "data": data},
            "required": if to_all || !kind.by_clients { json!(["type", "data"]) } else { json!(["type"]) },
        });
        match kind.key {
            Key::Absent => {}
            Key::Id(doc) => {
                shape["properties"]["key"] = json!({"description": doc, "type": "string", "format": "uuid"});
                shape["required"].as_array_mut().unwrap().push("key".into());
            }
            Key::Own => {
                let text = "The author's own id, or absent.";
                shape["properties"]["key"] = json!({"description": text, "type": "string", "format": "uuid"});
            }
            Key::Free => {
                let text = "Free, at most 64 bytes.";
                shape["properties"]["key"] = json!({"description": text, "type": "string"});
            }
        }
        if to_all && kind.key != Key::Absent {
            let text = "Who published it; set by the server.";
            shape["properties"]["actor"] = json!({"description": text, "type": "string", "format": "uuid"});
            shape["required"].as_array_mut().unwrap().push("actor".into());
        }
        shape
    }
}
