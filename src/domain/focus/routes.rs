//! The doors to focus entries.

use axum::extract::State;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use studyhall_protocol::focus::FocusEntry;
use studyhall_protocol::rest::Page;

use super::sql;
use crate::error::Result;
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/focus-entries", get(list).post(command("focus_entry.create", &[])))
        .route(
            "/focus-entries/{id}",
            patch(command("focus_entry.update", &["id"])).delete(bare_command("focus_entry.delete", &["id"])),
        )
        .route("/focus-entries/{id}/move", post(command("focus_entry.move", &["id"])))
}

/// Mine, in their order.
async fn list(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<FocusEntry>>> {
    let limit = paging.limit()?;
    let rows = sql::page(state.db.pool(), caller.id(), paging.after()?, i64::from(limit) + 1).await?;
    Ok(Json(rows.into_page(limit, |row| (row.order_index, row.created_at, row.id))?))
}
