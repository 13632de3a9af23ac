//! The doors to courses.

use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};
use studyhall_protocol::courses::Course;
use studyhall_protocol::rest::{Answer, Page};
use uuid::Uuid;

use super::sql;
use crate::error::{Error, Result};
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Path, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/courses", get(list).post(command("course.create", &[])))
        .route(
            "/courses/{id}",
            get(one).patch(command("course.update", &["id"])).delete(bare_command("course.delete", &["id"])),
        )
        .route(
            "/courses/{id}/members/{user_id}",
            put(bare_command("course_member.add", &["course_id", "user_id"]))
                .delete(bare_command("course_member.remove", &["course_id", "user_id"])),
        )
}

/// The courses that I am in, oldest first.
async fn list(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Course>>> {
    let limit = paging.limit()?;
    let rows = sql::page(state.db.pool(), caller.id(), None, paging.after()?, i64::from(limit) + 1).await?;
    Ok(Json(rows.into_page(limit, |course| (course.created_at, course.id))?))
}

async fn one(caller: Caller, State(state): State<AppState>, Path(id): Path<Uuid>) -> Result<Json<Answer<Course>>> {
    let rows = sql::page(state.db.pool(), caller.id(), Some(id), None, 1).await?;
    let data = rows.items.0.into_iter().next().ok_or_else(Error::not_found)?;
    Ok(Json(Answer { positions: rows.positions.0, data }))
}
