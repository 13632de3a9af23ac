//! `GET /metrics` for Prometheus, on a port of its own: what a node does is nobody's business who can reach its API.

use std::fmt::Write;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use super::App;
use super::server;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the page until `stop`. Where the address is taken, as by another node on this machine, it does without.
pub(super) async fn serve(app: App, address: SocketAddr, stop: CancellationToken) {
    match server::listen(address) {
        Ok(listener) => {
            let router = Router::new().route("/metrics", get(page)).with_state(app);
            server::serve(listener, router, stop).await;
        }
        Err(error) => tracing::warn!(%error, "no metrics; set STUDYHALL_METRICS_LISTEN to a free address"),
    }
}

async fn page(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, TEXT)], text(&app)).into_response()
}

fn text(app: &App) -> String {
    let (connections, channels) = app.hub.counts();
    let counted = app.state.db.counters();
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
    ] {
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "# HELP studyhall_{name} {help}\n# TYPE studyhall_{name} {kind}\nstudyhall_{name} {value}");
    }
    text
}
