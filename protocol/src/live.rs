//! What is published without a number: slot values and broadcasts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use uuid::Uuid;

use crate::describe::{SchemaOf, schema_of};
use crate::presence::Presence;

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
#[derive(Debug)]
pub struct Published<'a> {
    /// As published: the `type`.
    pub kind: &'a str,
    /// As published.
    pub key: Option<&'a str>,
    /// Set by the server.
    pub actor: Uuid,
    /// As published; `null` when a slot was cleared.
    pub data: Option<&'a RawValue>,
}

/// A widget on its way, in a `drag` slot. Grid units; fractions are allowed while it moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// What the application sees of a connect: `data` of the connect reply.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connected {
    /// Who was recognised.
    pub user_id: Uuid,
    /// Milliseconds since 1970, UTC.
    pub server_time: i64,
}

/// What a newcomer has to know besides the log: `data` of the subscribe reply, and of the publication `slots`, which
/// replaces all that was known of both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Present {
    /// How many people are in the room.
    pub num_users: u32,
    /// The first hundred of them; `presence()` has all.
    pub people: Vec<Occupant>,
    /// What the slots hold now.
    pub slots: Vec<Shown>,
}

/// What a slot holds, as it was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// The kind of slot: a line of [`UNNUMBERED`].
    pub r#type: String,
    /// Which of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who published it.
    pub actor: Uuid,
    /// The value.
    pub data: Value,
}

/// Somebody in a room: in [`Present`], joins, leaves and `presence()`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Occupant {
    /// Who.
    pub user: Uuid,
    /// The same: presence is about people, not about connections.
    pub client: Uuid,
    /// What rooms show of them.
    pub conn_info: OccupantInfo,
    /// What lies behind them.
    pub chan_info: Devices,
}

/// What rooms show of a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OccupantInfo {
    /// Unique without regard to case.
    pub username: String,
    /// Such as "Aiko Tanaka".
    pub full_name: Option<String>,
    /// Avatar.
    pub profile_image_url: Option<String>,
}

/// What lies behind one person in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Devices {
    /// Connections of that person in this channel.
    pub devices: u32,
}

/// How long a publication without a number lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// The latest value is kept for newcomers; `null` clears it.
    Slot,
    /// For whoever is there.
    Broadcast,
}

/// A kind of publication without a number.
#[derive(Debug, Clone, Copy)]
pub struct Unnumbered {
    /// Its `type`.
    pub name: &'static str,
    /// For people.
    pub doc: &'static str,
    /// The kind of channel.
    pub on: &'static str,
    /// How long it lives.
    pub life: Life,
    /// Whether clients publish it; otherwise the server does.
    pub by_clients: bool,
    /// What its `key` says.
    pub key: Key,
    /// Its `data`.
    pub data: SchemaOf,
}

/// Whether a publication has a key, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// None, and nobody is named as the author either.
    Absent,
    /// An id, and it has to be there.
    Id(&'static str),
    /// The author's own id, which may be left out.
    Own,
    /// Any text of at most 64 bytes, or none.
    Free,
}

/// Every kind of publication without a number.
pub const UNNUMBERED: &[Unnumbered] = &[
    slot("drag", "A widget on its way. Members only; one person holds it at a time.", Key::Id("The widget."))
        .with(schema_of::<Drag>),
    slot("pointer", "Where somebody's pointer is: free JSON, at most 1 KiB.", Key::Own),
    slot("typing", "Whether somebody types: free JSON, at most 1 KiB.", Key::Own),
    broadcast("reaction", "A reaction: free JSON, at most 8 KiB."),
    broadcast("nudge", "A nudge: free JSON, at most 8 KiB."),
    broadcast("custom", "What a front-end tells the others in the room: free JSON, at most 8 KiB. Members only."),
    slot("presence", "Whether the person is here, as far as they allow it.", Key::Id("The person."))
        .with(schema_of::<Presence>)
        .by_server("profile"),
    broadcast(
        "slots",
        "To a reader that fell far behind: people and slots as they are now. Replaces all that was known.",
    )
    .with(schema_of::<Present>)
    .without_key()
    .by_server("workspace"),
];

const fn slot(name: &'static str, doc: &'static str, key: Key) -> Unnumbered {
    let (on, life, data) = ("workspace", Life::Slot, schema_of::<Value> as SchemaOf);
    Unnumbered { name, doc, on, life, by_clients: true, key, data }
}

const fn broadcast(name: &'static str, doc: &'static str) -> Unnumbered {
    let (on, life, data) = ("workspace", Life::Broadcast, schema_of::<Value> as SchemaOf);
    Unnumbered { name, doc, on, life, by_clients: true, key: Key::Free, data }
}

impl Unnumbered {
    const fn with(mut self, data: SchemaOf) -> Self {
        self.data = data;
        self
    }

    const fn by_server(mut self, on: &'static str) -> Self {
        self.on = on;
        self.by_clients = false;
        self
    }

    const fn without_key(mut self) -> Self {
        self.key = Key::Absent;
        self
    }
}
