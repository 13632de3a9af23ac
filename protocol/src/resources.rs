//! Buttons that open something (`study_resources` of the schema).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{self, Check, FieldError};
use crate::ordered::ordered;
use crate::patch::{Clearable, not_null, present};

/// A button of the quick launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyResource {
    /// Never changes.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// At most 120 characters.
    pub label: String,
    /// At most 8 characters.
    pub emoji: Option<String>,
    /// What it opens: an http(s) address.
    pub url: Option<String>,
    /// The list is ordered by this, then by `created_at` and `id`.
    pub order_index: i32,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

ordered!(StudyResource);

/// `resource.create`: it goes to the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStudyResource {
    /// At most 120 characters.
    pub label: String,
    /// At most 8 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// An http(s) address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// `resource.update`: absent keeps, `null` clears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StudyResourcePatch {
    /// Which button.
    pub id: Uuid,
    /// At most 120 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub label: Option<String>,
    /// At most 8 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub emoji: Clearable<String>,
    /// An http(s) address.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub url: Clearable<String>,
}

impl Check for NewStudyResource {
    fn check(&self) -> Result<(), FieldError> {
        check::name("label", &self.label, 120)?;
        check::optional_text("emoji", self.emoji.as_deref(), 8)?;
        self.url.as_deref().map_or(Ok(()), |url| check::web_address("url", url))
    }
}

impl Check for StudyResourcePatch {
    fn check(&self) -> Result<(), FieldError> {
        self.label.as_deref().map_or(Ok(()), |label| check::name("label", label, 120))?;
        check::optional_text("emoji", self.emoji.as_ref().and_then(Option::as_deref), 8)?;
        self.url.as_ref().and_then(Option::as_deref).map_or(Ok(()), |url| check::web_address("url", url))
    }
}
