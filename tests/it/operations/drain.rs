//! A node that is told to end loses nothing: what runs is answered, what does not run may be sent again, everybody is told.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::stream::Stream;
use super::{ask, eventually, refused};
use crate::faults::node::Node;
use crate::harness::{self, Live, Person};

/// A node that was told to end is gone within this.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// Keeps every command of a person waiting until this is dropped.
async fn hold(pool: &PgPool, person: &Person) -> Transaction<'static, Postgres> {
    let mut held = pool.begin().await.unwrap();
    let lock = "select head from channel_heads where channel = $1 for update";
    sqlx::query(lock).bind(person.channel()).execute(&mut *held).await.unwrap();
    held
}

async fn waits(pool: &PgPool) -> i64 {
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(waiting).fetch_one(pool).await.unwrap()
}

async fn readiness(url: &str) -> (u16, Value) {
    let answer = ask("GET", &format!("{url}/readyz"), "", None).await.expect("the listener is open");
    (answer.status, answer.body["status"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_goes_away_says_so_first_and_finishes_what_runs() {
    let database = harness::database().await;
    let settings = [("STUDYHALL_DRAIN_NOTICE_SECONDS", "2"), ("STUDYHALL_DRAIN_SECONDS", "1")];
    let mut node = Node::start_with(&database.url, None, &settings).await;
    let url = node.url.clone();
    let (aiko, ben) = (harness::sign_up(&url, "aiko").await, harness::sign_up(&url, "ben").await);
    aiko.patch("/me/settings", json!({"theme": "light"})).await.expect(200);
    let (mut idle, mut busy, mut stream) = (ben.live().await, aiko.live().await, Stream::open(&url, &ben.token).await);

    let told = Instant::now();
    node.signal(Signal::SIGTERM);
    eventually("not ready", async || (readiness(&url).await == (503, json!("draining"))).then_some(())).await;
    println!("not ready after {:?}", told.elapsed());
    // Nobody has noticed yet: everything goes on, but connections are not kept.
    let answer = ask("GET", &format!("{url}/api/v1/me"), &ben.token, None).await.unwrap();
    assert_eq!((answer.status, answer.connection.as_deref()), (200, Some("close")));
    let mut late = ben.live().await;
    assert!(idle.rpc("settings.update", json!({"theme": "dark"})).await.is_ok());
    // A command that is under way when the notice is over. It waits for the lock for two seconds and no longer.
    tokio::time::sleep_until((told + Duration::from_millis(1_500)).into()).await;
    let held = hold(&database.pool, &aiko).await;
    let running = busy.send(json!({"rpc": {"method": "settings.update", "data": {"theme": "dark"}}})).await;
    eventually("the command runs", async || (waits(&database.pool).await > 0).then_some(())).await;
    assert!(told.elapsed() < Duration::from_secs(2), "too slow to see the notice: {:?}", told.elapsed());

    let (status, retry_after) = eventually("no new sockets", async || refused(&url).await).await;
    assert!((Duration::from_secs(2)..Duration::from_secs(4)).contains(&told.elapsed()), "{:?}", told.elapsed());
    assert_eq!((status, retry_after.as_deref()), (503, Some("1")));
    for (method, path, body) in [("GET", "/api/v1/me", None), ("POST", "/api/v1/task-lists", Some("{\"name\": \"x\"}"))]
    {
        let answer = ask(method, &format!("{url}{path}"), &ben.token, body).await.expect("the listener is open");
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("shutting_down")), "{method} {path}");
        assert_eq!((answer.retry_after.as_deref(), answer.connection.as_deref()), (Some("1"), Some("close")));
    }
    let stream_refused = ask("POST", &format!("{url}/connection/http_stream"), "", Some("{}")).await.unwrap();
    assert_eq!((stream_refused.status, stream_refused.retry_after.as_deref()), (503, Some("1")));
    assert_eq!(readiness(&url).await, (503, json!("draining")));
    assert_eq!(ask("GET", &format!("{url}/livez"), "", None).await.unwrap().status, 200);

    for live in [&mut idle, &mut late] {
        assert_eq!(live.close_code().await.0, 3001);
    }
    let last = stream.line().await.unwrap();
    assert_eq!(last["push"]["disconnect"]["code"], 3001, "{last}");
    assert_eq!(stream.line().await, None);
    held.rollback().await.unwrap();
    assert!(busy.reply(running).await.is_ok(), "what ran was not answered");
    assert_eq!(busy.close_code().await.0, 3001);
    let ended = node.ended(GONE_WITHIN).await.expect("it ends");
    println!("gone after {:?}", told.elapsed());
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let database = harness::database().await;
    let mut node = Node::start_with(&database.url, None, &[("STUDYHALL_DRAIN_NOTICE_SECONDS", "10")]).await;
    let url = node.url.clone();
    node.signal(Signal::SIGTERM);
    eventually("not ready", async || (readiness(&url).await.0 == 503).then_some(())).await;
    let again = Instant::now();
    node.signal(Signal::SIGTERM);
    let ended = node.ended(Duration::from_secs(2)).await.expect("it ends at once");
    println!("gone {:?} after the second signal", again.elapsed());
    assert_eq!(ended.code(), Some(130));
}

/// What one client has sent.
struct Sent {
    op: Uuid,
    data: Value,
    answer: Option<Value>,
}

/// Sends commands in one go, and hears answers until the connection is closed.
async fn pipeline(mut live: Live, commands: usize) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut ids = Vec::new();
    for number in 0..commands {
        let (op, data) = (Uuid::new_v4(), json!({"number": number, "op": Uuid::new_v4()}));
        let command = json!({"method": "settings.update", "data": {"data": data, "op": op}});
        ids.push(live.send(json!({ "rpc": command })).await);
        sent.push(Sent { op, data, answer: None });
    }
    while let Some(line) = live.line().await {
        if let Some(index) = ids.iter().position(|id| line["id"] == *id) {
            assert!(line.get("error").is_none(), "{line}");
            sent[index].answer = Some(line["rpc"]["data"].clone());
        }
    }
    assert_eq!(live.closed.as_ref().map(|closed| closed.0), Some(3001), "{:?}", live.closed);
    sent
}

/// A node ends with commands in flight, comes back, and clients send again what was not answered: each command has one
/// effect, and every answer stands.
async fn restarts_with_commands_in_flight(rounds: usize) {
    const CLIENTS: usize = 20;
    const EACH: usize = 10;
    let seed = harness::seed();
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let database = harness::database().await;
    let settings = [("STUDYHALL_DRAIN_NOTICE_SECONDS", "0"), ("STUDYHALL_DRAIN_SECONDS", "0.2")];
    let mut node = Node::start_with(&database.url, None, &settings).await;
    let mut people = Vec::new();
    for number in 0..4 {
        people.push(harness::sign_up(&node.url, &format!("person{number}")).await);
    }
    let mut ops = Vec::new();
    let (mut answered, mut unanswered, mut slowest) = (0, 0, Duration::ZERO);
    for _ in 0..rounds {
        let lives = join_all((0..CLIENTS).map(|number| people[number % 4].live())).await;
        let clients: Vec<_> = lives.into_iter().map(|live| tokio::spawn(pipeline(live, EACH))).collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(0..150))).await;
        let told = Instant::now();
        node.signal(Signal::SIGTERM);
        let ended = node.ended(GONE_WITHIN).await.expect("it ends");
        assert!(ended.success(), "{ended}");
        slowest = slowest.max(told.elapsed());
        node.again().await;
        for (number, client) in clients.into_iter().enumerate() {
            let person = people[number % 4].at(&node.url);
            for sent in client.await.unwrap() {
                let body = json!({"data": sent.data});
                let again = person.call("PATCH", "/me/settings", Some(body), Some(sent.op)).await.expect(200);
                match sent.answer {
                    Some(first) => {
                        assert_eq!((&first["data"], &first["positions"]), (&again["data"], &again["positions"]))
                    }
                    None => unanswered += 1,
                }
                answered += 1;
                ops.push(sent.op);
            }
        }
    }
    println!("{answered} commands, {unanswered} of them unanswered at first; gone within {slowest:?}");
    assert_eq!(answered, rounds * CLIENTS * EACH);
    assert!(unanswered < answered, "nothing was in flight");
    let effects = "select count(*), count(distinct op) from events where op = any($1)";
    let (events, distinct): (i64, i64) = sqlx::query_as(effects).bind(&ops).fetch_one(&database.pool).await.unwrap();
    assert_eq!((events, distinct), (answered as i64, answered as i64), "one effect each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_in_flight_are_answered_or_safe_to_send_again() {
    restarts_with_commands_in_flight(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn twenty_restarts_with_commands_in_flight() {
    restarts_with_commands_in_flight(20).await;
}
