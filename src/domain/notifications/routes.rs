//! The doors to notifications.

use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use studyhall_protocol::Answer;
use studyhall_protocol::notifications::{Notification, UnreadCount};
use studyhall_protocol::rest::Page;

use super::sql;
use crate::error::Result;
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/notifications", get(list_notifications))
        .route("/notifications/unread-count", get(get_unread_count))
        .route("/notifications/read", post(command("notification.read_all", &[])))
        .route("/notifications/{id}/read", put(bare_command("notification.read", &["id"])))
}

/// What I am told of, newest first.
async fn list_notifications(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Notification>>> {
    let limit = paging.limit()?;
    let rows = sql::page(state.db.pool(), caller.id(), paging.after()?, i64::from(limit) + 1).await?;
    Ok(Json(rows.into_page(limit, |one| (one.updated_at, one.id))?))
}

/// How many I have not read.
async fn get_unread_count(caller: Caller, State(state): State<AppState>) -> Result<Json<Answer<UnreadCount>>> {
    let (unread_count, positions) = sql::unread(state.db.pool(), caller.id()).await?;
    Ok(Json(Answer { positions, data: UnreadCount { unread_count } }))
}
