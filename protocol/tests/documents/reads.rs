//! The schemas of commands say what `Command::read` takes: samples are made out of each schema, right and wrong ones, and
//! both have to come to the same.

use serde_json::{Map, Value, json};
use studyhall_protocol::Command;
use studyhall_protocol::command::CommandError;
use studyhall_protocol::presence::{self, PresenceSet};

use crate::model;
use crate::validate::validate;

const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

/// Values of every kind, one of which is wrong wherever it is put.
fn values() -> Vec<Value> {
    let object = json!({"a": 1});
    vec![Value::Null, json!(true), json!(1), json!(1.5), json!("a"), json!(ID), json!([]), json!(["a"]), object]
}

/// Something that the schema allows and the field `name` takes.
pub fn sample(document: &Value, name: &str, schema: &Value) -> Value {
    if let Some(place) = schema["$ref"].as_str() {
        return sample(document, name, document.pointer(place.trim_start_matches('#')).unwrap());
    }
    if let Some(choices) = schema.get("oneOf").or_else(|| schema.get("anyOf")) {
        return sample(document, name, &choices[0]);
    }
    if let Some(word) = schema.get("const") {
        return word.clone();
    }
    let word = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap();
    match (word, schema["format"].as_str()) {
        ("string", Some("uuid")) => ID.into(),
        ("string", Some("date")) => "2026-11-23".into(),
        ("string", Some("date-time")) => "2026-11-23T06:49:40.101669Z".into(),
        ("string", None) if name == "provider" => "youtube".into(),
        ("string", None) if name == "embed_url" => "https://www.youtube.com/embed/a".into(),
        ("string", None) if name.ends_with("url") => "https://e.example".into(),
        ("string", None) if name == "email" => "a@e.example".into(),
        ("string", None) if name == "background_color" => "#ffffff".into(),
        ("string", None) => "a".into(),
        ("integer", _) => 1.into(),
        ("boolean", _) => true.into(),
        ("array", _) => json!([sample(document, name, &schema["items"])]),
        ("object", _) if schema["properties"].is_object() => {
            let fields = schema["properties"].as_object().unwrap();
            fields.iter().map(|(name, schema)| (name.clone(), sample(document, name, schema))).collect()
        }
        ("object", _) => json!({"any": "thing"}),
        other => panic!("no sample of {other:?}"),
    }
}

fn read(name: &str, data: &Value) -> Result<(), CommandError> {
    if name == presence::METHOD {
        // It is no command: nothing of it is in a log.
        let read = serde_json::from_value::<PresenceSet>(data.clone());
        return read.map(drop).map_err(|error| CommandError::Malformed(error.to_string()));
    }
    Command::read(name, data.clone()).map(drop)
}

/// The schema and the code agree on `data`; values that have the right shape and cannot be taken are another matter.
fn compare(document: &Value, name: &str, schema: &Value, data: &Value) {
    let said = validate(document, schema, data);
    let read = read(name, data);
    let shaped = match &read {
        Err(CommandError::Malformed(_)) => false,
        // Free objects are read as any JSON and looked at afterwards.
        Err(CommandError::Field(error)) => error.problem != "must be a JSON object",
        _ => true,
    };
    assert_eq!(said.is_ok(), shaped, "{name} {data}: the schema says {said:?}, the code {read:?}");
}

/// Leaves out, replaces and adds, in every object of `data`.
fn variations(data: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match data {
        Value::Object(fields) => {
            let with = |change: &dyn Fn(&mut Map<String, Value>)| {
                let mut fields = fields.clone();
                change(&mut fields);
                Value::Object(fields)
            };
            all.push(with(&|fields| drop(fields.insert("nonsense".into(), json!(1)))));
            for (name, field) in fields {
                all.push(with(&|fields| drop(fields.remove(name))));
                for value in values().into_iter().chain(variations(field)) {
                    all.push(with(&|fields| drop(fields.insert(name.clone(), value.clone()))));
                }
            }
        }
        Value::Array(items) => {
            let inner = items.iter().flat_map(|item| values().into_iter().chain(variations(item)));
            all.extend(inner.map(|value| json!([value])));
        }
        _ => {}
    }
    all
}

#[test]
fn schemas_take_what_the_code_takes() {
    let model = model::model();
    let document = json!({"$defs": model.types});
    let mut compared = 0;
    for line in &model.methods {
        let data = sample(&document, "", &line.data);
        compare(&document, line.message.name, &line.data, &data);
        let read = read(line.message.name, &data);
        assert!(read.is_ok(), "{} {data}: {read:?}", line.message.name);
        for variation in variations(&data) {
            compare(&document, line.message.name, &line.data, &variation);
            compared += 1;
        }
    }
    assert!(compared > 1_000, "{compared}");
}
