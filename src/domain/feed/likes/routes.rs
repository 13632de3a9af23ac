//! The doors to likes.

use axum::Router;
use axum::routing::put;

use crate::http::AppState;
use crate::http::door::bare_command;

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route(
        "/posts/{id}/like",
        put(bare_command("post.like", &["post_id"])).delete(bare_command("post.unlike", &["post_id"])),
    )
}
