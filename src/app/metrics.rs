//! `GET /metrics` for Prometheus, on a port of its own: what a node does is nobody's business who can reach its API.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::App;
use super::server;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Connections at once to the page.
const SCRAPERS_MAX: usize = 16;
/// Between two looks for whether an address is free by now.
const AGAIN: Duration = Duration::from_secs(5);

/// Serves the page until `stop`. Another node on this machine may have the address: no reason not to serve people, and
/// when that one ends the page is here.
pub(super) async fn serve(app: App, address: SocketAddr, stop: CancellationToken) {
    let Some(listener) = stop.run_until_cancelled(listen(address)).await else { return };
    if let Ok(address) = listener.local_addr() {
        tracing::info!("metrics at http://{address}/metrics");
    }
    let router = Router::new().route("/metrics", get(page)).with_state(app);
    server::serve(listener, router, SCRAPERS_MAX, stop).await;
}

async fn listen(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match server::listen(address) {
            Ok(listener) => return listener,
            Err(error) if !told => tracing::warn!(
                "no metrics for now: cannot listen on {address}: {error}; going on without them, and trying again. \
                 STUDYHALL_METRICS_LISTEN is another address, or `off`"
            ),
            Err(_) => {}
        }
        told = true;
        tokio::time::sleep(AGAIN).await;
    }
}

async fn page(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, TEXT)], text(&app)).into_response()
}

fn text(app: &App) -> String {
    let (connections, channels) = app.hub.counts();
    let counted = app.state.db.counters();
    let hints = app.cluster.as_ref().map(|cluster| cluster.counted()).unwrap_or_default();
    let mut text = String::new();
    for (name, kind, help, value) in [
        ("connections", "gauge", "Open sockets and streams.", connections as u64),
        ("channels", "gauge", "Channels in use.", channels as u64),
        ("log_reads_total", "counter", "Statements that read logs.", counted.log_reads.get()),
        ("log_pages_total", "counter", "Parts of logs that were read.", counted.log_pages.get()),
        ("authentications_total", "counter", "Tokens that were asked for.", counted.authentications.get()),
        (
            "authentication_statements_total",
            "counter",
            "Statements that say whose tokens these are.",
            counted.authentication_statements.get(),
        ),
        ("admissions_total", "counter", "Channels that somebody wanted to subscribe to.", counted.admissions.get()),
        (
            "admission_statements_total",
            "counter",
            "Statements that say who may subscribe.",
            counted.admission_statements.get(),
        ),
        ("hints_dropped_total", "counter", "Hints for other nodes that found no room.", hints.dropped),
        ("hints_forged_total", "counter", "Messages in Redis that no node of this database wrote.", hints.forged),
        ("hints_stale_total", "counter", "Messages in Redis that came again, or too late.", hints.stale),
    ] {
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "# HELP studyhall_{name} {help}\n# TYPE studyhall_{name} {kind}\nstudyhall_{name} {value}");
    }
    text
}
