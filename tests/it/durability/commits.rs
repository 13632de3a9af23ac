//! COMMITs that are lost on the way, or whose answers are: every way to a transaction, and the moment between a commit
//! and its news.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use uuid::Uuid;

use super::place::{Client, Sent, WAYS, Way, effects, post, verify};
use crate::faults::node::Node;
use crate::faults::postgres::{Commits, Road};
use crate::harness;

const CLIENTS: usize = 6;

/// Clients send commands until so many COMMITs were hit.
async fn run(mode: Commits, hits: u64) {
    let database = harness::database().await;
    let pool = database.pool.clone();
    let road = Road::start(&database.url);
    let app = harness::app_at(database, |config| config.database_url = Some(road.url.clone())).await;
    let (url, author) = (app.url(), app.person("author").await);
    let post = post(&pool, &author).await;
    let names: Vec<String> = (0..CLIENTS).map(|number| format!("client_{number}")).collect();
    let clients = join_all(names.iter().map(|name| Client::new(&url, name, post))).await;
    road.one_in(2);
    road.commits(mode);
    let sending = clients.iter().map(async |client| {
        let mut sent = Vec::new();
        while road.hits() < hits {
            for way in [Way::Alone, Way::Row, Way::Lane, Way::Run, Way::Lane, Way::Row] {
                sent.push(client.send(&url, way, Uuid::new_v4()).await);
            }
        }
        sent
    });
    let sent: Vec<Sent> = join_all(sending).await.concat();
    road.commits(Commits::Pass);
    println!("{mode:?}: {} commands, {} COMMITs, {} of them hit", sent.len(), road.seen(), road.hits());
    for sent in &sent {
        let status = sent.reply.as_ref().map(|reply| reply.status);
        assert!(status.is_some_and(|status| status < 300), "a commit that can be found out about: {sent:?}");
        assert_eq!(effects(&pool, sent).await, 1, "{sent:?}");
    }
    assert!(WAYS.iter().all(|way| sent.iter().any(|sent| sent.way == *way)));
    verify(&pool, &sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_swallowed_is_answered_as_done() {
    run(Commits::Swallow, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_never_arrives_is_done_again_by_the_server() {
    run(Commits::Drop, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn two_hundred_commits_of_each_kind_are_lost() {
    run(Commits::Swallow, 200).await;
    run(Commits::Drop, 200).await;
    run(Commits::Lose, 200).await;
}

/// No COMMIT arrives at all: nothing is to be seen, nobody is told that it was done, and a retry does it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_committed_shows_only_after_the_retry() {
    let database = harness::database().await;
    let pool = database.pool.clone();
    let road = Road::start(&database.url);
    let app = harness::app_at(database, |config| config.database_url = Some(road.url.clone())).await;
    let (url, author) = (app.url(), app.person("author").await);
    let post = post(&pool, &author).await;
    let client = Client::new(&url, "client", post).await;
    road.commits(Commits::Drop);
    let sending = WAYS.map(|way| client.send(&url, way, Uuid::new_v4()));
    let sent = join_all(sending).await;
    for sent in &sent {
        let reply = sent.reply.clone().unwrap();
        assert_eq!((reply.status, reply.retry_after), (503, true), "{sent:?}");
        assert!(reply.took < Duration::from_secs(5), "{sent:?}");
        assert_eq!(effects(&pool, sent).await, 0, "{sent:?}");
    }
    road.commits(Commits::Pass);
    for sent in &sent {
        let reply = client.insist(&url, sent).await;
        assert!(reply.status < 300, "{reply:?}");
        assert_eq!(effects(&pool, sent).await, 1);
        let again = client.insist(&url, sent).await;
        assert!(again.body == reply.body || sent.way == Way::Run && again.status == 409, "{again:?}");
    }
    verify(&pool, &sent).await;
}

/// A node dies right after a COMMIT, before it told anybody: subscribers of another node get the event all the same, and a
/// retry there gets the answer.
async fn killed_before_the_news(rounds: u32) {
    let database = harness::database().await;
    let road = Road::start(&database.url);
    let mut first = Node::start(&road.url, None).await;
    let other = Node::start(&database.url, None).await;
    let ada = harness::sign_up(&other.url, "ada").await;
    let client = Client::of(&ada).await;
    let mut live = ada.live().await;
    let at = live.subscribe(&ada.channel()).await["offset"].as_u64().unwrap_or(0);
    let victim = Arc::new(AtomicU32::new(0));
    let shooting = victim.clone();
    road.on_commit(move || {
        let pid = shooting.swap(0, Ordering::SeqCst);
        if pid != 0 {
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        }
    });
    let mut slowest = Duration::ZERO;
    for round in 1..=u64::from(rounds) {
        let (op, body) = (Uuid::new_v4(), json!({"name": format!("list {round}")}));
        victim.store(first.pid(), Ordering::SeqCst);
        let lost = client.request(&first.url, "POST", "/task-lists", Some(body.clone()), Some(op)).await;
        assert!(lost.is_none(), "the node was killed before it could answer");
        let began = Instant::now();
        let (offset, event) = live.event().await;
        slowest = slowest.max(began.elapsed());
        assert_eq!((offset, &event["op"]), (at + round, &json!(op)));
        let again = ada.call("POST", "/task-lists", Some(body), Some(op)).await.expect(201);
        assert_eq!(again["positions"][0]["offset"], offset);
        first.again().await;
    }
    println!("{rounds} nodes were killed between commit and news; the slowest event took {slowest:?}");
    assert!(slowest < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_arrives_though_its_node_died_before_it_told_anybody() {
    killed_before_the_news(4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn fifty_nodes_die_before_they_tell_anybody() {
    killed_before_the_news(50).await;
}
