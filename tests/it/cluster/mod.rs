//! Nodes that tell each other who is where: what holds for every roster, what holds over a Redis that fails, and what it
//! costs.

mod cost;
mod ears;
mod faults;
mod hall;
mod hints;
mod outage;
mod scripts;
pub mod server;
mod shards;
mod suite;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use studyhall::cluster::{Cluster, Seal, Timing};
use studyhall::live::roster::Roster;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use crate::harness::PATIENCE;
use ears::Ears;
use server::Server;

fn room() -> Channel {
    Channel::Workspace(Uuid::new_v4())
}

fn entry(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn people(count: usize) -> Vec<Uuid> {
    (0..count).map(|_| Uuid::new_v4()).collect()
}

/// What all nodes have and nobody else.
fn seal() -> Seal {
    Seal::new(b"of these tests")
}

/// A node, and what it hears.
fn node(server: &Server, timing: Timing) -> (Arc<Cluster>, Arc<Ears>) {
    node_at(&server.url, timing)
}

/// The same, with another way to Redis.
fn node_at(url: &str, timing: Timing) -> (Arc<Cluster>, Arc<Ears>) {
    let cluster = Cluster::start(url, seal(), timing);
    let ears = Ears::new();
    cluster.set_ear(ears.weak());
    (cluster, ears)
}

/// For nodes that are to be missed soon.
fn short_lived() -> Timing {
    Timing { lease: Duration::from_millis(1_500), pulse: Duration::from_millis(200), ..Timing::default() }
}

/// For nodes that are to miss others soon; their own lease is long, however busy this machine is.
fn watchful() -> Timing {
    Timing { lease: Duration::from_secs(60), pulse: Duration::from_millis(200), ..Timing::default() }
}

/// Asks until the answer is yes.
pub async fn until(what: &str, mut question: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, asked).await.is_ok(), "not so: {what}");
}

async fn reached(cluster: &Cluster) {
    until("Redis is reached", async || cluster.is_reachable()).await;
}

/// Tells of all of them.
fn tell_all(cluster: &Cluster, place: Channel, people: &[Uuid], text: &str) {
    people.iter().for_each(|person| cluster.tell(place, *person, entry(text)));
}
