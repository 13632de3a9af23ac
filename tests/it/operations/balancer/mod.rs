//! HAProxy in front of three nodes, with the configuration that the documentation recommends.

mod rolling;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::faults::node::Node;
use crate::harness;

const CONFIG: &str = include_str!("../../../../docs/haproxy.cfg");

/// A running HAProxy, until this is dropped or this process is gone.
pub struct Balancer {
    pub url: String,
    /// Ends it when its input ends.
    shell: Child,
    config: PathBuf,
}

impl Balancer {
    /// Starts one before these nodes, and waits until it has found them.
    pub async fn start(nodes: &[Node]) -> Self {
        let port = super::free_port();
        let mut text = CONFIG.replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"));
        for (index, node) in nodes.iter().enumerate() {
            text = text.replace(&format!("127.0.0.1:808{}", index + 1), node.url.trim_start_matches("http://"));
        }
        if nix::unistd::geteuid().is_root() {
            text = text.replace("global\n", "global\n    user nobody\n    group nogroup\n");
        }
        let config = std::env::temp_dir().join(format!("studyhall-haproxy-{}-{port}.cfg", std::process::id()));
        std::fs::write(&config, text).unwrap();
        let script = "haproxy -q -db -f \"$1\" </dev/null & pid=$!; exec 2>/dev/null; read -r _; kill $pid; wait $pid; rm -f \"$1\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(&config).stdin(Stdio::piped());
        let shell = command.spawn().unwrap();
        let balancer = Self { url: format!("http://127.0.0.1:{port}"), shell, config };
        let ready = format!("{}/readyz", balancer.url);
        super::eventually("a balancer (is haproxy installed? scripts/setup.sh test)", async || {
            let answer = super::ask("GET", &ready, "", None).await?;
            (answer.status == 200).then_some(())
        })
        .await;
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

/// Nodes over one database and one Redis.
async fn nodes(count: usize, database: &harness::Database, redis: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Node::start_with(&database.url, Some(redis), &[("STUDYHALL_TRUSTED_PROXIES", "1")]).await);
    }
    nodes
}
