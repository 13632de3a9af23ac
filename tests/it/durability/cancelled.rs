//! Requests whose sender goes away at the worst moment: the connection that they used must not keep a transaction open, or
//! what others write on it afterwards would be acknowledged and lost.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Row};
use studyhall::db::Db;
use uuid::Uuid;

use super::place::{Client, Way, post, verify};
use crate::faults::node::Node;
use crate::faults::postgres::Road;
use crate::harness;

/// Begins transactions that are dropped at any moment, writes bare statements in between, and returns how many of those
/// were answered "done".
async fn acknowledged(road: &Road, pool: &PgPool, begin: impl AsyncFn(Duration)) -> i64 {
    road.delay(2, 6);
    let mut random = StdRng::seed_from_u64(harness::seed());
    let mut acknowledged = 0;
    for _ in 0..60 {
        begin(Duration::from_micros(random.random_range(500..14_000))).await;
        let written = sqlx::query("insert into witness default values").execute(pool).await;
        acknowledged += i64::from(written.is_ok());
    }
    acknowledged
}

async fn witness() -> (harness::Database, Road) {
    let database = harness::database().await;
    sqlx::query("create table witness (id bigint generated always as identity)").execute(&database.pool).await.unwrap();
    let road = Road::start(&database.url);
    (database, road)
}

async fn count(database: &harness::Database) -> i64 {
    sqlx::query_scalar("select count(*) from witness").fetch_one(&database.pool).await.unwrap()
}

/// The defect of sqlx 0.9 that `db::Session` is there for. If this fails, sqlx has repaired it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_pool_of_sqlx_loses_acknowledged_writes_after_a_cancelled_begin() {
    let (database, road) = witness().await;
    let bare = PgPoolOptions::new().max_connections(1).connect(&road.url).await.unwrap();
    let begin = async |patience| drop(tokio::time::timeout(patience, bare.begin()).await);
    let acknowledged = acknowledged(&road, &bare, begin).await;
    bare.close().await;
    let there = count(&database).await;
    println!("a bare pool: {acknowledged} acknowledged, {there} there");
    assert!(there < acknowledged, "sqlx ends transactions whose begin was cancelled now; is db::Session still needed?");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_transactions_leave_nothing_behind_when_they_are_cancelled() {
    let (database, road) = witness().await;
    let db = Db::connect(&road.url, 1).await.unwrap();
    let begin = async |patience| drop(tokio::time::timeout(patience, db.begin()).await);
    let acknowledged = acknowledged(&road, db.pool(), begin).await;
    assert_eq!(acknowledged, 60);
    db.close().await;
    assert_eq!(count(&database).await, acknowledged);
}

/// One request by hand, cut by a reset after a while.
fn cut(address: &str, request: &str, after: Duration) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    if stream.write_all(request.as_bytes()).is_ok() {
        std::thread::sleep(after);
    }
}

fn requests(client: &Client, random: &mut StdRng) -> String {
    let name = Uuid::from_u128(random.random());
    let list = format!("{{\"name\":\"{name}\"}}");
    let (line, body) = match random.random_range(0..5) {
        0 => ("POST /api/v1/task-lists".to_owned(), list),
        1 => (format!("PATCH /api/v1/tasks/{}", client.task), format!("{{\"description\":\"{name}\"}}")),
        2 => (format!("PUT /api/v1/posts/{}/like", client.post), String::new()),
        3 => ("GET /api/v1/dashboard".to_owned(), String::new()),
        _ => ("GET /api/v1/task-lists".to_owned(), String::new()),
    };
    format!(
        "{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: \
         {}\r\n\r\n{body}",
        client.token,
        body.len()
    )
}

/// Requests that are cut, then writes that are acknowledged, then the death of all nodes.
async fn storm(cuts: usize, writes: usize) {
    let database = harness::database().await;
    let pool = database.pool.clone();
    let road = Road::start(&database.url);
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start(&road.url, None).await);
    }
    let author = harness::sign_up(&nodes[0].url, "author").await;
    let post = post(&pool, &author).await;
    // A person can have 200 lists.
    let names: Vec<String> = (0..4.max(cuts / 200)).map(|number| format!("client_{number}")).collect();
    let clients = join_all(names.iter().map(|name| Client::new(&nodes[0].url, name, post))).await;
    road.delay(5, 30);
    let seed = harness::seed();
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let plan: Vec<(String, String, u64)> = (0..cuts)
        .map(|number| {
            let address = nodes[number % 3].url.trim_start_matches("http://").to_owned();
            (address, requests(&clients[number % clients.len()], &mut random), random.random_range(0..20_000))
        })
        .collect();
    let watching = watch_for_forgotten(pool.clone());
    let threads: Vec<_> = plan
        .chunks(cuts.div_ceil(40))
        .map(<[_]>::to_vec)
        .map(|part| {
            tokio::task::spawn_blocking(move || {
                part.into_iter().for_each(|(to, what, after)| cut(&to, &what, Duration::from_micros(after)));
            })
        })
        .collect();
    join_all(threads).await.into_iter().for_each(|thread| thread.unwrap());
    road.delay(0, 0);
    let writing = clients.iter().enumerate().map(async |(number, client)| {
        let mut sent = Vec::new();
        for round in 0..writes / clients.len() {
            let way = [Way::Alone, Way::Row, Way::Lane][round % 3];
            let url = &nodes[number % 3].url;
            let mut done = client.send(url, way, Uuid::new_v4()).await;
            // What was cut is still being done, and the server may be busy with it.
            if done.reply.as_ref().is_some_and(|reply| reply.status == 503) {
                done.reply = Some(client.insist(url, &done).await);
            }
            sent.push(done);
        }
        sent
    });
    let sent = join_all(writing).await.concat();
    nodes.iter_mut().for_each(Node::kill);
    assert!(!watching.is_finished(), "{:?}", watching.await);
    watching.abort();
    assert!(sent.iter().all(|sent| sent.reply.as_ref().is_some_and(|reply| reply.status < 300)), "{sent:?}");
    verify(&pool, &sent).await;
    for node in &nodes {
        // PostgreSQL tells both to whoever it happens to.
        let log = node.log();
        assert!(!log.contains("already a transaction in progress"), "{log}");
        assert!(!log.contains("current transaction is aborted"), "{log}");
    }
    println!("{cuts} requests were cut, {} acknowledged writes are there", sent.len());
}

/// No session keeps a transaction open for long without doing anything in it.
fn watch_for_forgotten(pool: PgPool) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let began = Instant::now();
        loop {
            let forgotten = sqlx::query(
                "select pid, query from pg_stat_activity where datname = current_database()
                 and application_name = 'studyhall' and state like 'idle in transaction%'
                 and clock_timestamp() - state_change > interval '1 second'",
            );
            let rows = forgotten.fetch_all(&pool).await.unwrap();
            let rows: Vec<String> = rows.iter().map(|row| row.get::<String, _>("query")).collect();
            assert!(rows.is_empty(), "after {:?}: forgotten in a transaction: {rows:?}", began.elapsed());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_cut_cost_nobody_an_acknowledged_write() {
    storm(800, 240).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn five_thousand_requests_that_are_cut() {
    storm(5_000, 1_000).await;
}
