//! The doors to assignments.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use studyhall_protocol::assignments::{Assignment, Timeframe, day};
use studyhall_protocol::check::FieldError;
use studyhall_protocol::rest::{Answer, Page};
use uuid::Uuid;

use super::sql::{self, Wanted};
use crate::error::{Error, Result};
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Path, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/assignments", get(list).post(command("assignment.create", &[]))).route(
        "/assignments/{id}",
        get(one).patch(command("assignment.update", &["id"])).delete(bare_command("assignment.delete", &["id"])),
    )
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    timeframe: Option<String>,
    #[serde(default)]
    course_id: Option<Uuid>,
    #[serde(flatten)]
    paging: Paging,
}

/// What is due, the next first.
async fn list(
    caller: Caller,
    State(state): State<AppState>,
    Query(which): Query<Which>,
) -> Result<Json<Page<Assignment>>> {
    let limit = which.paging.limit()?;
    let after: Option<(Option<NaiveDate>, DateTime<Utc>, Uuid)> = which.paging.after()?;
    day("cursor", after.and_then(|row| row.0))?;
    let timeframe = which.timeframe.as_deref().map(timeframe).transpose()?;
    let wanted = Wanted { id: None, timeframe, course_id: which.course_id };
    let rows = sql::page(state.db.pool(), caller.id(), wanted, after, i64::from(limit) + 1).await?;
    Ok(Json(rows.into_page(limit, |row| (row.due_at, row.created_at, row.id))?))
}

fn timeframe(word: &str) -> Result<&'static str> {
    let known = [Timeframe::Week, Timeframe::Month, Timeframe::Later].map(Timeframe::as_str);
    let problem = || Error::invalid(FieldError::new("timeframe", format!("must be one of {}", known.join(", "))));
    known.into_iter().find(|known| *known == word).ok_or_else(problem)
}

async fn one(caller: Caller, State(state): State<AppState>, Path(id): Path<Uuid>) -> Result<Json<Answer<Assignment>>> {
    let wanted = Wanted { id: Some(id), ..Wanted::default() };
    let rows = sql::page(state.db.pool(), caller.id(), wanted, None, 1).await?;
    let data = rows.items.0.into_iter().next().ok_or_else(Error::not_found)?;
    Ok(Json(Answer { positions: rows.positions.0, data }))
}
