//! The commands of the protocol. REST and `rpc` are two doors to the same actions.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use studyhall_protocol::Command;
use studyhall_protocol::routes::makes;
use uuid::Uuid;

use super::body::not_an_object;
use super::{AppState, Body, Caller, Path};
use crate::db::{Asker, Writer};
use crate::error::{Error, Result};

/// What a route of a command comes to.
pub type Answering = BoxFuture<'static, Result<Response>>;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The door of REST: runs the command `method` with `body` and answers what `rpc` answers, with 201 when something was
/// made. `Idempotency-Key` is the operation id. Errors: those of reading the command and of the command itself.
pub async fn door(
    caller: &Caller,
    state: &AppState,
    headers: &HeaderMap,
    method: &str,
    body: Value,
) -> Result<Response> {
    let op = idempotency_key(headers)?;
    let command = read(method, body)?;
    let answer = state.writer.execute(caller.asker(), op, command).await?;
    let status = if makes(method) { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &answer))
}

/// A route that runs the command `method`: the parts of the path, in their order, are the fields `ids`, and the body
/// has the others.
pub fn command(
    method: &'static str,
    ids: &'static [&'static str],
) -> impl Fn(Caller, State<AppState>, Path<Vec<Uuid>>, HeaderMap, Body<Value>) -> Answering + Clone + Send + Sync + 'static
{
    move |caller, State(state), path, headers, Body(body)| {
        async move { door(&caller, &state, &headers, method, with_ids(body, ids, &path)?).await }.boxed()
    }
}

/// A route that runs the command `method`, all of whose fields are in the path; a body is not read.
pub fn bare_command(
    method: &'static str,
    ids: &'static [&'static str],
) -> impl Fn(Caller, State<AppState>, Path<Vec<Uuid>>, HeaderMap) -> Answering + Clone + Send + Sync + 'static {
    move |caller, State(state), path, headers| {
        async move { door(&caller, &state, &headers, method, with_ids(Value::Null, ids, &path)?).await }.boxed()
    }
}

fn with_ids(body: Value, fields: &[&str], path: &Path<Vec<Uuid>>) -> Result<Value> {
    fields.iter().zip(&path.0).try_fold(body, |body, (field, id)| with_id(body, field, *id))
}

/// The door of `rpc`: `data` holds the fields of the command and optionally `op`.
pub async fn rpc(writer: &Writer, asker: Asker, method: &str, data: Option<&RawValue>) -> Result<Box<RawValue>> {
    let mut data = match data {
        Some(data) => serde_json::from_str(data.get())
            .map_err(|error| Error::bad_request("malformed_json", format!("data is not JSON: {error}")))?,
        None => Value::Object(Map::new()),
    };
    let op = match data.as_object_mut().and_then(|data| data.remove("op")) {
        None | Some(Value::Null) => None,
        Some(Value::String(op)) => Some(parse_op(&op)?),
        Some(_) => return Err(bad_op()),
    };
    let command = read(method, data)?;
    writer.execute(asker, op, command).await
}

fn read(method: &str, data: Value) -> Result<Command> {
    // An array would be read as the fields in their order.
    if !data.is_object() {
        return Err(not_an_object());
    }
    Ok(Command::read(method, data)?)
}

/// Puts an id from the path into the body under its field name; 400 when the body names another one.
fn with_id(body: Value, field: &str, id: Uuid) -> Result<Value> {
    let mut body = match body {
        Value::Object(body) => body,
        Value::Null => Map::new(),
        _ => return Err(not_an_object()),
    };
    let id = Value::from(id.to_string());
    match body.insert(field.to_owned(), id.clone()) {
        Some(other) if other != id => {
            let detail = format!("{field} in the body differs from the address");
            Err(Error::bad_request("bad_request", detail).with_field(field))
        }
        _ => Ok(Value::Object(body)),
    }
}

/// An answer whose JSON text is there already.
pub fn json(status: StatusCode, text: &RawValue) -> Response {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [kind], text.get().to_owned()).into_response()
}

/// The operation id of a request; 400 when it is not a UUID.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<Uuid>> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(bad_op());
    }
    let key = key.to_str().map_err(|_| bad_op())?.trim();
    // The draft of the header has the key in quotes.
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    parse_op(key).map(Some)
}

fn parse_op(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| bad_op())
}

fn bad_op() -> Error {
    Error::bad_request("bad_op", "the operation id (Idempotency-Key, op) must be one UUID").with_field("op")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operation_ids_are_uuids() {
        let id = Uuid::new_v4();
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IDEMPOTENCY_KEY, HeaderValue::try_from(text).unwrap());
            idempotency_key(&headers)
        };
        assert_eq!(read(&id.to_string()).unwrap(), Some(id));
        assert_eq!(read(&format!("\"{id}\"")).unwrap(), Some(id));
        assert_eq!(read("again").unwrap_err().code(), "bad_op");
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn the_address_names_the_thing() {
        let (id, other) = (Uuid::new_v4(), Uuid::new_v4());
        assert_eq!(with_id(json!({"name": "a"}), "id", id).unwrap(), json!({"name": "a", "id": id}));
        assert_eq!(with_id(json!({"id": id}), "id", id).unwrap(), json!({"id": id}));
        assert_eq!(with_id(json!({"id": other}), "id", id).unwrap_err().http_status(), StatusCode::BAD_REQUEST);
        assert_eq!(with_id(json!([]), "id", id).unwrap_err().http_status(), StatusCode::BAD_REQUEST);
    }
}
