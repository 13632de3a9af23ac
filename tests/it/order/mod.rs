//! Order on three nodes: one sequence for everybody, and a first load that leads into it without a gap.

mod author;
mod device;
mod hot;
mod join;
mod locks;
mod newer;
mod odd;
mod pipeline;
mod plan;
mod pruned;
mod reader;
mod resume;
mod torn;

use serde_json::{Value, json};
use studyhall::config::Config;
use uuid::Uuid;

use crate::cluster::server::Server;
use crate::harness::{self, Person, TestApp};

/// Three nodes over one PostgreSQL and one Redis.
struct Three {
    nodes: Vec<TestApp>,
    _redis: Server,
}

impl Three {
    async fn start() -> Self {
        let redis = Server::start().await;
        let change = |config: &mut Config| {
            config.redis_url = Some(redis.url.clone());
            // One client does what many would.
            config.commands_per_second = 10_000;
            config.database_connections = 8;
        };
        let first = harness::app_with(change).await;
        let nodes = vec![first.beside(change).await, first.beside(change).await, first];
        Self { nodes, _redis: redis }
    }

    /// One of the nodes, in turn.
    fn url(&self, number: usize) -> String {
        self.nodes[number % self.nodes.len()].url()
    }

    fn pool(&self) -> &sqlx::PgPool {
        &self.nodes[0].database.pool
    }
}

/// The whole log of a channel, from its first event that is still there; a hole fails the test.
async fn log(reader: &Person, channel: &str, mut since: u64) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    loop {
        let page = reader.get(&format!("/channels/{channel}/events?since={since}&limit=500")).await.expect(200);
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["offset"], since + 1, "a hole in {channel}");
            since += 1;
            items.push(item.clone());
        }
        if page["next_cursor"].is_null() {
            return items;
        }
    }
}

/// Where a channel is, for somebody who may read it.
async fn position(reader: &Person, channel: &str) -> Value {
    let head = format!("/channels/{channel}/events?limit=1");
    let page = reader.get(&head).await.expect(200);
    let first = page["positions"][0].clone();
    let items = log(reader, channel, 0).await;
    json!({"offset": items.len(), "epoch": first["epoch"]})
}

/// A room of Ada with these people and so many widgets.
async fn room(ada: &Person, people: &[&Person], widgets: usize) -> (Uuid, Vec<Uuid>) {
    let id = |answer: Value| -> Uuid { serde_json::from_value(answer["data"]["id"].clone()).unwrap() };
    let room = id(ada.post("/workspaces", json!({"name": "hall"})).await.expect(201));
    for person in people {
        ada.put(&format!("/workspaces/{room}/members/{}", person.id)).await.expect(201);
    }
    let mut ids = Vec::new();
    for number in 0..widgets {
        let body = json!({"type": "clock", "grid_x": number, "grid_y": 0, "grid_w": 1, "grid_h": 1});
        ids.push(id(ada.post(&format!("/workspaces/{room}/widgets"), body).await.expect(201)));
    }
    (room, ids)
}

/// A list with so many tasks.
async fn tasks(person: &Person, count: usize) -> (Uuid, Vec<Uuid>) {
    let id = |answer: Value| -> Uuid { serde_json::from_value(answer["data"]["id"].clone()).unwrap() };
    let list = id(person.post("/task-lists", json!({"name": "list"})).await.expect(201));
    let mut ids = Vec::new();
    for number in 0..count {
        let body = json!({"description": format!("{number}")});
        ids.push(id(person.post(&format!("/task-lists/{list}/tasks"), body).await.expect(201)));
    }
    (list, ids)
}
