//! One operation id at several nodes and both doors at once, and errors in the middle of a transaction.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::place::{post, until};
use crate::harness::{self, Live, Person, TestApp};

/// Three nodes over one database.
async fn three() -> [TestApp; 3] {
    let first = harness::app().await;
    let (second, third) = (first.beside(|_| {}).await, first.beside(|_| {}).await);
    [first, second, third]
}

/// One command for REST and for `rpc`.
struct Both {
    call: (&'static str, String, Option<Value>),
    rpc: (&'static str, Value),
}

async fn everywhere(person: &Person, nodes: &[TestApp], lives: &mut [Live], both: &Both, op: Uuid) -> Vec<Duration> {
    let (method, path, body) = &both.call;
    let rest = nodes.iter().map(async |node| {
        let began = Instant::now();
        let answer = person.at(&node.url()).call(method, path, body.clone(), Some(op)).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        (answer.body, began.elapsed())
    });
    let mut data = both.rpc.1.clone();
    data["op"] = json!(op);
    let rpc = lives.iter_mut().map(|live| {
        let data = data.clone();
        async move {
            let began = Instant::now();
            (live.rpc(both.rpc.0, data).await.unwrap(), began.elapsed())
        }
    });
    let (rest, rpc) = tokio::join!(join_all(rest), join_all(rpc));
    let answers: Vec<(Value, Duration)> = rest.into_iter().chain(rpc).collect();
    assert!(answers.iter().all(|(answer, _)| *answer == answers[0].0), "{answers:?}");
    answers.into_iter().map(|(_, took)| took).collect()
}

/// So many ids of each kind of command, each at three nodes and by both doors at the same moment.
async fn at_once(rounds: usize) {
    let nodes = three().await;
    let ada = nodes[0].person("ada").await;
    let post = post(&nodes[0].database.pool, &nodes[0].person("author").await).await;
    let list = ada.post("/task-lists", json!({"name": "list"})).await.expect(201)["data"]["id"].clone();
    let path = format!("/task-lists/{}/tasks", list.as_str().unwrap());
    let task = ada.post(&path, json!({"description": "read"})).await.expect(201)["data"]["id"].clone();
    let mut lives = Vec::new();
    for node in &nodes {
        lives.push(ada.at(&node.url()).live().await);
    }
    let mut took = Vec::new();
    for round in 0..rounds {
        let name = format!("list {round}");
        let list = Both {
            call: ("POST", "/task-lists".into(), Some(json!({"name": name}))),
            rpc: ("task_list.create", json!({"name": name})),
        };
        let description = format!("chapter {round}");
        let tick = Both {
            call: ("PATCH", format!("/tasks/{}", task.as_str().unwrap()), Some(json!({"description": description}))),
            rpc: ("task.update", json!({"id": task, "description": description})),
        };
        let (method, rpc) = if round % 2 == 0 { ("PUT", "post.like") } else { ("DELETE", "post.unlike") };
        let like = Both { call: (method, format!("/posts/{post}/like"), None), rpc: (rpc, json!({"post_id": post})) };
        for both in [list, tick, like] {
            took.extend(everywhere(&ada, &nodes, &mut lives, &both, Uuid::new_v4()).await);
        }
    }
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    println!("{} ids, {} answers, p99 {p99:?}, slowest {:?}", 3 * rounds, took.len(), took.last().unwrap());
    let doubled: i64 = sqlx::query_scalar(
        "select count(*) from (select op, type from events where op is not null group by op, type, channel
         having count(*) > 1) doubled",
    )
    .fetch_one(&nodes[0].database.pool)
    .await
    .unwrap();
    assert_eq!(doubled, 0);
    let lists: i64 = sqlx::query_scalar("select count(*) from task_lists where name like 'list %'")
        .fetch_one(&nodes[0].database.pool)
        .await
        .unwrap();
    assert_eq!(lists, rounds as i64);
    assert!(p99 < Duration::from_secs(1), "{p99:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_operation_id_at_three_nodes_and_both_doors() {
    at_once(15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn five_hundred_operation_ids_at_three_nodes_and_both_doors() {
    at_once(167).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_id_is_for_one_body_and_one_person_at_any_node() {
    let nodes = three().await;
    let (ada, bob) = (nodes[0].person("ada").await, nodes[0].person("bob").await);
    let op = Uuid::new_v4();
    let mine = ada.call("POST", "/task-lists", Some(json!({"name": "mine"})), Some(op)).await.expect(201);
    for node in &nodes {
        let there = ada.at(&node.url());
        let other = there.call("POST", "/task-lists", Some(json!({"name": "other"})), Some(op)).await.expect(422);
        assert_eq!(other["code"], "op_reused");
        let error = there.live().await.rpc("task_list.create", json!({"name": "other", "op": op})).await.unwrap_err();
        assert_eq!(error["code"], 1_422);
        let again = there.call("POST", "/task-lists", Some(json!({"name": "mine"})), Some(op)).await.expect(201);
        assert_eq!(again, mine);
    }
    let theirs = bob.at(&nodes[1].url()).call("POST", "/task-lists", Some(json!({"name": "other"})), Some(op)).await;
    assert_ne!(theirs.expect(201)["data"]["id"], mine["data"]["id"], "another person's id is another id");
    let count = "select count(*) from task_lists";
    for _ in 0..2 {
        ada.post("/task-lists", json!({"name": "unprotected"})).await.expect(201);
    }
    let all: i64 = sqlx::query_scalar(count).fetch_one(&nodes[0].database.pool).await.unwrap();
    assert_eq!(all, 4, "without an id each is a command of its own");
}

/// A command that PostgreSQL chooses as the victim of a deadlock is done once all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_nobodys_error() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let list = ada.post("/task-lists", json!({"name": "list"})).await.expect(201)["data"]["id"].clone();
    let list: Uuid = serde_json::from_value(list).unwrap();
    let pool = &app.database.pool;
    let mut rival = pool.begin().await.unwrap();
    // Who looks for deadlocks first is the victim.
    sqlx::query("set local deadlock_timeout = '1min'").execute(&mut *rival).await.unwrap();
    sqlx::query("select from task_lists where id = $1 for update").bind(list).execute(&mut *rival).await.unwrap();
    let op = Uuid::new_v4();
    let path = format!("/task-lists/{list}");
    let renaming = ada.call("PATCH", &path, Some(json!({"name": "renamed"})), Some(op));
    let crossing = async {
        until("it waits for the row", harness::PATIENCE, async || {
            let waiting = "select count(*) from pg_stat_activity where datname = current_database()
                and wait_event_type = 'Lock'";
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() > 0
        })
        .await;
        let head = sqlx::query("select from channel_heads where channel = $1 for update").bind(ada.channel());
        head.execute(&mut *rival).await.unwrap();
        rival.commit().await.unwrap();
    };
    let (renamed, ()) = tokio::join!(renaming, crossing);
    renamed.expect(200);
    let deadlocks: i64 =
        sqlx::query_scalar("select count(*) from events where op = $1").bind(op).fetch_one(pool).await.unwrap();
    assert_eq!(deadlocks, 1, "one event");
    let log = std::fs::read_to_string(app.database.log()).unwrap();
    assert!(log.contains("deadlock detected"), "there was one");
}

/// What the schema refuses in the middle of a transaction is refused with a reason, and leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_schema_refuses_leaves_nothing() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let body = json!({"username": "ada", "password": "correct horse battery"});
    assert_eq!(bob.post("/accounts", body).await.expect(409)["code"], "username_taken");
    let op = Uuid::new_v4();
    let itself = format!("/users/{}/follow", ada.id);
    assert_eq!(ada.call("PUT", &itself, None, Some(op)).await.status, 422);
    let nobody = format!("/users/{}/follow", Uuid::new_v4());
    assert_eq!(ada.call("PUT", &nobody, None, Some(Uuid::new_v4())).await.status, 404);
    let pool = &app.database.pool;
    for left in [
        "select count(*) from operations where answer is not null",
        "select count(*) from follows",
        "select count(*) from events where type not like 'sign%'",
    ] {
        assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(pool).await.unwrap(), 0, "{left}");
    }
}
