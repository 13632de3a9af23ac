//! The doors to task lists and tasks.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use studyhall_protocol::rest::Page;
use studyhall_protocol::tasks::{Task, TaskList};
use uuid::Uuid;

use super::sql;
use crate::error::{Error, Result};
use crate::http::door::{door, with_id};
use crate::http::{AppState, Body, Caller, Paging, Path, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/task-lists", get(list_task_lists).post(create_task_list))
        .route("/task-lists/{id}", patch(update_task_list).delete(delete_task_list))
        .route("/task-lists/{id}/tasks", get(list_tasks).post(create_task))
        .route("/tasks/{id}", patch(update_task).delete(delete_task))
        .route("/tasks/{id}/move", post(move_task))
}

/// My lists, oldest first.
async fn list_task_lists(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<TaskList>>> {
    let limit = paging.limit()?;
    let rows = sql::task_lists_page(state.db.pool(), caller.id(), paging.after()?, i64::from(limit) + 1).await?;
    Ok(Json(rows.into_page(limit, |list| (list.created_at, list.id))?))
}

/// The tasks of one of my lists, in their order.
async fn list_tasks(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Task>>> {
    let limit = paging.limit()?;
    let rows = sql::tasks_page(state.db.pool(), caller.id(), id, paging.after()?, i64::from(limit) + 1).await?;
    let rows = rows.ok_or_else(Error::not_found)?;
    Ok(Json(rows.into_page(limit, |task| (task.order_index, task.created_at, task.id))?))
}

async fn create_task_list(
    caller: Caller,
    State(state): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "task_list.create", body).await
}

async fn update_task_list(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "task_list.update", with_id(body, "id", id)?).await
}

async fn delete_task_list(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response> {
    door(&caller, &state, &headers, "task_list.delete", json!({ "id": id })).await
}

async fn create_task(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "task.create", with_id(body, "list_id", id)?).await
}

async fn update_task(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "task.update", with_id(body, "id", id)?).await
}

async fn move_task(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "task.move", with_id(body, "id", id)?).await
}

async fn delete_task(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response> {
    door(&caller, &state, &headers, "task.delete", json!({ "id": id })).await
}
