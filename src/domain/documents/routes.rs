//! The doors to the descriptions. They are for everybody: there is no secret in them.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use studyhall_protocol::describe::{ASYNCAPI, OPENAPI};

use crate::http::AppState;

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/openapi.json", get(openapi)).route("/asyncapi.json", get(asyncapi))
}

async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn asyncapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], ASYNCAPI)
}
