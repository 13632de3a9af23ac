//! The tags of people, and what a tag leads to (`user_tags`, `post_tags` of the schema).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{self, Check, FieldError};
use crate::posts::{FeedPost, plain_tag};
use crate::rest::Page;
use crate::workspaces::Person;

/// `user_tag.add`, `user_tag.remove`: which tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagRef {
    /// At most 50 characters, with or without `#`; `Rust` and `rust` are one.
    pub tag: String,
}

impl TagRef {
    /// As it is stored: without `#`.
    pub fn plain(&self) -> &str {
        plain_tag(&self.tag)
    }
}

impl Check for TagRef {
    fn check(&self) -> Result<(), FieldError> {
        check::name("tag", self.plain(), 50)
    }
}

/// A row of `GET /tags/{tag}/people`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaggedPerson {
    /// Who.
    pub user: Person,
    /// As they write it.
    pub tag: String,
    /// Since when they have it.
    pub created_at: DateTime<Utc>,
}

/// `GET /tags/{tag}`: what a tag leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TagView {
    /// As it was asked for, without `#`.
    pub tag: String,
    /// People who have it; nobody counts beyond 1,000.
    pub people_count: i64,
    /// Posts that carry it; nobody counts beyond 1,000.
    pub posts_count: i64,
    /// The first page of the people, newest first.
    pub people: Page<TaggedPerson>,
    /// The first page of the posts, newest first.
    pub posts: Page<FeedPost>,
}
