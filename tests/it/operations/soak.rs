//! A long ordinary day in short: people write, watch, come and go, and what a node holds does not grow with time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use studyhall_protocol::Channel;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::tab::{Found, Order, Tab};
use super::writer::{Door, Writer, Written};
use super::{free_port, metrics, rss_kib};
use crate::cluster::server::Server;
use crate::faults::node::Node;
use crate::harness::{self, Database};

/// Resident memory may grow by this a minute once it has settled.
const SLOPE_MAX_KIB: f64 = 1_024.0;
/// From the last goodbye until nothing is left: holds, idle channels, idle connections to PostgreSQL.
const REST_WITHIN: Duration = Duration::from_secs(90);

/// What a node holds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    files: usize,
    postgres: i64,
    redis: i64,
}

async fn held(node: &Node, database: &Database, redis: &Server) -> Held {
    let files = std::fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap().count();
    let sessions = "select count(*) from pg_stat_activity where datname = current_database()";
    let postgres = sqlx::query_scalar(sessions).fetch_one(&database.pool).await.unwrap();
    Held { files, postgres, redis: redis.ask("DBSIZE").await }
}

/// In KiB a minute: the line of least squares through what was measured.
fn slope(samples: &[(Duration, u64)]) -> f64 {
    let points: Vec<_> = samples.iter().map(|(at, kib)| (at.as_secs_f64() / 60.0, *kib as f64)).collect();
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    above / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

async fn soak(settle: Duration, measure: Duration) {
    let (redis, database) = (Server::start().await, harness::database().await);
    let page = format!("127.0.0.1:{}", free_port());
    let node = Node::start_with(&database.url, Some(&redis.url), &[("STUDYHALL_METRICS_LISTEN", &page)]).await;
    let mut people = Vec::new();
    for number in 0..10 {
        people.push(harness::sign_up(&node.url, &format!("person{number}")).await);
    }
    let tabs_of = |found: &Arc<Found>, orders: &watch::Receiver<Order>| {
        let tabs = (0..100).map(|number| {
            let person = &people[number % people.len()];
            let watched = Channel::Profile(people[(number + 1) % people.len()].id);
            let tab = Tab::new(&node.url, &person.token, &[Channel::User(person.id), watched], found);
            tokio::spawn(tab.run(orders.clone()))
        });
        tabs.collect::<Vec<_>>()
    };
    // Everything has been used once, and is at rest.
    let before = {
        let (found, (order, orders)) = (Arc::new(Found::default()), watch::channel(Order::Live));
        let tabs = tabs_of(&found, &orders);
        super::eventually("everybody is here", async || (found.complete() == 100).then_some(())).await;
        order.send(Order::Until(Arc::default())).unwrap();
        futures_util::future::join_all(tabs).await;
        at_rest(&page).await;
        held(&node, &database, &redis).await
    };
    let (found, (order, orders)) = (Arc::new(Found::default()), watch::channel(Order::Live));
    let tabs = tabs_of(&found, &orders);
    let (written, http, stop) = (Arc::new(Written::default()), reqwest::Client::new(), CancellationToken::new());
    let writers: Vec<_> = people
        .iter()
        .map(|person| {
            let writer = Writer::new(Door::Rest, &person.token, &node.url, &http, &written);
            tokio::spawn(writer.run(Duration::from_millis(200), stop.clone()))
        })
        .collect();
    let samples = churn(&node, &order, settle, measure).await;
    stop.cancel();
    futures_util::future::join_all(writers).await;
    order.send(Order::Until(Arc::default())).unwrap();
    futures_util::future::join_all(tabs).await;
    drop(http);
    let grows = slope(&samples);
    let (back, commands) = (found.back.lock().unwrap().len(), written.took.lock().unwrap().len());
    println!(
        "{commands} commands, {back} times back; {grows:.0} KiB a minute, {} KiB at last",
        samples.last().unwrap().1
    );
    assert_eq!(*found.wrong.lock().unwrap(), Vec::<String>::new());
    let kib: Vec<u64> = samples.iter().map(|(_, kib)| *kib).collect();
    assert!(grows <= SLOPE_MAX_KIB, "{grows} KiB a minute: {kib:?}");
    println!("{kib:?}");
    at_rest(&page).await;
    as_before(before, async || held(&node, &database, &redis).await).await;
}

/// Everybody is cut off now and then, all at once; what the node holds meanwhile, once it has settled.
async fn churn(node: &Node, order: &watch::Sender<Order>, settle: Duration, measure: Duration) -> Vec<(Duration, u64)> {
    let (began, mut samples) = (Instant::now(), Vec::new());
    while began.elapsed() < settle + measure {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if began.elapsed() > settle {
            samples.push((began.elapsed(), rss_kib(node.pid())));
        }
        if samples.len() % 4 == 3 {
            order.send(Order::Cut).unwrap();
        }
    }
    samples
}

/// Waits until the node holds what it held.
async fn as_before(before: Held, held: impl AsyncFn() -> Held) {
    let began = Instant::now();
    loop {
        let after = held().await;
        // The pool keeps what it has opened.
        let files = |held: Held| held.files as i64 - held.postgres;
        if files(after) <= files(before) + 2 && after.postgres <= 18 && after.redis <= before.redis {
            println!("{before:?} before, {after:?} after");
            return;
        }
        assert!(began.elapsed() < REST_WITHIN, "{before:?} before, {after:?} after");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Waits until nobody is here and no channel is kept.
async fn at_rest(page: &str) {
    let began = Instant::now();
    loop {
        let now = metrics(page).await;
        if now["studyhall_connections"] == 0 && now["studyhall_channels"] == 0 {
            return;
        }
        assert!(began.elapsed() < REST_WITHIN, "{now:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
#[expect(clippy::disallowed_methods, reason = "the product reads its settings in one place; this is none of them")]
async fn minutes_leave_nothing_behind() {
    // SOAK_MINUTES=30 is the long form of this one.
    let minutes: f64 =
        std::env::var("SOAK_MINUTES").map_or(5.0, |minutes| minutes.parse().expect("a number of minutes"));
    let all = Duration::from_secs_f64(60.0 * minutes);
    soak(all / 5, all * 4 / 5).await;
}
