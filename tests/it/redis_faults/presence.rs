//! Who is here, while Redis forgets.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;

use super::Stage;
use crate::harness::{self, Live};

const PEOPLE: usize = 200;
const FLUSHES: usize = 10;
/// Everybody is back within this after Redis forgot them.
const BACK_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_forgets_two_hundred_people_ten_times_and_nobody_leaves() {
    let seed = harness::seed();
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let stage = Stage::set_and_reached().await;
    let mut people = harness::crowd(&stage.nodes[0], PEOPLE + 1, PEOPLE + 1).await;
    let (watcher, room) = people.pop().unwrap();
    let mut tabs = JoinSet::new();
    for (number, (person, _)) in people.iter().enumerate() {
        let mut live = person.at(&stage.nodes[number % 2].url()).live().await;
        live.request(json!({"subscribe": {"channel": room}})).await.unwrap();
        tabs.spawn(live.stay());
    }
    let mut watcher = watcher.at(&stage.nodes[2].url()).live().await;
    watcher.request(json!({"subscribe": {"channel": room, "join_leave": true}})).await.unwrap();
    let here = async |watcher: &mut Live| {
        let presence = watcher.request(json!({"presence": {"channel": room}})).await.unwrap();
        presence["presence"]["presence"].as_object().unwrap().len()
    };
    while here(&mut watcher).await < PEOPLE + 1 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    watcher.drain().await;
    let stored = async || stage.redis.ask::<usize>(&format!("HLEN studyhall:at:{room}")).await >= PEOPLE;
    let mut slowest = Duration::ZERO;
    for _ in 0..FLUSHES {
        stage.redis.ask::<String>("FLUSHALL").await;
        let flushed = Instant::now();
        while !stored().await {
            assert!(flushed.elapsed() <= BACK_WITHIN, "not back within {BACK_WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        slowest = slowest.max(flushed.elapsed());
        // At any moment of a pulse.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1_000))).await;
        assert_eq!(here(&mut watcher).await, PEOPLE + 1, "somebody is missing");
    }
    println!("{PEOPLE} people were back {slowest:?} after a flush at the slowest");
    // Whoever is missed would be so after the nodes had their time to say theirs again.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let moved = watcher.drain().await.into_iter().filter(|push| push.get("join").or(push.get("leave")).is_some());
    assert_eq!(moved.count(), 0, "nobody has come or gone");
}
