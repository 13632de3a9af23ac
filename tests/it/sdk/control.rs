//! What only the server's side can do, for tests in other languages: start nodes, look into their database, drain
//! them, and break the roads to them. It is a part of the tests and listens for them alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use studyhall::app::{App, server};
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use crate::faults::link::Link;
use crate::harness::{self, Database};

/// A node over a database that it may share with others.
struct Node {
    app: App,
    database: Arc<Database>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The nodes and roads of one test file.
#[derive(Default)]
pub struct Control {
    nodes: RwLock<Vec<Arc<Node>>>,
    proxies: RwLock<Vec<Arc<Link>>>,
}

/// How a node is to be.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNode {
    /// The node whose database it shares; absent: one of its own.
    beside: Option<usize>,
    /// Seconds in which a drain sends everybody away.
    drain_seconds: Option<f64>,
    /// Commands a second and connection.
    commands_per_second: Option<u32>,
}

type Shared = State<Arc<Control>>;
type Answer = Result<Json<Value>, (StatusCode, String)>;

impl Control {
    /// Starts a first node and the endpoint; returns the addresses of both.
    pub async fn start() -> (String, String) {
        let control = Arc::new(Control::default());
        let (_, address) = control.add_node(NewNode::default()).await.unwrap();
        let routes = Router::new()
            .route("/nodes", post(new_node))
            .route("/nodes/{node}/sql", post(read_sql))
            .route("/nodes/{node}/execute", post(execute_sql))
            .route("/nodes/{node}/drain", post(drain))
            .route("/nodes/{node}/counts", get(counts))
            .route("/proxies", post(new_proxy))
            .route("/proxies/{proxy}/lead/{node}", post(lead))
            .route("/proxies/{proxy}/{action}", post(act))
            .with_state(control);
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (format!("http://{address}"), format!("http://{own}"))
    }

    async fn add_node(&self, new: NewNode) -> Result<(usize, SocketAddr), (StatusCode, String)> {
        let database = match new.beside {
            Some(beside) => self.node(beside).await?.database.clone(),
            None => Arc::new(harness::database().await),
        };
        let mut config = harness::config(&database.url);
        config.database_connections = 6;
        config.drain_seconds = new.drain_seconds.unwrap_or(config.drain_seconds);
        config.commands_per_second = new.commands_per_second.unwrap_or(config.commands_per_second);
        let app = App::build(&config).await.map_err(failed)?;
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = CancellationToken::new();
        tokio::spawn(app.clone().serve(listener, stop.clone()));
        let mut nodes = self.nodes.write().await;
        nodes.push(Arc::new(Node { app, database, address, stop }));
        Ok((nodes.len() - 1, address))
    }

    async fn node(&self, number: usize) -> Result<Arc<Node>, (StatusCode, String)> {
        let found = self.nodes.read().await.get(number).cloned();
        found.ok_or_else(|| (StatusCode::NOT_FOUND, format!("no node {number}")))
    }

    async fn proxy(&self, number: usize) -> Result<Arc<Link>, (StatusCode, String)> {
        let found = self.proxies.read().await.get(number).cloned();
        found.ok_or_else(|| (StatusCode::NOT_FOUND, format!("no proxy {number}")))
    }
}

fn failed(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, error.to_string())
}

async fn new_node(State(control): Shared, Json(new): Json<NewNode>) -> Answer {
    let (node, address) = control.add_node(new).await?;
    Ok(Json(json!({"node": node, "url": format!("http://{address}")})))
}

/// Rows of a query, as objects.
async fn read_sql(State(control): Shared, Path(node): Path<usize>, query: String) -> Answer {
    let node = control.node(node).await?;
    let rows = format!("select coalesce(json_agg(r), '[]') from ({query}) r");
    let rows: Value = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&node.database.pool).await.map_err(failed)?;
    Ok(Json(rows))
}

/// How many rows a statement changed.
async fn execute_sql(State(control): Shared, Path(node): Path<usize>, statement: String) -> Answer {
    let node = control.node(node).await?;
    let done = sqlx::query(AssertSqlSafe(statement)).execute(&node.database.pool).await.map_err(failed)?;
    Ok(Json(json!({"rows": done.rows_affected()})))
}

/// Sends everybody away, as a node does that is about to end.
async fn drain(State(control): Shared, Path(node): Path<usize>) -> Answer {
    let node = control.node(node).await?;
    node.app.hub.drain(Duration::from_secs(1)).await;
    Ok(Json(json!({})))
}

async fn counts(State(control): Shared, Path(node): Path<usize>) -> Answer {
    let (sockets, channels) = control.node(node).await?.app.hub.counts();
    Ok(Json(json!({"sockets": sockets, "channels": channels})))
}

async fn new_proxy(State(control): Shared, Json(to): Json<Value>) -> Answer {
    let node = control.node(to["node"].as_u64().unwrap_or(0) as usize).await?;
    let proxy = Arc::new(Link::start(node.address));
    let url = proxy.url("http");
    let mut proxies = control.proxies.write().await;
    proxies.push(proxy);
    Ok(Json(json!({"proxy": proxies.len() - 1, "url": url})))
}

async fn lead(State(control): Shared, Path((proxy, node)): Path<(usize, usize)>) -> Answer {
    control.proxy(proxy).await?.lead_to(control.node(node).await?.address);
    Ok(Json(json!({})))
}

async fn act(State(control): Shared, Path((proxy, action)): Path<(usize, String)>) -> Answer {
    let done = control.proxy(proxy).await?.act(&action);
    done.then(|| Json(json!({}))).ok_or_else(|| (StatusCode::NOT_FOUND, format!("cannot {action}")))
}
