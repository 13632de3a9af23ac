//! Between two people whom a block parts there is nothing, in both directions, at once, on every node.

use serde_json::{Value, json};
use uuid::Uuid;

use super::profile;
use crate::actors::place;
use crate::harness::{self, Live, Person};

/// The `unsubscribe` push of this channel, and that nothing of the channel came before or comes behind it.
async fn ended(live: &mut Live, channel: &str) {
    let mut push = live.push().await;
    // Who came just now may still have been shown.
    while push["pub"]["data"]["type"] == "presence" {
        push = live.push().await;
    }
    assert_eq!((&push["channel"], &push["unsubscribe"]["code"]), (&json!(channel), &json!(2103)), "{push}");
    let after = live.drain().await;
    assert!(after.iter().all(|push| push["channel"] != channel), "{after:?}");
}

/// Every way from one person to another, and what comes of it.
async fn ways(from: &Person, to: Uuid, name: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for (method, path) in [
        ("GET", format!("/users/{to}")),
        ("GET", format!("/users/{to}/followers")),
        ("GET", format!("/users/{to}/following")),
        ("GET", format!("/channels/profile:{to}/events?since=0")),
        ("PUT", format!("/users/{to}/follow")),
        ("DELETE", format!("/users/{to}/follow")),
    ] {
        let answer = from.call(method, &path, None, None).await;
        found.push(json!({"status": answer.status, "code": answer.body["code"], "detail": answer.body["detail"]}));
    }
    for query in [name, ""] {
        let page = from.get(&format!("/users?query={query}&limit=100")).await.expect(200);
        let ids = |list: &Value, field: &str| {
            list.as_array().into_iter().flatten().any(|item| item[field].as_str().unwrap().ends_with(&to.to_string()))
        };
        found.push(json!([ids(&page["items"], "id"), ids(&page["positions"], "channel")]));
    }
    let mut live = from.live().await;
    let asked = live.request(json!({"subscribe": {"channel": format!("profile:{to}")}})).await;
    found.push(asked.map_or_else(|error| error, |_| json!("subscribed")));
    let recover = json!({"channel": format!("profile:{to}"), "recover": true, "offset": 0, "epoch": "e"});
    found.push(live.request(json!({"subscribe": recover})).await.map_or_else(|error| error, |_| json!("subscribed")));
    for command in ["user.follow", "user.unfollow"] {
        found.push(live.rpc(command, json!({"user_id": to})).await.map_or_else(|error| error, |_| json!("done")));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_parted_is_like_somebody_who_was_never_there() {
    let app = harness::app().await;
    let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
    let nobody = ways(&cleo, Uuid::new_v4(), "nobody").await;
    assert_eq!(nobody[0]["status"], 404);
    let before = ways(&ada, bob.id, "bob").await;
    assert!(before.iter().zip(&nobody).all(|(there, missing)| there != missing), "{before:?}");
    ada.put(&format!("/users/{}/block", bob.id)).await.expect(200);
    assert_eq!(ways(&ada, bob.id, "bob").await, nobody);
    assert_eq!(ways(&bob, ada.id, "ada").await, nobody);
    // Who is blocked cannot tell by blocking either; who blocks can go on naming them.
    let path = format!("/users/{}/block", ada.id);
    let missing = format!("/users/{}/block", Uuid::new_v4());
    for method in ["PUT", "DELETE"] {
        let told = bob.call(method, &path, None, None).await.expect(404);
        assert_eq!(told, bob.call(method, &missing, None, None).await.expect(404));
    }
    ada.put(&format!("/users/{}/block", bob.id)).await.expect(200);
    // Others see both.
    for id in [ada.id, bob.id] {
        cleo.get(&format!("/users/{id}")).await.expect(200);
    }
    ada.delete(&format!("/users/{}/block", bob.id)).await.expect(200);
    assert!(!ways(&bob, ada.id, "ada").await.iter().zip(&nobody).any(|(there, missing)| there == missing));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_ends_what_both_hear_of_each_other() {
    let app = harness::app().await;
    let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
    bob.put(&format!("/users/{}/follow", ada.id)).await.expect(200);
    let (mut of_ada, mut of_bob, mut of_cleo) = (ada.live().await, bob.live().await, cleo.live().await);
    of_ada.subscribe(&profile(&bob)).await;
    let position = of_bob.subscribe(&profile(&ada)).await;
    let mut own = bob.live().await;
    own.subscribe(&bob.channel()).await;
    of_cleo.subscribe(&profile(&ada)).await;
    ada.put(&format!("/users/{}/block", bob.id)).await.expect(200);
    ended(&mut of_bob, &profile(&ada)).await;
    ended(&mut of_ada, &profile(&bob)).await;
    let told = own.drain().await;
    let kinds: Vec<&Value> = told.iter().map(|push| &push["pub"]["data"]["type"]).collect();
    assert_eq!(kinds, ["follow.deleted", "user.updated"], "of the block itself bob hears nothing");
    ada.patch("/me", json!({"bio": "not for everybody"})).await.expect(200);
    assert_eq!(of_bob.drain().await, Vec::<Value>::new());
    assert_eq!(of_bob.subscribe_from(&profile(&ada), &position).await.unwrap_err()["code"], 102);
    let history = json!({"history": {"channel": profile(&ada), "limit": 10}});
    assert_eq!(of_bob.request(history).await.unwrap_err()["code"], 103);
    let seen = of_cleo.drain().await;
    assert_eq!(seen.last().unwrap()["pub"]["data"]["data"]["bio"], "not for everybody");
    // It is over: from there on, and what happened meanwhile is in the log.
    ada.delete(&format!("/users/{}/block", bob.id)).await.expect(200);
    assert_eq!(of_bob.subscribe_from(&profile(&ada), &position).await.unwrap()["recovered"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_every_node() {
    let one = harness::app().await;
    let url = one.database.url.clone();
    let two = harness::app_with(|config| config.database_url = Some(url)).await;
    let (ada, bob) = (one.person("ada").await, two.person("bob").await);
    let mut live = bob.live().await;
    live.subscribe(&profile(&ada)).await;
    ada.put(&format!("/users/{}/block", bob.id)).await.expect(200);
    ended(&mut live, &profile(&ada)).await;
}

/// Whoever comes in at the very moment of the block is not left inside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_subscribes_at_the_same_moment_does_not_stay() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut live = bob.live().await;
    let path = format!("/users/{}/block", bob.id);
    let channel = profile(&ada);
    for _ in 0..40 {
        let (blocked, asked) = tokio::join!(ada.put(&path), live.request(json!({"subscribe": {"channel": channel}})));
        blocked.expect(200);
        match asked {
            Ok(_) => ended(&mut live, &channel).await,
            Err(error) => assert_eq!(error["code"], 102),
        }
        ada.delete(&path).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_rooms_they_stay_but_nobody_is_let_in_across_a_block() {
    let app = harness::app().await;
    let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
    let room = ada.post("/workspaces", json!({"name": "room"})).await.expect(201)["data"]["id"].clone();
    let member = |person: Uuid| format!("/workspaces/{}/members/{person}", room.as_str().unwrap());
    ada.put(&member(bob.id)).await.expect(201);
    for other in [&bob, &cleo] {
        ada.put(&format!("/users/{}/block", other.id)).await.expect(200);
    }
    bob.get(&format!("/workspaces/{}", room.as_str().unwrap())).await.expect(200);
    let parted = ada.put(&member(cleo.id)).await.expect(422);
    assert_eq!(parted, ada.put(&member(Uuid::new_v4())).await.expect(422), "as if there was nobody");
    ada.delete(&format!("/users/{}/block", cleo.id)).await.expect(200);
    cleo.put(&format!("/users/{}/block", ada.id)).await.expect(200);
    assert_eq!(ada.put(&member(cleo.id)).await.expect(422), parted, "nor the other way round");
    cleo.delete(&format!("/users/{}/block", ada.id)).await.expect(200);
    ada.put(&member(cleo.id)).await.expect(201);
}

/// The block is committed between the first look of the follow and its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follow_that_waited_comes_too_late() {
    let place = place().await;
    let (ada, bob) = (place.actor("ada").await, place.actor("bob").await);
    for command in ["user.follow", "user.unfollow"] {
        bob.ok(command, json!({"user_id": ada.id})).await;
    }
    let mut block = place.db.pool().begin().await.unwrap();
    sqlx::query("select from channel_heads for update").execute(&mut *block).await.unwrap();
    let (late, whom) = (bob.clone(), ada.id);
    let follow = tokio::spawn(async move { late.call("user.follow", json!({"user_id": whom})).await });
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let waiting = async { while sqlx::query_scalar::<_, i64>(waits).fetch_one(place.db.pool()).await.unwrap() == 0 {} };
    tokio::time::timeout(harness::PATIENCE, waiting).await.expect("the follow waits for its turn");
    let insert = sqlx::query("insert into blocks (blocker_id, blocked_id) values ($1, $2)").bind(ada.id).bind(bob.id);
    insert.execute(&mut *block).await.unwrap();
    block.commit().await.unwrap();
    assert!(follow.await.unwrap().is_err_and(|error| error.starts_with("404")));
    super::assert_counted(place.db.pool()).await;
}
