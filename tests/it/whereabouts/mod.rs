//! P7: who is here, as somebody sees it who watches, on the same node or on another one. Each case runs with one node
//! and no Redis, and with two nodes that share one: the person is on the first, the watcher on the second.

mod clocks;
mod crowd;
mod faults;
pub mod moves;
mod stopped;
mod strangers;
mod streams;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::server::Server;
use crate::faults::node::Node;
use crate::harness::{self, Live, PATIENCE, Person, TestApp};
use moves::Moves;

/// A clean leave shows within this.
const LEFT_WITHIN: Duration = Duration::from_millis(1_500);
/// A lost connection is held for this long.
const HOLD: Duration = Duration::from_secs(10);
/// A dead socket shows within this.
const DEAD_WITHIN: Duration = Duration::from_secs(30);

/// Nodes, somebody who comes and goes, and somebody who watches them: their pill, and a room that both are in.
struct Stage {
    /// Where the person is.
    there: TestApp,
    /// Where the watcher is.
    here: TestApp,
    redis: Option<Server>,
    aiko: Person,
    room: String,
    watch: Watch,
}

/// What somebody sees of a person's coming and going.
struct Watch {
    live: Live,
    profile: String,
    moves: Moves,
    seen: Vec<String>,
    /// When the last of it was seen.
    at: Instant,
}

impl Stage {
    async fn set(nodes: usize) -> Self {
        let redis = if nodes > 1 { Some(Server::start().await) } else { None };
        let url = redis.as_ref().map(|server| server.url.clone());
        let there = harness::app_with(|config| config.redis_url = url.clone()).await;
        let here = there.beside(|config| config.redis_url = url.clone()).await;
        let (aiko, ben) = (there.person("aiko").await, there.person("ben").await);
        aiko.patch("/me/settings", json!({"presence_visibility": "everyone"})).await.expect(200);
        let room = aiko.post("/workspaces", json!({"name": "Library"})).await.expect(201)["data"]["id"].clone();
        let room = room.as_str().unwrap();
        aiko.put(&format!("/workspaces/{room}/members/{}", ben.id)).await.expect(201);
        let room = format!("workspace:{room}");
        let node = if nodes > 1 { &here } else { &there };
        let watch = Watch::start(&ben.at(&node.url()), &aiko, &room).await;
        Self { there, here, redis, aiko, room, watch }
    }

    /// The person comes on a third node, a process of its own.
    async fn come_to_process(&mut self) -> (Node, Live) {
        let redis = self.redis.as_ref().map(|server| server.url.clone());
        let node = Node::start(&self.there.database.url, redis.as_deref()).await;
        let tab = enter(&self.aiko.at(&node.url), &self.room).await;
        self.watch.expect(Instant::now(), &["online", "join"]).await;
        (node, tab)
    }

    /// The person comes: a device of theirs, in the room.
    async fn come(&self, node: &TestApp) -> Live {
        enter(&self.aiko.at(&node.url()), &self.room).await
    }
}

/// Connects, and enters a room.
async fn enter(person: &Person, room: &str) -> Live {
    let mut live = person.live().await;
    live.request(json!({"subscribe": {"channel": room, "join_leave": true}})).await.unwrap();
    live
}

impl Watch {
    async fn start(watcher: &Person, person: &Person, room: &str) -> Self {
        let mut live = watcher.live().await;
        let profile = format!("profile:{}", person.id);
        live.subscribe(&profile).await;
        live.request(json!({"subscribe": {"channel": room, "join_leave": true}})).await.unwrap();
        // One's own arrival is no news.
        live.drain().await;
        let moves = Moves::of(&mut live, room).await;
        Self { live, profile, moves, seen: Vec::new(), at: Instant::now() }
    }

    /// `online`, `idle`, `offline` for the pill, `join` and `leave` for the room; nothing for what does not matter.
    /// Whoever comes was away, whoever goes was here, or it panics.
    fn read(&mut self, push: &Value) -> Option<String> {
        if let Some((_, came)) = self.moves.take(push) {
            return Some(if came { "join" } else { "leave" }.into());
        }
        let data = &push["pub"]["data"];
        let pill = push["channel"] == self.profile.as_str() && data["type"] == "presence";
        let status = data["data"]["status"].as_str().unwrap_or("offline");
        if pill {
            let before = self.seen.iter().rfind(|seen| *seen != "join" && *seen != "leave");
            assert_ne!(before.map(String::as_str), Some(status), "said twice: {:?}", self.seen);
        }
        pill.then(|| status.into())
    }

    /// Waits for all of these, in any order, and for nothing else; how long the last one took.
    async fn expect(&mut self, since: Instant, wanted: &[&str]) -> Duration {
        let mut missing: Vec<&str> = wanted.to_vec();
        while !missing.is_empty() {
            let push = tokio::time::timeout(PATIENCE, self.live.push()).await.expect("nothing was seen");
            let Some(what) = self.read(&push) else { continue };
            self.seen.push(what.clone());
            self.at = Instant::now();
            let place = missing.iter().position(|missing| *missing == what);
            missing.remove(place.unwrap_or_else(|| panic!("{what} came, {missing:?} was due: {:?}", self.seen)));
        }
        self.at - since
    }

    /// Nothing more has come than was expected.
    async fn expect_no_more(&mut self) {
        for push in self.live.drain().await {
            if let Some(what) = self.read(&push) {
                panic!("{what} came after {:?}", self.seen);
            }
        }
    }
}

macro_rules! for_one_and_two_nodes {
    ($($name:ident => $case:path;)*) => {
        $(
            mod $name {
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_one_node() {
                    $case(super::Stage::set(1).await).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_two_nodes() {
                    $case(super::Stage::set(2).await).await;
                }
            }
        )*
    };
}

for_one_and_two_nodes! {
    a_clean_leave => super::clean_leave;
    a_lost_connection => super::lost_connection;
    a_half_open_socket => super::half_open;
    a_reconnect_is_no_flap => super::reconnect;
    three_tabs => super::three_tabs;
    three_tabs_one_by_crash => super::three_tabs_one_by_crash;
    idle_in_all_tabs => super::idle_tabs;
    invisible => super::invisible;
}

async fn clean_leave(mut stage: Stage) {
    let came = Instant::now();
    let tab = stage.come(&stage.there).await;
    let shown = stage.watch.expect(came, &["online", "join"]).await;
    let left = Instant::now();
    tab.bye().await;
    let gone = stage.watch.expect(left, &["offline", "leave"]).await;
    println!("came after {shown:?}, gone after {gone:?}");
    assert!(gone <= LEFT_WITHIN, "{gone:?}");
    stage.watch.expect_no_more().await;
}

async fn lost_connection(mut stage: Stage) {
    let tab = stage.come(&stage.there).await;
    stage.watch.expect(Instant::now(), &["online", "join"]).await;
    let lost = Instant::now();
    tab.vanish();
    let gone = stage.watch.expect(lost, &["offline", "leave"]).await;
    println!("gone after {gone:?}");
    assert!(gone >= HOLD && gone <= DEAD_WITHIN, "{gone:?}");
    stage.watch.expect_no_more().await;
}

/// The socket is there, and nobody behind it answers pings. It is not held besides: it has been silent for longer.
async fn half_open(mut stage: Stage) {
    let silent = Instant::now();
    let _tab = stage.come(&stage.there).await;
    stage.watch.expect(silent, &["online", "join"]).await;
    let gone = stage.watch.expect(silent, &["offline", "leave"]).await;
    println!("gone after {gone:?}");
    assert!(gone <= DEAD_WITHIN, "{gone:?}");
    stage.watch.expect_no_more().await;
}

/// Comes back on the other node, while they are held on the first.
async fn reconnect(mut stage: Stage) {
    let tab = stage.come(&stage.there).await;
    stage.watch.expect(Instant::now(), &["online", "join"]).await;
    let lost = Instant::now();
    tab.vanish();
    let two = stage.redis.is_some();
    let back = stage.come(if two { &stage.here } else { &stage.there }).await;
    // Longer than the hold: the first node lets go of them meanwhile, and nobody notices.
    tokio::time::sleep_until((lost + HOLD + Duration::from_secs(1)).into()).await;
    stage.watch.expect_no_more().await;
    back.bye().await;
    stage.watch.expect(lost, &["offline", "leave"]).await;
}

async fn three_tabs(mut stage: Stage) {
    let two = stage.redis.is_some();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        let mut tabs = Vec::new();
        for tab in 0..3 {
            let node = if two && tab == 1 { &stage.here } else { &stage.there };
            tabs.push(Some(stage.come(node).await));
        }
        stage.watch.expect(Instant::now(), &["online", "join"]).await;
        for tab in &order[..2] {
            tabs[*tab].take().unwrap().bye().await;
        }
        let left = Instant::now();
        tabs[order[2]].take().unwrap().bye().await;
        stage.watch.expect(left, &["offline", "leave"]).await;
        stage.watch.expect_no_more().await;
    }
}

/// The one that crashed first, in the middle, and last of them.
async fn three_tabs_one_by_crash(mut stage: Stage) {
    let other = if stage.redis.is_some() { &stage.here } else { &stage.there };
    let mut left = Vec::new();
    for crashed in 0..3 {
        let mut tabs = vec![stage.come(&stage.there).await, stage.come(other).await, stage.come(&stage.there).await];
        stage.watch.expect(Instant::now(), &["online", "join"]).await;
        let since = Instant::now();
        for number in 0..3 {
            let tab = tabs.remove(0);
            if number == crashed { tab.vanish() } else { tab.bye().await }
        }
        // Wherever they crashed, they may be back.
        left.push(stage.watch.expect(since, &["offline", "leave"]).await);
        stage.watch.expect_no_more().await;
    }
    println!("with one crashed tab, gone after {left:?}");
    assert!(left.iter().all(|left| *left >= HOLD && *left <= DEAD_WITHIN), "{left:?}");
}

async fn idle_tabs(mut stage: Stage) {
    let two = stage.redis.is_some();
    let mut first = stage.come(&stage.there).await;
    let mut second = stage.come(if two { &stage.here } else { &stage.there }).await;
    stage.watch.expect(Instant::now(), &["online", "join"]).await;
    first.rpc("presence.set", json!({"status": "idle"})).await.unwrap();
    stage.watch.expect_no_more().await;
    second.rpc("presence.set", json!({"status": "idle"})).await.unwrap();
    stage.watch.expect(Instant::now(), &["idle"]).await;
    first.rpc("presence.set", json!({"status": "online"})).await.unwrap();
    stage.watch.expect(Instant::now(), &["online"]).await;
    // The active tab goes, the idle one is left.
    first.bye().await;
    stage.watch.expect(Instant::now(), &["idle"]).await;
    second.bye().await;
    stage.watch.expect(Instant::now(), &["offline", "leave"]).await;
    stage.watch.expect_no_more().await;
}

async fn invisible(mut stage: Stage) {
    let tab = stage.come(&stage.there).await;
    stage.watch.expect(Instant::now(), &["online", "join"]).await;
    stage.aiko.patch("/me/settings", json!({"invisible": true})).await.expect(200);
    stage.watch.expect(Instant::now(), &["offline", "leave"]).await;
    let second = stage.come(&stage.there).await;
    stage.watch.expect_no_more().await;
    stage.aiko.patch("/me/settings", json!({"invisible": false})).await.expect(200);
    stage.watch.expect(Instant::now(), &["online", "join"]).await;
    tab.bye().await;
    second.bye().await;
    stage.watch.expect(Instant::now(), &["offline", "leave"]).await;
}
