//! What both doors answer: positions, answers, pages, problems.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::channel::Channel;
use crate::check::Check;

/// A place in a channel's log. Everything up to and including `offset` is in the answer beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// Which log.
    pub channel: Channel,
    /// The number of the last event in it; 0 before the first.
    pub offset: u64,
    /// Which life of the log; it changes when a backup is restored.
    pub epoch: String,
}

/// The answer to a command, the same by REST and by `rpc`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AnswerOf{T}")]
pub struct Answer<T> {
    /// Where the command's events are; a retry gets the same.
    pub positions: Vec<Position>,
    /// What the command made or changed.
    pub data: T,
}

/// The command is about this row and says no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowRef {
    /// The row.
    pub id: Uuid,
}

impl Check for RowRef {}

/// The id of what was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// The row that is gone.
    pub id: Uuid,
}

impl From<RowRef> for Deleted {
    fn from(row: RowRef) -> Self {
        Self { id: row.id }
    }
}

/// An event that told of somebody who was erased since: its number stays, what it said does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Emptied {}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// For the next page; `null` on the last.
    pub next_cursor: Option<String>,
    /// The channels whose state this page shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<Position>,
}

/// `application/problem+json` (RFC 9457), with a stable `code`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// A stable word for programs, the same in an `rpc` error.
    pub code: String,
    /// The same for people.
    pub title: String,
    /// What to do, when there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The field that cannot be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}
