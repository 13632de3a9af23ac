//! What somebody works on (`focus_entries` of the schema).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{self, Check, FieldError, LONG_TEXT_MAX};
use crate::ordered::ordered;
use crate::patch::{Clearable, not_null, present};

/// A focus area, such as "Deep Work".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FocusEntry {
    /// Never changes.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// At most 120 characters.
    pub title: String,
    /// Long-form.
    pub description: Option<String>,
    /// The list is ordered by this, then by `created_at` and `id`.
    pub order_index: i32,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

ordered!(FocusEntry);

/// `focus_entry.create`: it goes to the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFocusEntry {
    /// At most 120 characters.
    pub title: String,
    /// Long-form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `focus_entry.update`: absent keeps, `null` clears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FocusEntryPatch {
    /// Which area.
    pub id: Uuid,
    /// At most 120 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub title: Option<String>,
    /// Long-form.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub description: Clearable<String>,
}

impl Check for NewFocusEntry {
    fn check(&self) -> Result<(), FieldError> {
        check::name("title", &self.title, 120)?;
        check::optional_text("description", self.description.as_deref(), LONG_TEXT_MAX)
    }
}

impl Check for FocusEntryPatch {
    fn check(&self) -> Result<(), FieldError> {
        self.title.as_deref().map_or(Ok(()), |title| check::name("title", title, 120))?;
        check::optional_text("description", self.description.as_ref().and_then(Option::as_deref), LONG_TEXT_MAX)
    }
}
