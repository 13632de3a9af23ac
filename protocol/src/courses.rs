//! Courses, which several people may share (`courses` of the schema, and `course_members`).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{self, Check, FieldError};
use crate::patch::{Clearable, not_null, present};

/// A course. Every member sees the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Course {
    /// Never changes.
    pub id: Uuid,
    /// The owner.
    pub user_id: Uuid,
    /// At most 120 characters.
    pub name: String,
    /// At most 8 characters.
    pub emoji: Option<String>,
    /// Who is in it, the owner too, the longest there first.
    pub member_ids: Vec<Uuid>,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// `course.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCourse {
    /// At most 120 characters.
    pub name: String,
    /// At most 8 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
}

/// `course.update`: absent keeps, `null` clears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoursePatch {
    /// Which course.
    pub id: Uuid,
    /// At most 120 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub name: Option<String>,
    /// At most 8 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub emoji: Clearable<String>,
}

/// `course_member.add`, `course_member.remove`: whom, and of which course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CourseMemberRef {
    /// Which course.
    pub course_id: Uuid,
    /// Who.
    pub user_id: Uuid,
}

/// Somebody who is in a course no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CourseMemberGone {
    /// Which course.
    pub course_id: Uuid,
    /// Who.
    pub user_id: Uuid,
}

impl From<CourseMemberRef> for CourseMemberGone {
    fn from(member: CourseMemberRef) -> Self {
        Self { course_id: member.course_id, user_id: member.user_id }
    }
}

impl Check for CourseMemberRef {}

impl Check for NewCourse {
    fn check(&self) -> Result<(), FieldError> {
        check::name("name", &self.name, 120)?;
        check::optional_text("emoji", self.emoji.as_deref(), 8)
    }
}

impl Check for CoursePatch {
    fn check(&self) -> Result<(), FieldError> {
        self.name.as_deref().map_or(Ok(()), |name| check::name("name", name, 120))?;
        check::optional_text("emoji", self.emoji.as_ref().and_then(Option::as_deref), 8)
    }
}
