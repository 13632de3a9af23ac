//! `studyhall check` against three nodes over one PostgreSQL and one Redis: when nothing breaks, while nodes are killed, and
//! as a user runs it.

mod killing;
mod program;

use std::sync::Arc;

use studyhall::check::faults::{Faults, NoFaults};
use studyhall::check::report::Report;
use studyhall::check::run::{self, Settings};

use crate::cluster::server::Server;
use crate::faults::node::Node;
use crate::harness::{self, Database};

/// Three nodes and what is below them.
struct Stage {
    nodes: Vec<Node>,
    redis: Server,
    _database: Database,
}

impl Stage {
    async fn new() -> Self {
        let (database, redis) = (harness::database().await, Server::start().await);
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Node::start(&database.url, Some(&redis.url)).await);
        }
        Self { nodes, redis, _database: database }
    }

    fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url.clone()).collect()
    }
}

fn settings(urls: Vec<String>, seconds: u64) -> Settings {
    let seed = harness::seed();
    println!("SEED={seed}");
    Settings { urls, seconds, seed, people: 12, rate: 10.0, keep: false, history: None, acks: None }
}

/// Runs it and shows the report.
async fn check(settings: &Settings, faults: Arc<dyn Faults>) -> Report {
    let report = run::run(settings, faults, &|line| println!("{line}")).await;
    let report = report.unwrap_or_else(|error| panic!("{error:#}"));
    println!("{report}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_breaks() {
    let stage = Stage::new().await;
    let report = check(&settings(stage.urls(), 10), Arc::new(NoFaults)).await;
    assert!(report.findings.is_clean(), "{:?}", report.findings.broken());
    // Over both doors, with retries, loads and connections that were lost: or the test says little.
    let figures = &report.figures;
    assert!(figures.by_rpc > 100 && figures.commands - figures.by_rpc > 100, "{figures:?}");
    assert!(figures.acks > figures.done && figures.lost > 0 && figures.unknown > 0, "{figures:?}");
}
