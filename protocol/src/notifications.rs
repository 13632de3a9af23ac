//! Notifications: what others did that concerns somebody, and reminders that rang (`notifications` of the schema).

use chrono::{DateTime, Datelike, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{Check, FieldError};

/// Something that somebody is told of. A person keeps the newest hundred.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// Never changes.
    pub id: Uuid,
    /// Who is told.
    pub user_id: Uuid,
    /// `like`, `comment`, `follow`, `invitation` (let into a room), `reminder`.
    pub kind: String,
    /// Who did it, the latest of them; null of a reminder, and when they may not be named any more.
    pub actor_id: Option<Uuid>,
    /// How many: likes and comments of one post are one notification until it is read.
    pub count: i32,
    /// Of likes and comments.
    pub post_id: Option<Uuid>,
    /// The latest comment.
    pub comment_id: Option<Uuid>,
    /// The room of an invitation.
    pub workspace_id: Option<Uuid>,
    /// What a reminder reminds of.
    pub calendar_event_id: Option<Uuid>,
    /// Null until it was read.
    pub read_at: Option<DateTime<Utc>>,
    /// Set by the database: not after the first of those that are counted.
    pub created_at: DateTime<Utc>,
    /// Set by the database: the latest of them. Reading does not change it.
    pub updated_at: DateTime<Utc>,
}

/// `notification.deleted`: these are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationsGone {
    /// Their ids.
    pub ids: Vec<Uuid>,
}

/// `notifications.read`, and the answer of both commands: these are read now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationsRead {
    /// Their ids; none that were read before.
    pub ids: Vec<Uuid>,
    /// Since when; of none, now.
    pub read_at: DateTime<Utc>,
    /// How many are unread still.
    pub unread_count: i64,
}

/// `notification.read_all`: all, or those that were there at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadNotifications {
    /// The `updated_at` of the newest that was seen; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<DateTime<Utc>>,
}

/// How many notifications are unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnreadCount {
    /// A hundred at most.
    pub unread_count: i64,
}

impl Check for ReadNotifications {
    fn check(&self) -> Result<(), FieldError> {
        match self.up_to {
            Some(up_to) if !(1..=9999).contains(&up_to.year()) => {
                Err(FieldError::new("up_to", "must be between the years 1 and 9999"))
            }
            _ => Ok(()),
        }
    }
}
