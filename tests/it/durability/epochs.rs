//! The database is restored from an older copy: every client is told to load its state again, none goes on as if nothing
//! had happened, and no number is given out twice within an epoch.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::crash::Postgres;
use super::place::until;
use crate::faults::node::Node;
use crate::harness::{self, Database, Live, Person};

/// A database that can be copied and put back.
struct Copies {
    admin: PgConnection,
    name: String,
    url: String,
}

impl Copies {
    async fn of(database: &Database) -> Self {
        let name: String = sqlx::query_scalar("select current_database()").fetch_one(&database.pool).await.unwrap();
        let admin = database.url.replace(&format!("///{name}?"), "///postgres?");
        Self { admin: PgConnection::connect(&admin).await.unwrap(), name, url: database.url.clone() }
    }

    async fn run(&mut self, statement: String) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.admin).await.unwrap();
    }

    /// Makes a copy, while nobody may be connected.
    async fn back_up(&mut self) {
        let name = self.name.clone();
        self.alone().await;
        self.run(format!("create database {name}_copy template {name}")).await;
        self.run(format!("alter database {name} allow_connections true")).await;
    }

    /// Puts the copy into the place of the database.
    async fn restore(&mut self) {
        let name = self.name.clone();
        self.alone().await;
        self.run(format!("drop database {name} with (force)")).await;
        self.run(format!("alter database {name}_copy rename to {name}")).await;
    }

    async fn alone(&mut self) {
        let name = self.name.clone();
        self.run(format!("alter database {name} allow_connections false")).await;
        let others = format!("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{name}'");
        self.run(others).await;
    }
}

async fn restore_epoch(url: &str) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_studyhall"));
    command.arg("restore-epoch").env("DATABASE_URL", url).env_remove("REDIS_URL").stdin(Stdio::null());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

async fn write(person: &Person, name: &str) -> Value {
    let deadline = Instant::now() + harness::PATIENCE;
    loop {
        let answer = person.call("POST", "/task-lists", Some(json!({"name": name})), Some(Uuid::new_v4())).await;
        if answer.status == 201 {
            return answer.body["positions"][0].clone();
        }
        assert!(answer.status == 503 && Instant::now() < deadline, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What one client goes through: closed with 3010, then refused its position, then the state anew.
async fn told_to_resync(mut live: Live, person: &Person, position: &Value) -> Value {
    assert_eq!(live.close_code().await.0, 3010);
    let mut live = back(person).await;
    let refused = live.subscribe_from(&person.channel(), position).await.unwrap_err();
    assert_eq!(refused["code"], 112, "{refused}");
    live.subscribe(&person.channel()).await
}

/// Connects again, as clients do, until there is a database to be known by.
async fn back(person: &Person) -> Live {
    let deadline = Instant::now() + harness::PATIENCE;
    loop {
        let mut live = person.socket().await;
        if live.request(json!({"connect": {"token": person.token}})).await.is_ok() {
            return live;
        }
        assert!(Instant::now() < deadline);
    }
}

/// Every (epoch, offset) of a channel names one event.
#[derive(Default)]
struct Given(BTreeSet<(String, u64)>);

impl Given {
    fn take(&mut self, position: &Value) {
        let epoch = position["epoch"].as_str().unwrap().to_owned();
        let offset = position["offset"].as_u64().unwrap();
        assert!(self.0.insert((epoch, offset)), "{position} was given out twice");
    }
}

/// Two nodes with a subscriber each; the database falls back by three events, and somebody says so, or nobody does.
async fn falls_back(is_told: bool, bound: Duration) {
    // Of its own: to drop a database, PostgreSQL writes everything to disk that anybody has changed anywhere.
    let mut postgres = Postgres::start().await;
    let database = Database { pool: postgres.pool().await, url: postgres.url.clone() };
    let mut copies = Copies::of(&database).await;
    let nodes = [Node::start(&database.url, None).await, Node::start(&database.url, None).await];
    let ada = harness::sign_up(&nodes[0].url, "ada").await;
    let there = ada.at(&nodes[1].url);
    let mut given = Given::default();
    given.take(&write(&ada, "before").await);
    database.pool.close().await;
    copies.back_up().await;
    // To make the copy everybody was cut off.
    let mut lives = [back(&ada).await, back(&there).await];
    let mut position = Value::Null;
    for live in &mut lives {
        subscribe(live, &ada).await;
    }
    for number in 0..3 {
        position = write(&ada, &format!("lost {number}")).await;
        given.take(&position);
    }
    for live in &mut lives {
        for _ in 0..3 {
            live.event().await;
        }
    }
    let [first, second] = lives;
    let restoring = async {
        copies.restore().await;
        if is_told {
            restore_epoch(&copies.url).await;
        }
        Instant::now()
    };
    let told =
        async { tokio::join!(told_to_resync(first, &ada, &position), told_to_resync(second, &there, &position)) };
    let (since, (one, other)) = tokio::join!(restoring, told);
    println!("both were told {:?} after the restore", since.elapsed());
    assert!(since.elapsed() < bound);
    assert_eq!(one["epoch"], other["epoch"], "one new epoch");
    assert_ne!(one["epoch"], position["epoch"]);
    for number in 0..3 {
        given.take(&write(&ada, &format!("after {number}")).await);
    }
    for node in nodes {
        assert!(node.log().contains("new epoch"), "{}", node.log());
    }
    drop(copies);
    postgres.stop().await;
}

/// The node may have lost its connections a moment ago.
async fn subscribe(live: &mut Live, person: &Person) {
    let deadline = Instant::now() + harness::PATIENCE;
    loop {
        if live.request(json!({"subscribe": {"channel": person.channel()}})).await.is_ok() {
            return;
        }
        assert!(Instant::now() < deadline);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_restore_epoch_every_client_loads_its_state_again() {
    Box::pin(falls_back(true, Duration::from_secs(6))).await;
}

/// Nobody said anything, but the nodes have seen more than there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_shorter_than_a_node_has_seen_it_is_proof() {
    Box::pin(falls_back(false, Duration::from_secs(10))).await;
}

/// A new epoch is noticed though nothing is written and nobody asks, within two seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_node_notices_a_new_epoch() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let position = write(&ada, "before").await;
    let mut live = ada.live().await;
    live.subscribe(&ada.channel()).await;
    let bystander = ada.live().await;
    restore_epoch(&app.database.url).await;
    let since = Instant::now();
    told_to_resync(live, &ada, &position).await;
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    let mut bystander = bystander;
    assert_eq!(bystander.close_code().await.0, 3010, "its sign-in may be another one as well");
    println!("told after {:?}", since.elapsed());
}

/// A commit in a new epoch, before the node has looked: nobody gets its event as one of the old log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_tells_of_its_epoch() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    write(&ada, "before").await;
    let mut live = ada.live().await;
    live.subscribe(&ada.channel()).await;
    let new = "update log_epoch set epoch = 'restored' where (select count(*) from task_lists) = 1";
    sqlx::query(new).execute(&app.database.pool).await.unwrap();
    let position = write(&ada, "after").await;
    assert_eq!(position["epoch"], "restored");
    while let Some(line) = live.line().await {
        assert!(line["push"]["pub"].is_null(), "an event of another log: {line}");
    }
    assert_eq!(live.closed.unwrap().0, 3010);
}

/// A stranger may claim any position; it is refused, and nobody else is disturbed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_positions_disturb_nobody() {
    let app = harness::app().await;
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    let position = write(&ada, "before").await;
    let mut live = ada.live().await;
    live.subscribe(&ada.channel()).await;
    let public = format!("profile:{}", ada.id);
    let mut forger = eve.live().await;
    for offset in [1, 7, 1 << 40, u64::MAX >> 1] {
        for channel in [&eve.channel(), &public] {
            let forged = json!({"offset": offset, "epoch": position["epoch"]});
            let refused = forger.subscribe_from(channel, &forged).await;
            assert!(refused.is_ok() || refused.unwrap_err()["code"] == 112);
            forger.request(json!({"unsubscribe": {"channel": channel}})).await.unwrap();
        }
    }
    // Whatever was compared because of it was compared by now.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let next = write(&ada, "after").await;
    assert_eq!(next["epoch"], position["epoch"]);
    assert_eq!(live.event().await.0, next["offset"].as_u64().unwrap());
}

/// The files of the whole cluster are put back while the node runs: even the numbers of transactions go back. The node
/// knows it from those, also in channels that nobody has open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_put_back_are_noticed_by_the_numbers_of_transactions() {
    let mut postgres = Postgres::start().await;
    let node = Node::start(&postgres.url, None).await;
    let ada = harness::sign_up(&node.url, "ada").await;
    let cluster = postgres.cluster();
    let copy = cluster.with_file_name("copy");
    postgres.stop().await;
    copy_files(&cluster, &copy);
    postgres.again().await;
    let mut position = write(&ada, "lost").await;
    for number in 0..5 {
        position = write(&ada, &format!("lost {number}")).await;
    }
    // So that the node has found them in the log.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    postgres.stop().await;
    std::fs::remove_dir_all(&cluster).unwrap();
    std::fs::rename(&copy, &cluster).unwrap();
    postgres.again().await;
    let pool = postgres.pool().await;
    let took = until("a new epoch", Duration::from_secs(10), async || {
        let epoch: String = sqlx::query_scalar("select epoch from log_epoch").fetch_one(&pool).await.unwrap();
        position["epoch"] != epoch
    })
    .await;
    println!("noticed {took:?} after PostgreSQL was back");
    assert!(node.log().contains("restored from an older copy"), "{}", node.log());
    pool.close().await;
    drop(node);
    postgres.stop().await;
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}
