//! This node among the others: what connects the engine with the cluster, both ways.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::cluster::{Cluster, Timing};
use crate::config::Config;
use crate::live::Hub;
use crate::live::roster::Ear;
use crate::live::stream::{Forward, Undelivered};

/// Joins the nodes that share a Redis. Without one this node is the only one.
pub(super) fn join(config: &Config) -> Option<Arc<Cluster>> {
    let timing = Timing { lease: config.lease(), ..Timing::default() };
    config.redis_url.as_deref().map(|url| Cluster::start(url, timing))
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
