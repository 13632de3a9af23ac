//! Alive and ready are two questions: a node without PostgreSQL lives and is not ready, without Redis it is ready.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use studyhall::dev::Private;

use super::{ask, eventually};
use crate::cluster::server::Server;
use crate::faults::node::Node;

/// A balancer knows within this that a node has lost its database.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

async fn ready(url: &str) -> (u16, Value) {
    let answer = ask("GET", &format!("{url}/readyz"), "", None).await.expect("an answer");
    assert_eq!(ask("GET", &format!("{url}/livez"), "", None).await.expect("an answer").status, 200);
    (answer.status, answer.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alive_is_not_ready() {
    let mut redis = Server::start().await;
    let data = std::env::temp_dir().join(format!("studyhall-health-{}", std::process::id()));
    let postgres = Private::start(&data, true, false, None).await.unwrap();
    let settings = [("STUDYHALL_DRAIN_NOTICE_SECONDS", "1")];
    let node = Node::start_with(postgres.database_url.as_deref().unwrap(), Some(&redis.url), &settings).await;
    let url = node.url.clone();
    let well = json!({"status": "ready", "postgres": "ok", "redis": "ok"});
    eventually("it is ready", async || (ready(&url).await == (200, well.clone())).then_some(())).await;

    redis.kill().await;
    let degraded = json!({"status": "ready", "postgres": "ok", "redis": "degraded"});
    eventually("Redis is missed", async || (ready(&url).await == (200, degraded.clone())).then_some(())).await;
    redis.again().await;
    eventually("Redis is back", async || (ready(&url).await == (200, well.clone())).then_some(())).await;

    postgres.stop().await.unwrap();
    let gone = Instant::now();
    let (_, body) = eventually("PostgreSQL is missed", async || Some(ready(&url).await).filter(|it| it.0 == 503)).await;
    println!("not ready {:?} after PostgreSQL was gone: {body}", gone.elapsed());
    assert!(gone.elapsed() <= KNOWN_WITHIN, "{:?}", gone.elapsed());
    assert_eq!((&body["status"], &body["postgres"]), (&json!("unavailable"), &json!("unavailable")));

    let postgres = Private::start(&data, true, false, None).await.unwrap();
    eventually("PostgreSQL is back", async || (ready(&url).await.0 == 200).then_some(())).await;
    node.signal(Signal::SIGTERM);
    eventually("it goes away", async || (ready(&url).await.1["status"] == "draining").then_some(())).await;
    drop(node);
    postgres.stop().await.unwrap();
    let _ = std::fs::remove_dir_all(&data);
}
