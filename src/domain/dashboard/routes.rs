//! The door to the home page.

use axum::Router;

use crate::http::AppState;

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
}
