//! The feed: posts and what people say about them. All of it happens on `profile:<author of the post>`; how many posts
//! somebody has is also told on their `user:`.
//!
//! A person whom a block parts from the author does not find the post, nor anything about it. Everybody else may read
//! it and comment on it; changing it is the author's alone. A command that changes nothing makes no event and answers
//! with the row as it is.

mod comments;
pub mod likes;
mod posts;
pub mod routes;
mod sql;

pub use comments::{create_comment, delete_comment, update_comment};
pub(super) use posts::read_post;
pub use posts::{create_post, delete_post, update_post};

use crate::error::Error;

/// It is there for them, and not theirs.
fn author_only(detail: &'static str) -> Error {
    Error::forbidden("author_only", detail)
}
