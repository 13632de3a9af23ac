//! What a person prefers (`user_settings` of the schema), and who may see that they are here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::check::{self, Check, FieldError};
use crate::describe::FreeObject;
use crate::patch::{Clearable, not_null, present};

/// A person's settings. Private.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Whose.
    pub user_id: Uuid,
    /// Such as `en` or `ja`.
    pub preferred_locale: String,
    /// An IANA name such as `Asia/Tokyo`.
    pub timezone: Option<String>,
    /// `light`, `dark`, `system`, or what a front-end adds.
    pub theme: String,
    /// Free, for front-ends.
    #[schemars(with = "FreeObject")]
    pub data: Value,
    /// Who may see my presence.
    pub presence_visibility: PresenceVisibility,
    /// I look offline to everybody, and since when I was here last stands still.
    pub invisible: bool,
}

/// Who may see a person's presence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceVisibility {
    /// Anyone signed in.
    Everyone,
    /// People whom I follow or share a room with.
    #[default]
    Following,
    /// Only I.
    Nobody,
}

impl PresenceVisibility {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            PresenceVisibility::Everyone => "everyone",
            PresenceVisibility::Following => "following",
            PresenceVisibility::Nobody => "nobody",
        }
    }
}

impl From<String> for PresenceVisibility {
    /// Total, because the database's check constraint lets only these words in.
    fn from(word: String) -> Self {
        match word.as_str() {
            "everyone" => PresenceVisibility::Everyone,
            "nobody" => PresenceVisibility::Nobody,
            _ => PresenceVisibility::Following,
        }
    }
}

/// `settings.update`: absent keeps, `null` clears.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsPatch {
    /// At most 10 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub preferred_locale: Option<String>,
    /// At most 64 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub timezone: Clearable<String>,
    /// At most 32 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub theme: Option<String>,
    /// The whole object anew.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FreeObject")]
    pub data: Option<Value>,
    /// Who may see my presence.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PresenceVisibility")]
    pub presence_visibility: Option<PresenceVisibility>,
    /// Look offline.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub invisible: Option<bool>,
}

impl Check for SettingsPatch {
    fn check(&self) -> Result<(), FieldError> {
        self.preferred_locale.as_deref().map_or(Ok(()), |value| check::name("preferred_locale", value, 10))?;
        self.timezone.clone().flatten().map_or(Ok(()), |value| check::name("timezone", &value, 64))?;
        self.theme.as_deref().map_or(Ok(()), |value| check::name("theme", value, 32))?;
        check::free_object("data", self.data.as_ref())
    }
}
