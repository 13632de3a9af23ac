//! The doors to rooms, members and widgets.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use studyhall_protocol::rest::Page;
use studyhall_protocol::workspaces::{MemberPerson, MyWorkspace, Room};
use uuid::Uuid;

use super::sql;
use crate::error::{Error, Result};
use crate::http::door::{door, with_id};
use crate::http::{AppState, Body, Caller, Paging, Path, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/workspaces", get(list_workspaces).post(create_workspace))
        .route("/workspaces/{id}", get(get_workspace).patch(update_workspace).delete(delete_workspace))
        .route("/workspaces/{id}/members", get(list_members))
        .route("/workspaces/{id}/members/{user_id}", put(add_member).delete(remove_member))
        .route("/workspaces/{id}/widgets", post(create_widget))
        .route("/widgets/{id}", patch(update_widget).delete(delete_widget))
        .route("/widgets/{id}/move", post(move_widget))
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

async fn create_workspace(
    caller: Caller,
    State(state): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "workspace.create", body).await
}

async fn update_workspace(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "workspace.update", with_id(body, "id", id)?).await
}

async fn delete_workspace(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response> {
    door(&caller, &state, &headers, "workspace.delete", json!({ "id": id })).await
}

async fn add_member(
    caller: Caller,
    State(state): State<AppState>,
    Path((id, user_id)): Path<(Uuid, Uuid)>,
    headers: HeaderMap,
) -> Result<Response> {
    let body = json!({ "workspace_id": id, "user_id": user_id });
    door(&caller, &state, &headers, "member.add", body).await
}

async fn remove_member(
    caller: Caller,
    State(state): State<AppState>,
    Path((id, user_id)): Path<(Uuid, Uuid)>,
    headers: HeaderMap,
) -> Result<Response> {
    let body = json!({ "workspace_id": id, "user_id": user_id });
    door(&caller, &state, &headers, "member.remove", body).await
}

async fn create_widget(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "widget.create", with_id(body, "workspace_id", id)?).await
}

async fn update_widget(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "widget.update", with_id(body, "id", id)?).await
}

async fn move_widget(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "widget.move", with_id(body, "id", id)?).await
}

async fn delete_widget(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response> {
    door(&caller, &state, &headers, "widget.delete", json!({ "id": id })).await
}
