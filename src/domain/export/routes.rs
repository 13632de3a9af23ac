//! The door to one's own archive.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::routing::get;
use futures_util::stream;

use crate::error::Result;
use crate::http::{AppState, Caller};

const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"studyhall-export.json\"")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/me/export", get(export))
}

/// All that is stored of me.
async fn export(caller: Caller, State(state): State<AppState>) -> Result<([(HeaderName, HeaderValue); 3], Body)> {
    let pieces = super::export(&state.db, caller.id())?;
    let body = stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
    Ok((HEADERS, Body::from_stream(body)))
}
