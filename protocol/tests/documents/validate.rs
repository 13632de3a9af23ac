//! Whether a value is as a schema says. It knows the words of JSON Schema that our documents use and no others, and it
//! is stricter than the standard: what a schema does not name may not be there.

use chrono::{DateTime, NaiveDate};
use serde_json::Value;
use studyhall_protocol::Channel;
use uuid::Uuid;

/// What is wrong and where, if anything is. `document` is what references lead into.
pub fn validate(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    at("", document, schema, value)
}

fn at(path: &str, document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(words) = schema else {
        return if *schema == Value::Bool(true) { Ok(()) } else { Err(format!("{path}: nothing is allowed here")) };
    };
    for (word, says) in words {
        match word.as_str() {
            // Said together with `properties`, or for people.
            "required"
            | "additionalProperties"
            | "description"
            | "title"
            | "default"
            | "$defs"
            | "$schema"
            | "$comment" => {}
            "$ref" => {
                let place = says.as_str().unwrap().trim_start_matches('#');
                let schema = document.pointer(place).unwrap_or_else(|| panic!("{says} leads nowhere"));
                at(path, document, schema, value)?;
            }
            "type" => of_type(path, says, value)?,
            "const" => ensure(says == value, path, || format!("{value} is not {says}"))?,
            "enum" => ensure(says.as_array().unwrap().contains(value), path, || format!("{value} is none of {says}"))?,
            "oneOf" | "anyOf" => choice(path, document, says, value)?,
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    at(&format!("{path}/{index}"), document, says, item)?;
                }
            }
            "properties" => {}
            "format" => format_of(path, says.as_str().unwrap(), value)?,
            "pattern" => ensure(text(value).parse::<Channel>().is_ok(), path, || format!("{value} is no channel"))?,
            "minimum" => ensure(value.as_f64() >= says.as_f64(), path, || format!("{value} is below {says}"))?,
            "maximum" => ensure(value.as_f64() <= says.as_f64(), path, || format!("{value} is above {says}"))?,
            _ => panic!("the checker does not know {word:?} of {schema}"),
        }
    }
    object(path, document, schema, value)
}

fn object(path: &str, document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let (Some(fields), Some("object")) = (value.as_object(), schema["type"].as_str()) else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten() {
        ensure(fields.contains_key(name.as_str().unwrap()), path, || format!("{name} is missing"))?;
    }
    for (name, field) in fields {
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => at(&format!("{path}/{name}"), document, schema, field)?,
            (None, Value::Bool(true)) => {}
            (None, _) => return Err(format!("{path}: {name:?} is not known")),
        }
    }
    Ok(())
}

/// Exactly one of them: the choices of our documents exclude each other. Those of another `type` are out at once.
fn choice(path: &str, document: &Value, choices: &Value, value: &Value) -> Result<(), String> {
    let named = |one: &&Value| {
        let name = one.pointer("/properties/type/const");
        name.is_none_or(|name| value.get("type") == Some(name))
    };
    let possible = choices.as_array().unwrap().iter().filter(named);
    let verdicts: Vec<_> = possible.map(|one| at(path, document, one, value)).collect();
    match verdicts.iter().filter(|verdict| verdict.is_ok()).count() {
        1 => Ok(()),
        0 if verdicts.is_empty() => Err(format!("{path}: no choice has type {}", value["type"])),
        0 => Err(verdicts.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; or ")),
        _ => Err(format!("{path}: {value} is several things at once")),
    }
}

fn of_type(path: &str, types: &Value, value: &Value) -> Result<(), String> {
    let is = |word: &Value| match word.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the checker does not know type {other}"),
    };
    let any = types.as_array().map_or_else(|| is(types), |types| types.iter().any(is));
    ensure(any, path, || format!("{value} is no {types}"))
}

fn format_of(path: &str, format: &str, value: &Value) -> Result<(), String> {
    let fine = match (format, value) {
        (_, Value::Null) => true,
        ("uuid", _) => text(value).len() == 36 && Uuid::try_parse(text(value)).is_ok(),
        ("date-time", _) => DateTime::parse_from_rfc3339(text(value)).is_ok(),
        ("date", _) => NaiveDate::parse_from_str(text(value), "%Y-%m-%d").is_ok(),
        ("int32", _) => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        ("int64" | "double", _) => true,
        _ => panic!("the checker does not know format {format}"),
    };
    ensure(fine, path, || format!("{value} is no {format}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn ensure(fine: bool, path: &str, what: impl Fn() -> String) -> Result<(), String> {
    if fine { Ok(()) } else { Err(format!("{path}: {}", what())) }
}
