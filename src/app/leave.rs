//! Going away without losing anything: who is told what, and when.
//!
//! | when | `/readyz` | new sockets and streams | REST | open sockets |
//! | --- | --- | --- | --- | --- |
//! | from the signal on | 503 `draining` | as before | as before, connections close behind the answer | as before |
//! | after the notice | 503 `draining` | 503, come again | 503 `shutting_down` | closed with 3001 over the window, each behind the command that it has under way |
//! | when they are gone | – | – | – | – |
//!
//! The listener stays open until then: a balancer that has not looked yet, or a client without one, gets an answer that
//! says what to do, not a refused connection.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::error::Error;

/// For everything that a drain waits for.
const DRAIN_WITHIN: Duration = Duration::from_secs(26);

impl App {
    /// Leaves: `serving` ends when `over` is cancelled and its last request is answered.
    pub(super) async fn leave(&self, serving: JoinHandle<()>, over: CancellationToken) {
        self.leaving.cancel();
        tracing::info!(notice = ?self.drain_notice, window = ?self.drain_window, "going away");
        let left = async {
            tokio::time::sleep(self.drain_notice).await;
            self.hub.drain(self.drain_window).await;
            // Now, not earlier: from here on the others hold those who were sent away for as long as they may take.
            self.roster.hand_over().await;
            self.state.writer.drain().await;
            self.hub.stop().await;
            over.cancel();
            let _ = serving.await;
            self.stop.cancel();
            self.tasks.close();
            self.tasks.wait().await;
            self.state.db.close().await;
        };
        if tokio::time::timeout(DRAIN_WITHIN, left).await.is_err() {
            tracing::warn!("not everything ended in {DRAIN_WITHIN:?}; leaving all the same");
        }
    }
}

/// Around everything: behind an answer of a node that goes away its connection ends, so that the next request comes over a
/// new one, which a balancer takes to another node.
pub(super) async fn let_go(State(leaving): State<CancellationToken>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if leaving.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Around REST: what runs is finished, nothing new begins.
pub(super) async fn refuse_new(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.hub.is_draining() {
        return shutting_down().into_response();
    }
    next.run(request).await
}

/// What a node that goes away says. Nothing was done.
pub(super) fn shutting_down() -> Error {
    Error::unavailable("shutting_down", "this node goes away; try again, another one answers")
}
