//! Immerse-mode rooms: workspaces, members, widgets (`immersive_workspaces`, `immersive_widgets`).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::check::{self, Check, FieldError, GRID_MAX, GRID_SIZE_MAX};
use crate::patch::{Clearable, not_null, present};
use crate::rest::Position;

/// A room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// A widget on the canvas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Widget {
    /// Never changes.
    pub id: Uuid,
    /// The room.
    pub workspace_id: Uuid,
    /// `clock`, `timer`, `todo`, …
    #[serde(rename = "type")]
    pub r#type: String,
    /// Translation key.
    pub title_key: Option<String>,
    /// Fallback label.
    pub title: Option<String>,
    /// Column.
    pub grid_x: i32,
    /// Row.
    pub grid_y: i32,
    /// Width.
    pub grid_w: i32,
    /// Height.
    pub grid_h: i32,
    /// Free.
    pub settings: Value,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// A widget in a new place, and the gesture that brought it there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WidgetMoved {
    /// The widget where it is now.
    pub widget: Widget,
    /// The drag that ended with this; its slot values are void from here on.
    pub drag_id: Option<Uuid>,
}

/// A room of mine, in the list of my rooms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MyWorkspace {
    /// The room.
    #[serde(flatten)]
    pub workspace: Workspace,
    /// What I may do in it.
    pub role: Role,
}

/// Enough of a person to show them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberPerson {
    /// Their place in the room.
    #[serde(flatten)]
    pub member: Member,
    /// Who they are; changes of it are told on `profile:<id>`.
    pub user: Person,
}

/// `GET /workspaces/{id}`: a whole room. [`crate::state::WorkspaceState`] is made from it; every later event of
/// `workspace:<id>` moves that on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// The room.
    pub workspace: Workspace,
    /// What I may do in it.
    pub role: Role,
    /// Everybody in it, the longest there first.
    pub members: Vec<Member>,
    /// Everything in it, by row and column.
    pub widgets: Vec<Widget>,
    /// Who the members are, in the same order; changes of it are told on `profile:<id>`.
    pub people: Vec<Person>,
    /// The one position of exactly this state.
    pub positions: Vec<Position>,
}

/// `workspace.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    pub settings: Option<Value>,
}

/// `workspace.update`: absent keeps, `null` clears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspacePatch {
    /// Which room.
    pub id: Uuid,
    /// At most 80 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `image`, `video` or `color`.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub background_type: Option<BackgroundType>,
    /// Address or asset key.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub background_value: Clearable<String>,
    /// `#rrggbb` or `#rrggbbaa`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub background_color: Clearable<String>,
    /// Replaces the settings as a whole.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
}

/// `member.add`, `member.remove`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRef {
    /// The room.
    pub workspace_id: Uuid,
    /// The person.
    pub user_id: Uuid,
}

/// `widget.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWidget {
    /// The room.
    pub workspace_id: Uuid,
    /// At most 32 characters.
    #[serde(rename = "type")]
    pub r#type: String,
    /// At most 120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_key: Option<String>,
    /// At most 120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Column.
    pub grid_x: i32,
    /// Row.
    pub grid_y: i32,
    /// Width, at least 1.
    pub grid_w: i32,
    /// Height, at least 1.
    pub grid_h: i32,
    /// Free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
}

/// `widget.update`: absent keeps, `null` clears. Places change by `widget.move`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WidgetPatch {
    /// Which widget.
    pub id: Uuid,
    /// At most 120 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub title_key: Clearable<String>,
    /// At most 120 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub title: Clearable<String>,
    /// Replaces the settings as a whole.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
}

/// `widget.move`: the drop at the end of a drag, or a move without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WidgetMove {
    /// Which widget.
    pub id: Uuid,
    /// The drag that ends with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drag_id: Option<Uuid>,
    /// Column.
    pub grid_x: i32,
    /// Row.
    pub grid_y: i32,
    /// Width; absent keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid_w: Option<i32>,
    /// Height; absent keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid_h: Option<i32>,
}

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
        return check::web_address("background_value", value);
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

/// Settings may nest this deep. Readers give up at some depth, serde_json at 128, and what wraps the settings counts.
const SETTINGS_DEPTH_MAX: usize = 32;

fn settings(value: Option<&Value>) -> Result<(), FieldError> {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    let Some(value) = value else { return Ok(()) };
    if depth(value) > SETTINGS_DEPTH_MAX {
        return Err(FieldError::new("settings", format!("is nested deeper than {SETTINGS_DEPTH_MAX} levels")));
    }
    check::object("settings", value)
}

fn place(x: i32, y: i32) -> Result<(), FieldError> {
    check::range("grid_x", x, -GRID_MAX, GRID_MAX)?;
    check::range("grid_y", y, -GRID_MAX, GRID_MAX)
}

fn size(w: Option<i32>, h: Option<i32>) -> Result<(), FieldError> {
    w.map_or(Ok(()), |w| check::range("grid_w", w, 1, GRID_SIZE_MAX))?;
    h.map_or(Ok(()), |h| check::range("grid_h", h, 1, GRID_SIZE_MAX))
}

impl Check for NewWorkspace {
    fn check(&self) -> Result<(), FieldError> {
        check::name("name", &self.name, 80)?;
        background(self.background_value.as_deref())?;
        color("background_color", self.background_color.as_deref())?;
        settings(self.settings.as_ref())
    }
}

impl Check for WorkspacePatch {
    fn check(&self) -> Result<(), FieldError> {
        self.name.as_deref().map_or(Ok(()), |name| check::name("name", name, 80))?;
        background(self.background_value.as_ref().and_then(Option::as_deref))?;
        color("background_color", self.background_color.as_ref().and_then(Option::as_deref))?;
        settings(self.settings.as_ref())
    }
}

impl Check for NewWidget {
    fn check(&self) -> Result<(), FieldError> {
        check::name("type", &self.r#type, 32)?;
        check::optional_text("title_key", self.title_key.as_deref(), 120)?;
        check::optional_text("title", self.title.as_deref(), 120)?;
        place(self.grid_x, self.grid_y)?;
        size(Some(self.grid_w), Some(self.grid_h))?;
        settings(self.settings.as_ref())
    }
}

impl Check for WidgetPatch {
    fn check(&self) -> Result<(), FieldError> {
        check::optional_text("title_key", self.title_key.as_ref().and_then(Option::as_deref), 120)?;
        check::optional_text("title", self.title.as_ref().and_then(Option::as_deref), 120)?;
        settings(self.settings.as_ref())
    }
}

impl Check for WidgetMove {
    fn check(&self) -> Result<(), FieldError> {
        place(self.grid_x, self.grid_y)?;
        size(self.grid_w, self.grid_h)
    }
}
