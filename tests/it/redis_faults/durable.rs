//! Durable events, writes and `/readyz`, whatever Redis does.

use std::time::{Duration, Instant};

use futures_util::join;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::Stage;
use crate::cluster::server::Server;
use crate::harness;

/// `/readyz` says that Redis is gone within this.
const DEGRADED_WITHIN: Duration = Duration::from_secs(3);
/// And that it is back within this.
const CLEARED_WITHIN: Duration = Duration::from_secs(5);
/// Subscriptions are made anew within this.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(3);

fn within(what: &str, took: Duration, bound: Duration) {
    println!("{what} after {took:?}");
    assert!(took <= bound, "{what} after {took:?}");
}

/// For how long something is to be so.
async fn last(long: Duration) {
    tokio::time::sleep(long).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_killed_and_comes_back() {
    killed(1, Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn redis_is_killed_and_comes_back_five_times_and_stays_away_for_a_minute() {
    killed(5, Duration::from_secs(4)).await;
    killed(1, Duration::from_secs(60)).await;
}

async fn killed(times: usize, away: Duration) {
    let mut stage = Stage::set_and_reached().await;
    let load = stage.load().await;
    let channels = stage.subscriptions().await;
    for _ in 0..times {
        stage.redis.kill().await;
        within("degraded", stage.all_say("degraded").await, DEGRADED_WITHIN);
        last(away).await;
        stage.redis.again().await;
        let back = Instant::now();
        within("cleared", stage.all_say("ok").await, CLEARED_WITHIN);
        stage.until_subscribed(channels).await;
        within("subscribed again", back.elapsed(), SUBSCRIBED_WITHIN);
    }
    load.end("Redis killed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_and_people_sign_in_without_redis() {
    let mut redis = Server::start().await;
    redis.kill().await;
    let mut stage = Stage::set_over(redis).await;
    stage.all_say("degraded").await;
    let load = stage.load().await;
    let ada = stage.nodes[1].person("ada").await;
    let body = json!({"username": "ada", "password": "correct horse battery"});
    let mut live = ada.at(&stage.nodes[2].url()).live().await;
    live.subscribe(&ada.channel()).await;
    ada.post("/sessions", body).await.expect(201);
    ada.post("/task-lists", json!({"name": "Today"})).await.expect(201);
    let (_, event) = live.event().await;
    assert_eq!(event["type"], "task_list.created");
    last(Duration::from_secs(2)).await;
    stage.redis.again().await;
    within("cleared", stage.all_say("ok").await, CLEARED_WITHIN);
    load.end("Redis absent at the start").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_is_cut_off() {
    let stage = Stage::set_and_reached().await;
    let load = stage.load().await;
    stage.roads[1].close();
    within("degraded", stage.until_it_says(1, "degraded").await, DEGRADED_WITHIN);
    assert_eq!([stage.says(0).await, stage.says(2).await], ["ok", "ok"]);
    last(Duration::from_secs(3)).await;
    stage.roads[1].heal();
    within("cleared", stage.until_it_says(1, "ok").await, CLEARED_WITHIN);
    load.end("one node cut off").await;
}

/// The connection stays open, and nothing comes of it: of what is said, of what is answered, of both, or only of messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_link_is_replaced() {
    let stage = Stage::set_and_reached().await;
    let load = stage.load().await;
    let [up, down, both] = &stage.roads[..] else { panic!() };
    join!(
        silence(&stage, "nothing goes up", 0, || up.up(|way| way.blocked_below = up.connections())),
        silence(&stage, "nothing comes down", 1, || down.down(|way| way.blocked_below = down.connections())),
        silence(&stage, "nothing in both directions", 2, || both.half_open()),
    );
    silence(&stage, "answers and no messages", 1, || down.loses(|_| true)).await;
    load.end("silent links").await;
}

async fn silence(stage: &Stage, what: &str, node: usize, begin: impl FnOnce()) {
    let road = &stage.roads[node];
    let (before, since) = (road.connections(), Instant::now());
    begin();
    while road.connections() == before {
        assert!(since.elapsed() < harness::PATIENCE, "{what}: never replaced");
        last(Duration::from_millis(20)).await;
    }
    within(&format!("{what}: replaced"), since.elapsed(), DEGRADED_WITHIN);
    road.loses_nothing();
    within(&format!("{what}: cleared"), stage.until_it_says(node, "ok").await, CLEARED_WITHIN);
    road.heal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_stands_still_and_is_full() {
    full_and_still(Duration::from_secs(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn redis_stands_still_and_is_full_for_longer() {
    full_and_still(Duration::from_secs(10)).await;
}

async fn full_and_still(long: Duration) {
    let stage = Stage::set_and_reached().await;
    let load = stage.load().await;
    let pid = Pid::from_raw(i32::try_from(stage.redis.info("server", "process_id").await).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    within("still: degraded", stage.all_say("degraded").await, DEGRADED_WITHIN);
    last(long).await;
    kill(pid, Signal::SIGCONT).unwrap();
    within("still: cleared", stage.all_say("ok").await, CLEARED_WITHIN);
    stage.redis.ask::<String>("CONFIG SET maxmemory 1").await;
    within("full: degraded", stage.all_say("degraded").await, DEGRADED_WITHIN);
    last(long).await;
    stage.redis.ask::<String>("CONFIG SET maxmemory 0").await;
    within("full: cleared", stage.all_say("ok").await, CLEARED_WITHIN);
    load.end("Redis still, then full").await;
}

/// 300 ms to Redis and back: no write waits for it, and events come all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_far_away() {
    let way = Duration::from_millis(150);
    let stage = Stage::set_and_reached().await;
    stage.roads.iter().for_each(|road| road.both(|to| to.delay = way));
    let load = stage.load().await;
    last(Duration::from_secs(3)).await;
    stage.all_say("ok").await;
    let far = load.end("Redis far").await;
    assert!(far.median >= way, "Redis was not far: events come after {:?}", far.median);
    // Who asked Redis anything would have to wait for both ways.
    assert!(far.answered_p99 < 2 * way, "answered p99 {:?}", far.answered_p99);
}

/// A node that takes nothing is cut off by Redis, as soon as too much waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_gives_up_a_node_that_does_not_read() {
    let stage = Stage::set_and_reached().await;
    let load = stage.load().await;
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 262144 131072 5"];
    let mut redis = stage.redis.connect().await;
    redis::cmd(limit[0]).arg(&limit[1..]).exec_async(&mut redis).await.unwrap();
    let listening = async || {
        let clients: String = stage.redis.ask("CLIENT LIST TYPE pubsub").await;
        clients.lines().count()
    };
    assert_eq!(listening().await, 3);
    let road = &stage.roads[1];
    let before = road.connections();
    road.down(|way| way.blocked_below = before);
    // More than the kernels and the road hold, on a channel that the node listens to.
    let at = format!("studyhall:at:{}", stage.rooms[0].channel);
    let filler = "x".repeat(32 * 1024);
    let began = Instant::now();
    while listening().await == 3 {
        stage.redis.ask::<i64>(&format!("PUBLISH {at} {filler}")).await;
    }
    // Sooner than the node can have noticed anything by itself.
    within("cut off by Redis", began.elapsed(), Duration::from_millis(900));
    road.heal();
    while road.connections() == before {
        assert!(began.elapsed() < harness::PATIENCE, "never replaced");
        last(Duration::from_millis(20)).await;
    }
    within("replaced", began.elapsed(), DEGRADED_WITHIN);
    within("cleared", stage.until_it_says(1, "ok").await, CLEARED_WITHIN);
    last(Duration::from_secs(2)).await;
    load.end("a node that does not read").await;
}

/// Every hint to every node is lost, then Redis forgets all it knew; no client has to begin anew.
async fn all_hints_lost(long: Duration) {
    let stage = Stage::set_and_reached().await;
    let load = stage.load().await;
    stage.roads.iter().for_each(|road| road.loses(is_hint));
    last(long).await;
    stage.redis.ask::<String>("FLUSHALL").await;
    last(long.min(Duration::from_secs(5))).await;
    stage.roads.iter().for_each(|road| road.loses_nothing());
    let lost: Vec<u64> = stage.roads.iter().map(|road| road.lost()).collect();
    println!("hints lost: {lost:?}");
    assert!(lost.iter().all(|lost| *lost > 50), "every node lost hints: {lost:?}");
    load.end("all hints lost").await;
}

/// Whether a message tells of events, or of what was published: not of people, and not from node to node.
fn is_hint(text: &[u8]) -> bool {
    text.first() == Some(&b'!')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hint_is_lost_and_redis_is_flushed() {
    all_hints_lost(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn every_hint_is_lost_for_half_a_minute_and_redis_is_flushed() {
    all_hints_lost(Duration::from_secs(30)).await;
}
