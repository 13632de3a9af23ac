//! What this node does about PostgreSQL being silent, cut off, or another one than it was.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;

use crate::db::Db;
use crate::error::Error;
use crate::live::Hub;

/// A node that has not heard of PostgreSQL for so long does not know any more who may see what.
const BLIND_AFTER: Duration = Duration::from_secs(25);
/// Sockets that come to a blind node all the same are sent away that often.
const SEND_AWAY_EVERY: Duration = Duration::from_secs(2);
/// Between two comparisons of what was seen with what there is.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// For all statements of one.
const COMPARE_WITHIN: Duration = Duration::from_secs(30);

/// Watches PostgreSQL until `stop`. When nothing helps any more this process ends, so that a new one is started.
pub(super) async fn watch(db: Db, stop: CancellationToken) {
    if let Err(error) = db.watch(stop).await {
        tracing::error!("{error:#}");
        std::process::exit(1);
    }
}

/// Compares, whenever there is a doubt, how far this node has seen the logs with how far they go.
pub(super) async fn compare(db: Db, hub: Arc<Hub>, stop: CancellationToken) {
    let mut again = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = db.doubted() => {}
            () = std::future::ready(()), if again => {}
        }
        // Seen first, asked afterwards: a log only grows.
        let epoch = db.epoch();
        let seen = hub.heads(&epoch);
        let compared = tokio::time::timeout(COMPARE_WITHIN, db.compare(&seen, &epoch)).await;
        again = !matches!(compared, Ok(Ok(_)));
        if again {
            tracing::warn!("cannot compare the logs with what this node has seen of them; trying again");
        }
        tokio::time::sleep(COMPARE_EVERY).await;
    }
}

/// Sends the sockets of a node that is cut off from PostgreSQL to other nodes. Events and rights come out of PostgreSQL,
/// but drags, pointers and presence do not: somebody who was put out of a room meanwhile would go on seeing those.
pub(super) async fn send_away(db: Db, hub: Arc<Hub>, stop: CancellationToken) {
    let mut blind = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SEND_AWAY_EVERY) => {}
        }
        let was_blind = std::mem::replace(&mut blind, db.silent_for() >= BLIND_AFTER);
        if blind {
            if !was_blind {
                tracing::warn!("PostgreSQL has been silent for {BLIND_AFTER:?}; sending everybody to other nodes");
            }
            hub.send_away();
        }
    }
}

/// Answers within five seconds, also when PostgreSQL never does.
pub(super) async fn answer_in_time(State(db): State<Db>, request: Request, next: Next) -> Response {
    let answer = db.patiently(next.run(request)).await;
    answer.unwrap_or_else(|| {
        Error::unavailable("unavailable", "the database does not answer; try again shortly").into_response()
    })
}
