//! Erasing a person: nobody is them any more, others are told of all that goes, and counts stay right.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use studyhall::domain::verify;

use crate::harness::{self, Live, PATIENCE, Person, TestApp};

const PASSWORD: &str = "correct horse battery";

fn id(answer: &Value) -> String {
    answer["data"]["id"].as_str().unwrap().to_owned()
}

async fn erase(person: &Person) {
    person.post("/me/erasure", json!({"password": PASSWORD})).await.expect(204);
}

async fn gone(app: &TestApp, person: &Person) {
    let began = Instant::now();
    let query = "select exists (select from users where id = $1)";
    while sqlx::query_scalar(query).bind(person.id).fetch_one(&app.database.pool).await.unwrap() {
        assert!(began.elapsed() < PATIENCE, "they are still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Events of `live` up to and with the first of this type.
async fn until(live: &mut Live, kind: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let (_, event) = live.event().await;
        let found = event["type"] == kind;
        events.push(event);
        if found {
            return events;
        }
    }
}

async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

/// Of what they said and did there is the number, and the record that it was done.
async fn assert_log_is_emptied(app: &TestApp, ada: &Person, bob: &Person) {
    let pool = &app.database.pool;
    let log: String = sqlx::query_scalar("select json_agg(e)::text from events e").fetch_one(pool).await.unwrap();
    assert!(!log.contains("words of ada") && !log.contains("of ada\"") && !log.contains("\"private\""), "{log}");
    assert_eq!(count(pool, "select count(*) from events where type = 'comment.created'").await, 0);
    assert!(count(pool, "select count(*) from audit_logs where actor_id is null").await >= 12);
    let holes = "select count(*) from channel_heads h
         where (select count(*) from events e where e.channel = h.channel) <> h.head";
    assert_eq!(count(pool, holes).await, 0, "every number is still there");
    // Who reads the log from the beginning is told that something was there.
    let path = format!("/channels/profile:{}/events", bob.id);
    let events = bob.get(&path).await.expect(200)["items"].clone();
    let emptied: Vec<_> = events.as_array().unwrap().iter().filter(|event| event["type"] == "event.erased").collect();
    assert_eq!(emptied.len(), 1, "{events}");
    assert_eq!((&emptied[0]["data"], &emptied[0]["actor"]), (&json!({}), &Value::Null));
    assert!(events.as_array().unwrap().iter().all(|event| event["actor"] != json!(ada.id)), "{events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_erased_leaves_nothing_but_right_counts() {
    let app = harness::app().await;
    let (ada, bob, eve) = (app.person("ada").await, app.person("bob").await, app.person("eve").await);
    let post = id(&bob.post("/posts", json!({"content": "of bob"})).await.expect(201));
    let own = id(&ada.post("/posts", json!({"content": "of ada"})).await.expect(201));
    for person in [&bob, &ada] {
        person.put(&format!("/posts/{post}/like")).await.expect(200);
        person.put(&format!("/posts/{own}/like")).await.expect(200);
    }
    ada.post(&format!("/posts/{post}/comments"), json!({"body": "words of ada"})).await.expect(201);
    ada.put(&format!("/users/{}/follow", bob.id)).await.expect(200);
    bob.put(&format!("/users/{}/follow", ada.id)).await.expect(200);
    // Behind a block neither finds what the other left.
    let of_eve = id(&eve.post("/posts", json!({"content": "of eve"})).await.expect(201));
    ada.put(&format!("/posts/{of_eve}/like")).await.expect(200);
    ada.post(&format!("/posts/{of_eve}/comments"), json!({"body": "more words of ada"})).await.expect(201);
    eve.put(&format!("/users/{}/block", ada.id)).await.expect(200);
    let shared = id(&ada.post("/workspaces", json!({"name": "shared"})).await.expect(201));
    ada.put(&format!("/workspaces/{shared}/members/{}", bob.id)).await.expect(201);
    let alone = id(&ada.post("/workspaces", json!({"name": "alone"})).await.expect(201));
    let course = id(&ada.post("/courses", json!({"name": "course"})).await.expect(201));
    ada.put(&format!("/courses/{course}/members/{}", bob.id)).await.expect(200);
    assert!(
        bob.get("/dashboard").await.expect(200)["unread_count"].as_i64() > Some(2),
        "of a like, a comment, a follow"
    );
    let list = id(&ada.post("/task-lists", json!({"name": "private"})).await.expect(201));
    ada.post(&format!("/task-lists/{list}/tasks"), json!({"description": "private"})).await.expect(201);

    let mut bobs = bob.live().await;
    bobs.subscribe(&format!("profile:{}", ada.id)).await;
    let mut room = bob.live().await;
    room.subscribe(&format!("workspace:{shared}")).await;
    let mut own_tab = ada.live().await;
    ada.post("/me/erasure", json!({"password": "wrong horse battery"})).await.expect(403);
    erase(&ada).await;
    assert_eq!(own_tab.close_code().await.0, 4504);
    ada.get("/me").await.expect(401);
    bob.post("/sessions", json!({"username": ada.username, "password": PASSWORD})).await.expect(401);
    gone(&app, &ada).await;

    // Others are told.
    let told = until(&mut bobs, "profile.deleted").await;
    assert!(told.iter().any(|event| event["type"] == "post.deleted"), "{told:?}");
    let told = until(&mut room, "member.removed").await;
    let owner = told.iter().find(|event| event["type"] == "member.added").expect("a new owner");
    assert_eq!((&owner["data"]["user_id"], &owner["data"]["role"]), (&json!(bob.id), &json!("owner")));
    // What others have is as if they had never been there.
    bob.get(&format!("/users/{}", ada.id)).await.expect(404);
    bob.get(&format!("/posts/{own}")).await.expect(404);
    let left = bob.get(&format!("/posts/{post}")).await.expect(200)["data"].clone();
    assert_eq!((&left["like_count"], &left["comment_count"]), (&json!(1), &json!(0)));
    let left = eve.get(&format!("/posts/{of_eve}")).await.expect(200)["data"].clone();
    assert_eq!((&left["like_count"], &left["comment_count"]), (&json!(0), &json!(0)));
    let page = bob.get("/dashboard").await.expect(200);
    assert_eq!((&page["me"]["followers_count"], &page["me"]["following_count"]), (&json!(0), &json!(0)));
    assert_eq!(page["workspaces"][0]["user_id"], json!(bob.id));
    assert_eq!((&page["courses"][0]["user_id"], &page["courses"][0]["member_ids"]), (&json!(bob.id), &json!([bob.id])));
    assert!(!page["notifications"].to_string().contains(&ada.id.to_string()), "{page}");
    eve.get("/dashboard").await.expect(200);
    assert_eq!(eve.get("/dashboard").await.expect(200)["blocked"], json!([]));
    bob.get(&format!("/workspaces/{alone}")).await.expect(404);
    let wrong = verify::differences(&app.app.state.db).await.unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");

    assert_log_is_emptied(&app, &ada, &bob).await;
    // The name is free.
    let account = json!({"username": ada.username, "password": PASSWORD});
    bob.post("/accounts", account).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_goes_on_where_one_was_lost() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    ada.put(&format!("/users/{}/follow", bob.id)).await.expect(200);
    // As a node that has begun and is gone leaves it; and one that works on it.
    let pool = &app.database.pool;
    let taken = "insert into erasures (user_id, busy_until) values ($1, now() + interval '1 hour')";
    sqlx::query(taken).bind(ada.id).execute(pool).await.unwrap();
    let other = app.beside(|_| {}).await;
    studyhall::domain::erasure::work(&other.app.state.db, &other.app.state.writer).await.unwrap();
    bob.get(&format!("/users/{}", ada.id)).await.expect(200);
    sqlx::query("update erasures set busy_until = now()").execute(pool).await.unwrap();
    gone(&app, &ada).await;
    assert_eq!(bob.get("/me").await.expect(200)["data"]["followers_count"], 0);
}
