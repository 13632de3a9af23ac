//! Immerse-mode rooms: workspaces and members (`immersive_workspaces`, `workspace_members`).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::attachments::Attachment;
use crate::check::{self, Check, FieldError};
use crate::describe::FreeObject;
use crate::patch::{Clearable, not_null, present};
use crate::rest::Position;
use crate::widgets::Widget;

/// A room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Workspace {
    /// Never changes.
    pub id: Uuid,
    /// The owner.
    pub user_id: Uuid,
    /// At most 80 characters.
    pub name: String,
    /// `image`, `video` or `color`.
    pub background_type: BackgroundType,
    /// Address or asset key.
    pub background_value: Option<String>,
    /// `#rrggbb` or `#rrggbbaa`.
    pub background_color: Option<String>,
    /// Free; `{"guests": true}` lets anyone signed in look on.
    #[schemars(with = "FreeObject")]
    pub settings: Value,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

impl Workspace {
    /// Whether people who are not members may look on.
    pub fn admits_guests(&self) -> bool {
        self.settings.get("guests").and_then(Value::as_bool).unwrap_or(false)
    }
}

/// What is behind the widgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackgroundType {
    /// A picture.
    Image,
    /// A moving picture.
    Video,
    /// A plain colour.
    Color,
}

impl BackgroundType {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            BackgroundType::Image => "image",
            BackgroundType::Video => "video",
            BackgroundType::Color => "color",
        }
    }
}

impl From<String> for BackgroundType {
    /// Total, because the database's check constraint lets only these words in.
    fn from(word: String) -> Self {
        match word.as_str() {
            "image" => BackgroundType::Image,
            "video" => BackgroundType::Video,
            _ => BackgroundType::Color,
        }
    }
}

/// What somebody may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, members and the room itself included.
    Owner,
    /// Widgets, settings, drags.
    Member,
    /// Looking on, pointers and reactions. Never stored.
    Guest,
}

impl Role {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Member => "member",
            Role::Guest => "guest",
        }
    }
}

impl From<String> for Role {
    /// Total, because the database's check constraint lets only these words in.
    fn from(word: String) -> Self {
        match word.as_str() {
            "owner" => Role::Owner,
            "member" => Role::Member,
            _ => Role::Guest,
        }
    }
}

/// Somebody's place in a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The room.
    pub workspace_id: Uuid,
    /// The person.
    pub user_id: Uuid,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// A room of mine, in the list of my rooms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MyWorkspace {
    /// The room.
    #[serde(flatten)]
    pub workspace: Workspace,
    /// What I may do in it.
    pub role: Role,
}

/// Enough of a person to show them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Never changes.
    pub id: Uuid,
    /// Unique without regard to case.
    pub username: String,
    /// Such as "Aiko Tanaka".
    pub full_name: Option<String>,
    /// Avatar.
    pub profile_image_url: Option<String>,
}

/// A member, in the list of a room's members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemberPerson {
    /// Their place in the room.
    #[serde(flatten)]
    pub member: Member,
    /// Who they are; changes of it are told on `profile:<id>`.
    pub user: Person,
}

/// `GET /workspaces/{id}`: a whole room. [`crate::state::WorkspaceState`] is made from it; every later event of
/// `workspace:<id>` moves that on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Room {
    /// The room.
    pub workspace: Workspace,
    /// What I may do in it.
    pub role: Role,
    /// Everybody in it, the longest there first.
    pub members: Vec<Member>,
    /// Everything in it, by row and column.
    pub widgets: Vec<Widget>,
    /// The files that belong to it, the oldest first.
    pub attachments: Vec<Attachment>,
    /// Who the members are, in the same order; changes of it are told on `profile:<id>`.
    pub people: Vec<Person>,
    /// The one position of exactly this state.
    pub positions: Vec<Position>,
}

/// `workspace.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    /// At most 80 characters.
    pub name: String,
    /// Absent: `color`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_type: Option<BackgroundType>,
    /// Address or asset key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_value: Option<String>,
    /// `#rrggbb` or `#rrggbbaa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_color: Option<String>,
    /// Free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<FreeObject>")]
    pub settings: Option<Value>,
}

/// `workspace.update`: absent keeps, `null` clears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspacePatch {
    /// Which room.
    pub id: Uuid,
    /// At most 80 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub name: Option<String>,
    /// `image`, `video` or `color`.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BackgroundType")]
    pub background_type: Option<BackgroundType>,
    /// Address or asset key.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub background_value: Clearable<String>,
    /// `#rrggbb` or `#rrggbbaa`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub background_color: Clearable<String>,
    /// Replaces the settings as a whole.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FreeObject")]
    pub settings: Option<Value>,
}

/// `member.add`, `member.remove`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberRef {
    /// The room.
    pub workspace_id: Uuid,
    /// The person.
    pub user_id: Uuid,
}

/// Somebody is a member no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberGone {
    /// The room.
    pub workspace_id: Uuid,
    /// The person.
    pub user_id: Uuid,
}

impl From<MemberRef> for MemberGone {
    fn from(of: MemberRef) -> Self {
        Self { workspace_id: of.workspace_id, user_id: of.user_id }
    }
}

impl Check for MemberRef {}

fn color(field: &str, value: Option<&str>) -> Result<(), FieldError> {
    let Some(value) = value else { return Ok(()) };
    let digits = value.strip_prefix('#').unwrap_or_default();
    if matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(FieldError::new(field, "must be a hex colour such as #1e293b"))
}

fn background(value: Option<&str>) -> Result<(), FieldError> {
    let Some(value) = value else { return Ok(()) };
    // An asset key has no scheme; whatever has one must be a web address.
    if value.contains(':') || value.starts_with("//") {
        return check::file_address("background_value", value);
    }
    // Browsers take `\` for `/` and skip white space and controls: `/\host` and ` //host` are other hosts to them.
    if value.chars().any(|c| c == '\\' || c.is_control()) || value.trim_start() != value {
        return Err(FieldError::new(
            "background_value",
            "must be a web address, or an asset key without backslashes, control characters and white space in front",
        ));
    }
    check::text("background_value", value, 2_000)
}

impl Check for NewWorkspace {
    fn check(&self) -> Result<(), FieldError> {
        check::name("name", &self.name, 80)?;
        background(self.background_value.as_deref())?;
        color("background_color", self.background_color.as_deref())?;
        check::settings(self.settings.as_ref())
    }
}

impl Check for WorkspacePatch {
    fn check(&self) -> Result<(), FieldError> {
        self.name.as_deref().map_or(Ok(()), |name| check::name("name", name, 80))?;
        background(self.background_value.as_ref().and_then(Option::as_deref))?;
        color("background_color", self.background_color.as_ref().and_then(Option::as_deref))?;
        check::settings(self.settings.as_ref())
    }
}
