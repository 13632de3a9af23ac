//! The doors to settings.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use studyhall_protocol::rest::Answer;
use studyhall_protocol::settings::Settings;

use super::sql;
use crate::error::{Error, Result};
use crate::http::door::command;
use crate::http::{AppState, Caller};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/me/settings", get(get_settings).patch(command("settings.update", &[])))
}

/// My settings.
async fn get_settings(caller: Caller, State(state): State<AppState>) -> Result<Json<Answer<Settings>>> {
    let found = sql::select_settings_with_position(state.db.pool(), caller.id()).await?;
    let (data, position) = found.ok_or_else(Error::unauthorized)?;
    Ok(Json(Answer { positions: vec![position], data }))
}
