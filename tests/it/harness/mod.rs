//! What tests share: a private PostgreSQL, an application on a port of its own, people who use it.

pub mod described;
mod live;
#[path = "../../../protocol/tests/documents/validate.rs"]
mod validate;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use studyhall::app::App;
use studyhall::config::Config;
use studyhall::domain::seed::{Member, Wanted, make_crowd};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use live::Live;

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

impl Database {
    /// What its PostgreSQL has logged, for all databases.
    pub fn log(&self) -> PathBuf {
        let host = self.url.split("host=").nth(1).unwrap().split('&').next().unwrap().replace("%2F", "/");
        PathBuf::from(host).parent().unwrap().join("postgres.log")
    }
}

/// Everything that this test run writes.
fn data() -> PathBuf {
    std::env::temp_dir().join(format!("studyhall-it-{}", std::process::id()))
}

/// The one cluster of this test run, with a migrated template in it. It runs on a thread that nobody
/// joins; a watchdog that reads from us stops it when this process is gone, however that happens.
fn cluster() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let data = data();
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
    // The watchdog removes what is in there.
    config.data = data().join("node");
    // No balancer has to notice.
    config.drain_notice_seconds = 0.0;
    config
}

/// Starts an application with default settings.
pub async fn app() -> TestApp {
    app_with(|_| {}).await
}

/// Starts an application with other settings.
pub async fn app_with(change: impl FnOnce(&mut Config)) -> TestApp {
    app_at(database().await, change).await
}

/// Starts an application over this database.
pub async fn app_at(database: Database, change: impl FnOnce(&mut Config)) -> TestApp {
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
    /// Another node over the same database.
    pub async fn beside(&self, change: impl FnOnce(&mut Config)) -> TestApp {
        app_at(Database { pool: self.database.pool.clone(), url: self.database.url.clone() }, change).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Tells it to end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Signs somebody up.
    pub async fn person(&self, username: &str) -> Person {
        sign_up(&self.url(), username).await
    }
}

/// A client that gives up idle connections before a node does, as one that nobody repeats for has to.
fn http() -> reqwest::Client {
    reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(5)).build().unwrap()
}

/// Signs somebody up, wherever.
pub async fn sign_up(url: &str, username: &str) -> Person {
    let http = http();
    let body = json!({"username": username, "password": "correct horse battery"});
    let response = http.post(format!("{url}/api/v1/accounts")).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let body: Value = response.json().await.unwrap();
    Person {
        id: serde_json::from_value(body["user"]["id"].clone()).unwrap(),
        username: username.into(),
        token: body["token"].as_str().unwrap().into(),
        url: url.into(),
        http,
    }
}

/// People who are signed in already, in rooms of so many; with each the channel of their room.
pub async fn crowd(app: &TestApp, people: usize, room: usize) -> Vec<(Person, String)> {
    let wanted = Wanted { people, room, follows: 0 };
    let made = make_crowd(&app.app.state.db, wanted).await.unwrap();
    let http = http();
    let person = |member: Member| {
        let room = member.room.map_or_else(String::new, |room| format!("workspace:{room}"));
        let username = format!("crowd-{}", member.id.simple());
        (Person { id: member.id, username, token: member.token, url: app.url(), http: http.clone() }, room)
    };
    made.into_iter().map(person).collect()
}

impl Person {
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>, op: Option<Uuid>) -> Answer {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}/api/v1{path}", self.url));
        request = request.bearer_auth(&self.token);
        if let Some(body) = &body {
            request = request.json(body);
        }
        if let Some(op) = op {
            request = request.header("idempotency-key", op.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
        described::rest(method, path, body.as_ref(), status, &answer);
        Answer { status, body: answer }
    }

    /// A request of this person, for what is not JSON.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method.parse().unwrap(), format!("{}/api/v1{path}", self.url));
        request.bearer_auth(&self.token)
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

    /// The same person, by way of another node.
    pub fn at(&self, url: &str) -> Person {
        Person { url: url.into(), ..self.again(&self.token) }
    }

    /// The same person with another sign-in.
    pub fn again(&self, token: &str) -> Person {
        let (url, http) = (self.url.clone(), self.http.clone());
        Person { id: self.id, username: self.username.clone(), token: token.into(), url, http }
    }

    /// Of the node that they use.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn channel(&self) -> String {
        format!("user:{}", self.id)
    }
}
