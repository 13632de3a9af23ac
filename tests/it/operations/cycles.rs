//! Coming and going leaves nothing behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use studyhall_protocol::Channel;
use tokio_tungstenite::tungstenite::Message;

use super::tab::Tab;
use super::{free_port, metrics, rss_kib};
use crate::faults::node::Node;
use crate::harness::{self, Person};

/// Clients at a time.
const AT_ONCE: usize = 32;
/// A channel that nobody watches is kept for half a minute.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(45);
const GROWN_MAX_KIB: u64 = 10 * 1024;

/// Connects, subscribes, goes: with a goodbye or without.
async fn once(person: &Person, politely: bool) {
    let channels = [Channel::User(person.id), Channel::Profile(person.id)];
    let tab = Tab::new(person.url(), &person.token, &channels, &Arc::default());
    let (mut socket, _) = tokio_tungstenite::connect_async(&tab.url).await.unwrap();
    tab.hello(&mut socket).await.unwrap();
    let mut answered = 0;
    while answered < 3 {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            answered += text.lines().filter(|line| line.contains("\"id\":")).count();
        }
    }
    if politely {
        let _ = socket.close(None).await;
        while let Some(Ok(_)) = socket.next().await {}
    }
}

async fn cycles(people: &[Person], count: usize) {
    let going = (0..count).map(|number| once(&people[number % people.len()], number % 3 > 0));
    stream::iter(going).buffer_unordered(AT_ONCE).for_each(async |()| ()).await;
}

async fn come_and_go(warm_up: usize, count: usize) {
    let database = harness::database().await;
    let page = format!("127.0.0.1:{}", free_port());
    let node = Node::start_with(&database.url, None, &[("STUDYHALL_METRICS_LISTEN", &page)]).await;
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(harness::sign_up(&node.url, &format!("person{number}")).await);
    }
    cycles(&people, warm_up).await;
    let before = rss_kib(node.pid());
    let began = Instant::now();
    cycles(&people, count).await;
    let seconds = began.elapsed().as_secs_f64();
    let ended = Instant::now();
    loop {
        let now = metrics(&page).await;
        let left = (now["studyhall_connections"], now["studyhall_channels"]);
        if left == (0, 0) {
            break;
        }
        assert!(ended.elapsed() < FORGOTTEN_WITHIN, "connections and channels that are left: {left:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let after = rss_kib(node.pid());
    println!("{count} came and went in {seconds:.1} s: {before} KiB before, {after} KiB after");
    assert!(after <= before + GROWN_MAX_KIB, "{before} KiB, then {after} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_come_and_go() {
    come_and_go(500, 2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn fifty_thousand_come_and_go() {
    come_and_go(5_000, 50_000).await;
}
