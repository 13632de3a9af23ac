//! The door to the home page.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use studyhall_protocol::dashboard::Dashboard;

use crate::error::Result;
use crate::http::{AppState, Caller};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/dashboard", get(get_dashboard))
}

/// Everything that my home page shows, in one snapshot.
async fn get_dashboard(caller: Caller, State(state): State<AppState>) -> Result<Json<Dashboard>> {
    Ok(Json(super::dashboard(state.db.pool(), caller.id()).await?))
}
