//! `protocol/openapi.json`: REST, as OpenAPI 3.1.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use studyhall_protocol::codes::{CODES, Code};
use studyhall_protocol::routes::BASE;

use crate::model::{Call, Model};
use crate::schemas::{in_components, reachable};
use crate::typescript::path_names;

/// The whole document.
pub fn openapi(model: &Model) -> Value {
    let mut paths = Map::new();
    let mut responses = Map::new();
    for call in &model.calls {
        let operation = operation(model, call, &mut responses);
        let method = call.route.method.to_lowercase();
        let at = paths.entry(call.route.path).or_insert_with(|| json!({}));
        let twice = at.as_object_mut().unwrap().insert(method, operation);
        assert!(twice.is_none(), "{} {} is there twice", call.route.method, call.route.path);
    }
    let types = reachable(model, &json!([paths, responses]));
    in_components(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Studyhall",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The real-time backend of a study dashboard: the first load, and every command.",
            "description": "docs/rest.md tells the story. Made by `make documents` from protocol/src: change it there.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": BASE}],
        "security": [{"token": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": types,
            "responses": responses,
            "parameters": parameters(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`shs_…`, from `POST /sessions`."},
                "cookie": {
                    "type": "apiKey", "in": "cookie", "name": "studyhall",
                    "description": "Set by `POST /sessions`; `__Host-studyhall` behind TLS. Counts only for pages of allowed origins."
                },
            },
        },
    }))
}

fn parameters() -> Value {
    json!({
        "limit": {
            "name": "limit", "in": "query", "description": "Rows at most; brought within what the list allows.",
            "schema": {"type": "integer", "default": 50},
        },
        "cursor": {
            "name": "cursor", "in": "query", "description": "`next_cursor` of the page before.",
            "schema": {"type": "string"},
        },
        "range": {
            "name": "Range", "in": "header", "description": "One range of bytes, as video players ask for.",
            "schema": {"type": "string"},
        },
        "etag": {
            "name": "If-None-Match", "in": "header", "description": "The `ETag` of what is there already.",
            "schema": {"type": "string"},
        },
        "op": {
            "name": "Idempotency-Key", "in": "header",
            "description": "The operation id: sent again with the same one, the command happens once.",
            "schema": {"type": "string", "format": "uuid"},
        },
    })
}

fn operation(model: &Model, call: &Call, responses: &mut Map<String, Value>) -> Value {
    let route = &call.route;
    let mut answers = Map::new();
    answers.insert(route.status().to_string(), answer(call));
    if route.file && !route.makes {
        answers.insert("206".into(), bytes("The range that was asked for."));
        answers.insert("304".into(), json!({"description": "What `If-None-Match` names is what there is."}));
    }
    for (status, codes) in failures(call) {
        let name = codes.iter().copied().collect::<Vec<_>>().join(".");
        answers.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
        responses.entry(name).or_insert_with(|| problem(model, status, &codes));
    }
    let mut operation = json!({
        "operationId": operation_id(call),
        "summary": call.doc,
        "tags": [route.path.split('/').nth(1).unwrap()],
        "responses": answers,
    });
    let parameters = parameters_of(call);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if !call.takes_nothing() {
        let shape = if route.ids.is_empty() { call.body.clone() } else { model.without(&call.body, route.ids) };
        operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": shape}}});
    }
    if route.file && route.makes {
        let body = json!({"description": "The file as it is.", "required": true, "content": {"*/*": {"schema": {}}}});
        operation["requestBody"] = body;
    }
    if route.open {
        operation["security"] = json!([]);
    }
    operation
}

/// The command's name, or the words of the call.
fn operation_id(call: &Call) -> String {
    let words = format!("{}{}", call.route.method.to_lowercase(), call.route.path);
    let words = words.replace(['{', '}'], "").replace(['/', '-', '.'], "_");
    call.route.command.map_or(words, str::to_owned)
}

fn parameters_of(call: &Call) -> Vec<Value> {
    let route = &call.route;
    let in_path = path_names(route.path).map(|name| {
        let shape = match name {
            "channel" => json!({"$ref": "#/$defs/Channel"}),
            "tag" => json!({"type": "string"}),
            _ => json!({"type": "string", "format": "uuid"}),
        };
        json!({"name": name, "in": "path", "required": true, "schema": shape})
    });
    let asked = route
        .query
        .iter()
        .map(|(name, text)| json!({"name": name, "in": "query", "description": text, "schema": {"type": "string"}}));
    let shared = [
        ("limit", route.paged),
        ("cursor", route.paged),
        ("op", route.command.is_some() || route.file && route.makes),
        ("range", route.file && !route.makes),
        ("etag", route.file && !route.makes),
    ];
    let shared = shared.into_iter().filter(|(_, has)| *has);
    let shared = shared.map(|(name, _)| json!({"$ref": format!("#/components/parameters/{name}")}));
    in_path.chain(asked).chain(shared).collect()
}

fn answer(call: &Call) -> Value {
    let text = match call.route.status() {
        201 => "Made.",
        204 => "Done.",
        _ => "All is well.",
    };
    match &call.answer {
        Value::Null if call.route.file => bytes(text),
        Value::Null => json!({"description": text}),
        shape => json!({"description": text, "content": {"application/json": {"schema": shape}}}),
    }
}

/// What is in a file.
fn bytes(text: &str) -> Value {
    json!({"description": text, "content": {"*/*": {"schema": {}}}})
}

/// What may go wrong: the codes of each status.
fn failures(call: &Call) -> BTreeMap<u16, BTreeSet<&'static str>> {
    let route = &call.route;
    let reads_url = route.path.contains('{') || route.paged || !route.query.is_empty();
    let kinds: [(bool, &[&'static str]); 9] = [
        (true, &["too_many_requests", "internal", "unavailable", "busy", "shutting_down"]),
        (!route.open, &["unauthorized", "token_expired", "foreign_origin"]),
        (route.open && route.makes, &["foreign_origin"]),
        (!call.takes_nothing(), &["malformed_json", "payload_too_large", "unsupported_media_type", "invalid_field"]),
        (!call.takes_nothing() || reads_url, &["bad_request"]),
        (route.paged, &["bad_limit", "bad_cursor", "invalid_field"]),
        (route.command.is_some(), &["bad_op", "op_reused", "commit_unknown"]),
        (route.file && route.makes, &["bad_request", "invalid_field"]),
        (true, route.fails),
    ];
    let mut failures: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
    for code in kinds.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, codes)| codes) {
        let status = found(code).status.unwrap_or_else(|| panic!("REST does not know {code}"));
        failures.entry(status).or_default().insert(code);
    }
    failures
}

fn found(code: &str) -> &'static Code {
    CODES.iter().find(|known| known.code == code).unwrap_or_else(|| panic!("{code} is no code"))
}

fn problem(model: &Model, status: u16, codes: &BTreeSet<&str>) -> Value {
    let mut shape = model.types["Problem"].clone();
    shape["properties"]["status"] = json!({"type": "integer", "const": status});
    shape["properties"]["code"] = json!({"type": "string", "enum": codes});
    let text: Vec<_> = codes.iter().map(|code| format!("- `{code}`: {}", found(code).text)).collect();
    let mut response = json!({
        "description": text.join("\n"),
        "content": {"application/problem+json": {"schema": shape}},
    });
    if matches!(status, 429 | 503) {
        response["headers"]["Retry-After"] =
            json!({"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}});
    }
    response
}
