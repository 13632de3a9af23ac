//! Every event has its place in the state of its kind of channel, and in no other.

use serde_json::json;
use studyhall_protocol::Event;
use studyhall_protocol::state::{ProfileState, UserState, WorkspaceState};

use crate::model;
use crate::reads::sample;

#[test]
fn states_place_every_event() {
    let model = model::model();
    let document = json!({"$defs": model.types});
    for line in &model.events {
        let data = sample(&document, "", &line.data);
        let event: Event = serde_json::from_value(json!({"type": line.message.name, "data": data})).unwrap();
        let placed = [
            ("user", UserState::default().apply(&event).is_ok()),
            ("profile", ProfileState::default().apply(&event).is_ok()),
            ("workspace", WorkspaceState::default().apply(&event).is_ok()),
        ];
        for (kind, placed) in placed {
            assert_eq!(placed, line.message.on == Some(kind), "{} on {kind}", line.message.name);
        }
    }
}
