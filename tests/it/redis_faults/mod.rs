//! A Redis that dies, forgets, is silent, far, full or lies, under three nodes that go on all the same: writes succeed,
//! every event is everywhere within two seconds, and whoever hosts them is told.

mod durable;
mod forged;
mod load;
mod presence;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::server::Server;
use crate::faults::redis::RedisLink;
use crate::harness::{self, PATIENCE, Person, TestApp};
use load::Load;

/// Nodes that share a Redis, each by a road of its own.
struct Stage {
    redis: Server,
    roads: Vec<RedisLink>,
    nodes: Vec<TestApp>,
    owner: Person,
    rooms: Vec<Room>,
}

/// A room in which one widget changes.
#[derive(Clone)]
struct Room {
    channel: String,
    widget: String,
}

impl Stage {
    async fn set() -> Self {
        Self::set_over(Server::start().await).await
    }

    async fn set_over(redis: Server) -> Self {
        let roads: Vec<RedisLink> = (0..3).map(|_| RedisLink::start(&redis.url)).collect();
        let first = harness::app_with(|config| config.redis_url = Some(roads[0].redis_url())).await;
        let mut nodes = vec![first];
        for road in &roads[1..] {
            let node = nodes[0].beside(|config| config.redis_url = Some(road.redis_url())).await;
            nodes.push(node);
        }
        let owner = nodes[0].person("owner").await;
        let mut rooms = Vec::new();
        for _ in 0..4 {
            let made = owner.post("/workspaces", json!({"name": "Room"})).await.expect(201);
            let id = made["data"]["id"].as_str().unwrap().to_owned();
            let clock = json!({"type": "clock", "grid_x": 0, "grid_y": 0, "grid_w": 2, "grid_h": 2});
            let made = owner.post(&format!("/workspaces/{id}/widgets"), clock).await.expect(201);
            let widget = made["data"]["id"].as_str().unwrap().to_owned();
            rooms.push(Room { channel: format!("workspace:{id}"), widget });
        }
        Self { redis, roads, nodes, owner, rooms }
    }

    /// The same with every node in touch with Redis.
    async fn set_and_reached() -> Self {
        let stage = Self::set().await;
        stage.all_say("ok").await;
        stage
    }

    /// Changes and witnesses on all nodes, until [`Load::end`].
    async fn load(&self) -> Load {
        Load::begin(self).await
    }

    /// What a node's `/readyz` says of Redis. It serves people whatever that is.
    async fn says(&self, node: usize) -> String {
        let answer = reqwest::get(format!("{}/readyz", self.nodes[node].url())).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["redis"].as_str().unwrap().to_owned()
    }

    /// How long it takes until a node says this.
    async fn until_it_says(&self, node: usize, what: &str) -> Duration {
        let since = Instant::now();
        while self.says(node).await != what {
            assert!(since.elapsed() < PATIENCE, "node {node} never says {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        since.elapsed()
    }

    /// How long it takes until all say this.
    async fn all_say(&self, what: &str) -> Duration {
        let since = Instant::now();
        for node in 0..self.nodes.len() {
            self.until_it_says(node, what).await;
        }
        since.elapsed()
    }

    /// How many subscriptions of nodes Redis has, and how many channels.
    async fn subscriptions(&self) -> usize {
        let mut channels: Vec<String> = self.redis.ask("PUBSUB CHANNELS *").await;
        channels.extend(self.redis.ask::<Vec<String>>("PUBSUB SHARDCHANNELS *").await);
        channels.len()
    }

    /// How long it takes until there are at least so many.
    async fn until_subscribed(&self, channels: usize) -> Duration {
        let since = Instant::now();
        while self.subscriptions().await < channels {
            assert!(since.elapsed() < PATIENCE, "they do not subscribe again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        since.elapsed()
    }
}
