//! The doors to playlists.

use axum::extract::State;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use studyhall_protocol::playlists::StudyPlaylist;
use studyhall_protocol::rest::Page;

use super::sql;
use crate::error::Result;
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/playlists", get(list).post(command("playlist.create", &[])))
        .route(
            "/playlists/{id}",
            patch(command("playlist.update", &["id"])).delete(bare_command("playlist.delete", &["id"])),
        )
        .route("/playlists/{id}/move", post(command("playlist.move", &["id"])))
}

/// Mine, in their order.
async fn list(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<StudyPlaylist>>> {
    let limit = paging.limit()?;
    let rows = sql::page(state.db.pool(), caller.id(), paging.after()?, i64::from(limit) + 1).await?;
    Ok(Json(rows.into_page(limit, |row| (row.order_index, row.created_at, row.id))?))
}
