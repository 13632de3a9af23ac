//! The door out.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::routing::post;
use studyhall_protocol::accounts::Erasure;

use crate::error::Result;
use crate::http::{AppState, Body, Caller};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/me/erasure", post(erase))
}

/// Erases me. From the answer on nobody can sign in as me; what others see of me is gone a moment later.
async fn erase(
    State(state): State<AppState>,
    caller: Caller,
    Body(given): Body<Erasure>,
) -> Result<(StatusCode, [(header::HeaderName, HeaderValue); 1])> {
    super::ask(&state, &caller, given).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, state.cookies.clear()?)]))
}
