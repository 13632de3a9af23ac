//! PostgreSQL says nothing: sockets stay open, and nothing comes. Everybody is answered in time, nothing is acknowledged,
//! and when it is back the node serves again by itself.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::place::{Client, Sent, Way, effects, post, until, verify};
use crate::faults::node::Node;
use crate::faults::postgres::{Commits, Road};
use crate::harness::{self, Live, Person};

/// What a person waits for at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

async fn readiness(node: &Node) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/readyz", node.url)).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// One of each kind of request to a node that hears nothing; each is refused in time.
async fn refused_in_time(node: &Node, client: &Client, ada: &Person) -> Vec<Sent> {
    let url = &node.url;
    let writes = [Way::Alone, Way::Row, Way::Lane, Way::Run].map(|way| client.send(url, way, Uuid::new_v4()));
    let reads = ["/me", "/dashboard", "/task-lists"].map(|path| client.request(url, "GET", path, None, None));
    let rpc = async {
        let mut live = ada.socket().await;
        let began = Instant::now();
        let connected = live.request(json!({"connect": {"token": ada.token}})).await;
        assert!(began.elapsed() < ANSWER_WITHIN, "{connected:?} after {:?}", began.elapsed());
        // The answer to somebody who was here a moment ago is kept for a while.
        if connected.is_ok() {
            let began = Instant::now();
            let subscribe = live.request(json!({"subscribe": {"channel": ada.channel()}})).await;
            assert!(subscribe.is_err() && began.elapsed() < ANSWER_WITHIN, "{subscribe:?} {:?}", began.elapsed());
            let began = Instant::now();
            let command = live.rpc("task_list.create", json!({"name": "never"})).await;
            assert!(command.is_err() && began.elapsed() < ANSWER_WITHIN, "{command:?} {:?}", began.elapsed());
        }
    };
    let (writes, reads, ()) = tokio::join!(join_all(writes), join_all(reads), rpc);
    for reply in writes.iter().map(|sent| sent.reply.clone()).chain(reads) {
        let reply = reply.expect("an answer");
        assert_eq!((reply.status, reply.retry_after), (503, true), "{reply:?}");
        assert!(reply.took < ANSWER_WITHIN, "{reply:?}");
    }
    writes
}

/// Nothing passes from a moment of much traffic on: connections are in use when it happens, and requests are under way.
async fn caught_in_the_middle(road: &Road, node: &Node, clients: &[Client]) -> (Instant, Vec<Sent>) {
    let black = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        road.black();
        Instant::now()
    };
    let busy = clients.iter().map(async |client| {
        let mut sent = Vec::new();
        loop {
            let way = [Way::Alone, Way::Row, Way::Lane][sent.len() % 3];
            sent.push(client.send(&node.url, way, Uuid::new_v4()).await);
            let reply = sent.last().unwrap().reply.clone().expect("an answer");
            assert!(reply.took < ANSWER_WITHIN, "{reply:?}");
            if reply.status == 503 {
                return sent;
            }
        }
    });
    tokio::join!(black, async { join_all(busy).await.concat() })
}

/// What comes over a connection from now on: the events, and at last the code that it is closed with.
fn heard(mut live: Live) -> mpsc::Receiver<Result<(u64, Value), u16>> {
    let (tell, heard) = mpsc::channel(1_000);
    tokio::spawn(async move {
        while let Some(line) = live.line().await {
            if let Some(offset) = line["push"]["pub"]["offset"].as_u64() {
                tell.send(Ok((offset, line["push"]["pub"]["data"].clone()))).await.unwrap();
            }
        }
        let _ = tell.send(Err(live.closed.map_or(0, |closed| closed.0))).await;
    });
    heard
}

/// One of two nodes hears nothing of PostgreSQL for so long, from a moment of much traffic on.
async fn cut_off(seconds: u64) {
    let database = harness::database().await;
    let road = Road::start(&database.url);
    let (first, other) = (Node::start(&road.url, None).await, Node::start(&database.url, None).await);
    let pid = first.pid();
    let author = harness::sign_up(&other.url, "author").await;
    let post = post(&database.pool, &author).await;
    let names: Vec<String> = (0..8).map(|number| format!("client_{number}")).collect();
    let clients = join_all(names.iter().map(|name| Client::new(&first.url, name, post))).await;
    let ada = harness::sign_up(&first.url, "ada").await;
    let mut live = ada.live().await;
    let at = live.subscribe(&ada.channel()).await["offset"].as_u64().unwrap_or(0);
    let mut heard = heard(live);

    let (since, mut sent) = caught_in_the_middle(&road, &first, &clients).await;
    until("it is not ready", Duration::from_secs(5).saturating_sub(since.elapsed()), async || {
        readiness(&first).await.0 == 503
    })
    .await;
    println!("not ready {:?} after the last word, which is enough for a balancer", since.elapsed());
    let mut written = 0;
    while since.elapsed() < Duration::from_secs(seconds) {
        sent.extend(refused_in_time(&first, &clients[0], &ada).await);
        let body = json!({"name": format!("elsewhere {written}")});
        ada.at(&other.url).post("/task-lists", body).await.expect(201);
        written += 1;
    }
    for sent in sent.iter().filter(|sent| sent.way == Way::Run) {
        assert_eq!(effects(&database.pool, sent).await, 0, "{sent:?}");
    }

    road.heal();
    let healed = Instant::now();
    let again = until("it serves again", Duration::from_secs(30), async || {
        let reply = clients[0].send(&first.url, Way::Alone, Uuid::new_v4()).await.reply;
        reply.is_some_and(|reply| reply.status == 201)
    })
    .await;
    until("it is ready", Duration::from_secs(30), async || readiness(&first).await.0 == 200).await;
    if seconds < 25 {
        for number in 0..written {
            let (offset, event) = heard.recv().await.unwrap().unwrap();
            assert_eq!((offset, &event["data"]["name"]), (at + 1 + number, &json!(format!("elsewhere {number}"))));
        }
        println!("caught up {:?} after the road was open", healed.elapsed());
        assert!(healed.elapsed() < Duration::from_secs(5));
    } else {
        assert_eq!(heard.recv().await, Some(Err(3_001)), "sent to another node, and told nothing before");
    }
    println!("{seconds} s of silence; serves again {again:?} after it");
    assert_eq!(first.pid(), pid);
    // All of its connections work.
    let all = join_all(clients.iter().map(|client| client.send(&first.url, Way::Row, Uuid::new_v4()))).await;
    assert!(all.iter().all(|sent| sent.reply.as_ref().is_some_and(|reply| reply.status == 200)), "{all:?}");
    sent.extend(all);
    verify(&database.pool, &sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_refuses_in_time_and_recovers_by_itself() {
    cut_off(9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn a_node_is_cut_off_for_a_minute() {
    cut_off(60).await;
}

/// A node stands still with the lock of a channel in its hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_blocks_a_channel_for_twelve_seconds_at_most() {
    let database = harness::database().await;
    let road = Road::start(&database.url);
    let (first, other) = (Node::start(&road.url, None).await, Node::start(&database.url, None).await);
    let ada = harness::sign_up(&first.url, "ada").await;
    let client = Client::of(&ada).await;
    road.commits(Commits::Hold);
    let op = Uuid::new_v4();
    let held = client.send(&first.url, Way::Alone, op);
    let meanwhile = async {
        until("its COMMIT is on the way", harness::PATIENCE, async || road.hits() == 1).await;
        first.signal(Signal::SIGSTOP);
        let since = Instant::now();
        let mut sent = Vec::new();
        until("another node writes that channel", Duration::from_secs(12), async || {
            let one = client.send(&other.url, Way::Alone, Uuid::new_v4()).await;
            let reply = one.reply.clone().unwrap();
            assert!(reply.status == 201 || reply.status == 503 && reply.retry_after, "{reply:?}");
            assert!(reply.took < ANSWER_WITHIN, "{reply:?}");
            sent.push(one);
            reply.status == 201
        })
        .await;
        println!("the channel was blocked for {:?}", since.elapsed());
        road.commits(Commits::Pass);
        first.signal(Signal::SIGCONT);
        sent
    };
    let (held, mut sent) = tokio::join!(held, meanwhile);
    println!("the node that stood still answers {:?}", held.reply.as_ref().map(|reply| reply.status));
    let reply = client.insist(&first.url, &held).await;
    assert_eq!(reply.status, 201);
    assert_eq!(effects(&database.pool, &held).await, 1);
    sent.push(held);
    verify(&database.pool, &sent).await;
}

/// Every connection is reset, and new ones are for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_connections_are_reset_goes_on_when_it_gets_new_ones() {
    let database = harness::database().await;
    let road = Road::start(&database.url);
    let node = Node::start(&road.url, None).await;
    let ada = harness::sign_up(&node.url, "ada").await;
    let client = Client::of(&ada).await;
    let mut live = ada.live().await;
    live.subscribe(&ada.channel()).await;
    road.cut(true);
    let sent = client.send(&node.url, Way::Alone, Uuid::new_v4()).await;
    assert_eq!(sent.reply.as_ref().map(|reply| (reply.status, reply.retry_after)), Some((503, true)));
    until("it is not ready", ANSWER_WITHIN, async || readiness(&node).await.0 == 503).await;
    road.cut(false);
    let reply = client.insist(&node.url, &sent).await;
    assert_eq!((reply.status, &live.event().await.1["data"]["name"]), (201, &reply.body["data"]["name"]));
    until("it is ready", ANSWER_WITHIN, async || readiness(&node).await.0 == 200).await;
    // One reset more, with a new connection at once: nobody notices.
    road.cut(false);
    assert_eq!(client.send(&node.url, Way::Row, Uuid::new_v4()).await.reply.map(|reply| reply.status), Some(200));
    verify(&database.pool, &[sent]).await;
}
