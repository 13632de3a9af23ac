//! Who is here while things break: a node is killed, Redis forgets everything, Redis is away.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Stage;
use crate::faults::node::Node;
use crate::harness::{self, Person};

/// A killed node's people are gone within this.
const KILLED_WITHIN: Duration = Duration::from_secs(15);
/// Everybody is back within this after Redis forgot them.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Whom a node does not find in a Redis that forgot is waited for as long as this before anybody hears of it.
const GRACE: Duration = Duration::from_secs(8);

async fn status(watcher: &Person, person: &Person) -> Value {
    let page = watcher.get(&format!("/presence?user_ids={}", person.id)).await.expect(200);
    page["items"][0]["status"].clone()
}

async fn until_status(watcher: &Person, person: &Person, wanted: &str) -> Duration {
    let since = Instant::now();
    while status(watcher, person).await != wanted {
        assert!(since.elapsed() < harness::PATIENCE, "never {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_people_of_a_killed_node_leave_once() {
    let mut stage = Stage::set(2).await;
    let (mut node, _tab) = stage.come_to_process().await;
    let killed = Instant::now();
    node.kill();
    let gone = stage.watch.expect(killed, &["offline", "leave"]).await;
    println!("gone after {gone:?}");
    assert!(gone <= KILLED_WITHIN, "{gone:?}");
    stage.watch.expect_no_more().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_from_a_killed_node_was_never_away() {
    let mut stage = Stage::set(2).await;
    let (mut node, _tab) = stage.come_to_process().await;
    let killed = Instant::now();
    node.kill();
    let back = stage.come(&stage.there).await;
    tokio::time::sleep_until((killed + KILLED_WITHIN).into()).await;
    stage.watch.expect_no_more().await;
    back.bye().await;
    stage.watch.expect(Instant::now(), &["offline", "leave"]).await;
}

/// Without Redis nobody is left to notice; the next start finds out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_only_node_was_killed_the_next_one_knows() {
    let database = harness::database().await;
    let mut node = Node::start(&database.url, None).await;
    let (aiko, ben) = (harness::sign_up(&node.url, "aiko").await, harness::sign_up(&node.url, "ben").await);
    aiko.patch("/me/settings", json!({"presence_visibility": "everyone"})).await.expect(200);
    let _tab = aiko.live().await;
    until_status(&ben, &aiko, "online").await;
    let written = "select status from user_presence where user_id = $1";
    let row = || sqlx::query_scalar::<_, String>(written).bind(aiko.id).fetch_one(&database.pool);
    while row().await.unwrap() != "online" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    node.kill();
    let started = Instant::now();
    let node = Node::start(&database.url, None).await;
    let ben = ben.at(&node.url);
    while row().await.unwrap() != "offline" || status(&ben, &aiko).await != "offline" {
        assert!(started.elapsed() < harness::PATIENCE, "still here");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let gone = started.elapsed();
    println!("known after {gone:?}");
    assert!(gone <= KILLED_WITHIN, "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgets_is_told_again() {
    let mut stage = Stage::set(2).await;
    let tab = stage.come(&stage.there).await;
    stage.watch.expect(Instant::now(), &["online", "join"]).await;
    let redis = stage.redis.as_ref().unwrap();
    let flushed = Instant::now();
    redis.ask::<String>("FLUSHALL").await;
    // Somebody who asks a node that watches nothing has to rely on what Redis says.
    let third = stage.here.beside(|config| config.redis_url = Some(redis.url.clone())).await;
    let cleo = third.person("cleo").await;
    until_status(&cleo, &stage.aiko, "online").await;
    let back = flushed.elapsed();
    println!("back after {back:?}");
    assert!(back <= BACK_WITHIN, "{back:?}");
    tokio::time::sleep_until((flushed + GRACE).into()).await;
    stage.watch.expect_no_more().await;
    tab.bye().await;
    stage.watch.expect(Instant::now(), &["offline", "leave"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_away_is_caught_up_with() {
    let mut stage = Stage::set(2).await;
    let tab = stage.come(&stage.there).await;
    stage.watch.expect(Instant::now(), &["online", "join"]).await;
    stage.redis.as_mut().unwrap().kill().await;
    // While it is away people of this very node come and go as ever.
    let here = stage.come(&stage.here).await;
    here.bye().await;
    stage.watch.expect_no_more().await;
    // And of another node nobody is told, until Redis is back.
    tab.bye().await;
    stage.redis.as_mut().unwrap().again().await;
    let back = Instant::now();
    let gone = stage.watch.expect(back, &["offline", "leave"]).await;
    println!("gone {gone:?} after Redis was back");
    stage.watch.expect_no_more().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_hands_its_people_over() {
    let mut stage = Stage::set(2).await;
    let mut tab = stage.come(&stage.there).await;
    stage.watch.expect(Instant::now(), &["online", "join"]).await;
    let drained = Instant::now();
    stage.there.stop();
    assert_eq!(tab.close_code().await.0, 3001);
    let back = stage.come(&stage.here).await;
    tokio::time::sleep_until((drained + super::HOLD + Duration::from_secs(3)).into()).await;
    stage.watch.expect_no_more().await;
    back.bye().await;
    stage.watch.expect(Instant::now(), &["offline", "leave"]).await;
}
