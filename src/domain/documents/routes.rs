//! The doors to the descriptions. They are for everybody: there is no secret in them.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use studyhall_protocol::describe::{ASYNCAPI, OPENAPI, PAGE};

use crate::http::AppState;

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/openapi.json", get(openapi)).route("/asyncapi.json", get(asyncapi))
}

/// Styles are in the page itself, and there is nothing else in it.
const CSP: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What people open in a browser; it is not below `/api/v1`.
pub async fn page() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, CSP), (CACHE_CONTROL, "no-cache")], PAGE)
}

async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn asyncapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], ASYNCAPI)
}
