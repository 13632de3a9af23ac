//! RFC 6455: the frames themselves, on a route that echoes messages over the production socket code.

use std::process::Command;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use axum::{Router, http::StatusCode};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::upgrade::OnUpgrade;
use serde_json::value::RawValue;
use studyhall::app::server;
use studyhall::live::backend::*;
use studyhall::live::conn::Conn;
use studyhall::live::roster::Alone;
use studyhall::live::socket::{Handler, Next};
use studyhall::live::ws::{self, Message, OpCode};
use studyhall::live::{Hub, Limits, upgrade};
use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::WireError;
use studyhall_protocol::live::Publication;
use studyhall_protocol::presence::Presence;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// An engine with nothing around it: the echo asks for nothing.
struct Nothing;

impl Backend for Nothing {
    fn authenticate(&self, _: Credential) -> BoxFuture<'_, Result<Arc<Identity>, Refusal>> {
        async { Err(Refusal::Unauthorized) }.boxed()
    }
    fn admit<'a>(
        &'a self,
        _: &'a Identity,
        _: Vec<Channel>,
    ) -> BoxFuture<'a, Result<Vec<Result<Admission, WireError>>, WireError>> {
        async { Err(WireError::internal()) }.boxed()
    }
    fn read_log(&self, _: Channel, _: u64, _: u32) -> BoxFuture<'_, Result<LogPage, WireError>> {
        async { Err(WireError::internal()) }.boxed()
    }
    fn read_pages(
        &self,
        _: Vec<(Channel, u64)>,
        _: u32,
        _: u32,
    ) -> BoxFuture<'_, Result<Vec<Option<LogPage>>, WireError>> {
        async { Err(WireError::internal()) }.boxed()
    }
    fn read_log_back(&self, _: Channel, _: u64, _: u32) -> BoxFuture<'_, Result<LogPage, WireError>> {
        async { Err(WireError::internal()) }.boxed()
    }
    fn rpc<'a>(
        &'a self,
        _: &'a Identity,
        _: Way,
        _: &'a str,
        _: Option<&'a RawValue>,
    ) -> BoxFuture<'a, Result<Box<RawValue>, WireError>> {
        async { Err(WireError::internal()) }.boxed()
    }
    fn publication(&self, _: Uuid, _: Channel, _: Grant, _: &Publication<'_>) -> Result<Action, WireError> {
        Err(WireError::internal())
    }
    fn standings(&self, _: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Standing>, WireError>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn sees(&self, _: Vec<(Uuid, Uuid)>) -> BoxFuture<'_, Result<Vec<bool>, WireError>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn store_presence(&self, _: Vec<Presence>) -> BoxFuture<'_, Result<(), WireError>> {
        async { Ok(()) }.boxed()
    }
    fn effects(&self, _: &LogEvent) -> Vec<Effect> {
        Vec::new()
    }
    fn adopt_orphan(&self, _: Orphan) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

/// Sends every message back.
struct Echo {
    hub: Arc<Hub>,
    conn: Arc<Conn>,
}

impl Handler for Echo {
    fn message(&mut self, message: Message<'_>) -> Next {
        match message {
            Message::Text(text) => self.conn.frame(&self.hub, OpCode::Text, text.as_bytes()),
            Message::Binary(bytes) => self.conn.frame(&self.hub, OpCode::Binary, bytes),
            Message::Ping(payload) => self.conn.frame(&self.hub, OpCode::Pong, payload),
            Message::Pong(_) => {}
            Message::Close(close) => return Next::Bye(close.map(|(code, _)| code)),
        }
        Next::Read
    }

    async fn run(&mut self, _: Vec<u8>) -> Next {
        Next::Read
    }
}

async fn start() -> (std::net::SocketAddr, CancellationToken) {
    let limits = Limits { connections_max: 1_000, ..Limits::default() };
    let hub = Hub::start(limits, Arc::new(Nothing), Arc::new(Alone), 2);
    let route = move |mut request: Request| {
        let hub = hub.clone();
        async move {
            let accept = ws::check(request.method(), &request.version(), request.headers(), &[]);
            let upgrade = request.extensions_mut().remove::<OnUpgrade>();
            let (Ok(accept), Some(upgrade), Ok(())) = (accept, upgrade, hub.admit_connection()) else {
                let mut refused = Response::new(axum::body::Body::empty());
                *refused.status_mut() = StatusCode::BAD_REQUEST;
                return refused;
            };
            let echo = |hub: &Arc<Hub>, conn: &Arc<Conn>| Echo { hub: hub.clone(), conn: conn.clone() };
            upgrade::accept_with(hub, upgrade, &accept, echo)
        }
    };
    let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(server::serve(listener, Router::new().route("/", get(route)), 1_000, stop.clone()));
    (address, stop)
}

/// Every functional case of the conformance suite: nothing failed, and nothing but the two cases that
/// the RFC leaves open is less than strict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc_6455_conformance() {
    let (address, stop) = start().await;
    let reports = tempfile();
    let mut suite = Command::new(crate::harness::python("kosoku"));
    suite.args(["-m", "fuzzingclient", "-x", "9.*", "-x", "12.*", "-x", "13.*", "-p", "2", "-o"]);
    suite.arg(&reports).arg(address.to_string());
    let output = tokio::task::spawn_blocking(move || suite.output()).await.unwrap();
    let output = output.expect("kosoku is installed by `scripts/setup.sh test`");
    let log = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let index = std::fs::read_to_string(reports.join("index.json")).unwrap_or_else(|_| panic!("no report: {log}"));
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let agent = index.as_object().unwrap().values().next().unwrap().as_object().unwrap();
    let mut by_behaviour = std::collections::BTreeMap::<String, Vec<&str>>::new();
    for (case, result) in agent {
        by_behaviour.entry(result["behavior"].as_str().unwrap().to_owned()).or_default().push(case);
    }
    println!("{:?}", by_behaviour.iter().map(|(kind, cases)| (kind, cases.len())).collect::<Vec<_>>());
    assert!(agent.len() > 240, "only {} cases ran: {log}", agent.len());
    assert!(!by_behaviour.contains_key("FAILED"), "{:?}", by_behaviour.get("FAILED"));
    for case in by_behaviour.get("NON-STRICT").into_iter().flatten() {
        assert!(["6.4.3", "6.4.4"].contains(case), "{case} is not strict");
    }
    let _ = std::fs::remove_dir_all(&reports);
    stop.cancel();
}

fn tempfile() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("studyhall-rfc6455-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}
