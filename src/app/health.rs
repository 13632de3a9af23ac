//! Whether people can be served: PostgreSQL decides, Redis does not.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use serde_json::json;

use crate::db::Db;

/// For one question to PostgreSQL or Redis.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Asks both stores how they are.
#[derive(Clone)]
pub struct Health {
    db: Db,
    redis: Redis,
}

#[derive(Clone)]
enum Redis {
    /// None was given; one node needs none.
    Absent,
    /// It was given and could not be reached when the server started.
    Unreachable,
    /// Reconnects by itself.
    Managed(ConnectionManager),
}

impl Health {
    /// Connects to Redis, if there is one. Its absence costs no promise of a single node, so nothing fails here.
    pub async fn start(db: Db, redis_url: Option<&str>) -> Self {
        let redis = match redis_url {
            None => Redis::Absent,
            Some(url) => match connect(url).await {
                Ok(manager) => Redis::Managed(manager),
                Err(error) => {
                    tracing::warn!(%error, "cannot reach Redis at REDIS_URL; going on without it");
                    Redis::Unreachable
                }
            },
        };
        Self { db, redis }
    }

    /// The answer of `/readyz`: 200 when people can be served, 503 otherwise.
    pub async fn answer(&self, draining: bool) -> Response {
        let postgres = tokio::time::timeout(ANSWER_WITHIN, self.db.ping()).await.is_ok_and(|answer| answer.is_ok());
        let redis = match &self.redis {
            Redis::Absent => "absent",
            Redis::Unreachable => "degraded",
            Redis::Managed(manager) => {
                let mut manager = manager.clone();
                let command = redis::cmd("PING");
                let ping = command.query_async::<String>(&mut manager);
                let answered = tokio::time::timeout(ANSWER_WITHIN, ping).await.is_ok_and(|answer| answer.is_ok());
                if answered { "ok" } else { "degraded" }
            }
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

async fn connect(url: &str) -> redis::RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    ConnectionManager::new_with_config(redis::Client::open(url)?, config).await
}
