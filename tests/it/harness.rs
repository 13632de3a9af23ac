//! What tests share: a private PostgreSQL, an application on a port of its own, people who use it.

use std::collections::VecDeque;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use studyhall::app::App;
use studyhall::config::Config;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Long enough for a loaded machine; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The seed of a generated history: a new one, or that of the run to be repeated. Print it.
#[expect(clippy::disallowed_methods, reason = "the product reads its settings in one place; this is none of them")]
pub fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random)
}

/// A program of the Python test environment, which `scripts/setup.sh test` makes.
pub fn python(program: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv/bin").join(program)
}

/// A database of its own, migrated.
pub struct Database {
    pub pool: PgPool,
    pub url: String,
}

/// The one cluster of this test run, with a migrated template in it. It runs on a thread that nobody
/// joins; a watchdog that reads from us stops it when this process is gone, however that happens.
fn cluster() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let data = std::env::temp_dir().join(format!("studyhall-it-{}", std::process::id()));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let private = studyhall::dev::Private::start(&data, true, false, None).await.unwrap();
                let url = private.database_url.clone().unwrap();
                watchdog(&private.directory, &data);
                let pool = PgPool::connect(&url).await.unwrap();
                studyhall::db::MIGRATOR.run(&pool).await.unwrap();
                pool.close().await;
                sender.send(url).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().unwrap()
    })
}

fn watchdog(directory: &std::path::Path, data: &std::path::Path) {
    let script = r#"read -r _; pid=$(head -n 1 "$1/postgres/postmaster.pid"); kill -QUIT "$pid"
        while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done; rm -rf "$1" "$2""#;
    let mut command = Command::new("sh");
    // Of its own group: an interrupt at the terminal ends the tests, and must not end who tidies up after them.
    command.process_group(0);
    command.args(["-c", script, "sh"]).arg(directory).arg(data);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Its standard input ends with this process.
    std::mem::forget(child);
}

/// A fresh database.
pub async fn database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("it_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let template = tokio::task::spawn_blocking(cluster).await.unwrap();
    let admin: PgConnectOptions = template.parse().unwrap();
    let mut admin = PgConnection::connect_with(&admin.database("postgres")).await.unwrap();
    let create = format!("create database {name} template studyhall");
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
    let url = template.replace("///studyhall?", &format!("///{name}?"));
    let pool = PgPoolOptions::new().max_connections(4).connect(&url).await.unwrap();
    Database { pool, url }
}

/// An application on a port of its own, over a database of its own.
pub struct TestApp {
    pub app: App,
    pub database: Database,
    pub address: std::net::SocketAddr,
    stop: CancellationToken,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The configuration of a test: everything by default, but for limits on what comes from this machine, as in `dev`.
pub fn config(database_url: &str) -> Config {
    use clap::Parser;
    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        config: Config,
    }
    let mut config = Arguments::parse_from(["studyhall"]).config;
    config.database_url = Some(database_url.to_owned());
    config.limit_loopback = false;
    config
}

/// Starts an application with default settings.
pub async fn app() -> TestApp {
    app_with(|_| {}).await
}

/// Starts an application with other settings.
pub async fn app_with(change: impl FnOnce(&mut Config)) -> TestApp {
    let database = database().await;
    let mut config = config(&database.url);
    change(&mut config);
    let app = App::build(&config).await.unwrap();
    let listener = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(app.clone().serve(listener, stop.clone()));
    TestApp { app, database, address, stop }
}

/// Somebody with an account.
pub struct Person {
    pub id: Uuid,
    pub username: String,
    pub token: String,
    url: String,
    http: reqwest::Client,
}

/// An answer over REST.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body, if the status is as expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

impl TestApp {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Signs somebody up.
    pub async fn person(&self, username: &str) -> Person {
        let http = reqwest::Client::new();
        let url = self.url();
        let body = json!({"username": username, "password": "correct horse battery"});
        let response = http.post(format!("{url}/api/v1/accounts")).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 201);
        let body: Value = response.json().await.unwrap();
        Person {
            id: serde_json::from_value(body["user"]["id"].clone()).unwrap(),
            username: username.into(),
            token: body["token"].as_str().unwrap().into(),
            url,
            http,
        }
    }
}

impl Person {
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>, op: Option<Uuid>) -> Answer {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}/api/v1{path}", self.url));
        request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(op) = op {
            request = request.header("idempotency-key", op.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body), None).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, Some(body), None).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None, None).await
    }

    pub async fn put(&self, path: &str) -> Answer {
        self.call("PUT", path, None, None).await
    }

    /// An open connection, before its connect command.
    pub async fn socket(&self) -> Live {
        let url = self.url.replace("http://", "ws://") + "/connection/websocket";
        Live::open(url).await
    }

    /// An open connection, connected as this person.
    pub async fn live(&self) -> Live {
        let mut live = self.socket().await;
        live.request(json!({"connect": {"token": self.token, "name": "it"}})).await.unwrap();
        live
    }

    /// The same person with another sign-in.
    pub fn again(&self, token: &str) -> Person {
        let (url, http) = (self.url.clone(), self.http.clone());
        Person { id: self.id, username: self.username.clone(), token: token.into(), url, http }
    }

    pub fn channel(&self) -> String {
        format!("user:{}", self.id)
    }
}

/// One live connection. It answers pings and keeps pushes until they are asked for.
pub struct Live {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    lines: VecDeque<Value>,
    pushes: VecDeque<Value>,
    next_id: u32,
    pub closed: Option<(u16, String)>,
}

impl Live {
    /// Opens a connection with any request.
    pub async fn open(request: impl IntoClientRequest + Unpin) -> Live {
        let (stream, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Live { stream, lines: VecDeque::new(), pushes: VecDeque::new(), next_id: 1, closed: None }
    }

    /// Sends a frame as it is.
    pub async fn send_raw(&mut self, frame: &str) {
        self.send_message(Message::text(frame)).await;
    }

    /// Sends any message.
    pub async fn send_message(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Sends a command and returns its id.
    pub async fn send(&mut self, mut command: Value) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        command["id"] = id.into();
        self.send_raw(&command.to_string()).await;
        id
    }

    /// Sends a command and waits for its reply.
    pub async fn request(&mut self, command: Value) -> Result<Value, Value> {
        let id = self.send(command).await;
        self.reply(id).await
    }

    /// Waits for the reply to `id`.
    pub async fn reply(&mut self, id: u32) -> Result<Value, Value> {
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("closed {:?} before reply {id}", self.closed));
            if line["id"] == id {
                return match line.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(line),
                };
            }
            self.pushes.extend(line.get("push").cloned());
        }
    }

    /// Subscribes from the head.
    pub async fn subscribe(&mut self, channel: &str) -> Value {
        self.request(json!({"subscribe": {"channel": channel}})).await.unwrap()["subscribe"].clone()
    }

    /// Subscribes from a position.
    pub async fn subscribe_from(&mut self, channel: &str, position: &Value) -> Result<Value, Value> {
        let subscribe = json!({"channel": channel, "flag": 3, "recover": true,
            "offset": position["offset"], "epoch": position["epoch"]});
        self.request(json!({"subscribe": subscribe})).await.map(|reply| reply["subscribe"].clone())
    }

    /// Runs a command.
    pub async fn rpc(&mut self, method: &str, data: Value) -> Result<Value, Value> {
        self.request(json!({"rpc": {"method": method, "data": data}})).await.map(|reply| reply["rpc"]["data"].clone())
    }

    /// Publishes a slot value or a broadcast.
    pub async fn publish(&mut self, channel: &str, data: Value) -> Result<Value, Value> {
        self.request(json!({"publish": {"channel": channel, "data": data}})).await
    }

    /// The next push.
    pub async fn push(&mut self) -> Value {
        if let Some(push) = self.pushes.pop_front() {
            return push;
        }
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("closed {:?} before a push", self.closed));
            if let Some(push) = line.get("push") {
                return push.clone();
            }
        }
    }

    /// The next numbered event: its offset and payload.
    pub async fn event(&mut self) -> (u64, Value) {
        loop {
            let push = self.push().await;
            if let Some(offset) = push["pub"]["offset"].as_u64() {
                return (offset, push["pub"]["data"].clone());
            }
        }
    }

    /// Everything that was pushed before now: a request is the barrier, since replies and pushes share
    /// one order. Slots and events of other people's commands are in once those were answered.
    pub async fn drain(&mut self) -> Vec<Value> {
        self.request(json!({"ping": {}})).await.unwrap();
        // News that was marked before the reply was gathered goes out with it or right behind it.
        self.request(json!({"ping": {}})).await.unwrap();
        self.pushes.drain(..).collect()
    }

    /// One line from the server; `None` when the connection is closed. Pings are answered and do not count: a line
    /// that never comes is not waited for from ping to ping.
    pub async fn line(&mut self) -> Option<Value> {
        tokio::time::timeout(PATIENCE, self.next_line()).await.expect("nothing came")
    }

    async fn next_line(&mut self) -> Option<Value> {
        loop {
            while let Some(line) = self.lines.pop_front() {
                if line == json!({}) {
                    self.send_raw("{}").await;
                } else {
                    return Some(line);
                }
            }
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    let lines = text.split('\n').map(|line| serde_json::from_str(line).expect(line));
                    self.lines.extend(lines);
                }
                Some(Ok(Message::Close(frame))) => {
                    self.closed = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                    return None;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Waits for the close and returns its code and reason.
    pub async fn close_code(&mut self) -> (u16, String) {
        let closed = async { while self.next_line().await.is_some() {} };
        tokio::time::timeout(PATIENCE, closed).await.expect("not closed");
        self.closed.clone().expect("closed without a close frame")
    }

    /// Closes from this side.
    pub async fn bye(mut self) {
        let _ = self.stream.close(None).await;
        while let Some(Ok(_)) = self.stream.next().await {}
    }

    /// Takes the connection apart without a word, as a lost one.
    pub fn vanish(self) {
        if let MaybeTlsStream::Plain(stream) = self.stream.into_inner() {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}
