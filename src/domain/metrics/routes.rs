//! The doors to progress metrics.

use axum::extract::State;
use axum::routing::{delete, get};
use axum::{Json, Router};
use chrono::NaiveDate;
use serde::Deserialize;
use studyhall_protocol::assignments::day;
use studyhall_protocol::check::{self, FieldError};
use studyhall_protocol::metrics::ProgressMetric;
use studyhall_protocol::rest::Page;
use uuid::Uuid;

use super::sql::{self, Wanted};
use crate::error::{Error, Result};
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/progress-metrics", get(list).put(command("progress_metric.record", &[])))
        .route("/progress-metrics/{id}", delete(bare_command("progress_metric.delete", &["id"])))
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

/// Mine, the newest day first.
async fn list(
    caller: Caller,
    State(state): State<AppState>,
    Query(which): Query<Which>,
) -> Result<Json<Page<ProgressMetric>>> {
    let limit = which.paging.limit()?;
    let after: Option<(NaiveDate, Uuid)> = which.paging.after()?;
    day("cursor", after.map(|row| row.0))?;
    let scope = which.scope.as_deref();
    if let Some(scope) = scope {
        check::no_nul(&scope.into()).map_err(|error| FieldError::new("scope", error.problem))?;
        check::text("scope", scope, 16)?;
    }
    let (from, to) = (read_day("from", which.from.as_deref())?, read_day("to", which.to.as_deref())?);
    let wanted = Wanted { scope, from, to };
    let rows = sql::page(state.db.pool(), caller.id(), wanted, after, i64::from(limit) + 1).await?;
    Ok(Json(rows.into_page(limit, |row| (row.captured_at, row.id))?))
}

fn read_day(field: &str, text: Option<&str>) -> Result<Option<NaiveDate>> {
    let Some(text) = text else { return Ok(None) };
    let problem = |_| Error::invalid(FieldError::new(field, "must be a day such as 2026-11-01"));
    let read: NaiveDate = text.parse().map_err(problem)?;
    day(field, Some(read))?;
    Ok(Some(read))
}
