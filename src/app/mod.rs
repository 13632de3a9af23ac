//! The house put together: configuration in, a server out.

mod backend;
mod descriptors;
mod guard;
mod health;
mod leave;
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

use crate::cluster::{self, Cluster};
use crate::config::Config;
use crate::db::retention::Policy;
use crate::db::{self, Db, Writer};
use crate::domain;
use crate::http::{self, AppState};
use crate::live::roster::{Alone, Roster};
use crate::live::{Hub, HubLink, Limits};

use descriptors::Room;
pub use health::Health;

/// How often retention looks for days that are over.
const RETENTION_EVERY: Duration = Duration::from_secs(3_600);

/// A server that is ready to serve. Clones share everything.
#[derive(Clone)]
pub struct App {
    /// The engine.
    pub hub: Arc<Hub>,
    /// What handlers reach.
    pub state: AppState,
    /// The other nodes.
    roster: Arc<dyn Roster>,
    cluster: Option<Arc<Cluster>>,
    health: Health,
    room: Room,
    drain_notice: Duration,
    drain_window: Duration,
    /// It is going away.
    leaving: CancellationToken,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl App {
    /// Connects, checks, migrates and starts everything but the listener.
    pub async fn build(config: &Config) -> anyhow::Result<App> {
        let url = config.database_url.as_deref().ok_or_else(|| {
            anyhow::anyhow!("DATABASE_URL is not set; set it, or run `studyhall dev`, which brings its own PostgreSQL")
        })?;
        // Everything is looked at before anything is changed.
        if let Some(redis) = config.redis_url.as_deref() {
            cluster::inspect(redis).await?;
        }
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
        let room = descriptors::room(config);
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let engine = Hub::start(limits(config, &room), Arc::new(server), roster.clone(), workers);
        hub.set(&engine);
        let told = Arc::downgrade(&engine);
        db.on_epoch(Box::new(move |epoch| {
            if let Some(hub) = told.upgrade() {
                hub.begin_epoch(epoch);
            }
        }));
        if let Some(cluster) = &cluster {
            nodes::introduce(cluster, &engine);
        }
        let health = Health::new(db.clone(), cluster.clone());
        let app = App {
            hub: engine,
            state,
            roster,
            cluster,
            health,
            room,
            drain_notice: config.drain_notice(),
            drain_window: config.drain_window(),
            leaving: CancellationToken::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        app.start_tasks(config, db);
        Ok(app)
    }

    fn start_tasks(&self, config: &Config, db: Db) {
        let hub = self.hub.clone();
        let follow = db::follow::follow(
            db.clone(),
            nodes::follow_interval(config, self.cluster.clone()),
            move |events| hub.apply(events),
            self.stop.clone(),
        );
        self.tasks.spawn(follow);
        self.tasks.spawn(guard::watch(db.clone(), self.stop.clone()));
        self.tasks.spawn(guard::compare(db.clone(), self.hub.clone(), self.stop.clone()));
        self.tasks.spawn(guard::send_away(db.clone(), self.hub.clone(), self.stop.clone()));
        self.tasks.spawn(domain::presence::keep_tidy(db.clone(), self.state.hub.clone(), self.stop.clone()));
        self.tasks.spawn(domain::duties::keep(db.clone(), self.state.writer.clone(), self.stop.clone()));
        let storage = self.state.storage.clone();
        let writer = self.state.writer.clone();
        self.tasks.spawn(domain::attachments::keep_tidy(db.clone(), writer, storage, self.stop.clone()));
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
        let leaving = middleware::from_fn_with_state(self.clone(), leave::refuse_new);
        let in_time = middleware::from_fn_with_state(self.state.db.clone(), guard::answer_in_time);
        let api = Router::new()
            .nest("/api/v1", domain::router())
            .route("/docs", get(domain::documents::routes::page))
            .layer(in_time);
        let api = api.merge(Router::new().nest("/api/v1", domain::uploads())).layer(rates).layer(leaving);
        let api = api.with_state(self.state.clone());
        let let_go = middleware::from_fn_with_state(self.leaving.clone(), leave::let_go);
        http::shield(api.merge(live).merge(health), &self.state.origins).layer(let_go)
    }

    /// Serves the page of metrics at `address`, until [`App::serve`] has drained. Where that is taken, it comes later and
    /// the rest does not wait.
    pub fn serve_metrics(&self, address: SocketAddr) {
        self.tasks.spawn(metrics::serve(self.clone(), address, self.stop.clone()));
    }

    /// Serves until `stop`, then leaves: see [`leave`].
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let over = CancellationToken::new();
        let serving = tokio::spawn(server::serve(listener, self.router(), self.room.http, over.clone()));
        stop.cancelled().await;
        self.leave(serving, over).await;
    }
}

fn limits(config: &Config, room: &Room) -> Limits {
    Limits {
        connections_max: room.connections,
        arrivals_max: config.arrivals_max as usize,
        commands_per_second: config.commands_per_second,
        commands_burst: config.commands_burst,
        ring_bytes: config.ring_bytes_max,
        page_bytes: config.page_bytes_max,
    }
}

fn retention(config: &Config) -> Policy {
    Policy {
        log_days: config.log_days,
        operation_hours: config.operation_hours,
        audit_days: config.audit_days,
        ..Policy::default()
    }
}

async fn readyz(State(app): State<App>) -> Response {
    app.health.answer(app.leaving.is_cancelled()).await
}
