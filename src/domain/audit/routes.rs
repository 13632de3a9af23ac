//! The door to the record.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use studyhall_protocol::audit::AuditEntry;
use studyhall_protocol::rest::Page;

use super::sql;
use crate::error::Result;
use crate::http::{AppState, Caller, Paging, Query, cursor};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/me/audit-log", get(audit_log))
}

/// What I did, and what others did to me, newest first.
async fn audit_log(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<AuditEntry>>> {
    let limit = paging.limit()?;
    let mut items = sql::audit_log(state.db.pool(), caller.id(), paging.after()?, i64::from(limit) + 1).await?;
    let next_cursor = cursor::cut(&mut items, limit, |entry| entry.id)?;
    Ok(Json(Page { items, next_cursor, positions: Vec::new() }))
}
