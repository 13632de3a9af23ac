//! Whatever passes by in tests is as the documents in `protocol/` say: answers and problems of REST, and on live
//! connections answers, events, slots and broadcasts.

use std::sync::LazyLock;

use serde_json::{Value, json};
use studyhall_protocol::codes::CODES;
use studyhall_protocol::describe::{ASYNCAPI, OPENAPI};

use super::validate::validate;

static REST: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(OPENAPI).unwrap());
static LIVE: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(ASYNCAPI).unwrap());

/// The live side of the version before, as its clients read it: what they do not know they ignore.
static PREVIOUS: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::from_str(include_str!("../../../protocol/previous/asyncapi.json")).unwrap();
    ignore_unknown(&mut document);
    for name in GROWN {
        document["components"]["schemas"][name] = json!({});
    }
    document
});

/// Enumerations with words that the version before did not have; see docs/decisions/028-evolution.md.
const GROWN: &[&str] = &["EndReason"];

fn ignore_unknown(schema: &mut Value) {
    if let Some(fields) = schema.as_object_mut()
        && fields.get("properties").is_some_and(Value::is_object)
    {
        fields.insert("additionalProperties".into(), true.into());
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(ignore_unknown),
        Value::Array(items) => items.iter_mut().for_each(ignore_unknown),
        _ => {}
    }
}

#[track_caller]
fn expect(document: &Value, schema: &Value, value: &Value, what: &str) {
    if let Err(wrong) = validate(document, schema, value) {
        panic!("{what} is not as described: {wrong}\n{value}");
    }
}

/// The parts of every path, with what is described there.
static PATHS: LazyLock<Vec<(Vec<&str>, &Value)>> = LazyLock::new(|| {
    let paths = REST["paths"].as_object().unwrap();
    paths.iter().map(|(path, methods)| (path.split('/').collect(), methods)).collect()
});

/// What is described for `path`, which may be followed by a question.
pub fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let parts: Vec<_> = path.split('?').next()?.split('/').collect();
    let fits = |template: &[&str]| {
        let same = |(name, part): (&&str, &&str)| name.starts_with('{') || name == part;
        template.len() == parts.len() && template.iter().zip(&parts).all(same)
    };
    let found = PATHS.iter().filter(|(template, _)| fits(template));
    // A word goes before a name in braces.
    let names = |template: &[&str]| template.iter().filter(|part| part.starts_with('{')).count();
    found.min_by_key(|(template, _)| names(template))?.1.get(method.to_lowercase())
}

/// The schema of a body.
pub fn body(operation: &'static Value) -> Option<&'static Value> {
    let mut schema = operation.pointer("/requestBody/content/application~1json/schema")?;
    if let Some(place) = schema["$ref"].as_str() {
        schema = REST.pointer(place.trim_start_matches('#')).unwrap();
    }
    Some(schema)
}

/// A call of REST and its answer.
#[track_caller]
pub fn rest(method: &str, path: &str, asked: Option<&Value>, status: u16, answer: &Value) {
    let what = format!("{method} {path} → {status}");
    let Some(operation) = operation(method, path) else {
        assert!(matches!(status, 400 | 401 | 404 | 405), "{what} is not described");
        return;
    };
    let mut response = &operation["responses"][status.to_string()];
    if let Some(place) = response["$ref"].as_str() {
        response = REST.pointer(place.trim_start_matches('#')).unwrap();
    }
    assert!(response.is_object(), "{what} is not described: {answer}");
    let kind = if status < 300 { "application/json" } else { "application/problem+json" };
    match response["content"].get(kind) {
        Some(content) => expect(&REST, &content["schema"], answer, &what),
        None => assert_eq!(answer, "", "{what} has no body"),
    }
    if status < 300
        && let (Some(schema), Some(asked)) = (body(operation), asked)
    {
        // An id of the path may be in the body once more.
        let mut asked = asked.clone();
        if let Some(fields) = asked.as_object_mut() {
            fields.retain(|_, value| !value.as_str().is_some_and(|value| path.split('/').any(|part| part == value)));
        }
        expect(&REST, schema, &asked, &format!("the body of {what}"));
    }
}

/// The reply to `command`.
#[track_caller]
pub fn reply(command: &Value, reply: &Value) {
    if let Some(error) = reply.get("error") {
        expect(&LIVE, &LIVE["components"]["messages"]["error"]["payload"], error, "an error");
        let number = error["code"].as_u64().unwrap_or_default();
        let word = error["message"].as_str().unwrap_or_default().split(':').next().unwrap_or_default();
        let code = CODES.iter().find(|code| code.code == word).unwrap_or_else(|| panic!("{word} is no code: {error}"));
        assert!(code.rpc.iter().any(|known| u64::from(*known) == number), "{word} has another number: {error}");
    } else if let Some(method) = command["rpc"]["method"].as_str() {
        let message = &LIVE["components"]["messages"][format!("{method}.answer")];
        expect(&LIVE, &message["payload"], &reply["rpc"]["data"], method);
    } else if let Some(data) = reply["connect"].get("data") {
        expect(&LIVE, &LIVE["components"]["schemas"]["Connected"], data, "connected");
    } else if let Some(data) = reply["subscribe"].get("data") {
        expect(&LIVE, &LIVE["components"]["schemas"]["Present"], data, "subscribed");
    }
}

/// Something that was pushed.
#[track_caller]
pub fn push(push: &Value) {
    let Some(kind) = push["channel"].as_str().and_then(|channel| channel.split(':').next()) else { return };
    for happened in ["join", "leave"] {
        if let Some(info) = push[happened].get("info") {
            expect(&LIVE, &LIVE["components"]["schemas"]["Occupant"], info, happened);
        }
    }
    let Some(data) = push["pub"].get("data") else { return };
    let name = data["type"].as_str().unwrap_or_default();
    let message = &LIVE["channels"][kind]["messages"][name];
    assert!(message.is_object(), "{name:?} is not described on {kind}: {push}");
    expect(&LIVE, &LIVE["components"]["messages"][name]["payload"], data, &format!("{name} on {kind}"));
    if PREVIOUS["channels"][kind]["messages"][name].is_object() {
        let what = format!("{name} on {kind}, for clients of the version before,");
        expect(&PREVIOUS, &PREVIOUS["components"]["messages"][name]["payload"], data, &what);
    }
}
