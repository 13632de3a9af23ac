//! Rooms: who may do what, how drags end, and what holds when everybody acts at once.

use serde_json::{Value, json, value::to_raw_value};
use studyhall::domain::workspaces::adopt_orphan;
use studyhall::live::backend::{Orphan, SlotKey};
use studyhall_protocol::Channel;
use studyhall_protocol::state::UserState;
use studyhall_protocol::workspaces::Role;
use uuid::Uuid;

use crate::actors::{Actor, Dice, Place, place};

fn widget(room: &str) -> Value {
    json!({"workspace_id": room, "type": "clock", "grid_x": 0, "grid_y": 0, "grid_w": 2, "grid_h": 2})
}

async fn people(place: &Place) -> [Actor; 3] {
    [place.actor("owner").await, place.actor("member").await, place.actor("stranger").await]
}

async fn room_of(owner: &Actor, member: &Actor, settings: Value) -> String {
    let room = owner.make("workspace.create", json!({"name": "Room", "settings": settings})).await;
    owner.ok("member.add", json!({"workspace_id": room, "user_id": member.id})).await;
    room
}

#[tokio::test]
async fn strangers_and_guests() {
    let place = place().await;
    let [owner, member, other] = people(&place).await;
    for (settings, why) in [(json!({}), "404 not_found"), (json!({"guests": true}), "403 guests_look_on")] {
        let room = room_of(&owner, &member, settings).await;
        let clock = member.make("widget.create", widget(&room)).await;
        for (method, data) in [
            ("workspace.update", json!({"id": room, "name": "x"})),
            ("workspace.delete", json!({"id": room})),
            ("member.add", json!({"workspace_id": room, "user_id": other.id})),
            ("member.remove", json!({"workspace_id": room, "user_id": member.id})),
            ("member.remove", json!({"workspace_id": room, "user_id": other.id})),
            ("widget.create", widget(&room)),
            ("widget.update", json!({"id": clock, "title": "x"})),
            ("widget.move", json!({"id": clock, "grid_x": 1, "grid_y": 1})),
            ("widget.delete", json!({"id": clock})),
        ] {
            other.refused(method, data, why).await;
        }
        let seen = other.room(&room).await.map(|room| room.role);
        assert_eq!(seen, why.starts_with("403").then_some(Role::Guest));
    }
}

#[tokio::test]
async fn what_only_the_owner_may() {
    let place = place().await;
    let [owner, member, other] = people(&place).await;
    let room = room_of(&owner, &member, json!({})).await;
    let membership = |person: &Actor| json!({"workspace_id": room, "user_id": person.id});
    member.refused("workspace.delete", json!({"id": room}), "403 owner_only").await;
    member.refused("member.add", membership(&other), "403 owner_only").await;
    member.refused("member.remove", membership(&owner), "403 owner_only").await;
    owner.refused("member.add", membership(&member), "409 already_member").await;
    owner.refused("member.add", json!({"workspace_id": room, "user_id": Uuid::nil()}), "422 invalid_field").await;
    owner.refused("member.remove", membership(&owner), "409 owner_stays").await;
    owner.refused("member.remove", membership(&other), "404 not_found").await;
    let settings = |settings: Value| json!({"id": room, "settings": settings});
    member.refused("workspace.update", settings(json!({"guests": true})), "403 owner_only").await;
    member.ok("workspace.update", settings(json!({"guests": false, "sound": "rain"}))).await;
    owner.ok("workspace.update", settings(json!({"guests": true}))).await;
    member.refused("workspace.update", settings(json!({})), "403 owner_only").await;
    member.ok("workspace.update", settings(json!({"guests": true, "sound": "sea"}))).await;
    member.ok("member.remove", membership(&member)).await;
    member.refused("workspace.update", json!({"id": room, "name": "x"}), "403 guests_look_on").await;
}

#[tokio::test]
async fn drops_and_moves() {
    let place = place().await;
    let [owner, member, _] = people(&place).await;
    let room = room_of(&owner, &member, json!({})).await;
    let clock = member.make("widget.create", widget(&room)).await;
    let title = json!({"id": clock, "title": "Clock"});
    let before = member.stand("widget.update", title.clone()).await;
    assert_eq!(member.stand("widget.update", title).await, before);
    let to = json!({"id": clock, "grid_x": 0, "grid_y": 0});
    assert_eq!(member.stand("widget.move", to).await, before);
    // A drop counts even where the widget is already, and even twice: it ends the drag for everybody.
    let drop = json!({"id": clock, "grid_x": 0, "grid_y": 0, "drag_id": Uuid::new_v4()});
    let first = member.stand("widget.move", drop.clone()).await;
    assert_ne!(first, before);
    assert_ne!(member.stand("widget.move", drop).await, first);
    member.refused("widget.move", json!({"id": Uuid::nil(), "grid_x": 1, "grid_y": 1}), "404 not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphaned_drag_is_committed_once() {
    let place = place().await;
    let [owner, member, other] = people(&place).await;
    let room = room_of(&owner, &member, json!({})).await;
    let clock = member.make("widget.create", widget(&room)).await;
    let orphan = |author: &Actor, gesture: Uuid| Orphan {
        channel: Channel::Workspace(room.parse().unwrap()),
        key: SlotKey { kind: "drag", id: clock.parse().unwrap() },
        author: author.id,
        gesture,
        data: to_raw_value(&json!({"drag_id": gesture, "grid_x": 3.6, "grid_y": -2.2})).unwrap(),
    };
    let before = owner.room(&room).await.unwrap();
    adopt_orphan(&place.writer, orphan(&other, Uuid::new_v4())).await.unwrap();
    let drag = Uuid::new_v4();
    let nodes = (0..8).map(|_| {
        let (writer, orphan) = (place.writer.clone(), orphan(&member, drag));
        tokio::spawn(async move { adopt_orphan(&writer, orphan).await.unwrap() })
    });
    for node in nodes.collect::<Vec<_>>() {
        node.await.unwrap();
    }
    let after = owner.room(&room).await.unwrap();
    assert_eq!((after.widgets[0].grid_x, after.widgets[0].grid_y, after.widgets[0].grid_w), (4, -2, 2));
    assert_eq!(after.positions[0].offset, before.positions[0].offset + 1);
    // Dropped by its author after all, and only then noticed.
    let dropped = Uuid::new_v4();
    member.ok("widget.move", json!({"id": clock, "grid_x": 9, "grid_y": 9, "drag_id": dropped})).await;
    adopt_orphan(&place.writer, orphan(&member, dropped)).await.unwrap();
    let last = owner.room(&room).await.unwrap();
    assert_eq!(last.widgets[0].grid_x, 9);
    place.assert_room(before, last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_at_once() {
    let place = place().await;
    let people = people(&place).await;
    let room = room_of(&people[0], &people[1], json!({"guests": true})).await;
    let clock = people[1].make("widget.create", widget(&room)).await;
    let before = people[0].room(&room).await.unwrap();
    let tasks = (0..10).map(|seed| {
        let (people, room, clock, place) = (people.clone(), room.clone(), clock.clone(), place.clone());
        let before = before.clone();
        tokio::spawn(async move {
            let mut dice = Dice(seed);
            for _ in 0..25 {
                let (person, other) = (&people[dice.roll(3)], &people[dice.roll(3)]);
                let membership = json!({"workspace_id": room, "user_id": other.id});
                let (method, data) = match dice.roll(5) {
                    0 => ("member.add", membership),
                    1 => ("member.remove", membership),
                    2 => ("widget.create", widget(&room)),
                    3 => ("workspace.update", json!({"id": room, "name": format!("Room {}", dice.roll(9))})),
                    _ => ("widget.move", json!({"id": clock, "grid_x": dice.roll(90), "grid_y": dice.roll(90)})),
                };
                let answer = person.call(method, data).await;
                assert!(answer.as_ref().err().is_none_or(|error| error.starts_with('4')), "{answer:?}");
                place.assert_room(before.clone(), people[0].room(&room).await.unwrap()).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_deleted_while_people_come() {
    let place = place().await;
    let [owner, one, two] = people(&place).await;
    let before = [owner.dashboard().await, one.dashboard().await, two.dashboard().await];
    for _ in 0..10 {
        let room = owner.make("workspace.create", json!({"name": "Room"})).await;
        let mut tasks = Vec::new();
        for (method, data) in [
            ("member.add", json!({"workspace_id": room, "user_id": one.id})),
            ("workspace.delete", json!({"id": room})),
            ("member.add", json!({"workspace_id": room, "user_id": two.id})),
        ] {
            let owner = owner.clone();
            tasks.push(tokio::spawn(async move { (method, owner.call(method, data).await) }));
        }
        for task in tasks {
            let (method, answer) = task.await.unwrap();
            let fine = answer.is_ok() || method == "member.add" && answer.as_ref().unwrap_err().starts_with("404");
            assert!(fine, "{method}: {answer:?}");
        }
        assert!(owner.room(&room).await.is_none());
    }
    for (before, person) in before.into_iter().zip([owner, one, two]) {
        let after = person.dashboard().await;
        assert_eq!(UserState::from(after.clone()).memberships, UserState::default().memberships);
        place.assert_person(before, after).await;
    }
}
