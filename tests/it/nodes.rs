//! Several nodes over one database and one Redis: what happens on one is seen on the others, at once by hints, and from the
//! log when those are lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::cluster::server::Server;
use crate::cluster::until;
use crate::faults::node::Node;
use crate::harness::{self, Live, Person, TestApp};

/// What was missed is found within this while Redis is gone: a look every quarter of a second, and the time for it.
const FOUND_WITHIN: Duration = Duration::from_secs(2);

/// Two nodes that look for what they missed so seldom that only hints can tell, and two people who share a room.
struct Two {
    here: TestApp,
    there: TestApp,
    redis: Server,
    ada: Person,
    bob: Person,
    room: String,
    widget: String,
}

impl Two {
    async fn start() -> Self {
        Self::with(600.0).await
    }

    async fn with(follow_seconds: f64) -> Self {
        let redis = Server::start().await;
        let url = redis.url.clone();
        let setting = |config: &mut studyhall::config::Config| {
            config.redis_url = Some(url.clone());
            config.follow_seconds = follow_seconds;
        };
        let here = harness::app_with(setting).await;
        let there = here.beside(setting).await;
        let (ada, bob) = (here.person("ada").await, here.person("bob").await);
        let bob = bob.at(&there.url());
        let room = ada.post("/workspaces", json!({"name": "Library"})).await.expect(201)["data"]["id"].clone();
        let room = room.as_str().unwrap().to_owned();
        ada.put(&format!("/workspaces/{room}/members/{}", bob.id)).await.expect(201);
        let widget = json!({"type": "notes", "grid_x": 0, "grid_y": 0, "grid_w": 2, "grid_h": 2});
        let widget = ada.post(&format!("/workspaces/{room}/widgets"), widget).await.expect(201);
        let widget = widget["data"]["id"].as_str().unwrap().to_owned();
        let two = Self { here, there, redis, ada, bob, room: format!("workspace:{room}"), widget };
        two.know_each_other().await;
        two
    }

    /// A node that believes to be alone tells nobody.
    async fn know_each_other(&self) {
        let (mut ada, mut bob) = (self.ada.live().await, self.bob.live().await);
        ada.subscribe(&self.room).await;
        bob.subscribe(&self.room).await;
        self.reaches(&mut ada, &mut bob).await;
        self.reaches(&mut bob, &mut ada).await;
    }

    async fn reaches(&self, speaker: &mut Live, listener: &mut Live) {
        until("the nodes know of each other", async || {
            speaker.publish(&self.room, json!({"type": "reaction", "data": "hello"})).await.unwrap();
            listener.drain().await.iter().any(|push| push["pub"]["data"]["data"] == "hello")
        })
        .await;
    }

    fn drag(&self, gesture: Uuid, x: f64) -> Value {
        json!({"type": "drag", "key": self.widget, "data": {"drag_id": gesture, "grid_x": x, "grid_y": 1.0}})
    }
}

/// The next push of this type.
async fn next(live: &mut Live, kind: &str) -> Value {
    loop {
        let push = live.push().await;
        if push["pub"]["data"]["type"] == kind {
            return push["pub"]["data"].clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_drags_cross_nodes_at_once() {
    let two = Two::start().await;
    let (mut ada, mut bob) = (two.ada.live().await, two.bob.live().await);
    ada.subscribe(&two.room).await;
    bob.subscribe(&two.room).await;
    let gesture = Uuid::new_v4();
    ada.publish(&two.room, two.drag(gesture, 2.5)).await.unwrap();
    assert_eq!(next(&mut bob, "drag").await["data"]["grid_x"], 2.5);
    let held = bob.publish(&two.room, two.drag(Uuid::new_v4(), 0.0)).await.unwrap_err();
    assert_eq!(held["code"], 1409, "{held}");
    let drop = json!({"id": two.widget, "drag_id": gesture, "grid_x": 3, "grid_y": 1});
    let sent = Instant::now();
    ada.rpc("widget.move", drop).await.unwrap();
    assert_eq!(next(&mut bob, "widget.moved").await["data"]["widget"]["grid_x"], 3);
    println!("a drop on the other node after {:?}", sent.elapsed());
    bob.publish(&two.room, two.drag(Uuid::new_v4(), 1.0)).await.expect("the drop has ended the hold");
    // Somebody's other tab, wherever it is.
    let mut tab = two.ada.at(&two.there.url()).live().await;
    tab.subscribe(&two.ada.channel()).await;
    let channels = format!("PUBSUB CHANNELS studyhall:at:{}", two.ada.channel());
    until("it is listened to", async || two.redis.ask::<Vec<String>>(&channels).await.len() == 1).await;
    two.ada.post("/task-lists", json!({"name": "Today"})).await.expect(201);
    assert_eq!(next(&mut tab, "task_list.created").await["data"]["name"], "Today");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_events_are_found_in_the_log() {
    let mut two = Two::with(600.0).await;
    let mut bob = two.bob.live().await;
    bob.subscribe(&two.room).await;
    two.redis.kill().await;
    // The first look after it was noticed is the old one's turn: nobody waits for ten minutes.
    until("both have noticed", async || {
        for app in [&two.here, &two.there] {
            let health = reqwest::get(format!("{}/readyz", app.url())).await.unwrap();
            let health: Value = serde_json::from_str(&health.text().await.unwrap()).unwrap();
            if health["redis"] != "degraded" {
                return false;
            }
        }
        true
    })
    .await;
    for x in 1..=3 {
        let sent = Instant::now();
        two.ada.patch(&format!("/widgets/{}", two.widget), json!({"title": format!("step {x}")})).await.expect(200);
        assert_eq!(next(&mut bob, "widget.updated").await["data"]["title"], format!("step {x}"));
        let found = sent.elapsed();
        println!("found after {found:?}");
        assert!(found <= FOUND_WITHIN, "{found:?}");
    }
    two.redis.again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drag_is_committed_once_when_its_node_is_killed() {
    let two = Two::with(0.5).await;
    let mut doomed =
        Node::start_with(&two.here.database.url, Some(&two.redis.url), &[("STUDYHALL_LEASE_SECONDS", "3")]).await;
    let (mut ada, mut bob) = (two.ada.live().await, two.bob.live().await);
    ada.subscribe(&two.room).await;
    bob.subscribe(&two.room).await;
    let mut author = two.ada.at(&doomed.url).live().await;
    author.subscribe(&two.room).await;
    let gesture = Uuid::new_v4();
    until("the drag is seen on both nodes", async || {
        author.publish(&two.room, two.drag(gesture, 7.4)).await.unwrap();
        let seen = |pushes: Vec<Value>| pushes.iter().any(|push| push["pub"]["data"]["data"]["grid_x"] == 7.4);
        seen(ada.drain().await) && seen(bob.drain().await)
    })
    .await;
    // On another node she is there still; what she dragged is of the one that is gone.
    ada.bye().await;
    doomed.kill();
    let moved = next(&mut bob, "widget.moved").await;
    assert_eq!((&moved["data"]["drag_id"], &moved["data"]["widget"]["grid_x"]), (&json!(gesture), &json!(7)));
    let moves = "select count(*) from events where type = 'widget.moved'";
    let count: i64 = sqlx::query_scalar(moves).fetch_one(&two.here.database.pool).await.unwrap();
    assert_eq!(count, 1, "two nodes have noticed");
}
