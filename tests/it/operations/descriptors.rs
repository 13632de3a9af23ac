//! A process with few file descriptors refuses whom it cannot serve; it does not leave them hanging, and nothing is lost of
//! those whom it serves.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::eventually;
use crate::faults::node::Node;
use crate::harness::{self, Person};

/// Nobody waits for longer than this to be let in or refused.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// From the moment when there is room again.
const WELL_WITHIN: Duration = Duration::from_secs(2);

async fn is_well(person: &Person) -> bool {
    let served = async {
        let mut live = match tokio_tungstenite::connect_async(person_url(person)).await {
            Ok((live, _)) => live,
            Err(_) => return false,
        };
        let closed = live.close(None).await.is_ok();
        closed && person.get("/me").await.status == 200
    };
    timeout(ANSWERED_WITHIN, served).await.unwrap_or(false)
}

fn person_url(person: &Person) -> String {
    person.url().replace("http://", "ws://") + "/connection/websocket"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_it_refuses_and_recovers_at_once() {
    let database = harness::database().await;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 256; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_studyhall")]);
    let node = Node::start_as(command, &database.url, None, &[]).await;
    assert!(node.log().contains("256 files open"), "{}", node.log());
    let address = node.url.trim_start_matches("http://").to_owned();
    let person = harness::sign_up(&node.url, "aiko").await;
    let mut here = person.live().await;

    let come = async || {
        let opened = timeout(ANSWERED_WITHIN, tokio_tungstenite::connect_async(person_url(&person))).await;
        opened.expect("somebody was left hanging").ok().map(|(socket, _)| socket)
    };
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.extend(join_all((0..20).map(|_| come())).await);
    }
    let served = sockets.iter().flatten().count();
    println!("{served} of {} let in", sockets.len());
    assert!((100..250).contains(&served), "{served}");
    assert!(here.rpc("settings.update", json!({"theme": "dark"})).await.is_ok(), "who is here is served");

    // Those who do not even ask for anything.
    let mut idle = join_all((0..300).map(|_| TcpStream::connect(&address))).await;
    let refused = timeout(ANSWERED_WITHIN, async {
        let mut text = String::new();
        let last = idle.last_mut().unwrap().as_mut().unwrap();
        // The words, or at least the end.
        let _ = last.read_to_string(&mut text).await;
        text
    });
    let refused = refused.await.expect("somebody was left hanging");
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(here.rpc("settings.update", json!({"theme": "light"})).await.is_ok(), "who is here is served");

    let released = Instant::now();
    drop((idle, sockets));
    eventually("it is well again", async || is_well(&person).await.then_some(())).await;
    println!("well again after {:?}", released.elapsed());
    assert!(released.elapsed() <= WELL_WITHIN, "{:?}", released.elapsed());
    assert!(!node.log().contains("cannot accept"), "{}", node.log());
}
