//! What operators do to nodes, and what crowds and bad networks do: restarts, storms, slow clients, long runs.

mod admission;
mod balancer;
mod cycles;
mod descriptors;
mod drain;
mod health;
mod slow;
mod soak;
mod stream;
mod tab;
mod writer;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::Error;

use crate::harness;

/// Waits until something is so; says what never was.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = tokio::time::timeout(harness::PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Of some times; zero when there are none.
pub fn quantile(times: &[Duration], quantile: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    let place = (times.len() as f64 * quantile).ceil() as usize;
    times.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

/// Resident memory of a process, in KiB.
pub fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// A free port of this machine.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The figures of a node's page of metrics.
pub async fn metrics(address: &str) -> HashMap<String, u64> {
    let text = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// An answer to a plain request, over a connection of its own.
pub struct Plain {
    pub status: u16,
    pub retry_after: Option<String>,
    pub connection: Option<String>,
    pub body: Value,
}

/// Asks, with a token if need be. `None` when nobody answers.
pub async fn ask(method: &str, url: &str, token: &str, body: Option<&str>) -> Option<Plain> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let mut request = client.request(method.parse().unwrap(), url).bearer_auth(token);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    let response = request.send().await.ok()?;
    let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (retry_after, connection) = (header("retry-after"), header("connection"));
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Some(Plain { status, retry_after, connection, body })
}

/// Why no socket is opened: the status and `Retry-After`. `None` when one is, or nobody answers.
pub async fn refused(url: &str) -> Option<(u16, Option<String>)> {
    let url = url.replace("http://", "ws://") + "/connection/websocket";
    match tokio_tungstenite::connect_async(url).await {
        Err(Error::Http(response)) => {
            let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            Some((response.status().as_u16(), retry_after))
        }
        _ => None,
    }
}
