//! Nodes whose clocks are hours apart, and jump: leases, order and times of events do not come from them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::enter;
use super::moves::Lookout;
use crate::cluster::server::Server;
use crate::faults::node::Node;
use crate::harness::{self, Person};

/// A node with a clock of its own, which a file sets.
struct OtherTime {
    node: Node,
    clock: PathBuf,
}

impl OtherTime {
    async fn start(database: &str, redis: &str, shift: &str) -> Self {
        let clock = std::env::temp_dir().join(format!("studyhall-clock-{}", Uuid::new_v4()));
        std::fs::write(&clock, shift).unwrap();
        let library = library();
        let settings = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        Self { node: Node::start_with(database, Some(redis), &settings).await, clock }
    }

    fn jump_to(&self, shift: &str) {
        std::fs::write(&self.clock, shift).unwrap();
    }

    /// By how much this node's clock is ahead, as it tells whoever connects.
    async fn ahead(&self, person: &Person) -> TimeDelta {
        let mut live = person.at(&self.node.url).socket().await;
        let reply = live.request(json!({"connect": {"token": person.token}})).await.unwrap();
        let told = reply["connect"]["data"]["server_time"].as_i64().unwrap();
        DateTime::from_timestamp_millis(told).unwrap() - Utc::now()
    }
}

impl Drop for OtherTime {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.clock);
    }
}

/// Of Debian's `libfaketime`.
fn library() -> PathBuf {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let found =
        places.iter().map(|place| Path::new(place).join("faketime/libfaketime.so.1")).find(|path| path.exists());
    found.expect("libfaketime is missing: run `scripts/setup.sh test`")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_hours_apart_and_jump() {
    let redis = Server::start().await;
    let here = harness::app_with(|config| config.redis_url = Some(redis.url.clone())).await;
    let ahead = OtherTime::start(&here.database.url, &redis.url, "+7200").await;
    let behind = OtherTime::start(&here.database.url, &redis.url, "-7200").await;
    let mut people = harness::crowd(&here, 3, 3).await;
    let (watcher, room) = people.pop().unwrap();
    let [(aiko, _), (ben, _)] = &people[..] else { panic!() };
    println!("clocks: {}, {}", ahead.ahead(aiko).await, behind.ahead(aiko).await);

    let mut lookout = Lookout::start(&watcher, &room).await;
    let (aiko_ahead, ben_behind) = (aiko.at(&ahead.node.url), ben.at(&behind.node.url));
    let mut tabs = [enter(&aiko_ahead, &room).await, enter(&ben_behind, &room).await];
    let all: HashSet<Uuid> = [watcher.id, aiko.id, ben.id].into();
    lookout.until_here(&all).await;
    lookout.live.drain().await;
    let nodes = [aiko.at(&here.url()), aiko_ahead, aiko.at(&behind.node.url)];
    let workspace = room.strip_prefix("workspace:").unwrap();
    let clock = json!({"type": "clock", "grid_x": 0, "grid_y": 0, "grid_w": 2, "grid_h": 2});
    let made = aiko.post(&format!("/workspaces/{workspace}/widgets"), clock).await.expect(201);
    let widget = format!("/widgets/{}", made["data"]["id"].as_str().unwrap());
    let mut acknowledged = vec![made["positions"][0]["offset"].as_u64().unwrap()];
    for number in 0..30 {
        if number == 15 {
            // Beyond every lease, hold and validity of a sign-in that anything may have worked out.
            ahead.jump_to("-7200");
            behind.jump_to("+7200");
        }
        let answer = nodes[number % 3].patch(&widget, json!({"title": format!("{number}")})).await.expect(200);
        acknowledged.push(answer["positions"][0]["offset"].as_u64().unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("clocks: {}, {}", ahead.ahead(aiko).await, behind.ahead(aiko).await);
    let mut times = Vec::new();
    for offset in &acknowledged {
        let (seen, event) = lookout.live.event().await;
        assert_eq!(seen, *offset);
        times.push(event["at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap());
    }
    assert!(times.is_sorted(), "{times:?}");
    assert!((Utc::now() - times[0]).abs() < TimeDelta::seconds(60), "times of events are PostgreSQL's");
    // Sign-ins made by a clock count by the others, and rooms are still full, longer than any lease.
    for node in [&here.url(), &ahead.node.url, &behind.node.url] {
        let made = harness::sign_up(node, &format!("on-{}", &node[node.len() - 4..])).await;
        for other in [&here.url(), &ahead.node.url, &behind.node.url] {
            made.at(other).get("/me").await.expect(200);
        }
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    for tab in &mut tabs {
        tab.request(json!({"ping": {}})).await.unwrap();
    }
    lookout.until_here(&all).await;
    let counts = lookout.counts();
    assert_eq!((counts[&aiko.id], counts[&ben.id]), (1, 1), "they came and never left");
    for log in [ahead.node.log(), behind.node.log()] {
        for bad in ["lost what this node said", "cannot reach Redis", "ERROR"] {
            assert!(!log.contains(bad), "{log}");
        }
    }
}
