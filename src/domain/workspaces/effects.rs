//! What events of a room do besides being told: they end drags, and they put people out. Derived from the event alone, so that
//! every node that reads the log comes to the same.

use studyhall_protocol::error::Unsubscribed;
use studyhall_protocol::rest::Deleted;
use studyhall_protocol::widgets::WidgetMoved;
use studyhall_protocol::workspaces::{MemberGone, Workspace};
use uuid::Uuid;

use crate::domain::payload::data;
use crate::live::backend::{Effect, LogEvent, SlotKey};

/// What an event of a room does besides being sent. Most do nothing and are not even read.
pub fn effects(event: &LogEvent) -> Vec<Effect> {
    let effect = match &*event.name {
        "widget.moved" => data(event).and_then(moved),
        "widget.deleted" => {
            data(event).map(|gone: Deleted| Effect::EndGesture { key: drag_of(gone.id), gesture: None })
        }
        "member.removed" => data(event).map(|gone: MemberGone| Effect::Remove(gone.user_id, Unsubscribed::REMOVED)),
        "workspace.updated" => data(event).and_then(closed_to_guests),
        "workspace.deleted" => Some(Effect::RemoveAll(Unsubscribed::DELETED)),
        _ => None,
    };
    effect.into_iter().collect()
}

fn drag_of(widget: Uuid) -> SlotKey {
    SlotKey { kind: "drag", id: widget }
}

/// A move without a drag came from elsewhere; whoever drags the widget goes on.
fn moved(moved: WidgetMoved) -> Option<Effect> {
    let gesture = Some(moved.drag_id?);
    Some(Effect::EndGesture { key: drag_of(moved.widget.id), gesture })
}

fn closed_to_guests(workspace: Workspace) -> Option<Effect> {
    (!workspace.admits_guests()).then_some(Effect::RemoveGuests(Unsubscribed::REMOVED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use chrono::DateTime;
    use serde_json::json;
    use studyhall_protocol::widgets::Widget;
    use studyhall_protocol::workspaces::BackgroundType;
    use studyhall_protocol::{Channel, Event};

    const PERSON: Uuid = Uuid::from_u128(1);
    const ROOM: Uuid = Uuid::from_u128(2);
    const WIDGET: Uuid = Uuid::from_u128(3);
    const DRAG: Uuid = Uuid::from_u128(4);

    fn in_room(event: Event) -> Vec<Effect> {
        let payload = Bytes::from(serde_json::to_vec(&event).unwrap());
        effects(&LogEvent { channel: Channel::Workspace(ROOM), offset: 1, name: event.name().into(), payload })
    }

    fn widget() -> Widget {
        Widget {
            id: WIDGET,
            workspace_id: ROOM,
            r#type: "clock".into(),
            title_key: None,
            title: None,
            grid_x: 0,
            grid_y: 0,
            grid_w: 1,
            grid_h: 1,
            settings: json!({}),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    fn room(settings: serde_json::Value) -> Workspace {
        Workspace {
            id: ROOM,
            user_id: PERSON,
            name: "Library".into(),
            background_type: BackgroundType::Color,
            background_value: None,
            background_color: None,
            settings,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_drop_ends_its_drag_and_no_other() {
        let moved = |drag_id| in_room(Event::WidgetMoved(WidgetMoved { widget: widget(), drag_id }));
        assert_eq!(moved(Some(DRAG)), [Effect::EndGesture { key: drag_of(WIDGET), gesture: Some(DRAG) }]);
        assert_eq!(moved(None), []);
        let gone = in_room(Event::WidgetDeleted(Deleted { id: WIDGET }));
        assert_eq!(gone, [Effect::EndGesture { key: drag_of(WIDGET), gesture: None }]);
    }

    #[test]
    fn who_has_to_leave() {
        let gone = in_room(Event::MemberRemoved(MemberGone { workspace_id: ROOM, user_id: PERSON }));
        assert_eq!(gone, [Effect::Remove(PERSON, Unsubscribed::REMOVED)]);
        let closed = in_room(Event::WorkspaceUpdated(room(json!({"guests": false}))));
        assert_eq!(closed, [Effect::RemoveGuests(Unsubscribed::REMOVED)]);
        assert_eq!(in_room(Event::WorkspaceUpdated(room(json!({"guests": true})))), []);
        let deleted = in_room(Event::WorkspaceDeleted(Deleted { id: ROOM }));
        assert_eq!(deleted, [Effect::RemoveAll(Unsubscribed::DELETED)]);
    }

    #[test]
    fn other_events_are_not_read() {
        let event = |name: &str, payload: &'static str| LogEvent {
            channel: Channel::Workspace(ROOM),
            offset: 1,
            name: name.into(),
            payload: Bytes::from(payload),
        };
        assert_eq!(effects(&event("widget.updated", "not json")), []);
        assert_eq!(effects(&event("widget.moved", "not json")), []);
        assert_eq!(effects(&event("widget.moved", r#"{"type":"widget.moved","data":null}"#)), []);
    }
}
