//! The whole server with a Redis, without one, and with one that is away.

use serde_json::{Value, json};

use super::server::Server;
use super::until;
use crate::harness::{TestApp, app, app_with};

async fn readiness(app: &TestApp) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/readyz", app.url())).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn ready(redis: &str) -> (u16, Value) {
    (200, json!({"status": "ready", "postgres": "ok", "redis": redis}))
}

#[tokio::test]
async fn one_node_needs_no_redis() {
    let app = app().await;
    assert_eq!(readiness(&app).await, ready("absent"));
    app.person("ada").await.post("/task-lists", json!({"name": "list"})).await.expect(201);
}

#[tokio::test]
async fn redis_may_come_later_and_go_again() {
    let mut server = Server::start().await;
    server.kill().await;
    let app = app_with(|config| config.redis_url = Some(server.url.clone())).await;
    assert_eq!(readiness(&app).await, ready("degraded"));
    let ada = app.person("ada").await;
    server.again().await;
    until("Redis is reached", async || readiness(&app).await == ready("ok")).await;
    server.kill().await;
    until("it is missed", async || readiness(&app).await == ready("degraded")).await;
    ada.post("/task-lists", json!({"name": "list"})).await.expect(201);
}
