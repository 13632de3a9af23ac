//! Going away: nobody is forgotten, and nobody new is taken.

use serde_json::json;
use studyhall_protocol::error::Disconnect;

use super::*;
use crate::live::arrivals::Full;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_told_to_come_back() {
    let engine = Engine::start().await;
    let mut clients = Vec::new();
    for n in 0..30 {
        clients.push(engine.subscribed(n, room(1)).await);
    }
    clients.push(engine.client().await);
    engine.toy.running.shut();
    let mut busy = engine.connected(99).await;
    busy.send(&json!({"id": 5, "rpc": {"method": "echo"}}).to_string()).await;
    engine.toy.running.arrived(1).await;
    let draining = tokio::spawn({
        let hub = engine.hub.clone();
        async move { hub.drain(Duration::from_millis(100)).await }
    });
    for client in &mut clients {
        assert_eq!(client.close_code().await, 3001);
        client.end().await;
    }
    // What runs is finished and answered, and what came behind it is not begun.
    busy.send(&json!({"id": 6, "rpc": {"method": "echo"}}).to_string()).await;
    assert!(!draining.is_finished());
    engine.toy.running.open();
    assert!(busy.reply(5).await.get("rpc").is_some());
    assert_eq!(busy.close_code().await, 3001);
    assert_eq!(engine.toy.running.count(), 1);
    busy.end().await;
    draining.await.unwrap();
    drop(busy);
    assert_eq!(engine.hub.admit_connection(), Err(Full::Draining));
    drop(clients);
    tokio::time::timeout(DEADLINE, engine.hub.stop()).await.expect("the engine ends");
    assert_eq!(engine.hub.counts().0, 0);
}

/// Admitted before the drain, upgraded behind it: told all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_slips_through() {
    let engine = Engine::start().await;
    assert!(engine.hub.admit_connection().is_ok());
    engine.hub.drain(Duration::ZERO).await;
    let listener = listen();
    let _client = Client::open(listener.local_addr().unwrap(), None).await;
    let (socket, _) = listener.accept().await.unwrap();
    let conn = engine.hub.register(socket, FORMAT);
    assert_eq!(conn.closing(), Some(Disconnect::SHUTDOWN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_it_may() {
    let engine = Engine::start_with(Limits { connections_max: 2, ..Limits::default() }).await;
    let (first, _second) = (engine.connected(1).await, engine.connected(2).await);
    assert_eq!(engine.hub.admit_connection(), Err(Full::Connections));
    drop(first);
    eventually("there is room again", || engine.hub.admit_connection().is_ok()).await;
}
