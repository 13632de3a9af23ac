//! This node among the others: what connects the engine with the cluster, both ways.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::cluster::{Cluster, Seal, Timing};
use crate::config::Config;
use crate::db::{Db, OnCommit};
use crate::live::roster::Ear;
use crate::live::stream::{Forward, Undelivered};
use crate::live::{Hub, HubLink};

/// How often to look for missed events while Redis is gone.
const WITHOUT_REDIS: Duration = Duration::from_millis(250);

/// Joins the nodes that share a Redis and this database. Without a Redis this node is the only one.
pub(super) async fn join(config: &Config, db: &Db) -> anyhow::Result<Option<Arc<Cluster>>> {
    let Some(url) = &config.redis_url else { return Ok(None) };
    let seal = Seal::new(&db.hint_key().await?);
    let timing = Timing { lease: config.lease(), ..Timing::default() };
    Ok(Some(Cluster::start(url, seal, timing)))
}

/// What is done with events that were committed here: people on this node are told, and the other nodes.
pub(super) fn on_commit(hub: HubLink, cluster: Option<Arc<Cluster>>, db: Db) -> OnCommit {
    Arc::new(move |events| {
        if let Some(cluster) = &cluster {
            cluster.tell_events(&db.epoch(), &events);
        }
        if let Some(hub) = hub.get() {
            hub.apply(events);
        }
    })
}

/// Between two looks for missed events: without Redis there is nothing else to tell of them.
pub(super) fn follow_interval(config: &Config, cluster: Option<Arc<Cluster>>) -> impl Fn() -> Duration + use<> {
    let interval = config.follow_interval();
    move || match &cluster {
        Some(cluster) if !cluster.is_reachable() => interval.min(WITHOUT_REDIS),
        _ => interval,
    }
}

/// From now on the engine hears what the others say, and takes and sends what clients of streams say elsewhere.
pub(super) fn introduce(cluster: &Arc<Cluster>, hub: &Arc<Hub>) {
    let ear: Arc<dyn Ear> = hub.clone();
    cluster.set_ear(Arc::downgrade(&ear));
    let desk = Arc::downgrade(hub);
    cluster.set_desk(Arc::new(move |session, data| {
        let delivered = desk.upgrade().map(|hub| hub.deliver_now(session, data));
        if let Some(Err(why)) = delivered {
            // The client waits for a reply in vain, connects again, and resumes.
            tracing::debug!(?why, "commands from another node were not delivered");
        }
    }));
    hub.set_forward(Arc::new(Others { node: cluster.node().simple().to_string(), cluster: cluster.clone() }));
}

/// The streams of the other nodes.
struct Others {
    node: String,
    cluster: Arc<Cluster>,
}

impl Forward for Others {
    fn node(&self) -> &str {
        &self.node
    }

    fn forward<'a>(&'a self, node: &'a str, session: &'a str, data: Bytes) -> BoxFuture<'a, Result<bool, Undelivered>> {
        async move {
            let Ok(node) = node.parse() else { return Ok(false) };
            if !self.cluster.is_reachable() {
                return Err(Undelivered::Unreachable);
            }
            Ok(self.cluster.forward(node, session, &data).await)
        }
        .boxed()
    }
}
