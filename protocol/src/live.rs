//! What is published without a number: slot values and broadcasts.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use uuid::Uuid;

/// What a client publishes: `{"type":"drag","key":"<widget id>","data":{…}}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication<'a> {
    /// Only in `send`, which has no channel field of its own.
    #[serde(borrow, default)]
    pub channel: Option<Cow<'a, str>>,
    /// `drag`, `pointer`, `typing`, `reaction`, `nudge`, or `custom`.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// Which of them: a widget's id for `drag`.
    #[serde(borrow, default)]
    pub key: Option<Cow<'a, str>>,
    /// The value; `null` clears a slot.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// What everybody in the channel gets: the same, with the author's id.
#[derive(Debug, Serialize)]
pub struct Published<'a> {
    /// As published.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// As published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// Set by the server.
    pub actor: Uuid,
    /// As published; `null` when a slot was cleared.
    pub data: Option<&'a RawValue>,
}

/// A widget on its way, in a `drag` slot. Grid units; fractions are allowed while it moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drag {
    /// One gesture, from pointer down to pointer up; made by the client.
    pub drag_id: Uuid,
    /// Column.
    pub grid_x: f64,
    /// Row.
    pub grid_y: f64,
    /// Width, when the gesture resizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid_w: Option<f64>,
    /// Height, when the gesture resizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid_h: Option<f64>,
}
