//! Reading a JSON body.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use studyhall_protocol::check::no_nul;

use crate::error::{Error, Result};

/// For a whole body: at this pace even the largest comes over a bad line. Sooner than whoever waits for PostgreSQL gives up,
/// or that would be blamed.
const BODY_WITHIN: Duration = Duration::from_secs(15);
/// Bytes of a request body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// A JSON body. Errors: 415 for another content type, 413 above 256 KiB, 400 with the place of what is not JSON or
/// has another shape, 422 for the NUL character.
#[derive(Debug, Clone)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        let bytes = read(request).await?;
        let value = parse(&bytes)?;
        // An array would be read as the fields in their order.
        if !value.is_object() {
            return Err(not_an_object());
        }
        no_nul(&value)?;
        serde_json::from_value(value).map(Body).map_err(|error| Error::bad_request("bad_request", error.to_string()))
    }
}

async fn read(request: Request) -> Result<Vec<u8>> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(kind) {
        let detail = "send content-type: application/json";
        return Err(Error::status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    read_bytes(request).await
}

/// The bytes of a body, whatever they are; 413 above [`BODY_BYTES_MAX`], 400 when they come too slowly.
pub async fn read_bytes(request: Request) -> Result<Vec<u8>> {
    let read = tokio::time::timeout(BODY_WITHIN, read_all(request)).await;
    read.unwrap_or_else(|_| Err(Error::bad_request("bad_request", "the body came too slowly")))
}

async fn read_all(request: Request) -> Result<Vec<u8>> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.unwrap_or(0) > BODY_BYTES_MAX {
        return Err(too_large());
    }
    let mut chunks = request.into_body().into_data_stream();
    let mut bytes = Vec::with_capacity(declared.unwrap_or(0));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Error::bad_request("bad_request", "the body ended early"))?;
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// 400: every body and every command is an object.
pub(super) fn not_an_object() -> Error {
    Error::bad_request("bad_request", "expected a JSON object")
}

fn too_large() -> Error {
    let detail = format!("a body may have {BODY_BYTES_MAX} bytes");
    Error::status(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn parse(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::bad_request("malformed_json", format!("the body is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body as Raw;

    async fn answer(kind: &str, body: impl Into<Raw>) -> (u16, &'static str, String) {
        let request = Request::builder().header(header::CONTENT_TYPE, kind).body(body.into()).unwrap();
        match Body::<std::collections::HashMap<String, u32>>::from_request(request, &()).await {
            Ok(_) => (200, "", String::new()),
            Err(error) => (error.http_status().as_u16(), error.code(), error.to_string()),
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_said() {
        assert_eq!(answer("application/json; charset=utf-8", r#"{"a":1}"#).await.0, 200);
        assert_eq!(answer("text/plain", "{}").await.1, "unsupported_media_type");
        assert_eq!(answer("application/json", vec![b' '; BODY_BYTES_MAX + 1]).await.0, 413);
        let (status, code, text) = answer("application/json", "{\n \"a\": }").await;
        assert_eq!((status, code), (400, "malformed_json"));
        assert!(text.contains("line 2 column"), "{text}");
        assert_eq!(answer("application/json", r#"{"a":"b"}"#).await.0, 400);
        assert_eq!(answer("application/json", "[]").await.0, 400);
        assert_eq!(answer("application/json", r#"{"a\u0000":1}"#).await.0, 422);
        assert_eq!(answer("application/json", "[".repeat(10_000)).await.0, 400);
        assert_eq!(answer("application/json", r#"{"a":"\ud800"}"#).await.0, 400);
    }
}
