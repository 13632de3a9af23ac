//! PostgreSQL dies, is restarted in the middle of everything, or takes no writes: no node ends, no socket is lost without
//! a word, nothing that was acknowledged is lost.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use studyhall::dev::Private;
use uuid::Uuid;

use super::place::{Client, Sent, Way, post, until, verify};
use crate::faults::node::Node;
use crate::harness;

/// A PostgreSQL of one test.
pub struct Postgres {
    pub url: String,
    data: PathBuf,
    private: Option<Private>,
}

impl Postgres {
    pub async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let data = std::env::temp_dir().join(format!("studyhall-pg-{}-{number}", std::process::id()));
        let mut postgres = Self { url: String::new(), data, private: None };
        postgres.again().await;
        postgres
    }

    /// Starts it once more, over the same files.
    pub async fn again(&mut self) {
        drop(self.private.take());
        let private = Private::start(&self.data, true, false, None).await.unwrap();
        self.url = private.database_url.clone().unwrap();
        self.private = Some(private);
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        if let Some(private) = self.private.take() {
            private.stop().await.unwrap();
        }
    }

    /// Where its files are.
    pub fn cluster(&self) -> PathBuf {
        self.private.as_ref().unwrap().directory.join("postgres")
    }

    pub async fn pool(&self) -> PgPool {
        PgPoolOptions::new().max_connections(2).connect(&self.url).await.unwrap()
    }

    pub fn pid(&self) -> i32 {
        let file = std::fs::read_to_string(self.cluster().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }

    /// SIGKILL for the postmaster and all its children.
    fn kill(&self) {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children = children.split_whitespace().map(|child| child.parse().unwrap());
        for pid in std::iter::once(pid).chain(children) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// As `pg_ctl stop -m immediate`.
    fn quit(&self) {
        kill(Pid::from_raw(self.pid()), Signal::SIGQUIT).unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.private.is_some() {
            self.quit();
        }
        drop(self.private.take());
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// Commands to all nodes, all the time, until told to stop.
async fn traffic(nodes: &[Node], clients: &[Client], stop: &AtomicBool, acks: &AtomicU32) -> Vec<Sent> {
    let sending = clients.iter().enumerate().map(async |(number, client)| {
        let mut sent: Vec<Sent> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            // A person can have 200 lists.
            let way = if sent.len().is_multiple_of(15) { Way::Alone } else { [Way::Row, Way::Lane][sent.len() % 2] };
            let one = client.send(&nodes[number % nodes.len()].url, way, Uuid::new_v4()).await;
            let reply = one.reply.as_ref();
            let done = reply.is_some_and(|reply| reply.status < 300);
            let refused = reply.is_some_and(|reply| reply.status == 503 && reply.retry_after);
            assert!(done || refused, "done, or try again later: {one:?}");
            assert!(reply.is_some_and(|reply| reply.took < Duration::from_secs(6)), "{one:?}");
            acks.fetch_add(u32::from(done), Ordering::Relaxed);
            sent.push(one);
            // Some hundreds a second are enough, and none of them are lost in a tight loop of refusals.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sent
    });
    join_all(sending).await.concat()
}

/// `times` crashes, in turn by SIGKILL of everything and by an immediate stop.
async fn crashes(times: u32) {
    let mut postgres = Postgres::start().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start(&postgres.url, None).await);
    }
    let pool = postgres.pool().await;
    let author = harness::sign_up(&nodes[0].url, "author").await;
    let post = post(&pool, &author).await;
    let names: Vec<String> = (0..6).map(|number| format!("client_{number}")).collect();
    let clients = join_all(names.iter().map(|name| Client::new(&nodes[0].url, name, post))).await;
    let mut live = author.live().await;
    live.subscribe(&author.channel()).await;
    let (stop, acks) = (AtomicBool::new(false), AtomicU32::new(0));
    let breaking = async {
        let mut resumed = Vec::new();
        for number in 0..times {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            if number % 2 == 0 {
                postgres.kill()
            } else {
                postgres.quit()
            }
            postgres.again().await;
            let before = acks.load(Ordering::Relaxed);
            let took =
                until("acknowledgements", Duration::from_secs(5), async || acks.load(Ordering::Relaxed) > before + 5);
            resumed.push(took.await);
            live.keep_up();
        }
        stop.store(true, Ordering::Relaxed);
        resumed
    };
    let (sent, resumed) = tokio::join!(traffic(&nodes, &clients, &stop, &acks), breaking);
    let slowest = resumed.iter().max().unwrap();
    let (all, acks) = (sent.len(), acks.load(Ordering::Relaxed));
    println!("{times} crashes, {acks} of {all} acknowledged; again {slowest:?} after PostgreSQL at the latest");
    let pool = postgres.pool().await;
    verify(&pool, &sent).await;
    // The socket is open and told of what comes.
    author.post("/task-lists", json!({"name": "after all"})).await.expect(201);
    let mut told = live.event().await.1;
    while told["type"].as_str().unwrap().starts_with("notification") {
        told = live.event().await.1;
    }
    assert_eq!(told["data"]["name"], "after all");
    for node in &mut nodes {
        assert!(node.ended(Duration::ZERO).await.is_none(), "a node ended: {}", node.log());
    }
    reads_only(&postgres, &nodes, &author, &pool).await;
    pool.close().await;
    nodes.iter_mut().for_each(Node::kill);
    postgres.stop().await;
}

/// PostgreSQL takes no writes for a while: nothing is acknowledged, people can read, and afterwards all is as before.
async fn reads_only(postgres: &Postgres, nodes: &[Node], author: &harness::Person, pool: &PgPool) {
    let set = async |to: &str| {
        let change = format!("alter system set default_transaction_read_only = {to}");
        let admin = postgres.pool().await;
        sqlx::query("set default_transaction_read_only = off").execute(&admin).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&admin).await.unwrap();
        sqlx::query("select pg_reload_conf()").execute(&admin).await.unwrap();
        admin.close().await;
    };
    let client = Client::of(author).await;
    set("on").await;
    let write = async || client.send(&nodes[0].url, Way::Alone, Uuid::new_v4()).await;
    until("it is refused", Duration::from_secs(5), async || write().await.reply.unwrap().status == 503).await;
    for way in [Way::Alone, Way::Row, Way::Run] {
        let sent = client.send(&nodes[1].url, way, Uuid::new_v4()).await;
        let reply = sent.reply.clone().unwrap();
        assert_eq!((reply.status, reply.retry_after), (503, true), "{sent:?}");
        assert_eq!(super::place::effects(pool, &sent).await, 0);
    }
    author.get("/dashboard").await.expect(200);
    let health = async || -> serde_json::Value {
        reqwest::get(format!("{}/readyz", nodes[0].url)).await.unwrap().json().await.unwrap()
    };
    until("it is said", Duration::from_secs(3), async || health().await["postgres"] == "read_only").await;
    set("off").await;
    let took = until("it is done", Duration::from_secs(2), async || write().await.reply.unwrap().status == 201).await;
    println!("after a time without writes: acknowledged again within {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_killed_and_restarted_in_mid_traffic() {
    crashes(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn postgresql_is_killed_and_restarted_ten_times() {
    let began = Instant::now();
    crashes(10).await;
    println!("{:?}", began.elapsed());
}
