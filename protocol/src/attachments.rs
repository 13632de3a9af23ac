//! Files that people upload (`attachments` of the schema).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{Check, FieldError};
use crate::rest::Position;

/// A file. What is in it is at `GET /attachments/{id}/content`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// Never changes, and neither does what is in the file.
    pub id: Uuid,
    /// Who uploaded it.
    pub user_id: Uuid,
    /// `image`, `video`, `audio` or `document`.
    pub kind: String,
    /// For people; at most 255 characters, no path.
    pub file_name: String,
    /// What the server found it to be, whatever the browser said.
    pub content_type: String,
    /// Bytes.
    pub size_bytes: i64,
    /// Pixels, of images.
    pub width: Option<i32>,
    /// Pixels, of images.
    pub height: Option<i32>,
    /// SHA-256 of the bytes, in hexadecimal digits.
    pub sha256: String,
    /// The post that it belongs to: whoever may see the author may see it.
    pub post_id: Option<Uuid>,
    /// The entry of my calendar that it belongs to: only I see it.
    pub calendar_event_id: Option<Uuid>,
    /// The room that it belongs to: whoever may see the room may see it.
    pub workspace_id: Option<Uuid>,
    /// The person whose profile it belongs to: whoever may see them may see it.
    pub profile_user_id: Option<Uuid>,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
}

/// What a file can belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParentKind {
    /// A post of mine.
    Post,
    /// An entry of my calendar.
    CalendarEvent,
    /// A room that I am a member of.
    Workspace,
    /// My profile.
    Profile,
}

/// `attachment.link`: says what my file belongs to, and with that who may see it. Without a parent it belongs to nothing:
/// only I see it, and it is gone after a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachmentLink {
    /// Which file.
    pub id: Uuid,
    /// What kind of thing it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentKind>,
    /// Which one; absent for the profile, for I have only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<Uuid>,
}

impl AttachmentLink {
    /// The id of the parent, if it is of this kind.
    pub fn parent_of(&self, kind: ParentKind) -> Option<Uuid> {
        self.parent_id.filter(|_| self.parent == Some(kind))
    }
}

/// `GET /attachments`: a page of my files, and how much room they take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttachmentPage {
    /// The newest first.
    pub items: Vec<Attachment>,
    /// For the next page; `null` on the last.
    pub next_cursor: Option<String>,
    /// Of `user:<me>`.
    pub positions: Vec<Position>,
    /// Bytes of all my files.
    pub used_bytes: i64,
    /// Bytes that they may have.
    pub quota_bytes: u64,
}

impl Check for AttachmentLink {
    fn check(&self) -> Result<(), FieldError> {
        let wrong = |problem: &str| Err(FieldError::new("parent_id", problem));
        match (self.parent, self.parent_id) {
            (None, Some(_)) => Err(FieldError::new("parent", "must say what kind of thing parent_id names")),
            (Some(ParentKind::Profile), Some(_)) => wrong("must be absent: there is only my own profile"),
            (Some(ParentKind::Post | ParentKind::CalendarEvent | ParentKind::Workspace), None) => {
                wrong("must be there")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_has_an_id() {
        let id = Uuid::nil();
        let link = |parent, parent_id| AttachmentLink { id, parent, parent_id };
        let field = |parent, parent_id| link(parent, parent_id).check().map_err(|error| error.field);
        assert_eq!(field(None, None), Ok(()));
        assert_eq!(field(Some(ParentKind::Profile), None), Ok(()));
        assert_eq!(field(Some(ParentKind::Post), Some(id)), Ok(()));
        assert_eq!(field(Some(ParentKind::Post), None), Err("parent_id".into()));
        assert_eq!(field(Some(ParentKind::Profile), Some(id)), Err("parent_id".into()));
        assert_eq!(field(None, Some(id)), Err("parent".into()));
        assert_eq!(link(Some(ParentKind::Post), Some(id)).parent_of(ParentKind::Workspace), None);
    }
}
