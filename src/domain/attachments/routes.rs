//! The doors to files.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use studyhall_protocol::attachments::{Attachment, AttachmentPage};
use studyhall_protocol::check::{self, FieldError};
use studyhall_protocol::rest::Answer;
use uuid::Uuid;

use super::serve::serve;
use super::sql::{self, Seen};
use super::upload::{Desk, Incoming};
use crate::error::{Error, Result};
use crate::http::cursor;
use crate::http::door::{bare_command, command, idempotency_key, json};
use crate::http::{AppState, Caller, Paging, Path, Query};

/// Characters of a name, as its column has.
const NAME_CHARS_MAX: usize = 255;

/// The routes of this domain, but for the one that takes files.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/attachments", get(list))
        .route("/attachments/{id}", get(metadata).delete(bare_command("attachment.delete", &["id"])))
        .route("/attachments/{id}/content", get(content))
        .route("/attachments/{id}/link", post(command("attachment.link", &["id"])))
}

/// The route that takes files: how long it takes is up to the line, and it waits for PostgreSQL only where it has to.
pub fn uploads() -> Router<AppState> {
    Router::new().route("/attachments", post(upload))
}

#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default)]
    file_name: Option<String>,
}

/// Takes a file.
async fn upload(State(state): State<AppState>, request: Request) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    let silent = || Error::unavailable("unavailable", "the database does not answer; try again shortly");
    let caller = state.db.patiently(Caller::from_request_parts(&mut parts, &state)).await.ok_or_else(silent)??;
    let Query(named): Query<Named> = Query::from_request_parts(&mut parts, &state).await?;
    refuse_forms(&parts.headers)?;
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let incoming = Incoming {
        asker: caller.asker(),
        op: idempotency_key(&parts.headers)?,
        file_name: file_name(named.file_name.as_deref())?,
        declared: length.and_then(|value| value.to_str().ok()?.parse().ok()),
        body,
    };
    let desk = Desk { db: state.db, writer: state.writer, storage: state.storage };
    // In a task of its own: it goes on when they hang up, and cleans up behind them.
    let answer = tokio::spawn(async move { desk.take(incoming).await }).await.map_err(Error::internal)??;
    Ok(json(StatusCode::CREATED, &answer))
}

/// The body is the file. In a form it would be between other things, and in a compressed body it would not be itself.
fn refuse_forms(headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let kind = text(header::CONTENT_TYPE);
    let form = kind.starts_with("multipart/") || kind.starts_with("application/x-www-form-urlencoded");
    if form || !matches!(text(header::CONTENT_ENCODING).as_str(), "" | "identity") {
        let detail = "send the file itself as the body, not a form and not compressed";
        return Err(Error::status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    Ok(())
}

/// A name for people. It names nothing in the store.
fn file_name(given: Option<&str>) -> Result<String> {
    let name: String = given.unwrap_or_default().trim().chars().map(plain).collect();
    if name.contains(['/', '\\']) || name == "." || name == ".." {
        return Err(Error::invalid(FieldError::new("file_name", "must be a name without a path")));
    }
    check::text("file_name", &name, NAME_CHARS_MAX)?;
    Ok(if name.is_empty() { "file".into() } else { name })
}

/// Without what would make a name look like another one.
fn plain(character: char) -> char {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if character.is_control() || turns { '_' } else { character }
}

/// My files, newest first.
async fn list(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<AttachmentPage>> {
    let limit = paging.limit()?;
    let page = sql::page(state.db.pool(), caller.id(), paging.after()?, i64::from(limit) + 1).await?;
    let mut items = page.items.0;
    let next_cursor = cursor::cut(&mut items, limit, |file| (file.created_at, file.id))?;
    Ok(Json(AttachmentPage {
        items,
        next_cursor,
        positions: page.positions.0,
        used_bytes: page.used_bytes,
        quota_bytes: state.storage.quota_bytes,
    }))
}

async fn seen(caller: &Caller, state: &AppState, id: Uuid) -> Result<Seen> {
    sql::seen(state.db.pool(), caller.id(), id).await?.ok_or_else(Error::not_found)
}

/// What is known of a file.
async fn metadata(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> Result<Json<Answer<Attachment>>> {
    let seen = seen(&caller, &state, id).await?;
    Ok(Json(Answer { positions: seen.positions.0, data: seen.file.0 }))
}

/// What is in a file.
async fn content(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response> {
    serve(&state.storage, seen(&caller, &state, id).await?, &headers).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = |text: &str| file_name(Some(text)).map_err(|error| error.code());
        assert_eq!(name("日本語 notes.pdf"), Ok("日本語 notes.pdf".into()));
        assert_eq!(name("a\r\nb\0\u{202e}gpj.exe"), Ok("a__b__gpj.exe".into()));
        assert_eq!(name(" "), Ok("file".into()));
        assert_eq!(name(&"日".repeat(255)), Ok("日".repeat(255)));
        for bad in ["../../etc/passwd", "a/b", "a\\b", "..", ".", &"a".repeat(256)] {
            assert_eq!(name(bad), Err("invalid_field"), "{bad}");
        }
    }
}
