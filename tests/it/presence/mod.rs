//! Presence as people see it: by whom, how it changes, and what is left of it in the database.

mod matrix;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use studyhall::domain::presence::tidy;
use studyhall_protocol::Channel;
use uuid::Uuid;

use crate::harness::{self, Live, PATIENCE, Person, TestApp};

fn profile(person: &Person) -> String {
    format!("profile:{}", person.id)
}

/// The slot of a profile in a subscribe reply, or nothing.
fn slot(subscribed: &Value) -> Value {
    let slots = subscribed["data"]["slots"].as_array().unwrap();
    slots.iter().find(|slot| slot["type"] == "presence").map_or(Value::Null, |slot| slot["data"].clone())
}

/// The next presence that is pushed.
async fn pushed(live: &mut Live) -> Value {
    loop {
        let push = live.push().await;
        if push["pub"]["data"]["type"] == "presence" {
            return push["pub"]["data"]["data"].clone();
        }
    }
}

/// Waits for a presence with this status; `null` where it is taken away.
async fn until(live: &mut Live, status: Value) -> Value {
    loop {
        let presence = pushed(live).await;
        if presence["status"] == status {
            return presence;
        }
    }
}

/// The row of a person, once it was written and has this status.
async fn stored(app: &TestApp, person: &Person, status: &str) -> (Option<String>, Option<DateTime<Utc>>) {
    let row = "select status::text, activity::text, last_seen_at from user_presence where user_id = $1";
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let query = sqlx::query_as(row).bind(person.id);
        let (now, activity, at): (String, _, Option<DateTime<Utc>>) =
            query.fetch_one(&app.database.pool).await.unwrap();
        if now == status && at.is_some() {
            return (activity, at);
        }
        assert!(std::time::Instant::now() < until, "never {status}: {now}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn put(person: &Person, body: Value) -> Value {
    let answer = person.call("PUT", "/me/presence", Some(body), None).await.expect(200);
    assert_eq!(answer["positions"], json!([]));
    answer["data"].clone()
}

/// What `viewer` sees of these people.
async fn presences(viewer: &Person, people: &[Uuid]) -> Vec<Value> {
    let ids: Vec<String> = people.iter().map(Uuid::to_string).collect();
    let page = viewer.get(&format!("/presence?user_ids={}", ids.join(","))).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_and_a_program() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    bob.patch("/me/settings", json!({"presence_visibility": "everyone"})).await.expect(200);
    let mut viewer = ada.live().await;
    assert_eq!(
        slot(&viewer.subscribe(&profile(&bob)).await),
        json!({
            "user_id": bob.id, "status": "offline", "activity": null, "last_seen_at": null,
        })
    );
    let mut page = bob.live().await;
    until(&mut viewer, json!("online")).await;
    let told = page.rpc("presence.set", json!({"status": "idle", "activity": "Pair programming"})).await.unwrap();
    assert_eq!((&told["positions"], &told["data"]["status"]), (&json!([]), &json!("idle")));
    let idle = until(&mut viewer, json!("idle")).await;
    assert_eq!((&idle["activity"], &idle["user_id"]), (&json!("Pair programming"), &json!(bob.id)));
    assert_eq!(presences(&ada, &[bob.id]).await, std::slice::from_ref(&idle));
    let (activity, at) = stored(&app, &bob, "idle").await;
    assert_eq!(activity.as_deref(), Some("Pair programming"));
    assert!(at.is_some());
    // A page that calls is its connection; nothing is left of it when that closes.
    assert_eq!(put(&bob, json!({"status": "online"})).await["status"], "online");
    until(&mut viewer, json!("online")).await;
    page.bye().await;
    let left = until(&mut viewer, json!("offline")).await;
    assert!(left["activity"].is_null() && left["last_seen_at"].as_str() > idle["last_seen_at"].as_str());
    // A program without one.
    assert_eq!(put(&bob, json!({"activity": "Terminal"})).await["status"], "online");
    assert_eq!(until(&mut viewer, json!("online")).await["activity"], "Terminal");
    let gone = put(&bob, json!({"status": "offline"})).await;
    assert_eq!((&gone["status"], &gone["activity"]), (&json!("offline"), &Value::Null));
    until(&mut viewer, json!("offline")).await;
    // What is over for the other nodes, and after a restart, is what was written down.
    let (_, at) = stored(&app, &bob, "offline").await;
    let late = slot(&ada.live().await.subscribe(&profile(&bob)).await);
    let seen: DateTime<Utc> = serde_json::from_value(late["last_seen_at"].clone()).unwrap();
    assert_eq!(Some(seen), at, "told and written alike");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_that_change_while_one_looks() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let _here = bob.live().await;
    let mut viewer = ada.live().await;
    assert_eq!(slot(&viewer.subscribe(&profile(&bob)).await), Value::Null, "a stranger");
    let room = bob.post("/workspaces", json!({"name": "Library"})).await.expect(201)["data"]["id"].clone();
    let member = format!("/workspaces/{}/members/{}", room.as_str().unwrap(), ada.id);
    let settings = async |settings: Value| drop(bob.patch("/me/settings", settings).await.expect(200));
    let (follow, block) = (format!("/users/{}/follow", ada.id), format!("/users/{}/block", ada.id));
    bob.put(&follow).await.expect(200);
    until(&mut viewer, json!("online")).await;
    bob.delete(&follow).await.expect(200);
    until(&mut viewer, Value::Null).await;
    bob.put(&member).await.expect(201);
    until(&mut viewer, json!("online")).await;
    bob.delete(&member).await.expect(200);
    until(&mut viewer, Value::Null).await;
    settings(json!({"presence_visibility": "everyone"})).await;
    until(&mut viewer, json!("online")).await;
    settings(json!({"invisible": true})).await;
    let hidden = until(&mut viewer, json!("offline")).await;
    let (_, frozen) = stored(&app, &bob, "offline").await;
    let shown: DateTime<Utc> = serde_json::from_value(hidden["last_seen_at"].clone()).unwrap();
    assert_eq!(frozen, Some(shown));
    assert_eq!(put(&bob, json!({"status": "idle"})).await["status"], "idle", "oneself sees the truth");
    assert_eq!(presences(&bob, &[bob.id]).await[0]["status"], "idle");
    assert_eq!(presences(&ada, &[bob.id]).await, [hidden]);
    settings(json!({"invisible": false})).await;
    until(&mut viewer, json!("idle")).await;
    settings(json!({"presence_visibility": "nobody"})).await;
    until(&mut viewer, Value::Null).await;
    settings(json!({"presence_visibility": "everyone"})).await;
    until(&mut viewer, json!("idle")).await;
    bob.put(&block).await.expect(200);
    assert_eq!(presences(&ada, &[bob.id]).await[0]["status"], "offline");
    bob.delete(&block).await.expect(200);
    assert_eq!(presences(&ada, &[bob.id]).await[0]["status"], "idle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_in_their_order() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let nobody = Uuid::new_v4();
    let _here = ada.live().await;
    put(&ada, json!({"activity": "Reading"})).await;
    let seen = presences(&ada, &[nobody, ada.id, bob.id, ada.id]).await;
    let ids: Vec<&Value> = seen.iter().map(|row| &row["user_id"]).collect();
    assert_eq!(ids, [&json!(nobody), &json!(ada.id), &json!(bob.id), &json!(ada.id)]);
    assert_eq!((&seen[1]["status"], &seen[1]["activity"]), (&json!("online"), &json!("Reading")));
    let never = |id| json!({"user_id": id, "status": "offline", "activity": null, "last_seen_at": null});
    assert_eq!((&seen[0], &seen[2]), (&never(nobody), &never(bob.id)));
    assert_eq!(ada.get("/presence").await.expect(200)["items"], json!([]));
    let ids = |count| vec![bob.id.to_string(); count].join(",");
    ada.get(&format!("/presence?user_ids={}", ids(200))).await.expect(200);
    for bad in [ids(201), "bob".into(), format!("{},,x", bob.id)] {
        assert_eq!(ada.get(&format!("/presence?user_ids={bad}")).await.expect(422)["field"], "user_ids");
    }
    let mut live = ada.live().await;
    for (bad, code) in [
        (json!({"status": "away"}), 1_400),
        (json!({"status": null}), 1_400),
        (json!({"mood": 1}), 1_400),
        (json!([]), 1_400),
        (json!({"activity": "x".repeat(121)}), 1_422),
        (json!({"activity": "\u{0}"}), 1_422),
    ] {
        assert_eq!(live.rpc("presence.set", bad.clone()).await.unwrap_err()["code"], code, "{bad}");
    }
    assert_eq!(presences(&ada, &[ada.id]).await[0]["activity"], "Reading", "nothing was changed");
}

/// A node died: who is written down as here and is nowhere is set offline; who is here is left alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ghosts_are_laid() {
    let app = harness::app().await;
    let (ada, bob, eve) = (app.person("ada").await, app.person("bob").await, app.person("eve").await);
    let _here = ada.live().await;
    stored(&app, &ada, "online").await;
    let ghosts = "update user_presence set status = 'idle', activity = 'Gone', last_seen_at = now() - interval '1 h'
        where user_id = any($1)";
    sqlx::query(ghosts).bind([bob.id, eve.id]).execute(&app.database.pool).await.unwrap();
    assert_eq!(tidy(&app.app.state.db, &app.app.hub).await.unwrap(), 2);
    assert_eq!(tidy(&app.app.state.db, &app.app.hub).await.unwrap(), 0);
    let (activity, at) = stored(&app, &bob, "offline").await;
    assert!(activity.is_none() && at.is_some(), "when they were here last is kept");
    stored(&app, &ada, "online").await;
}

/// The same person in several channels of one frame is asked for once and answered for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oneself_in_all_channels_of_a_frame() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let channels = [Channel::User(ada.id), Channel::Profile(ada.id), Channel::Profile(bob.id), Channel::User(bob.id)];
    let answers = studyhall::domain::admit(&app.app.state.db, ada.id, &channels).await.unwrap();
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.map(|admission| admission.sees)).collect();
    assert_eq!(answers.len(), channels.len());
    assert_eq!(answers[..3], [Ok(true), Ok(true), Ok(false)]);
    assert_eq!(answers[3].as_ref().unwrap_err().code, 103);
}
