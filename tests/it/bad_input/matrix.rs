//! Who may do what: S4. Every call by everybody, in a room that is closed and in one that guests may look at.

use serde_json::{Value, json};
use uuid::Uuid;

use super::stage::{Stage, stage};
use super::{CALLS, Call};
use crate::harness::Person;

/// What each may do: the status and the word, for owner, member, guest, stranger.
struct Right {
    command: &'static str,
    member: (u16, &'static str),
    guest: (u16, &'static str),
}

const FINE: (u16, &str) = (200, "");
const LOOK_ON: (u16, &str) = (403, "guests_look_on");
const OWNER_ONLY: (u16, &str) = (403, "owner_only");
const NOTHING: (u16, &str) = (404, "not_found");

/// The calls about rooms. The owner may do everything; to strangers there is no room.
const RIGHTS: &[Right] = &[
    Right { command: "workspace.update", member: FINE, guest: LOOK_ON },
    Right { command: "widget.create", member: FINE, guest: LOOK_ON },
    Right { command: "widget.update", member: FINE, guest: LOOK_ON },
    Right { command: "widget.move", member: FINE, guest: LOOK_ON },
    Right { command: "widget.delete", member: FINE, guest: LOOK_ON },
    Right { command: "member.add", member: OWNER_ONLY, guest: LOOK_ON },
    Right { command: "member.remove", member: OWNER_ONLY, guest: LOOK_ON },
    Right { command: "workspace.delete", member: OWNER_ONLY, guest: LOOK_ON },
];

/// By REST and by rpc; what is refused is refused with the same word.
async fn both(stage: &Stage, who: &Person, call: &Call, expected: (u16, &str)) {
    let (path, body) = (call.path(stage), call.body(stage));
    let label = format!("{} {} {path}", who.username, call.command);
    let reply = who.call(call.method, &path, body.clone(), None).await;
    let code = reply.body["code"].as_str().unwrap_or_default();
    let status = if reply.status == 201 { 200 } else { reply.status };
    assert_eq!((status, code), expected, "{label}: {}", reply.body);
    if status == 200 {
        return;
    }
    let error = who.live().await.rpc(call.command, call.data(stage, body)).await.unwrap_err();
    assert_eq!(error["code"], 1_000 + expected.0, "{label}: {error}");
    assert!(error["message"].as_str().unwrap().starts_with(expected.1), "{label}: {error}");
}

fn call(command: &str) -> &'static Call {
    CALLS.iter().find(|call| call.command == command).unwrap()
}

/// What is read of a room.
const ROOM_READS: &[&str] = &["/workspaces/{room}", "/workspaces/{room}/members", "/channels/workspace:{room}/events"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_room_is_for_its_members() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    for right in RIGHTS {
        for stranger in [&stage.cleo, &stage.eve] {
            both(&stage, stranger, call(right.command), NOTHING).await;
        }
        if right.member != FINE {
            // Himself he may put out; that is another call.
            let other = stage.fill("/workspaces/{room}/members/{ada}");
            if right.command == "member.remove" {
                assert_eq!(stage.bob.delete(&other).await.expect(403)["code"], "owner_only");
            } else {
                both(&stage, &stage.bob, call(right.command), right.member).await;
            }
        }
    }
    for path in ROOM_READS {
        let path = stage.fill(path);
        stage.bob.get(&path).await.expect(200);
        for stranger in [&stage.cleo, &stage.eve] {
            assert_eq!(stranger.get(&path).await.expect(404)["code"], "not_found", "{path}");
        }
    }
    let owner = stage.fill("/workspaces/{room}/members/{ada}");
    assert_eq!(stage.ada.delete(&owner).await.expect(409)["code"], "owner_stays");
    let again = stage.fill("/workspaces/{room}/members/{bob}");
    assert_eq!(stage.ada.put(&again).await.expect(409)["code"], "already_member");
    let opens = json!({"settings": {"guests": true}});
    assert_eq!(stage.bob.patch(&stage.fill("/workspaces/{room}"), opens).await.expect(403)["code"], "owner_only");
    let nobody = format!("/workspaces/{}/members/{}", stage.id("room"), Uuid::new_v4());
    assert_eq!(stage.ada.put(&nobody).await.expect(422)["field"], "user_id");
    stage.unchanged(&before, "strangers").await;
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_look_on_and_no_more() {
    let stage = stage().await;
    let room = stage.fill("/workspaces/{room}");
    stage.ada.patch(&room, json!({"settings": {"guests": true}})).await.expect(200);
    let before = stage.dump().await;
    for right in RIGHTS {
        for guest in [&stage.cleo, &stage.eve] {
            both(&stage, guest, call(right.command), right.guest).await;
        }
    }
    for path in ROOM_READS {
        stage.eve.get(&stage.fill(path)).await.expect(200);
    }
    assert_eq!(stage.eve.get(&room).await.expect(200)["role"], "guest");
    assert_eq!(stage.dump().await, before);
    let mut live = stage.eve.live().await;
    let channel = stage.fill("workspace:{room}");
    live.subscribe(&channel).await;
    let custom = json!({"type": "custom", "data": 1});
    let drag = json!({"type": "drag", "key": stage.id("widget"), "data": {"drag_id": Uuid::new_v4(), "grid_x": 1, "grid_y": 1}});
    for data in [custom, drag] {
        assert_eq!(live.publish(&channel, data).await.unwrap_err()["code"], 1_403);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_and_owners_may_what_is_theirs() {
    let mut stage = stage().await;
    for right in RIGHTS.iter().filter(|right| right.member == FINE) {
        both(&stage, &stage.bob, call(right.command), FINE).await;
        if right.command == "widget.delete" {
            let (path, body) = (stage.fill("/workspaces/{room}/widgets"), call("widget.create").body(&stage).unwrap());
            let id = stage.bob.post(&path, body).await.expect(201)["data"]["id"].as_str().unwrap().to_owned();
            stage.set("widget", &id);
        }
        both(&stage, &stage.ada, call(right.command), FINE).await;
    }
    for command in ["member.add", "member.remove", "workspace.delete"] {
        both(&stage, &stage.ada, call(command), FINE).await;
    }
    // Whoever is out is a stranger at once, and a room that is gone is none.
    for who in [&stage.ada, &stage.bob, &stage.eve] {
        for path in ROOM_READS {
            who.get(&stage.fill(path)).await.expect(404);
        }
        for right in RIGHTS {
            both(&stage, who, call(right.command), NOTHING).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_others_does_not_exist() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    for command in CALLS.iter().filter(|call| call.command.starts_with("task") && call.path.contains('{')) {
        let missing = |value: &Value| value["code"] == "not_found" && value.get("detail").is_none();
        let path = command.path(&stage);
        for who in [&stage.bob, &stage.cleo, &stage.eve] {
            both(&stage, who, command, NOTHING).await;
            let reply = who.call(command.method, &path, command.body(&stage), None).await;
            assert!(missing(&reply.body), "{path}: {}", reply.body);
        }
    }
    for path in ["/task-lists/{list}/tasks", "/sessions/{session}"] {
        let path = stage.fill(path);
        let method = if path.starts_with("/sessions") { "DELETE" } else { "GET" };
        assert_eq!(stage.bob.call(method, &path, None, None).await.expect(404)["code"], "not_found");
    }
    // Into a list of somebody else's, and behind a task of somebody else's.
    let mine = stage.bob.post("/task-lists", json!({"name": "mine"})).await.expect(201)["data"]["id"].clone();
    let task =
        stage.bob.post(&format!("/task-lists/{}/tasks", mine.as_str().unwrap()), json!({"description": "x"})).await;
    let path = format!("/tasks/{}/move", task.expect(201)["data"]["id"].as_str().unwrap());
    assert_eq!(stage.bob.post(&path, json!({"list_id": stage.id("list")})).await.expect(404)["code"], "not_found");
    let behind = stage.bob.post(&path, json!({"after_id": stage.id("task")})).await.expect(409);
    assert_eq!((&behind["code"], &behind["field"]), (&json!("after_not_in_list"), &json!("after_id")));
    let missing = stage.bob.post(&path, json!({"after_id": Uuid::new_v4()})).await.expect(409);
    assert_eq!(missing, behind, "foreign is like missing");
    stage.bob.delete(&format!("/task-lists/{}", mine.as_str().unwrap())).await.expect(200);
    let theirs = format!("/channels/user:{}/events", stage.ada.id);
    let nobodys = format!("/channels/user:{}/events", Uuid::new_v4());
    let refused = stage.bob.get(&theirs).await.expect(403);
    assert_eq!((&refused["code"], &stage.bob.get(&nobodys).await.expect(403)), (&json!("permission_denied"), &refused));
    // Ada's rows are as they were.
    let after = stage.dump().await;
    for table in ["immersive_workspaces", "immersive_widgets", "workspace_members", "task_lists", "tasks", "users"] {
        let row = |rows: &[(String, String)]| rows.iter().find(|row| row.0 == table).cloned();
        assert_eq!(row(&after), row(&before), "{table}");
    }
    stage.live.drain().await;
}
