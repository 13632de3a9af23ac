//! Nodes are killed and started again, one at a time, while people write and read.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::BoxFuture;
use studyhall::check::faults::{Faults, Kind};
use studyhall::check::report::Report;
use studyhall::check::run::Settings;
use tokio::sync::Mutex;

use super::{Stage, check, settings};
use crate::faults::node::Node;

/// The other nodes go on answering: no pause between two acknowledgements is longer, whichever node was killed.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// `kill -9` of any node; it is started again a moment later.
struct Killing {
    nodes: Vec<Mutex<Node>>,
    urls: Vec<String>,
    gap: (f64, f64),
    lasts: (f64, f64),
}

impl Faults for Killing {
    fn kinds(&self) -> Vec<Kind> {
        let kind = |(number, url): (usize, &String)| Kind {
            name: format!("kill -9 of node {}", number + 1),
            url: Some(url.clone()),
            lasts: self.lasts,
            gap: self.gap,
        };
        self.urls.iter().enumerate().map(kind).collect()
    }

    fn start(&self, kind: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.nodes[kind].lock().await.kill();
            Ok(())
        })
    }

    fn stop(&self, kind: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.nodes[kind].lock().await.again().await;
            Ok(())
        })
    }
}

async fn killed(stage: Stage, settings: Settings, gap: (f64, f64), lasts: (f64, f64)) -> Report {
    let Stage { nodes, redis, _database } = stage;
    let urls = nodes.iter().map(|node| node.url.clone()).collect();
    let nodes = nodes.into_iter().map(Mutex::new).collect();
    let killing = Arc::new(Killing { nodes, urls, gap, lasts });
    let report = check(&settings, killing.clone()).await;
    // The nodes end before what is below them.
    drop(killing);
    drop(redis);
    assert!(report.findings.is_clean(), "{:?}", report.findings.broken());
    report
}

/// How often something was killed, and the longest pause at the nodes that were not.
fn kills(report: &Report) -> (usize, Duration) {
    let faults = report.figures.faults.values();
    let pause = faults.clone().filter_map(|(_, _, elsewhere)| *elsewhere).max().unwrap_or_default();
    (faults.map(|(count, ..)| count).sum(), Duration::from_micros(pause))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_killed() {
    let stage = Stage::new().await;
    let settings = settings(stage.urls(), 20);
    let report = killed(stage, settings, (1.5, 2.5), (0.5, 1.0)).await;
    let (kills, pause) = kills(&report);
    println!("{kills} kills, longest pause elsewhere {pause:?}");
    assert!(kills >= 4, "{kills}");
    assert!(pause <= PAUSE_MAX, "{pause:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn nodes_are_killed_for_a_minute() {
    let stage = Stage::new().await;
    let settings = Settings { rate: 16.0, acks: Some(5_000), ..settings(stage.urls(), 60) };
    let report = killed(stage, settings, (2.0, 3.0), (1.0, 1.0)).await;
    let (kills, pause) = kills(&report);
    println!("{kills} kills, longest pause elsewhere {pause:?}");
    assert!(kills >= 10 && report.figures.done >= 5_000, "{kills} {}", report.figures.done);
    assert!(pause <= PAUSE_MAX, "{pause:?}");
}
