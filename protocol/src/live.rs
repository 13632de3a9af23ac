//! What is published without a number: slot values and broadcasts.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use uuid::Uuid;

use crate::describe::{SchemaOf, schema_of};
use crate::plain::Cursor;
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
    pub data: Option<Json<'a>>,
}

/// One JSON value, proven to be one, as it is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Whoever reads a value proves it.
    pub(crate) fn proven(text: &'a str) -> Self {
        Self(text)
    }

    /// As it is spelled.
    pub fn get(self) -> &'a str {
        self.0
    }

    /// What did not come as a line may be spread over several: a newline, which can only stand between the parts of a
    /// value, would end the line that it is put into.
    pub fn in_one_line(self) -> Cow<'a, str> {
        if memchr::memchr2(b'\n', b'\r', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(self.0);
        }
        Cow::Owned(self.0.replace(['\n', '\r'], " "))
    }
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self(value.get())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(Json::from)
    }
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
    /// As published, in one line; `null` when a slot was cleared.
    pub data: Option<&'a str>,
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

impl Drag {
    /// Reads an object. Errors as JSON that is none, or none of a drag.
    pub fn read(json: &str) -> serde_json::Result<Self> {
        match Self::read_plain(json) {
            Some(drag) => Ok(drag),
            None => serde_json::from_str(json),
        }
    }

    /// As front-ends spell it, which is asked for at every step of a drag.
    fn read_plain(json: &str) -> Option<Self> {
        let mut cursor = Cursor(json);
        let (mut drag_id, mut x, mut y, mut w, mut h) = (None, None, None, None, None);
        cursor.eat(b'{')?;
        loop {
            let number = match cursor.name()? {
                "drag_id" if drag_id.is_none() => {
                    drag_id = Some(Uuid::try_parse(cursor.text()?).ok()?);
                    None
                }
                "grid_x" => Some(&mut x),
                "grid_y" => Some(&mut y),
                "grid_w" => Some(&mut w),
                "grid_h" => Some(&mut h),
                _ => return None,
            };
            if let Some(number) = number
                && number.replace(cursor.decimal()?).is_some()
            {
                return None;
            }
            if !cursor.more()? {
                break;
            }
        }
        let drag = Self { drag_id: drag_id?, grid_x: x?, grid_y: y?, grid_w: w, grid_h: h };
        cursor.0.is_empty().then_some(drag)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever one byte more, less or other makes of a drag: what is read by hand is what the general parser reads.
    #[test]
    fn damaged_drags_are_not_taken_for_others() {
        const BYTES: &[u8] = b"\"\\{}[]:,0 1.-+eE\n\r\t\x01nul";
        let plain = [
            r#"{"drag_id":"0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b","grid_x":0.25,"grid_y":-7.5}"#,
            r#"{"grid_w":4,"grid_h":3.125,"grid_y":100000,"drag_id":"0190A1B2C3D47E5F8A9B0C1D2E3F4A5B","grid_x":-0}"#,
        ];
        let mut taken = 0;
        for drag in plain {
            assert!(Drag::read_plain(drag).is_some(), "{drag}");
            for at in 0..drag.len() {
                let (before, after) = (&drag.as_bytes()[..at], &drag.as_bytes()[at..]);
                let mut damaged = vec![[before, &after[1..]].concat(), before.to_vec()];
                for byte in BYTES {
                    damaged.push([before, &[*byte], after].concat());
                    damaged.push([before, &[*byte], &after[1..]].concat());
                }
                for text in damaged.iter().filter_map(|text| str::from_utf8(text).ok()) {
                    if let Some(drag) = Drag::read_plain(text) {
                        taken += 1;
                        assert_eq!(Some(drag), serde_json::from_str(text).ok(), "{text}");
                    }
                }
            }
        }
        assert!(taken > 200, "{taken}");
    }
}
