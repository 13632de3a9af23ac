//! Whether people can be served: PostgreSQL decides, Redis does not.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::cluster::Cluster;
use crate::db::{Condition, Db};

/// Knows how PostgreSQL and Redis are; both are asked every second anyway, so no question of anybody's costs one.
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
    ///
    /// A PostgreSQL that takes no writes is `read_only` and no reason to send people away: it is the same for every node,
    /// and they can read.
    pub async fn answer(&self, draining: bool) -> Response {
        let redis = match self.cluster.as_ref().map(|cluster| cluster.is_reachable()) {
            None => "absent",
            Some(false) => "degraded",
            Some(true) => "ok",
        };
        let (postgres, serves) = match self.db.condition() {
            Condition::Ok => ("ok", true),
            Condition::ReadOnly => ("read_only", true),
            Condition::Unsafe => ("unsafe", false),
            Condition::Silent => ("unavailable", false),
        };
        let status = match (draining, serves) {
            (true, _) => "draining",
            (false, true) => "ready",
            (false, false) => "unavailable",
        };
        let code = if status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (code, Json(json!({"status": status, "postgres": postgres, "redis": redis}))).into_response()
    }
}
