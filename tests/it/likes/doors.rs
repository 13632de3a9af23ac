//! One like at a time.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{is_sum, log, post};
use crate::harness::{self, Person, TestApp};

async fn block(app: &TestApp, blocker: &Person, blocked: &Person) {
    let insert = sqlx::query("insert into blocks (blocker_id, blocked_id) values ($1, $2)");
    insert.bind(blocker.id).bind(blocked.id).execute(&app.database.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_like_is_told_to_everybody_and_to_oneself() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let post = post(&app, &ada).await;
    let path = format!("/posts/{post}/like");
    let (public, private) = (format!("profile:{}", ada.id), bob.channel());
    let mut reader = ada.live().await;
    reader.subscribe(&public).await;
    let mut own = bob.live().await;
    own.subscribe(&private).await;
    let op = Uuid::new_v4();
    let answer = bob.call("PUT", &path, None, Some(op)).await.expect(200);
    assert_eq!(answer["data"], json!({"post_id": post, "like_count": 1, "liked_by_me": true}));
    let offsets: Vec<&Value> = answer["positions"].as_array().unwrap().iter().map(|at| &at["offset"]).collect();
    assert_eq!(offsets, [&json!(1), &json!(1)]);
    let (offset, event) = reader.event().await;
    assert_eq!((offset, &event["type"]), (1, &json!("post.likes_changed")));
    assert_eq!(event["data"], json!({"posts": [{"post_id": post, "like_count": 1}]}));
    assert_eq!((&event["actor"], &event["op"]), (&json!(bob.id), &json!(op)));
    let (offset, event) = own.event().await;
    assert_eq!((offset, &event["type"]), (1, &json!("post.liked")));
    assert_eq!(event["data"], json!({"post_id": post, "author_id": ada.id}));
    assert_eq!((&event["actor"], &event["op"]), (&json!(bob.id), &json!(op)));
    // Twice is once, by the other door too, and says how things stand.
    let again = own.rpc("post.like", json!({"post_id": post})).await.unwrap();
    assert_eq!(again, answer);
    assert_eq!(bob.put(&path).await.expect(200), answer);
    let mine = ada.put(&path).await.expect(200);
    assert_eq!(mine["data"]["like_count"], 2, "one's own post can be liked");
    let ended = own.rpc("post.unlike", json!({"post_id": post})).await.unwrap();
    assert_eq!(ended["data"], json!({"post_id": post, "like_count": 1, "liked_by_me": false}));
    assert_eq!(bob.delete(&path).await.expect(200), ended);
    let types: Vec<Value> = log(&bob, &private).await.iter().map(|item| item["type"].clone()).collect();
    assert_eq!(types, ["post.liked", "post.unliked"]);
    assert_eq!(log(&ada, &public).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_one_may_not_see_is_not_there() {
    let app = harness::app().await;
    let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
    let post = post(&app, &ada).await;
    block(&app, &ada, &bob).await;
    block(&app, &cleo, &ada).await;
    for person in [&bob, &cleo] {
        for path in [format!("/posts/{post}/like"), format!("/posts/{}/like", Uuid::new_v4())] {
            let (put, delete) = (person.put(&path).await, person.delete(&path).await);
            assert_eq!(put.expect(404)["code"], "not_found");
            assert_eq!(delete.expect(404)["code"], "not_found");
        }
        let error = person.live().await.rpc("post.like", json!({"post_id": post})).await.unwrap_err();
        assert_eq!(error["code"], 1404);
    }
    let left: i64 = sqlx::query_scalar("select count(*) from post_likes").fetch_one(&app.database.pool).await.unwrap();
    assert_eq!(left, 0);
    assert!(log(&ada, &format!("profile:{}", ada.id)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_few_like_each_like_is_an_event_of_its_own() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let post = post(&app, &ada).await;
    let path = format!("/posts/{post}/like");
    let mut ops = Vec::new();
    // Twenty at most, however fast they come.
    for number in 0..20 {
        let op = Uuid::new_v4();
        let method = if number % 2 == 0 { "PUT" } else { "DELETE" };
        let answer = bob.call(method, &path, None, Some(op)).await.expect(200);
        assert_eq!(answer["positions"][1]["offset"], number + 1);
        ops.push(json!(op));
    }
    let public = log(&ada, &format!("profile:{}", ada.id)).await;
    assert!(!public.iter().any(is_sum));
    let told: Vec<Value> = public.iter().map(|item| item["op"].clone()).collect();
    assert_eq!(told, ops);
    assert!(public.iter().all(|item| item["actor"] == json!(bob.id)));
}
