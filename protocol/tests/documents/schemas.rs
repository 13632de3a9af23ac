//! `protocol/schemas/*.json`: JSON Schema 2020-12, each file complete in itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::model::{Line, Model};

/// Names and texts of the files.
pub fn schemas(model: &Model) -> Vec<(String, Value)> {
    let command = |line: &Line| {
        json!({
            "description": line.message.doc.trim(),
            "type": "object",
            "properties": {"method": {"type": "string", "const": line.message.name}, "data": model.rpc_data(line)},
            "required": ["method", "data"],
        })
    };
    let commands: Vec<_> = model.methods.iter().map(command).collect();
    let published: Vec<_> = model.live.iter().map(|live| live.shape(true)).collect();
    let publish = model.live.iter().filter(|live| live.kind.by_clients);
    let publish: Vec<_> = publish.map(|live| live.shape(false)).collect();
    vec![
        file(model, "commands", "What `rpc` takes.", json!({"oneOf": commands})),
        file(model, "events", "The data of numbered publications.", json!({"$ref": "#/$defs/EventRecord"})),
        file(model, "publish", "What clients publish in a room.", json!({"oneOf": publish})),
        file(model, "published", "The data of publications without a number.", json!({"oneOf": published})),
        ("types".into(), head("types", "Every type by its name.", json!({"$defs": model.types}))),
    ]
}

fn file(model: &Model, name: &str, text: &str, shape: Value) -> (String, Value) {
    let types = reachable(model, &shape);
    let mut file = head(name, text, shape);
    file["$defs"] = json!(types);
    (name.into(), file)
}

fn head(name: &str, text: &str, mut shape: Value) -> Value {
    shape["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    shape["title"] = format!("Studyhall: {name}").into();
    shape["description"] = text.into();
    shape["$comment"] = "Made by `make documents` from protocol/src: change it there.".into();
    shape
}

/// The types that `shape` refers to, and those that they refer to.
pub fn reachable(model: &Model, shape: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut open = references(shape);
    while let Some(name) = open.pop_first() {
        let shape = model.types.get(&name).unwrap_or_else(|| panic!("no type {name}"));
        if found.insert(name, shape.clone()).is_none() {
            open.extend(references(shape));
        }
    }
    found
}

fn references(shape: &Value) -> BTreeSet<String> {
    match shape {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
            own.map(str::to_owned).into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// The same with the types where OpenAPI and AsyncAPI have them.
pub fn in_components(mut shape: Value) -> Value {
    match &mut shape {
        Value::Object(fields) => {
            for (name, field) in fields {
                *field = match field.as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
                    Some(of) if name == "$ref" => format!("#/components/schemas/{of}").into(),
                    _ => in_components(field.take()),
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = in_components(item.take())),
        _ => {}
    }
    shape
}
