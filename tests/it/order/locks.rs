//! Commands that write to several channels at once, in both directions: nobody waits for each other in a circle.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Three, room};
use crate::harness::{self, Person};

const CLIENTS: usize = 32;

struct Side {
    person: Person,
    post: Uuid,
    room: Uuid,
}

/// A command of one towards the other, which locks channels of both: that of the person and the profile, or of a room.
fn command(choice: u32, me: &Side, other: &Side) -> (&'static str, String, Option<Value>) {
    let they = other.person.id;
    let member = format!("/workspaces/{}/members/{they}", me.room);
    match choice {
        0..3 => ("PUT", format!("/users/{they}/follow"), None),
        3..5 => ("DELETE", format!("/users/{they}/follow"), None),
        5 => ("PUT", format!("/users/{they}/block"), None),
        6..8 => ("DELETE", format!("/users/{they}/block"), None),
        8..11 => ("PUT", format!("/posts/{}/like", other.post), None),
        11..13 => ("DELETE", format!("/posts/{}/like", other.post), None),
        13..16 => ("PUT", member, None),
        16..18 => ("DELETE", member, None),
        // Out of the other's room, by oneself.
        18 => ("DELETE", format!("/workspaces/{}/members/{}", other.room, me.person.id), None),
        19 => ("POST", format!("/posts/{}/comments", other.post), Some(json!({"body": "so it is"}))),
        // Both channels of oneself.
        20 => ("PATCH", "/me".into(), Some(json!({"full_name": format!("name {}", Uuid::new_v4())}))),
        _ => ("POST", "/posts".into(), Some(json!({"content": "more"}))),
    }
}

async fn deadlocks(three: &Three) -> i64 {
    let count = "select deadlocks from pg_stat_database where datname = current_database()";
    sqlx::query_scalar(count).fetch_one(three.pool()).await.unwrap()
}

/// Makes a room with both in it and takes it away again, which locks the channels of all members.
async fn room_comes_and_goes(me: &Person, other: &Person) -> Vec<u16> {
    let made = me.post("/workspaces", json!({"name": "short"})).await.expect(201);
    let room = made["data"]["id"].as_str().unwrap();
    let inside = me.put(&format!("/workspaces/{room}/members/{}", other.id)).await.status;
    vec![201, inside, me.delete(&format!("/workspaces/{room}")).await.status]
}

async fn both_ways(lasts: Duration) {
    let seed = harness::seed();
    println!("SEED={seed}");
    let three = Three::start().await;
    let mut sides = Vec::new();
    for (number, name) in ["ada", "bob", "cleo"].into_iter().enumerate() {
        let person = harness::sign_up(&three.url(number), name).await;
        let post = person.post("/posts", json!({"content": "chapter 3"})).await.expect(201)["data"]["id"].clone();
        let (room, _) = room(&person, &[], 1).await;
        sides.push(Side { person, post: serde_json::from_value(post).unwrap(), room });
    }
    let before = deadlocks(&three).await;
    let until = Instant::now() + lasts;
    let clients = (0..CLIENTS).map(async |client| {
        let mut random = StdRng::seed_from_u64(seed ^ client as u64);
        let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
        while Instant::now() < until {
            let me = &sides[random.random_range(0..3)];
            let other = &sides[random.random_range(0..3)];
            let acting = me.person.at(&three.url(random.random_range(0..3)));
            let statuses = match random.random_range(0..23) {
                22 if me.person.id != other.person.id => room_comes_and_goes(&acting, &other.person).await,
                choice => {
                    let (method, path, body) = command(choice.min(21), me, other);
                    vec![acting.call(method, &path, body, None).await.status]
                }
            };
            statuses.into_iter().for_each(|status| *answers.entry(status).or_default() += 1);
        }
        answers
    });
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for (status, count) in join_all(clients).await.into_iter().flatten() {
        *answers.entry(status).or_default() += count;
    }
    let deadlocks = deadlocks(&three).await - before;
    println!("{answers:?}, {deadlocks} deadlocks");
    assert!(answers.keys().all(|status| *status < 500), "{answers:?}");
    assert_eq!(deadlocks, 0);
    assert!(answers[&200] > CLIENTS, "hardly anything was done: {answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_towards_each_other_never_wait_in_a_circle() {
    both_ways(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn nor_for_half_a_minute() {
    both_ways(Duration::from_secs(30)).await;
}
