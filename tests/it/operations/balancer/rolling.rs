//! A deploy: one node after the other ends and comes back, while people write and watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use studyhall_protocol::Channel;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::eventually;
use super::super::tab::{Found, Order, Tab};
use super::super::writer::{Door, Writer, Written};
use super::{Balancer, nodes};
use crate::cluster::server::Server;
use crate::harness::{self, Live, Person, TestApp};

/// A node that was told to end is gone within this.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// A tab that lost its connection has all it had within this.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// Of all commands, so many may have to be given again.
const RETRIED_MAX: f64 = 0.005;
/// Everybody has so many tabs.
const TABS: usize = 20;

/// Somebody on a node that stays, who sees the others in the room and their pills.
async fn watcher(app: &TestApp, person: &Person, room: &str, people: &[Arc<Person>]) -> Live {
    let mut live = person.at(&app.url()).live().await;
    live.request(json!({"subscribe": {"channel": room, "join_leave": true}})).await.unwrap();
    for person in people {
        live.subscribe(&format!("profile:{}", person.id)).await;
    }
    live
}

/// Comings and goings that were pushed.
async fn flaps(mut live: Live, stop: CancellationToken) -> Vec<Value> {
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            // Rarely does anything come.
            push = tokio::time::timeout(Duration::from_secs(5), live.push()) => {
                let Ok(push) = push else { continue };
                let gone = push["pub"]["data"]["type"] == "presence" && push["pub"]["data"]["data"]["status"] != "online";
                if gone || push.get("join").is_some() || push.get("leave").is_some() {
                    seen.push(push);
                }
            }
            () = stop.cancelled() => break,
        }
    }
    seen
}

struct Stage {
    redis: Server,
    /// On a node that stays.
    app: TestApp,
    people: Vec<Arc<Person>>,
    room: Channel,
}

impl Stage {
    async fn set(size: usize) -> Self {
        let redis = Server::start().await;
        let app = harness::app_with(|config| config.redis_url = Some(redis.url.clone())).await;
        let mut people = Vec::new();
        for number in 0..size {
            let person = app.person(&format!("person{number}")).await;
            person.patch("/me/settings", json!({"presence_visibility": "everyone"})).await.expect(200);
            people.push(Arc::new(person));
        }
        let room = people[0].post("/workspaces", json!({"name": "Library"})).await.expect(201)["data"]["id"].clone();
        let room: Uuid = serde_json::from_value(room).unwrap();
        for member in &people[1..] {
            people[0].put(&format!("/workspaces/{room}/members/{}", member.id)).await.expect(201);
        }
        Self { redis, app, people, room: Channel::Workspace(room) }
    }

    /// The log holds every acknowledged operation once, at the position that was answered.
    async fn assert_log(&self, written: &Written) -> HashMap<Channel, u64> {
        let pool = &self.app.database.pool;
        let select = "select op, channel, \"offset\" from events where type = 'settings.updated' and op is not null";
        let rows: Vec<(Uuid, String, i64)> = sqlx::query_as(select).fetch_all(pool).await.unwrap();
        let mut places = HashMap::new();
        for (op, channel, offset) in rows {
            assert!(places.insert(op, (channel, offset)).is_none(), "{op} was done twice");
        }
        for (op, answer) in written.acknowledged.lock().unwrap().iter() {
            let (channel, offset) = places.remove(op).unwrap_or_else(|| panic!("{op} is lost: {answer}"));
            let position = &answer["positions"][0];
            assert_eq!((&position["channel"], &position["offset"]), (&json!(channel), &json!(offset)), "{op}");
        }
        assert_eq!(
            places.len(),
            self.people.len(),
            "nothing was done that nobody asked for, but for the beginning: {places:?}"
        );
        let heads: Vec<(String, i64)> =
            sqlx::query_as("select channel, head from channel_heads").fetch_all(pool).await.unwrap();
        heads.into_iter().map(|(channel, head)| (channel.parse().unwrap(), head as u64)).collect()
    }
}

async fn rolling_restart(subscribers: usize, commands_per_second: u32, rounds: usize) {
    let people = subscribers / TABS;
    // Both doors for everybody.
    let writers = 2 * people;
    let stage = Stage::set(people).await;
    let mut nodes = nodes(3, &stage.app.database, &stage.redis.url).await;
    let balancer = Balancer::start(&nodes).await;

    let (found, (goal, goals)) = (Arc::new(Found::default()), watch::channel(Order::Live));
    let tabs: Vec<_> = (0..subscribers)
        .map(|number| {
            let person = &stage.people[number % people];
            let mut tab = Tab::new(&balancer.url, &person.token, &[Channel::User(person.id), stage.room], &found);
            tab.join_leave = true;
            tokio::spawn(tab.run(goals.clone()))
        })
        .collect();
    eventually("everybody is here", async || (found.complete() == subscribers).then_some(())).await;
    let mut watching = watcher(&stage.app, &stage.people[0], &stage.room.to_string(), &stage.people[1..]).await;
    watching.drain().await;
    let stop = CancellationToken::new();
    let watching = tokio::spawn(flaps(watching, stop.clone()));
    let (written, http) = (Arc::new(Written::default()), reqwest::Client::new());
    let every = Duration::from_secs(writers as u64) / commands_per_second;
    let writers: Vec<_> = (0..writers)
        .map(|number| {
            let door = if number < people { Door::Rest } else { Door::Rpc };
            let writer = Writer::new(door, &stage.people[number % people].token, &balancer.url, &http, &written);
            tokio::spawn(writer.run(every, stop.clone()))
        })
        .collect();

    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    for _ in 0..rounds {
        for node in &mut nodes {
            let told = Instant::now();
            node.signal(Signal::SIGTERM);
            let ended = node.ended(GONE_WITHIN).await.expect("it ends");
            assert!(ended.success(), "{ended}");
            slowest = slowest.max(told.elapsed());
            node.again().await;
            // As whoever deploys would: the next one when this one is in use again.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    stop.cancel();
    for writer in writers {
        writer.await.unwrap();
    }
    let heads = stage.assert_log(&written).await;
    goal.send(Order::Until(Arc::new(heads))).unwrap();
    for tab in tabs {
        tokio::time::timeout(harness::PATIENCE, tab).await.expect("a tab has not got everything").unwrap();
    }
    assert_eq!(*found.wrong.lock().unwrap(), Vec::<String>::new());
    assert_eq!(watching.await.unwrap(), Vec::<Value>::new(), "somebody seemed to come or go");
    report(&found, &written, seconds, slowest);
}

fn report(found: &Found, written: &Written, seconds: f64, slowest_node: Duration) {
    let commands = written.acknowledged.lock().unwrap().len();
    let retried = written.retried.lock().unwrap();
    let again: usize = retried.values().sum();
    let (back, ends) = (found.back.lock().unwrap(), found.ends.lock().unwrap());
    let slowest_back = back.iter().max().copied().unwrap_or_default();
    println!(
        "{commands} commands in {seconds:.0} s, given again {again}: {retried:?}; nodes gone within {slowest_node:?}"
    );
    println!("{} times back, within {slowest_back:?}; slowest command {:?}", back.len(), written.quantile(1.0));
    println!("ends: {ends:?}");
    assert!(slowest_back <= BACK_WITHIN, "{slowest_back:?}");
    assert!(back.len() > 10, "nobody had to come back");
    assert!(again as f64 <= RETRIED_MAX * commands as f64, "{again} of {commands}: {retried:?}");
    for why in retried.keys().chain(ends.keys()) {
        assert!(["closed 3001", "refused 503", "503 shutting_down"].contains(&why.as_str()), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_and_nobody_notices() {
    rolling_restart(200, 200, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn three_rolling_restarts_under_a_thousand_subscribers() {
    rolling_restart(1_000, 200, 3).await;
}
