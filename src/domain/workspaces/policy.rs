//! What people may publish in a room without a number: drags, pointers, reactions.
//!
//! Asked for every frame of every drag, so nothing here waits, and what is fine allocates nothing.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use studyhall_protocol::Channel;
use studyhall_protocol::check::{GRID_MAX, GRID_SIZE_MAX};
use studyhall_protocol::error::WireError;
use studyhall_protocol::live::{Drag, Json, Publication};
use uuid::Uuid;

use crate::live::backend::{Action, Grant, SlotKey, SlotWrite};

/// The largest value of a slot, in bytes of JSON.
pub const SLOT_BYTES_MAX: usize = 1_024;
/// The largest broadcast, in bytes of JSON.
pub const BROADCAST_BYTES_MAX: usize = 8 * 1_024;
/// JSON may nest this deep: some readers give up on a text that is nothing but brackets.
const BRACKETS_MAX: usize = 64;

/// What a publication does, if this person may publish it here.
pub fn publication(
    user_id: Uuid,
    channel: Channel,
    grant: Grant,
    publication: &Publication<'_>,
) -> Result<Action, WireError> {
    if !matches!(channel, Channel::Workspace(_)) {
        return Err(WireError::permission_denied());
    }
    match publication.kind.as_ref() {
        "drag" => member(grant).and_then(|()| drag(publication)),
        "pointer" => own_slot("pointer", user_id, publication),
        "typing" => own_slot("typing", user_id, publication),
        "reaction" | "nudge" => broadcast(publication),
        "custom" => member(grant).and_then(|()| broadcast(publication)),
        _ => Err(WireError::bad_request("type must be drag, pointer, typing, reaction, nudge or custom")),
    }
}

fn member(grant: Grant) -> Result<(), WireError> {
    match grant {
        Grant::Member => Ok(()),
        Grant::Guest => Err(WireError::new(1_403, "guests_look_on: only members can do that; guests look on")),
    }
}

/// A widget on its way. One person holds a widget at a time, by the gesture; `null` lets it go where it was.
fn drag(publication: &Publication<'_>) -> Result<Action, WireError> {
    let Some(id) = publication.key.as_deref().and_then(canonical) else {
        return Err(WireError::bad_request("key must be the id of the widget"));
    };
    let key = SlotKey { kind: "drag", id };
    let Some(data) = publication.data else {
        return Ok(Action::Slot(SlotWrite { key, clear: true, gesture: None }));
    };
    let drag = read_drag(data.get())?;
    Ok(Action::Slot(SlotWrite { key, clear: false, gesture: Some(drag.drag_id) }))
}

/// Reads and checks the value of a drag.
pub(super) fn read_drag(data: &str) -> Result<Drag, WireError> {
    // An array would be read as well, field by field.
    if !data.starts_with('{') || data.len() > SLOT_BYTES_MAX {
        return Err(WireError::bad_request("data must be a drag: {drag_id, grid_x, grid_y}"));
    }
    let drag = Drag::read(data).map_err(|error| WireError::bad_request(format_args!("data is not a drag: {error}")))?;
    let place = |value: f64| value.is_finite() && value.abs() <= f64::from(GRID_MAX);
    let size = |value: Option<f64>| value.is_none_or(|value| value > 0.0 && value <= f64::from(GRID_SIZE_MAX));
    if place(drag.grid_x) && place(drag.grid_y) && size(drag.grid_w) && size(drag.grid_h) {
        return Ok(drag);
    }
    Err(WireError::bad_request(format_args!(
        "grid_x and grid_y must be within ±{GRID_MAX}, grid_w and grid_h above 0 and at most {GRID_SIZE_MAX}"
    )))
}

/// A slot that everybody has one of: where their pointer is, whether they type.
fn own_slot(kind: &'static str, user_id: Uuid, publication: &Publication<'_>) -> Result<Action, WireError> {
    if publication.key.as_deref().is_some_and(|key| canonical(key) != Some(user_id)) {
        return Err(WireError::bad_request("key must be absent, or your own id"));
    }
    if let Some(data) = publication.data {
        sound(data, SLOT_BYTES_MAX)?;
    }
    let key = SlotKey { kind, id: user_id };
    Ok(Action::Slot(SlotWrite { key, clear: publication.data.is_none(), gesture: None }))
}

fn broadcast(publication: &Publication<'_>) -> Result<Action, WireError> {
    if publication.key.as_deref().is_some_and(|key| key.len() > 64) {
        return Err(WireError::bad_request("key has more than 64 bytes"));
    }
    if let Some(data) = publication.data {
        sound(data, BROADCAST_BYTES_MAX)?;
    }
    Ok(Action::Broadcast)
}

/// Whether free JSON can be handed on: small, and readable for everybody else. It was scanned, not read: a lone
/// surrogate (`"\ud800"`) or a number beyond all bounds (`1e400`) gets through a scan and breaks the frame for whoever
/// decodes it strictly, as does nesting without end.
fn sound(data: Json<'_>, bytes_max: usize) -> Result<(), WireError> {
    let text = data.get();
    if text.len() > bytes_max {
        return Err(WireError::bad_request(format_args!(
            "data has {} bytes; at most {bytes_max} are allowed",
            text.len()
        )));
    }
    Walk(0)
        .deserialize(&mut serde_json::Deserializer::from_str(text))
        .map_err(|error| WireError::bad_request(format_args!("data: {error}")))
}

/// Reads a JSON value to its end and keeps nothing of it. The number says how deep it is.
#[derive(Clone, Copy)]
struct Walk(usize);

impl Walk {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.0 >= BRACKETS_MAX {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self(self.0 + 1))
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while fields.next_key_seed(inside)?.is_some() {
            fields.next_value_seed(inside)?;
        }
        Ok(())
    }
}

/// Ids have one spelling: everybody else uses the key as it is published.
fn canonical(key: &str) -> Option<Uuid> {
    let plain = key.len() == 36 && !key.bytes().any(|byte| byte.is_ascii_uppercase());
    plain.then(|| Uuid::try_parse(key).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Uuid = Uuid::from_u128(1);
    const ROOM: Channel = Channel::Workspace(Uuid::from_u128(2));
    const WIDGET: Uuid = Uuid::from_u128(3);
    const DRAG: Uuid = Uuid::from_u128(4);

    fn ask_in(channel: Channel, grant: Grant, json: &str) -> Result<Action, WireError> {
        publication(ME, channel, grant, &serde_json::from_str(json).unwrap())
    }

    fn ask(grant: Grant, json: &str) -> Result<Action, WireError> {
        ask_in(ROOM, grant, json)
    }

    fn drag_with(fields: &str) -> Result<Action, WireError> {
        ask(Grant::Member, &format!(r#"{{"type":"drag","key":"{WIDGET}","data":{{"drag_id":"{DRAG}",{fields}}}}}"#))
    }

    fn slot(kind: &'static str, id: Uuid, clear: bool, gesture: Option<Uuid>) -> Result<Action, WireError> {
        Ok(Action::Slot(SlotWrite { key: SlotKey { kind, id }, clear, gesture }))
    }

    fn code(answer: Result<Action, WireError>) -> u32 {
        answer.unwrap_err().code
    }

    #[test]
    fn drags_are_for_members() {
        assert_eq!(drag_with(r#""grid_x":1.5,"grid_y":-2"#), slot("drag", WIDGET, false, Some(DRAG)));
        let cancel = format!(r#"{{"type":"drag","key":"{WIDGET}","data":null}}"#);
        assert_eq!(ask(Grant::Member, &cancel), slot("drag", WIDGET, true, None));
        let refused = ask(Grant::Guest, &cancel).unwrap_err();
        assert_eq!(refused.code, 1_403);
        assert!(refused.message.starts_with("guests_look_on"));
    }

    #[test]
    fn drags_are_checked() {
        for bad in [
            r#""grid_x":100001,"grid_y":0"#,
            r#""grid_x":0,"grid_y":-1e9"#,
            r#""grid_x":0,"grid_y":1e999"#,
            r#""grid_x":0,"grid_y":null"#,
            r#""grid_x":0,"grid_y":0,"grid_w":0"#,
            r#""grid_x":0,"grid_y":0,"grid_h":1001"#,
            r#""grid_x":0,"grid_y":0,"more":1"#,
            r#""grid_x":0"#,
        ] {
            assert_eq!(code(drag_with(bad)), 107, "{bad}");
        }
        for bad in [
            r#"{"type":"drag","data":null}"#.to_owned(),
            r#"{"type":"drag","key":"clock","data":null}"#.to_owned(),
            format!(r#"{{"type":"drag","key":"{}","data":null}}"#, WIDGET.simple()),
            format!(r#"{{"type":"drag","key":"{WIDGET}","data":["{DRAG}",1,2]}}"#),
            format!(r#"{{"type":"drag","key":"{WIDGET}","data":7}}"#),
        ] {
            assert_eq!(code(ask(Grant::Member, &bad)), 107, "{bad}");
        }
    }

    #[test]
    fn pointers_belong_to_their_author() {
        for grant in [Grant::Guest, Grant::Member] {
            assert_eq!(ask(grant, r#"{"type":"pointer","data":{"x":1}}"#), slot("pointer", ME, false, None));
            assert_eq!(ask(grant, r#"{"type":"typing","data":null}"#), slot("typing", ME, true, None));
            let own = format!(r#"{{"type":"typing","key":"{ME}","data":true}}"#);
            assert_eq!(ask(grant, &own), slot("typing", ME, false, None));
            let other = format!(r#"{{"type":"typing","key":"{WIDGET}","data":true}}"#);
            assert_eq!(code(ask(grant, &other)), 107);
        }
        let large = format!(r#"{{"type":"pointer","data":"{}"}}"#, "a".repeat(1_023));
        assert_eq!(code(ask(Grant::Member, &large)), 107);
    }

    #[test]
    fn broadcasts() {
        for grant in [Grant::Guest, Grant::Member] {
            assert_eq!(ask(grant, r#"{"type":"reaction","data":"👏"}"#), Ok(Action::Broadcast));
            assert_eq!(ask(grant, r#"{"type":"nudge"}"#), Ok(Action::Broadcast));
        }
        assert_eq!(ask(Grant::Member, r#"{"type":"custom","data":{"any":1}}"#), Ok(Action::Broadcast));
        assert_eq!(code(ask(Grant::Guest, r#"{"type":"custom","data":1}"#)), 1_403);
        assert_eq!(code(ask(Grant::Member, r#"{"type":"shout","data":1}"#)), 107);
        let large = format!(r#"{{"type":"custom","data":"{}"}}"#, "a".repeat(8_191));
        assert_eq!(code(ask(Grant::Member, &large)), 107);
    }

    #[test]
    fn only_rooms_take_publications() {
        for channel in [Channel::User(ME), Channel::Profile(ME)] {
            assert_eq!(code(ask_in(channel, Grant::Member, r#"{"type":"pointer","data":1}"#)), 103);
        }
    }

    #[test]
    fn what_others_could_not_read_is_refused() {
        let raw = |data: &str| format!(r#"{{"type":"reaction","data":{data}}}"#);
        assert_eq!(code(ask(Grant::Member, &raw(r#""\ud83d""#))), 107);
        assert_eq!(code(ask(Grant::Member, &raw(r#"{"\udc00":1}"#))), 107);
        assert_eq!(ask(Grant::Member, &raw(r#""\ud83d\ude00""#)), Ok(Action::Broadcast));
        assert_eq!(ask(Grant::Member, &raw(r#""\\ud83d""#)), Ok(Action::Broadcast));
        for beyond in ["1e400", "[-1e309]", &"9".repeat(400)] {
            assert_eq!(code(ask(Grant::Member, &raw(beyond))), 107, "{beyond}");
        }
        for within in ["1e308", "-0.0", "1e-400", "18446744073709551616", "[true,null]"] {
            assert_eq!(ask(Grant::Member, &raw(within)), Ok(Action::Broadcast), "{within}");
        }
        let deep = |levels: usize| raw(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
        assert_eq!(ask(Grant::Member, &deep(64)), Ok(Action::Broadcast));
        assert_eq!(code(ask(Grant::Member, &deep(65))), 107);
        assert_eq!(code(ask(Grant::Member, &deep(4_000))), 107);
        let wide = raw(&format!("[{}[]]", "[],".repeat(100)));
        assert_eq!(ask(Grant::Member, &wide), Ok(Action::Broadcast));
    }
}
