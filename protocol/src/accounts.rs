//! People: accounts, sign-ins and profiles (`users` of the schema).

use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{self, Check, FieldError};
use crate::patch::{Clearable, present};

/// What anyone signed in may see of a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Never changes.
    pub id: Uuid,
    /// Unique without regard to case.
    pub username: String,
    /// Such as "Aiko Tanaka".
    pub full_name: Option<String>,
    /// The "About" text.
    pub bio: Option<String>,
    /// City or region.
    pub location: Option<String>,
    /// Avatar.
    pub profile_image_url: Option<String>,
    /// Profile header.
    pub banner_image_url: Option<String>,
    /// The day they came.
    pub joined_at: NaiveDate,
    /// Cached aggregate.
    pub followers_count: i32,
    /// Cached aggregate.
    pub following_count: i32,
    /// Cached aggregate.
    pub posts_count: i32,
    /// Interests, without `#`, in alphabetical order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// A person as they see themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// Everything public.
    #[serde(flatten)]
    pub user: User,
    /// Private.
    pub email: Option<String>,
}

/// `POST /accounts`
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// 3 to 50 letters, digits, `_`, `.` or `-`.
    pub username: String,
    /// 8 to 1,024 bytes; taken as it is.
    pub password: String,
    /// Optional, unique without regard to case.
    #[serde(default)]
    pub email: Option<String>,
    /// Optional.
    #[serde(default)]
    pub full_name: Option<String>,
}

/// `POST /sessions`
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Any case.
    pub username: String,
    /// As it was set.
    pub password: String,
}

/// `POST /me/password`
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one in force.
    pub current_password: String,
    /// The one from now on.
    pub new_password: String,
}

/// `POST /me/erasure`
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// The one in force.
    pub password: String,
}

/// The answer to signing up and signing in. It holds a secret and is never stored.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct SignedIn {
    /// Who signed in.
    pub user: Me,
    /// `shs_…`: for `Authorization: Bearer` and for `connect`.
    pub token: String,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
}

/// A sign-in as its owner may see it: no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignIn {
    /// Names it in `DELETE /sessions/{id}`.
    pub id: Uuid,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// Whether it is the one that asked.
    pub current: bool,
}

/// `profile.update`: absent keeps, `null` clears.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePatch {
    /// At most 120 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub full_name: Clearable<String>,
    /// Long-form.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub bio: Clearable<String>,
    /// At most 120 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub location: Clearable<String>,
    /// An http(s) address.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub profile_image_url: Clearable<String>,
    /// An http(s) address.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub banner_image_url: Clearable<String>,
    /// Private.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub email: Clearable<String>,
}

/// Sign-ins that ended; their sockets are closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsEnded {
    /// The sign-ins.
    pub session_ids: Vec<Uuid>,
    /// Why.
    pub reason: EndReason,
}

/// Why a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// By the person.
    SignedOut,
    /// All others end with the old password.
    PasswordChanged,
    /// By an operator.
    Disabled,
    /// The person is being erased.
    Erased,
}

impl EndReason {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            EndReason::SignedOut => "signed_out",
            EndReason::PasswordChanged => "password_changed",
            EndReason::Disabled => "disabled",
            EndReason::Erased => "erased",
        }
    }
}

/// Passwords may be this long, in bytes; longer ones cost hashing time for nothing.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

fn password(field: &str, value: &str) -> Result<(), FieldError> {
    if value.chars().count() < 8 {
        return Err(FieldError::new(field, "must have at least 8 characters"));
    }
    if value.len() > PASSWORD_BYTES_MAX {
        return Err(FieldError::new(field, format!("must have at most {PASSWORD_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn email(field: &str, value: Option<&str>) -> Result<(), FieldError> {
    let Some(value) = value else { return Ok(()) };
    check::text(field, value, 255)?;
    let plain = !value.chars().any(|c| c.is_control() || c.is_whitespace());
    match value.split_once('@') {
        Some((local, domain)) if plain && !local.is_empty() && !domain.is_empty() && !domain.contains('@') => Ok(()),
        _ => Err(FieldError::new(field, "must look like name@example.org")),
    }
}

impl Check for NewAccount {
    fn check(&self) -> Result<(), FieldError> {
        let length = self.username.chars().count();
        let plain = self.username.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if !(3..=50).contains(&length) || !plain {
            return Err(FieldError::new(
                "username",
                "must have 3 to 50 characters out of a-z, A-Z, 0-9, '_', '.' and '-'",
            ));
        }
        password("password", &self.password)?;
        email("email", self.email.as_deref())?;
        check::optional_text("full_name", self.full_name.as_deref(), 120)
    }
}

impl Check for PasswordChange {
    fn check(&self) -> Result<(), FieldError> {
        password("new_password", &self.new_password)
    }
}

impl Check for ProfilePatch {
    fn check(&self) -> Result<(), FieldError> {
        let inner = |field: &Clearable<String>| field.clone().flatten();
        check::optional_text("full_name", inner(&self.full_name).as_deref(), 120)?;
        check::optional_text("bio", inner(&self.bio).as_deref(), check::LONG_TEXT_MAX)?;
        check::optional_text("location", inner(&self.location).as_deref(), 120)?;
        for (field, value) in
            [("profile_image_url", &self.profile_image_url), ("banner_image_url", &self.banner_image_url)]
        {
            inner(value).map_or(Ok(()), |value| check::file_address(field, &value))?;
        }
        email("email", inner(&self.email).as_deref())
    }
}
