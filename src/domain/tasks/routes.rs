//! The doors to task lists and tasks.

use axum::extract::State;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use studyhall_protocol::rest::Page;
use studyhall_protocol::tasks::{Task, TaskList};
use uuid::Uuid;

use super::sql;
use crate::error::{Error, Result};
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Path, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/task-lists", get(list_task_lists).post(command("task_list.create", &[])))
        .route(
            "/task-lists/{id}",
            patch(command("task_list.update", &["id"])).delete(bare_command("task_list.delete", &["id"])),
        )
        .route("/task-lists/{id}/tasks", get(list_tasks).post(command("task.create", &["list_id"])))
        .route("/tasks/{id}", patch(command("task.update", &["id"])).delete(bare_command("task.delete", &["id"])))
        .route("/tasks/{id}/move", post(command("task.move", &["id"])))
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
