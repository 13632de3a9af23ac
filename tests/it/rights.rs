//! P8: rights end in the order of the log; ended sign-ins close their sockets.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{self, Live, Person};

async fn room(owner: &Person, members: &[&Person]) -> String {
    let made = owner.post("/workspaces", json!({"name": "rights"})).await.expect(201);
    let id = made["data"]["id"].as_str().unwrap().to_owned();
    for member in members {
        owner.put(&format!("/workspaces/{id}/members/{}", member.id)).await.expect(201);
    }
    id
}

async fn widget(owner: &Person, room: &str) -> String {
    let body = json!({"type": "clock", "grid_x": 0, "grid_y": 0, "grid_w": 1, "grid_h": 1});
    let made = owner.post(&format!("/workspaces/{room}/widgets"), body).await.expect(201);
    made["data"]["id"].as_str().unwrap().to_owned()
}

/// Everything up to the unsubscribe push of this channel; returns it and the offsets seen before.
async fn until_unsubscribed(live: &mut Live, channel: &str) -> (Value, Vec<u64>) {
    let mut offsets = Vec::new();
    loop {
        let push = live.push().await;
        if push["channel"] == channel && push.get("unsubscribe").is_some() {
            return (push["unsubscribe"].clone(), offsets);
        }
        offsets.extend(push["pub"]["offset"].as_u64());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_gets_nothing_after_the_removal_while_others_go_on() {
    let app = harness::app().await;
    let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
    for round in 0..10 {
        let room = room(&ada, &[&bob, &cleo]).await;
        let channel = format!("workspace:{room}");
        let widget = widget(&ada, &room).await;
        let (mut removed, mut other) = (bob.live().await, cleo.live().await);
        let head = removed.subscribe(&channel).await;
        other.subscribe(&channel).await;
        // Writers go on while the removal happens.
        let (ada_id, body) = (&ada, json!({"settings": {"round": round}}));
        let path = format!("/widgets/{widget}");
        let busy = async {
            for number in 0..20 {
                ada_id
                    .patch(&path, json!({"title": format!("{number}"), "settings": body["settings"]}))
                    .await
                    .expect(200);
            }
        };
        let path = format!("/workspaces/{room}/members/{}", bob.id);
        let (_, answer) = tokio::join!(busy, ada.delete(&path));
        let answer = answer.expect(200);
        let at = answer["positions"].as_array().unwrap().iter().find(|at| at["channel"] == channel).unwrap();
        let at = at["offset"].as_u64().unwrap();
        let (unsubscribed, offsets) = until_unsubscribed(&mut removed, &channel).await;
        assert_eq!(unsubscribed["code"], 2101);
        assert!(offsets.iter().all(|offset| *offset <= at), "{offsets:?} beyond {at}");
        let after = removed.drain().await;
        assert!(after.iter().all(|push| push["channel"] != channel), "{after:?}");
        // No replay past it, by no door, and no write.
        let position = json!({"offset": head["offset"], "epoch": head["epoch"]});
        assert_eq!(removed.subscribe_from(&channel, &position).await.unwrap_err()["code"], 102);
        bob.get(&format!("/channels/{channel}/events?since=0")).await.expect(404);
        bob.get(&format!("/workspaces/{room}")).await.expect(404);
        bob.patch(&format!("/widgets/{widget}"), json!({"title": "mine"})).await.expect(404);
        let drag = json!({"type": "typing", "data": {}});
        assert_eq!(removed.publish(&channel, drag).await.unwrap_err()["code"], 103);
        // The others see all of it: twenty changes and the removal.
        for offset in head["offset"].as_u64().unwrap_or(0) + 1..=head["offset"].as_u64().unwrap_or(0) + 21 {
            assert_eq!(other.event().await.0, offset);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_and_deletion_are_told_to_the_person_and_to_the_room() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let room = room(&ada, &[]).await;
    let channel = format!("workspace:{room}");
    let mut live = bob.live().await;
    live.subscribe(&bob.channel()).await;
    assert_eq!(live.request(json!({"subscribe": {"channel": channel}})).await.unwrap_err()["code"], 102);
    ada.put(&format!("/workspaces/{room}/members/{}", bob.id)).await.expect(201);
    assert_eq!(live.event().await.1["type"], "membership.created");
    live.subscribe(&channel).await;
    ada.delete(&format!("/workspaces/{room}")).await.expect(200);
    let (unsubscribed, _) = until_unsubscribed(&mut live, &channel).await;
    assert_eq!(unsubscribed["code"], 2102);
    ada.get(&format!("/workspaces/{room}")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_look_on_until_the_owner_closes_the_door() {
    let app = harness::app().await;
    let (ada, guest) = (app.person("ada").await, app.person("guest").await);
    let room = room(&ada, &[]).await;
    let channel = format!("workspace:{room}");
    let mut live = guest.live().await;
    assert_eq!(live.request(json!({"subscribe": {"channel": channel}})).await.unwrap_err()["code"], 102);
    ada.patch(&format!("/workspaces/{room}"), json!({"settings": {"guests": true}})).await.expect(200);
    live.subscribe(&channel).await;
    let widget = widget(&ada, &room).await;
    assert_eq!(live.event().await.1["type"], "widget.created");
    live.publish(&channel, json!({"type": "reaction", "data": "👏"})).await.unwrap();
    let drag = json!({"type": "drag", "key": widget, "data": {"drag_id": Uuid::new_v4(), "grid_x": 1, "grid_y": 1}});
    assert_eq!(live.publish(&channel, drag).await.unwrap_err()["code"], 1403);
    assert_eq!(live.rpc("widget.delete", json!({"id": widget})).await.unwrap_err()["code"], 1403);
    ada.patch(&format!("/workspaces/{room}"), json!({"settings": {"guests": false}})).await.expect(200);
    assert_eq!(until_unsubscribed(&mut live, &channel).await.0["code"], 2101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_closes_the_sockets_of_that_sign_in_only() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let body = json!({"username": "ADA", "password": "correct horse battery"});
    let second = ada.post("/sessions", body).await.expect(201);
    let other = ada.again(second["token"].as_str().unwrap());
    let (mut first, mut kept) = (ada.live().await, other.live().await);
    let started = Instant::now();
    ada.delete("/sessions/current").await;
    assert_eq!(first.close_code().await, (4501, "signed out".to_owned()));
    assert!(started.elapsed() < Duration::from_secs(2));
    ada.get("/me").await.expect(401);
    let mut dead = ada.socket().await;
    let error = dead.request(json!({"connect": {"token": ada.token}})).await.unwrap_err();
    assert_eq!((&error["code"], &error["temporary"]), (&json!(101), &Value::Null));
    kept.rpc("task_list.create", json!({"name": "still here"})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_ends_every_other_sign_in() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let body = json!({"username": "ada", "password": "correct horse battery"});
    let second = ada.post("/sessions", body).await.expect(201);
    let other = ada.again(second["token"].as_str().unwrap());
    let (mut mine, mut theirs) = (ada.live().await, other.live().await);
    let wrong = json!({"current_password": "wrong horse battery", "new_password": "a better horse battery"});
    assert_eq!(ada.post("/me/password", wrong).await.expect(403)["code"], "wrong_password");
    let change = json!({"current_password": "correct horse battery", "new_password": "a better horse battery"});
    ada.post("/me/password", change).await.expect(200);
    assert_eq!(theirs.close_code().await, (4502, "password changed".to_owned()));
    mine.rpc("task_list.create", json!({"name": "still here"})).await.unwrap();
    let body = json!({"username": "ada", "password": "correct horse battery"});
    ada.post("/sessions", body).await.expect(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_passwords_are_hashed_at_rest() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let (stored, hash): (String, Vec<u8>) = sqlx::query_as(
        "select c.password_hash, s.token_hash from credentials c join sign_ins s using (user_id) where c.user_id = $1",
    )
    .bind(ada.id)
    .fetch_one(&app.database.pool)
    .await
    .unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
    use sha2::Digest;
    assert_eq!(hash, sha2::Sha256::digest(ada.token.as_bytes()).to_vec());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_sign_in_is_told_so_and_its_sockets_come_back() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let soon = "update sign_ins set expires_at = now() + interval '2 seconds' where user_id = $1";
    sqlx::query(soon).bind(ada.id).execute(&app.database.pool).await.unwrap();
    let mut live = ada.live().await;
    assert_eq!(live.close_code().await, (3005, "connection expired".to_owned()));
    let mut again = ada.socket().await;
    let error = again.request(json!({"connect": {"token": ada.token}})).await.unwrap_err();
    assert_eq!(error["code"], 109);
    assert_eq!(ada.get("/me").await.expect(401)["code"], "token_expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_in_a_room_are_people_and_not_connections() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let room = room(&ada, &[&bob]).await;
    let channel = format!("workspace:{room}");
    let mut watcher = ada.live().await;
    let join = json!({"channel": channel, "join_leave": true});
    watcher.request(json!({"subscribe": join})).await.unwrap();
    assert_eq!(watcher.push().await["join"]["info"]["user"], json!(ada.id));
    let (mut one, mut two) = (bob.live().await, bob.live().await);
    one.subscribe(&channel).await;
    let joined = watcher.push().await["join"]["info"].clone();
    assert_eq!((&joined["user"], &joined["client"]), (&json!(bob.id), &json!(bob.id)));
    let people = two.subscribe(&channel).await["data"]["people"].clone();
    assert_eq!(people.as_array().unwrap().len(), 2);
    let stats = watcher.request(json!({"presence_stats": {"channel": channel}})).await.unwrap();
    assert_eq!(stats["presence_stats"], json!({"num_clients": 3, "num_users": 2}));
    let presence = watcher.request(json!({"presence": {"channel": channel}})).await.unwrap();
    let shown = &presence["presence"]["presence"][bob.id.to_string()];
    assert_eq!(shown["chan_info"]["devices"], 2);
    assert_eq!(shown["conn_info"]["username"], "bob");
    // A lost connection comes back within the hold, one tab closes: nobody left.
    one.vanish();
    let mut one = bob.live().await;
    one.subscribe(&channel).await;
    two.bye().await;
    let started = Instant::now();
    one.bye().await;
    let left = watcher.push().await;
    assert_eq!(left["leave"]["info"]["user"], json!(bob.id), "{left}");
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    let outside = bob.live().await.request(json!({"presence": {"channel": channel}})).await.unwrap_err();
    assert_eq!(outside["code"], 103);
}
