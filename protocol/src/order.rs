//! Lists that people put in order: rows are ordered by `order_index`, then by `created_at` and `id`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::Check;

/// Puts a row of mine elsewhere in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowMove {
    /// Which row.
    pub id: Uuid,
    /// The row to stand behind; absent or `null`: first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_id: Option<Uuid>,
}

impl Check for RowMove {}

/// What a move changed: the row, and neighbours whose index had to give way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Moved{T}")]
pub struct Moved<T> {
    /// The row in its new place.
    pub moved: T,
    /// Other rows of the list that got a new index; usually none.
    pub reordered: Vec<RowOrder>,
}

/// A new index of a row that was not moved itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowOrder {
    /// Which row.
    pub id: Uuid,
    /// Its index from now on.
    pub order_index: i32,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}
