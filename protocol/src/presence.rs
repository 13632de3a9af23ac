//! Who is here (`user_presence` of the schema).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{self, Check, FieldError};
use crate::describe::{Message, schema_of};
use crate::patch::{Clearable, not_null, present};
use crate::rest::Answer;

/// The method of `rpc` that tells what I am doing; by REST `PUT /me/presence`. It is no [`crate::Command`]: nothing of
/// it is in a log, and the last call wins.
pub const METHOD: &str = "presence.set";

/// What [`METHOD`] takes and answers.
pub const MESSAGE: Message = Message {
    name: METHOD,
    doc: "Tell what I am doing.",
    on: None,
    data: schema_of::<PresenceSet>,
    answer: Some(schema_of::<Answer<Presence>>),
};

/// Whether somebody is here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// On no device, or does not show it.
    #[default]
    Offline,
    /// On some device, active on none.
    Idle,
    /// Active on some device.
    Online,
}

impl Status {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Offline => "offline",
            Status::Idle => "idle",
            Status::Online => "online",
        }
    }
}

impl From<String> for Status {
    /// Total, because the database's check constraint lets only these words in.
    fn from(word: String) -> Self {
        match word.as_str() {
            "online" => Status::Online,
            "idle" => Status::Idle,
            _ => Status::Offline,
        }
    }
}

/// A person's presence as the one who asks may see it: the `data` of the slot `presence` in `profile:<id>`, and a row of
/// `GET /presence`. Whoever may not see it gets what they would get of somebody who was never here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Presence {
    /// Who.
    pub user_id: Uuid,
    /// All devices together.
    pub status: Status,
    /// Such as "Pair programming"; `null` while offline.
    pub activity: Option<String>,
    /// When they were last seen to change; `null` if never.
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// `presence.set`, `PUT /me/presence`: what this device does. Absent keeps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PresenceSet {
    /// Of this device: `online` (active), `idle`, or `offline` to not count any more.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Status")]
    pub status: Option<Status>,
    /// Of the person; at most 120 characters, `null` clears.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub activity: Clearable<String>,
}

impl Check for PresenceSet {
    fn check(&self) -> Result<(), FieldError> {
        check::optional_text("activity", self.activity.clone().flatten().as_deref(), 120)
    }
}
