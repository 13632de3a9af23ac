//! The doors to the calendar and its reminders.

use axum::extract::State;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use chrono::NaiveDate;
use serde::Deserialize;
use studyhall_protocol::Answer;
use studyhall_protocol::calendar::{CalendarEvent, Reminder, day};
use studyhall_protocol::rest::Page;
use uuid::Uuid;

use super::sql;
use crate::error::{Error, Result};
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Path, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/calendar-events", get(list_events).post(command("calendar_event.create", &[])))
        .route(
            "/calendar-events/{id}",
            get(get_event)
                .patch(command("calendar_event.update", &["id"]))
                .delete(bare_command("calendar_event.delete", &["id"])),
        )
        .route("/calendar-events/{id}/move", post(command("calendar_event.move", &["id"])))
        .route("/calendar-events/{id}/reminders", get(list_reminders).post(command("reminder.create", &["event_id"])))
        .route("/reminders/{id}", delete(bare_command("reminder.delete", &["id"])))
}

/// The days that are asked for, both included.
#[derive(Debug, Clone, Deserialize)]
struct Days {
    #[serde(default)]
    from: Option<NaiveDate>,
    #[serde(default)]
    to: Option<NaiveDate>,
    #[serde(flatten)]
    paging: Paging,
}

/// What is in my calendar, by day.
async fn list_events(
    caller: Caller,
    State(state): State<AppState>,
    Query(days): Query<Days>,
) -> Result<Json<Page<CalendarEvent>>> {
    day("from", days.from)?;
    day("to", days.to)?;
    let limit = days.paging.limit()?;
    let after: sql::After = days.paging.after()?;
    day("cursor", after.map(|row| row.0))
        .map_err(|_| Error::bad_request("bad_cursor", "cursor has an impossible day"))?;
    let range = (days.from, days.to);
    let rows = sql::events_page(state.db.pool(), caller.id(), range, after, i64::from(limit) + 1).await?;
    Ok(Json(rows.into_page(limit, |event| (event.event_date, event.order_index, event.created_at, event.id))?))
}

/// One event.
async fn get_event(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> Result<Json<Answer<CalendarEvent>>> {
    let found = sql::event_now(state.db.pool(), caller.id(), id).await?;
    let (data, positions) = found.ok_or_else(Error::not_found)?;
    Ok(Json(Answer { positions, data }))
}

/// The reminders of one of my events, by their time.
async fn list_reminders(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Reminder>>> {
    let limit = paging.limit()?;
    let rows = sql::reminders_page(state.db.pool(), caller.id(), id, paging.after()?, i64::from(limit) + 1).await?;
    let rows = rows.ok_or_else(Error::not_found)?;
    Ok(Json(rows.into_page(limit, |reminder| (reminder.remind_at, reminder.id))?))
}
