//! The graph of people: who follows whom, whom a block parts, who sees whom, and what each prefers.

mod blocks;
mod settings;
mod sight;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::PgPool;
use studyhall_protocol::state::ProfileState;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use crate::actors::{Actor, Dice, place};
use crate::harness::{self, Live, Person};

/// The next events of a connection as (channel, type).
async fn told(live: &mut Live, count: usize) -> BTreeSet<(String, String)> {
    let mut told = BTreeSet::new();
    while told.len() < count {
        let push = live.push().await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if push["pub"]["offset"].is_u64() {
            told.insert((text(&push["channel"]), text(&push["pub"]["data"]["type"])));
        }
    }
    told
}

fn kinds(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(channel, kind)| ((*channel).into(), (*kind).into())).collect()
}

fn profile(person: &Person) -> String {
    format!("profile:{}", person.id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_follows_by_rest_and_both_hear_it_live() {
    let app = harness::app().await;
    let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
    for person in [&ada, &bob] {
        person.patch("/me", json!({"email": format!("{}@secret.example", person.username)})).await.expect(200);
    }
    let (mut of_ada, mut of_bob, mut of_cleo) = (ada.live().await, bob.live().await, cleo.live().await);
    of_ada.subscribe(&ada.channel()).await;
    of_bob.subscribe(&bob.channel()).await;
    of_cleo.subscribe(&profile(&bob)).await;
    of_cleo.subscribe(&profile(&ada)).await;
    let path = format!("/users/{}/follow", bob.id);
    let answer = ada.put(&path).await.expect(200);
    assert_eq!((&answer["data"]["follower_id"], &answer["data"]["followee_id"]), (&json!(ada.id), &json!(bob.id)));
    let channels: BTreeSet<&str> =
        answer["positions"].as_array().unwrap().iter().map(|at| at["channel"].as_str().unwrap()).collect();
    assert_eq!(channels, BTreeSet::from([&*ada.channel(), &*profile(&ada), &*profile(&bob)]), "and not user: of bob");
    let (mine, theirs) = (ada.channel(), bob.channel());
    assert_eq!(told(&mut of_ada, 2).await, kinds(&[(&mine, "follow.created"), (&mine, "user.updated")]));
    let (_, counted) = of_bob.event().await;
    assert_eq!((&counted["type"], &counted["data"]["followers_count"]), (&json!("user.updated"), &json!(1)));
    assert_eq!((&counted["data"]["email"], &counted["actor"]), (&json!("bob@secret.example"), &json!(ada.id)));
    let (_, notified) = of_bob.event().await;
    assert_eq!((&notified["type"], &notified["data"]["actor_id"]), (&json!("notification.created"), &json!(ada.id)));
    let seen = of_cleo.drain().await;
    let counts = |push: &Value, count: &str| push["pub"]["data"]["data"][count].clone();
    let of = |who: &Person| seen.iter().find(|push| push["channel"] == profile(who)).unwrap();
    assert_eq!((counts(of(&bob), "followers_count"), counts(of(&ada), "following_count")), (json!(1), json!(1)));
    assert!(seen.len() == 2 && !format!("{seen:?}").contains("secret"), "{seen:?}");
    // Again: nothing changes, nobody is told, the answer has the same shape.
    let again = of_ada.rpc("user.follow", json!({"user_id": bob.id})).await.unwrap();
    assert_eq!(again["data"], answer["data"]);
    for live in [&mut of_ada, &mut of_bob, &mut of_cleo] {
        assert_eq!(live.drain().await, Vec::<Value>::new());
    }
    let view = ada.get(&format!("/users/{}", bob.id)).await.expect(200);
    assert_eq!((&view["data"]["followed_by_me"], &view["data"]["follows_me"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&view["data"]["username"], view["positions"][0]["channel"].as_str()),
        (&json!("bob"), Some(&*profile(&bob)))
    );
    let view = bob.get(&format!("/users/{}", ada.id)).await.expect(200);
    assert_eq!((&view["data"]["followed_by_me"], &view["data"]["follows_me"]), (&json!(false), &json!(true)));
    let gone = of_ada.rpc("user.unfollow", json!({"user_id": bob.id})).await.unwrap();
    assert_eq!(gone["data"], json!({"follower_id": ada.id, "followee_id": bob.id}));
    assert_eq!(told(&mut of_ada, 2).await, kinds(&[(&mine, "follow.deleted"), (&mine, "user.updated")]));
    assert_eq!(told(&mut of_bob, 2).await, kinds(&[(&theirs, "user.updated"), (&theirs, "notification.deleted")]));
    assert_eq!(of_cleo.drain().await.len(), 2);
    assert_eq!(ada.delete(&path).await.expect(200)["data"], gone["data"]);
    assert_eq!(of_bob.drain().await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_follows_or_blocks_themselves_or_nobody() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let mut live = ada.live().await;
    for (method, path) in [("PUT", "follow"), ("DELETE", "follow"), ("PUT", "block"), ("DELETE", "block")] {
        let own = ada.call(method, &format!("/users/{}/{path}", ada.id), None, None).await.expect(422);
        assert_eq!((&own["code"], &own["field"]), (&json!("invalid_field"), &json!("user_id")));
        let nobody = ada.call(method, &format!("/users/{}/{path}", Uuid::new_v4()), None, None).await.expect(404);
        assert_eq!(nobody["code"], "not_found");
        let command = format!("user.{}{path}", if method == "PUT" { "" } else { "un" });
        let error = live.rpc(&command, json!({"user_id": ada.id})).await.unwrap_err();
        assert_eq!(error["code"], 1_422, "{error}");
        let error = live.rpc(&command, json!({"user_id": Uuid::new_v4()})).await.unwrap_err();
        assert_eq!(error["code"], 1_404, "{error}");
    }
    let heads: i64 =
        sqlx::query_scalar("select count(*) from channel_heads").fetch_one(&app.database.pool).await.unwrap();
    assert_eq!(heads, 2, "nobody has no channels");
}

/// The ids in a list, page by page.
async fn list(person: &Person, path: &str, field: &str) -> Vec<Uuid> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = person.get(&format!("{path}?limit=2{cursor}")).await.expect(200);
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["user"]["id"], item[field]);
            ids.push(item[field].as_str().unwrap().parse().unwrap());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_have_the_newest_first_and_end_at_blocks() {
    let app = harness::app().await;
    let star = app.person("star").await;
    let mut fans = Vec::new();
    for name in ["ann", "ben", "cay", "dan", "eva"] {
        let fan = app.person(name).await;
        fan.put(&format!("/users/{}/follow", star.id)).await.expect(200);
        star.put(&format!("/users/{}/follow", fan.id)).await.expect(200);
        fans.push(fan);
    }
    // Two of the same moment.
    let same = "update follows set created_at = (select min(created_at) from follows)
        where follower_id in ($1, $2) or followee_id in ($1, $2)";
    sqlx::query(same).bind(fans[0].id).bind(fans[1].id).execute(&app.database.pool).await.unwrap();
    let mut expected: Vec<Uuid> = fans.iter().map(|fan| fan.id).rev().collect();
    if expected[4] > expected[3] {
        expected.swap(3, 4);
    }
    let (followers, following) = (format!("/users/{}/followers", star.id), format!("/users/{}/following", star.id));
    assert_eq!(list(&fans[0], &followers, "follower_id").await, expected);
    assert_eq!(list(&fans[0], &following, "followee_id").await, expected);
    let page = fans[0].get(&followers).await.expect(200);
    let shown = fans[0].get(&format!("/users/{}", star.id)).await.expect(200);
    assert_eq!(page["positions"], json!([shown["positions"][0]]));
    assert_eq!(shown["data"]["followers_count"], 5);
    // Who is parted from the one who looks is left out; to others they are there.
    fans[0].put(&format!("/users/{}/block", fans[2].id)).await.expect(200);
    for (looks, hidden) in [(0, 2), (2, 0)] {
        let left: Vec<Uuid> = expected.iter().copied().filter(|id| *id != fans[hidden].id).collect();
        assert_eq!(list(&fans[looks], &followers, "follower_id").await, left);
        assert_eq!(list(&fans[looks], &following, "followee_id").await, left);
    }
    assert_eq!(list(&fans[1], &followers, "follower_id").await, expected);
    assert_eq!(list(&fans[0], "/me/blocks", "blocked_id").await, [fans[2].id]);
    assert_eq!(list(&fans[2], "/me/blocks", "blocked_id").await, [] as [Uuid; 0]);
    let blocks = fans[0].get("/me/blocks").await.expect(200);
    assert_eq!(blocks["positions"][0]["channel"], fans[0].channel());
    for path in ["followers", "following"] {
        fans[0].get(&format!("/users/{}/{path}", Uuid::new_v4())).await.expect(404);
        fans[0].get(&format!("/users/{}/{path}", fans[2].id)).await.expect(404);
        fans[2].get(&format!("/users/{}/{path}", fans[0].id)).await.expect(404);
    }
}

#[tokio::test]
async fn there_may_be_so_many_and_no_more() {
    let place = place().await;
    let (ada, bob) = (place.actor("ada").await, place.actor("bob").await);
    let crowd = "with u as (insert into users (username) select 'x' || n from generate_series(1, 5000) n returning id),
        f as (insert into follows (follower_id, followee_id) select $1, id from u),
        b as (insert into blocks (blocker_id, blocked_id) select $1, id from u)
        update users set following_count = 5000 where id = $1";
    sqlx::query(crowd).bind(ada.id).execute(place.db.pool()).await.unwrap();
    for command in ["user.follow", "user.block"] {
        ada.refused(command, json!({"user_id": bob.id}), "409 limit_reached").await;
        bob.ok(command, json!({"user_id": ada.id})).await;
        bob.ok(&command.replace('.', ".un"), json!({"user_id": ada.id})).await;
    }
}

/// Every counter equals its rows, nobody follows whom a block parts from them.
async fn assert_counted(db: &PgPool) {
    let wrong = "select count(*) from users u where
        u.following_count <> (select count(*) from follows f where f.follower_id = u.id)
        or u.followers_count <> (select count(*) from follows f where f.followee_id = u.id)
        or exists (select from follows f where f.follower_id = u.id and are_blocked(f.follower_id, f.followee_id))";
    let wrong: i64 = sqlx::query_scalar(wrong).fetch_one(db).await.unwrap();
    assert_eq!(wrong, 0);
    let mutual =
        "select count(*) from blocks a join blocks b on (a.blocker_id, a.blocked_id) = (b.blocked_id, b.blocker_id)";
    assert_eq!(sqlx::query_scalar::<_, i64>(mutual).fetch_one(db).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_equal_rows_when_everybody_acts_at_once() {
    let place = place().await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cleo", "dan"] {
        people.push(place.actor(name).await);
    }
    let mut before = Vec::new();
    for person in &people {
        before.push(person.dashboard().await);
    }
    let tasks = (0..12).map(|seed| {
        let people = people.clone();
        tokio::spawn(async move {
            let mut dice = Dice(seed);
            for _ in 0..40 {
                let (one, other) = (&people[dice.roll(4)], &people[dice.roll(4)]);
                let method = match dice.roll(10) {
                    0..5 => "user.follow",
                    5 | 6 => "user.unfollow",
                    7 => "user.block",
                    _ => "user.unblock",
                };
                let answer = one.call(method, json!({"user_id": other.id})).await;
                // Twelve wait for the locks of four people: on a slow machine one may wait too long, and is told so.
                let expected = |error: &String| error.starts_with('4') || error.starts_with("503 busy");
                assert!(answer.as_ref().err().is_none_or(expected), "{answer:?}");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_counted(place.db.pool()).await;
    for (before, person) in before.into_iter().zip(&people) {
        let after = person.dashboard().await;
        let channel = Channel::Profile(person.id);
        let at = |positions: &[Position]| positions.iter().find(|at| at.channel == channel).unwrap().clone();
        let mut state = ProfileState { user: Some(before.me.user.clone()), ..ProfileState::default() };
        for event in place.between(&at(&before.positions), &at(&after.positions)).await {
            state.apply(&event).unwrap();
        }
        assert_eq!(state.user.as_ref(), Some(&after.me.user));
        place.assert_person(before, after).await;
    }
}

/// What is in somebody's own log, by name.
async fn log_of(person: &Actor, place: &crate::actors::Place) -> Vec<String> {
    let page = place.db.read_log(Channel::User(person.id), 0, 100_000).await.unwrap();
    page.events.iter().map(|event| event.name.to_string()).collect()
}

#[tokio::test]
async fn a_block_ends_follows_both_ways_and_is_told_to_the_one_who_blocks() {
    let place = place().await;
    let (ada, bob) = (place.actor("ada").await, place.actor("bob").await);
    ada.ok("user.follow", json!({"user_id": bob.id})).await;
    bob.ok("user.follow", json!({"user_id": ada.id})).await;
    let (begun, others) = (log_of(&ada, &place).await.len(), log_of(&bob, &place).await.len());
    let block = ada.ok("user.block", json!({"user_id": bob.id})).await;
    let gone = "notification.deleted";
    assert_eq!(log_of(&ada, &place).await[begun..], ["block.created", "follow.deleted", "user.updated", gone]);
    assert_eq!(log_of(&bob, &place).await[others..], ["follow.deleted", "user.updated", gone]);
    assert_counted(place.db.pool()).await;
    let stands = ada.stand("user.block", json!({"user_id": bob.id})).await;
    assert_eq!(ada.ok("user.block", json!({"user_id": bob.id})).await, block, "again, and the same");
    ada.ok("user.unblock", json!({"user_id": bob.id})).await;
    ada.ok("user.unblock", json!({"user_id": bob.id})).await;
    let after = ada.stand("user.unblock", json!({"user_id": bob.id})).await;
    let offset = |positions: &Value| {
        let own = format!("user:{}", ada.id);
        let at = positions.as_array().unwrap().iter().find(|at| at["channel"] == own).unwrap();
        at["offset"].as_u64().unwrap()
    };
    assert_eq!(offset(&after), offset(&stands) + 1, "one event for the two that changed nothing");
    assert!(ada.dashboard().await.following.is_empty(), "follows do not come back");
}
