//! Whether people can be served: PostgreSQL decides, Redis does not.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::cluster::Cluster;
use crate::db::Db;

/// For one question to PostgreSQL.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Asks PostgreSQL how it is, and knows how Redis is.
#[derive(Clone)]
pub struct Health {
    db: Db,
    cluster: Option<Arc<Cluster>>,
}

impl Health {
    /// Without a `cluster` no Redis was given; one node needs none.
    pub fn new(db: Db, cluster: Option<Arc<Cluster>>) -> Self {
        Self { db, cluster }
    }

    /// The answer of `/readyz`: 200 when people can be served, 503 otherwise.
    pub async fn answer(&self, draining: bool) -> Response {
        let postgres = tokio::time::timeout(ANSWER_WITHIN, self.db.ping()).await.is_ok_and(|answer| answer.is_ok());
        // The cluster talks to Redis every second and expects to hear itself, so it knows without a question.
        let redis = match self.cluster.as_ref().map(|cluster| cluster.is_reachable()) {
            None => "absent",
            Some(false) => "degraded",
            Some(true) => "ok",
        };
        let status = match (draining, postgres) {
            (true, _) => "draining",
            (false, true) => "ready",
            (false, false) => "unavailable",
        };
        let code = if status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let postgres = if postgres { "ok" } else { "unavailable" };
        (code, Json(json!({"status": status, "postgres": postgres, "redis": redis}))).into_response()
    }
}
