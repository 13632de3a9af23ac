//! The house put together: configuration in, a server out.

mod backend;
mod health;
mod live;
mod metrics;
mod nodes;
pub mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::Cluster;
use crate::config::Config;
use crate::db::retention::Policy;
use crate::db::{self, Db, Writer};
use crate::domain;
use crate::http::{self, AppState};
use crate::live::roster::{Alone, Roster};
use crate::live::{Hub, HubLink, Limits};

pub use health::Health;

/// How often retention looks for days that are over.
const RETENTION_EVERY: Duration = Duration::from_secs(3_600);
/// For everything that a drain waits for.
const DRAIN_WITHIN: Duration = Duration::from_secs(25);

/// A server that is ready to serve. Clones share everything.
#[derive(Clone)]
pub struct App {
    /// The engine.
    pub hub: Arc<Hub>,
    /// What handlers reach.
    pub state: AppState,
    /// The other nodes.
    roster: Arc<dyn Roster>,
    health: Health,
    drain_window: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl App {
    /// Connects, checks, migrates and starts everything but the listener.
    pub async fn build(config: &Config) -> anyhow::Result<App> {
        let url = config.database_url.as_deref().ok_or_else(|| {
            anyhow::anyhow!("DATABASE_URL is not set; set it, or run `studyhall dev`, which brings its own PostgreSQL")
        })?;
        let db = Db::connect(url, config.database_connections).await?;
        db.migrate().await?;
        // The engine hands commands to the writer and the writer hands events to the engine; weakly, or neither would
        // ever be dropped.
        let hub = HubLink::default();
        let cluster = nodes::join(config, &db).await?;
        let on_commit = nodes::on_commit(hub.clone(), cluster.clone(), db.clone());
        let writer = Writer::new(
            db.clone(),
            config.commands_max,
            Arc::new(|tx, command| Box::pin(domain::perform(tx, command))),
            on_commit,
        )
        .with_drain(domain::drain());
        let state = AppState { hub: hub.clone(), ..AppState::new(config, db.clone(), writer.clone())? };
        let server = backend::Server::new(db.clone(), writer, state.sessions.clone(), hub.clone());
        let roster: Arc<dyn Roster> = match &cluster {
            Some(cluster) => cluster.clone(),
            None => Arc::new(Alone),
        };
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let engine = Hub::start(limits(config), Arc::new(server), roster.clone(), workers);
        hub.set(&engine);
        if let Some(cluster) = &cluster {
            nodes::introduce(cluster, &engine);
        }
        let health = Health::new(db.clone(), cluster.clone());
        let app = App {
            hub: engine,
            state,
            roster,
            health,
            drain_window: config.drain_window(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        app.start_tasks(config, db, cluster);
        Ok(app)
    }

    fn start_tasks(&self, config: &Config, db: Db, cluster: Option<Arc<Cluster>>) {
        let hub = self.hub.clone();
        let follow = db::follow::follow(
            db.clone(),
            nodes::follow_interval(config, cluster),
            move |events| hub.apply(events),
            self.stop.clone(),
        );
        self.tasks.spawn(follow);
        self.tasks.spawn(domain::presence::keep_tidy(db.clone(), self.state.hub.clone(), self.stop.clone()));
        self.tasks.spawn(self.state.rates.clone().forget(self.stop.clone()));
        self.tasks.spawn(db::retention::run(db, retention(config), RETENTION_EVERY, self.stop.clone()));
    }

    /// Everything that is served over HTTP.
    pub fn router(&self) -> Router {
        let live = live::router().with_state(Arc::new(self.clone()));
        let health = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .with_state(self.clone());
        let rates = middleware::from_fn_with_state(self.state.clone(), http::hold_off);
        let api = Router::new().nest("/api/v1", domain::router()).layer(rates).with_state(self.state.clone());
        http::shield(api.merge(live).merge(health), &self.state.origins)
    }

    /// Serves the page of metrics at `address`, until [`App::serve`] has drained. Where that is taken, it comes later and
    /// the rest does not wait.
    pub fn serve_metrics(&self, address: SocketAddr) {
        self.tasks.spawn(metrics::serve(self.clone(), address, self.stop.clone()));
    }

    /// Serves until `stop`, then drains: no new sockets, commands finished, sockets told to come back.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let serving = tokio::spawn(server::serve(listener, self.router(), stop.clone()));
        stop.cancelled().await;
        let drained = async {
            self.hub.drain(self.drain_window).await;
            // Now, not earlier: from here on the others hold those who were sent away for as long as they may take.
            self.roster.hand_over().await;
            self.state.writer.drain().await;
            self.hub.stop().await;
            let _ = serving.await;
            self.stop.cancel();
            self.tasks.close();
            self.tasks.wait().await;
            self.state.db.pool().close().await;
        };
        if tokio::time::timeout(DRAIN_WITHIN, drained).await.is_err() {
            tracing::warn!("not everything ended in {DRAIN_WITHIN:?}; leaving all the same");
        }
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        connections_max: config.connections_max,
        commands_per_second: config.commands_per_second,
        commands_burst: config.commands_burst,
        ring_bytes: config.ring_bytes_max,
        page_bytes: config.page_bytes_max,
    }
}

fn retention(config: &Config) -> Policy {
    Policy { log_days: config.log_days, operation_hours: config.operation_hours, ..Policy::default() }
}

async fn readyz(State(app): State<App>) -> Response {
    app.health.answer(app.hub.is_draining()).await
}
