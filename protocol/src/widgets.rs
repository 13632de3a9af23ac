//! What is on the canvas of a room: widgets (`immersive_widgets`).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::check::{self, Check, FieldError, GRID_MAX, GRID_SIZE_MAX};
use crate::describe::FreeObject;
use crate::patch::{Clearable, not_null, present};

/// A widget on the canvas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    #[schemars(with = "FreeObject")]
    pub settings: Value,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// A widget in a new place, and the gesture that brought it there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WidgetMoved {
    /// The widget where it is now.
    pub widget: Widget,
    /// The drag that ended with this; its slot values are void from here on.
    pub drag_id: Option<Uuid>,
}

/// `widget.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    #[schemars(with = "Option<FreeObject>")]
    pub settings: Option<Value>,
}

/// `widget.update`: absent keeps, `null` clears. Places change by `widget.move`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    #[schemars(with = "FreeObject")]
    pub settings: Option<Value>,
}

/// `widget.move`: the drop at the end of a drag, or a move without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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

fn place(x: i32, y: i32) -> Result<(), FieldError> {
    check::range("grid_x", x, -GRID_MAX, GRID_MAX)?;
    check::range("grid_y", y, -GRID_MAX, GRID_MAX)
}

fn size(w: Option<i32>, h: Option<i32>) -> Result<(), FieldError> {
    w.map_or(Ok(()), |w| check::range("grid_w", w, 1, GRID_SIZE_MAX))?;
    h.map_or(Ok(()), |h| check::range("grid_h", h, 1, GRID_SIZE_MAX))
}

impl Check for NewWidget {
    fn check(&self) -> Result<(), FieldError> {
        check::name("type", &self.r#type, 32)?;
        check::optional_text("title_key", self.title_key.as_deref(), 120)?;
        check::optional_text("title", self.title.as_deref(), 120)?;
        place(self.grid_x, self.grid_y)?;
        size(Some(self.grid_w), Some(self.grid_h))?;
        check::settings(self.settings.as_ref())
    }
}

impl Check for WidgetPatch {
    fn check(&self) -> Result<(), FieldError> {
        check::optional_text("title_key", self.title_key.as_ref().and_then(Option::as_deref), 120)?;
        check::optional_text("title", self.title.as_ref().and_then(Option::as_deref), 120)?;
        check::settings(self.settings.as_ref())
    }
}

impl Check for WidgetMove {
    fn check(&self) -> Result<(), FieldError> {
        place(self.grid_x, self.grid_y)?;
        size(self.grid_w, self.grid_h)
    }
}
