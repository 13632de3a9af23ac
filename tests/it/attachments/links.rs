//! Whose files are, what they belong to, and who sees them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{count, file, node, sees};
use crate::harness::Person;

fn id(made: Value) -> String {
    made["data"]["id"].as_str().unwrap().to_owned()
}

async fn link(person: &Person, file: &str, parent: &str, of: &str) -> crate::harness::Answer {
    person.post(&format!("/attachments/{file}/link"), json!({"parent": parent, "parent_id": of})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_file_belongs_to_decides_who_sees_it() {
    let (app, _) = node(|_| {}).await;
    let (ada, bob, eve) = (app.person("ada").await, app.person("bob").await, app.person("eve").await);
    let own = file(&ada).await;
    let all = async |file: &str| (sees(&ada, file).await, sees(&bob, file).await, sees(&eve, file).await);
    assert_eq!(all(&own).await, (200, 404, 404), "it belongs to nothing");
    let post = id(ada.post("/posts", json!({"content": "look"})).await.expect(201));
    link(&ada, &own, "post", &post).await.expect(200);
    assert_eq!(all(&own).await, (200, 200, 200));
    eve.put(&format!("/users/{}/block", ada.id)).await.expect(200);
    assert_eq!(all(&own).await, (200, 200, 404), "a block parts them");
    let to_profile = json!({"parent": "profile"});
    let shown = ada.post(&format!("/attachments/{own}/link"), to_profile.clone()).await.expect(200);
    assert_eq!((&shown["data"]["profile_user_id"], &shown["data"]["post_id"]), (&json!(ada.id), &json!(null)));
    assert_eq!(all(&own).await, (200, 200, 404));
    let again = ada.post(&format!("/attachments/{own}/link"), to_profile).await.expect(200);
    assert_eq!(again["positions"], shown["positions"], "nothing happened");
    ada.post(&format!("/attachments/{own}/link"), json!({})).await.expect(200);
    assert_eq!(all(&own).await, (200, 404, 404));
    // What is in the calendar is private.
    let event = Uuid::new_v4();
    let insert = "insert into calendar_events (id, user_id, title, event_date) values ($1, $2, 'exam', '2026-12-01')";
    sqlx::query(insert).bind(event).bind(ada.id).execute(&app.database.pool).await.unwrap();
    link(&ada, &own, "calendar_event", &event.to_string()).await.expect(200);
    assert_eq!(all(&own).await, (200, 404, 404));
    // With its parent it goes.
    link(&ada, &own, "post", &post).await.expect(200);
    ada.delete(&format!("/posts/{post}")).await.expect(200);
    assert_eq!(all(&own).await, (404, 404, 404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_sees_its_files_come_and_go() {
    let (app, _) = node(|_| {}).await;
    let (ada, bob, eve) = (app.person("ada").await, app.person("bob").await, app.person("eve").await);
    let room = id(ada.post("/workspaces", json!({"name": "room"})).await.expect(201));
    let member = format!("/workspaces/{room}/members/{}", bob.id);
    ada.put(&member).await.expect(201);
    let (channel, own) = (format!("workspace:{room}"), file(&bob).await);
    let mut live = ada.live().await;
    live.subscribe(&channel).await;
    let mut device = bob.live().await;
    device.subscribe(&bob.channel()).await;
    let linked = device.rpc("attachment.link", json!({"id": own, "parent": "workspace", "parent_id": room})).await;
    let linked = linked.unwrap()["data"].take();
    assert_eq!(device.event().await.1["type"], "attachment.updated");
    let (_, told) = live.event().await;
    assert_eq!((&told["type"], &told["data"]), (&json!("attachment.linked"), &linked));
    let shown = ada.get(&format!("/workspaces/{room}")).await.expect(200);
    assert_eq!(shown["attachments"], json!([linked]));
    let seen = ada.get(&format!("/attachments/{own}")).await.expect(200);
    assert_eq!(seen["positions"][0]["channel"], channel.as_str());
    assert_eq!((sees(&ada, &own).await, sees(&bob, &own).await, sees(&eve, &own).await), (200, 200, 404));
    // Guests, as long as the room lets them.
    ada.patch(&format!("/workspaces/{room}"), json!({"settings": {"guests": true}})).await.expect(200);
    assert_eq!(sees(&eve, &own).await, 200);
    let guests = file(&eve).await;
    assert_eq!(link(&eve, &guests, "workspace", &room).await.expect(403)["code"], "guests_look_on");
    ada.patch(&format!("/workspaces/{room}"), json!({"settings": {"guests": false}})).await.expect(200);
    assert_eq!(sees(&eve, &own).await, 404);
    assert_eq!(live.event().await.1["type"], "workspace.updated");
    assert_eq!(live.event().await.1["type"], "workspace.updated");
    // Who was put out sees what is theirs, and nothing else.
    let adas = file(&ada).await;
    link(&ada, &adas, "workspace", &room).await.expect(200);
    assert_eq!(live.event().await.1["type"], "attachment.linked");
    assert_eq!(sees(&bob, &adas).await, 200);
    ada.delete(&member).await.expect(200);
    assert_eq!((sees(&bob, &adas).await, sees(&bob, &own).await), (404, 200));
    assert_eq!(live.event().await.1["type"], "member.removed");
    let second = file(&bob).await;
    link(&bob, &second, "workspace", &room).await.expect(404);
    // And may take it back.
    bob.delete(&format!("/attachments/{own}")).await.expect(200);
    let (_, told) = live.event().await;
    assert_eq!((&told["type"], &told["data"]["id"]), (&json!("attachment.unlinked"), &json!(own)));
    assert_eq!(device.drain().await.last().unwrap()["pub"]["data"]["type"], "attachment.deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_learn_of_nothing() {
    let (app, _) = node(|_| {}).await;
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    let room = id(ada.post("/workspaces", json!({"name": "room"})).await.expect(201));
    let post = id(ada.post("/posts", json!({"content": "look"})).await.expect(201));
    let (adas, eves, nobodys) = (file(&ada).await, file(&eve).await, Uuid::new_v4().to_string());
    for id in [&adas, &nobodys] {
        eve.delete(&format!("/attachments/{id}")).await.expect(404);
        eve.post(&format!("/attachments/{id}/link"), json!({"parent": "profile"})).await.expect(404);
        assert_eq!(sees(&eve, id).await, 404);
    }
    // My own, to what is not mine.
    for (parent, of) in [
        ("workspace", &room),
        ("workspace", &nobodys),
        ("post", &post),
        ("post", &nobodys),
        ("calendar_event", &nobodys),
    ] {
        assert_eq!(link(&eve, &eves, parent, of).await.expect(404)["code"], "not_found", "{parent}");
    }
    for (body, field) in [
        (json!({"parent": "post"}), "parent_id"),
        (json!({"parent": "profile", "parent_id": eve.id}), "parent_id"),
        (json!({"parent_id": post}), "parent"),
    ] {
        let path = format!("/attachments/{eves}/link");
        assert_eq!(eve.post(&path, body).await.expect(422)["field"], field);
    }
    let fill = "insert into attachments (user_id, kind, file_name, content_type, size_bytes, storage_key, sha256, workspace_id)
        select $1, 'document', 'x', 'text/plain', 1, n, sha256('x'), $2 from generate_series(1, 500) n";
    let fill = sqlx::query(fill).bind(ada.id).bind(room.parse::<Uuid>().unwrap());
    fill.execute(&app.database.pool).await.unwrap();
    assert_eq!(link(&ada, &adas, "workspace", &room).await.expect(409)["code"], "limit_reached");
    assert_eq!(count(&app, "attachments where workspace_id is not null").await, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_of_files_stand_where_addresses_do() {
    let (app, _) = node(|_| {}).await;
    let ada = app.person("ada").await;
    let address = format!("/api/v1/attachments/{}/content", file(&ada).await);
    ada.patch("/me", json!({"profile_image_url": address})).await.expect(200);
    let media = json!([{"media_type": "image", "url": address}]);
    ada.post("/posts", json!({"content": "x", "image_url": address, "media": media})).await.expect(201);
    let room = json!({"name": "x", "background_type": "image", "background_value": address});
    ada.post("/workspaces", room).await.expect(201);
    for bad in ["/api/v1/me", "/api/v1/attachments/x/content", "//evil.example/a", "javascript:alert(1)"] {
        assert_eq!(ada.patch("/me", json!({"banner_image_url": bad})).await.expect(422)["field"], "banner_image_url");
        ada.post("/posts", json!({"content": "x", "image_url": bad})).await.expect(422);
    }
}
