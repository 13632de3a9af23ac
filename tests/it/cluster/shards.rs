//! A Redis Cluster of one test: three servers that have the keys, and perhaps replicas; and what holds over one.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::FromRedisValue;
use studyhall::cluster::Timing;
use studyhall::live::roster::Roster;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use super::{entry, node_at, reached, until};

/// Slots of each of the three.
const RANGES: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

/// Which of them has our keys.
const OWNER: usize = 2;

/// Ends its servers with the test.
pub struct Shards {
    servers: Vec<Shard>,
    data: PathBuf,
}

struct Shard {
    port: u16,
    child: Child,
}

impl Shards {
    /// The one that has our keys has as many replicas.
    pub async fn start(replicas: usize) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let data = std::env::temp_dir().join(format!("studyhall-shards-{}-{number}", std::process::id()));
        let mut shards = Self { servers: Vec::new(), data };
        for _ in 0..RANGES.len() + replicas {
            shards.add().await;
        }
        for (index, (from, to)) in RANGES.into_iter().enumerate() {
            shards.ask::<String>(index, &format!("CLUSTER ADDSLOTSRANGE {from} {to}")).await;
        }
        for index in 1..shards.servers.len() {
            let first = shards.servers[0].port;
            shards.ask::<String>(index, &format!("CLUSTER MEET 127.0.0.1 {first}")).await;
        }
        let known = format!("cluster_known_nodes:{}", shards.servers.len());
        for index in 0..shards.servers.len() {
            shards.until_info(index, &["cluster_state:ok", &known]).await;
        }
        let owner: String = shards.ask(OWNER, "CLUSTER MYID").await;
        for index in RANGES.len()..shards.servers.len() {
            shards.ask::<String>(index, &format!("CLUSTER REPLICATE {owner}")).await;
            until("it replicates", async || {
                shards.ask::<String>(index, "INFO replication").await.contains("master_link_status:up")
            })
            .await;
        }
        shards
    }

    async fn add(&mut self) {
        let directory = self.data.join(self.servers.len().to_string());
        std::fs::create_dir_all(&directory).unwrap();
        // The servers talk to each other on a port that is 10,000 higher, so a free one of any number will not do.
        let (port, mut child) = loop {
            let port = rand::random_range(20_000..45_000);
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
            command.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--dir"]).arg(&directory);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            if answers(port, &mut child).await {
                break (port, child);
            }
        };
        assert!(child.try_wait().unwrap().is_none());
        self.servers.push(Shard { port, child });
    }

    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(|shard| format!("redis://127.0.0.1:{}", shard.port)).collect()
    }

    async fn ask<T: FromRedisValue>(&self, index: usize, words: &str) -> T {
        let client = redis::Client::open(self.urls()[index].as_str()).unwrap();
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut client.get_multiplexed_async_connection().await.unwrap()).await.unwrap()
    }

    async fn until_info(&self, index: usize, lines: &[&str]) {
        until(&format!("{lines:?}"), async || {
            let info: String = self.ask(index, "CLUSTER INFO").await;
            lines.iter().all(|wanted| info.lines().any(|line| line == *wanted))
        })
        .await;
    }
}

async fn answers(port: u16, child: &mut Child) -> bool {
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        for shard in &mut self.servers {
            let _ = shard.child.kill();
            let _ = shard.child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

#[tokio::test]
async fn our_keys_are_on_one_server() {
    let shards = Shards::start(0).await;
    let slot: u16 = shards.ask(0, "CLUSTER KEYSLOT {studyhall}:nodes").await;
    assert!((RANGES[OWNER].0..=RANGES[OWNER].1).contains(&slot), "{slot}");
    let (ada, _) = node_at(&shards.urls()[0], Timing::default());
    reached(&ada).await;
    for index in 0..RANGES.len() {
        let keys: Vec<String> = shards.ask(index, "KEYS *").await;
        assert_eq!(keys.is_empty(), index != OWNER, "{keys:?}");
    }
}

#[tokio::test]
async fn when_a_server_of_the_cluster_dies_its_replica_is_found() {
    let mut shards = Shards::start(1).await;
    // Any one of them leads to the others, also when it is the one that dies.
    let dies = shards.urls()[OWNER].clone();
    let timing = Timing { pulse: Duration::from_millis(200), ..Timing::default() };
    let ((ada, _), (bob, bob_hears)) = (node_at(&dies, timing.clone()), node_at(&dies, timing));
    reached(&ada).await;
    reached(&bob).await;
    let (place, person) = (Channel::Workspace(Uuid::new_v4()), Uuid::new_v4());
    bob.attend(vec![place]).await;
    ada.tell(place, person, entry("before"));
    bob_hears.hear(place, &[person], &["before"]).await;
    shards.servers[OWNER].child.kill().unwrap();
    until("both notice", async || !ada.is_reachable() && !bob.is_reachable()).await;
    ada.tell(place, person, entry("after"));
    bob_hears.hear(place, &[person], &["after"]).await;
    until("hints come again", async || {
        ada.publish(place, None, b"{}");
        !bob_hears.hints(place).is_empty()
    })
    .await;
}
