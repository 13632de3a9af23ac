//! What is due (`assignments` of the schema).

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{self, Check, FieldError, LONG_TEXT_MAX};
use crate::patch::{Clearable, not_null, present};

/// Something that has to be handed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assignment {
    /// Never changes.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// One of my courses; `null` without one, and once it is gone or I have left it.
    pub course_id: Option<Uuid>,
    /// At most 160 characters.
    pub title: String,
    /// Such as "In progress", at most 40 characters.
    pub status: String,
    /// The day.
    pub due_at: Option<NaiveDate>,
    /// Follows `due_at`, also as days pass.
    pub timeframe: Timeframe,
    /// Long-form.
    pub notes: Option<String>,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// How soon, from today on where the person is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Timeframe {
    /// Within seven days, or overdue.
    Week,
    /// Within 31 days.
    Month,
    /// After that, or on no day.
    #[default]
    Later,
}

impl Timeframe {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Timeframe::Week => "week",
            Timeframe::Month => "month",
            Timeframe::Later => "later",
        }
    }
}

impl From<String> for Timeframe {
    /// Total, because the database's check constraint lets only these words in.
    fn from(word: String) -> Self {
        match word.as_str() {
            "week" => Timeframe::Week,
            "month" => Timeframe::Month,
            _ => Timeframe::Later,
        }
    }
}

/// `assignment.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAssignment {
    /// One of my courses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course_id: Option<Uuid>,
    /// At most 160 characters.
    pub title: String,
    /// At most 40 characters; "Not started" by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<NaiveDate>,
    /// Long-form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// `assignment.update`: absent keeps, `null` clears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignmentPatch {
    /// Which assignment.
    pub id: Uuid,
    /// One of my courses.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub course_id: Clearable<Uuid>,
    /// At most 160 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub title: Option<String>,
    /// At most 40 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub status: Option<String>,
    /// The day.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub due_at: Clearable<NaiveDate>,
    /// Long-form.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub notes: Clearable<String>,
}

/// A day that PostgreSQL, JavaScript and ISO 8601 all write the same way.
pub fn day(field: &str, value: Option<NaiveDate>) -> Result<(), FieldError> {
    match value {
        Some(value) if !(1..=9999).contains(&value.year()) => {
            Err(FieldError::new(field, "must be between the years 1 and 9999"))
        }
        _ => Ok(()),
    }
}

impl Check for NewAssignment {
    fn check(&self) -> Result<(), FieldError> {
        check::name("title", &self.title, 160)?;
        self.status.as_deref().map_or(Ok(()), |status| check::name("status", status, 40))?;
        day("due_at", self.due_at)?;
        check::optional_text("notes", self.notes.as_deref(), LONG_TEXT_MAX)
    }
}

impl Check for AssignmentPatch {
    fn check(&self) -> Result<(), FieldError> {
        self.title.as_deref().map_or(Ok(()), |title| check::name("title", title, 160))?;
        self.status.as_deref().map_or(Ok(()), |status| check::name("status", status, 40))?;
        day("due_at", self.due_at.flatten())?;
        check::optional_text("notes", self.notes.as_ref().and_then(Option::as_deref), LONG_TEXT_MAX)
    }
}
