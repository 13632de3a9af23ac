//! The doors to rooms, members and widgets.

use axum::extract::State;
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use studyhall_protocol::rest::Page;
use studyhall_protocol::workspaces::{MemberPerson, MyWorkspace, Room};
use uuid::Uuid;

use super::sql;
use crate::error::{Error, Result};
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Path, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    const MEMBER: &[&str] = &["workspace_id", "user_id"];
    Router::new()
        .route("/workspaces", get(list_workspaces).post(command("workspace.create", &[])))
        .route(
            "/workspaces/{id}",
            get(get_workspace)
                .patch(command("workspace.update", &["id"]))
                .delete(bare_command("workspace.delete", &["id"])),
        )
        .route("/workspaces/{id}/members", get(list_members))
        .route(
            "/workspaces/{id}/members/{user_id}",
            put(bare_command("member.add", MEMBER)).delete(bare_command("member.remove", MEMBER)),
        )
        .route("/workspaces/{id}/widgets", post(command("widget.create", &["workspace_id"])))
        .route("/widgets/{id}", patch(command("widget.update", &["id"])).delete(bare_command("widget.delete", &["id"])))
        .route("/widgets/{id}/move", post(command("widget.move", &["id"])))
}

/// The rooms that I am in, oldest first.
async fn list_workspaces(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<MyWorkspace>>> {
    let limit = paging.limit()?;
    let rows = sql::workspaces_page(state.db.pool(), caller.id(), paging.after()?, i64::from(limit)).await?;
    Ok(Json(rows.into_page(limit, |room| (room.workspace.created_at, room.workspace.id))?))
}

/// A whole room.
async fn get_workspace(caller: Caller, State(state): State<AppState>, Path(id): Path<Uuid>) -> Result<Json<Room>> {
    Ok(Json(super::room(state.db.pool(), caller.id(), id).await?))
}

/// Who is in a room, the longest there first.
async fn list_members(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<MemberPerson>>> {
    let limit = paging.limit()?;
    let rows = sql::members_page(state.db.pool(), caller.id(), id, paging.after()?, i64::from(limit) + 1).await?;
    let rows = rows.ok_or_else(Error::not_found)?;
    Ok(Json(rows.into_page(limit, |person| (person.member.created_at, person.member.user_id))?))
}
