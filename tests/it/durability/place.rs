//! A node, or several, and people who send commands to them that may be lost on the way.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::harness::{self, Person};

/// Every way to a transaction that the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A command alone.
    Alone,
    /// Together with any others, a row each.
    Row,
    /// In the lane of an author.
    Lane,
    /// One that keeps no operation id.
    Run,
}

pub const WAYS: [Way; 4] = [Way::Alone, Way::Row, Way::Lane, Way::Run];

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub retry_after: bool,
    pub body: Value,
    pub took: Duration,
}

/// Somebody with a task and a post in sight.
pub struct Client {
    pub token: String,
    http: reqwest::Client,
    pub task: String,
    pub post: Uuid,
}

/// A command that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub way: Way,
    pub op: Uuid,
    pub reply: Option<Reply>,
}

impl Client {
    /// Signs somebody up at this node and gives them a task; they will like this post.
    pub async fn new(url: &str, name: &str, post: Uuid) -> Self {
        let person = harness::sign_up(url, name).await;
        Self { post, ..Self::of(&person).await }
    }

    /// Gives this person a task.
    pub async fn of(person: &Person) -> Self {
        let list = person.post("/task-lists", json!({"name": "list"})).await.expect(201);
        let path = format!("/task-lists/{}/tasks", list["data"]["id"].as_str().unwrap());
        let task = person.post(&path, json!({"description": "read"})).await.expect(201);
        let task = task["data"]["id"].as_str().unwrap().to_owned();
        Self { token: person.token.clone(), http: reqwest::Client::new(), task, post: Uuid::nil() }
    }

    /// A request that may get no answer.
    pub async fn request(
        &self,
        url: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        op: Option<Uuid>,
    ) -> Option<Reply> {
        let began = Instant::now();
        let mut request = self.http.request(method.parse().unwrap(), format!("{url}/api/v1{path}"));
        request = request.bearer_auth(&self.token);
        if let Some(body) = &body {
            request = request.json(body);
        }
        if let Some(op) = op {
            request = request.header("idempotency-key", op.to_string());
        }
        let response = request.send().await.ok()?;
        let (status, retry_after) = (response.status().as_u16(), response.headers().contains_key("retry-after"));
        let body = response.json().await.ok()?;
        Some(Reply { status, retry_after, body, took: began.elapsed() })
    }

    /// A command that shows in the database under its operation id.
    pub async fn send(&self, url: &str, way: Way, op: Uuid) -> Sent {
        let name = name(op);
        let reply = match way {
            Way::Alone => self.request(url, "POST", "/task-lists", Some(json!({"name": name})), Some(op)).await,
            Way::Row => {
                let path = format!("/tasks/{}", self.task);
                self.request(url, "PATCH", &path, Some(json!({"description": name})), Some(op)).await
            }
            Way::Lane => {
                // In turn, so that each does something.
                let method = if op.as_u128().is_multiple_of(2) { "PUT" } else { "DELETE" };
                self.request(url, method, &format!("/posts/{}/like", self.post), None, Some(op)).await
            }
            Way::Run => {
                let body = json!({"username": name, "password": "correct horse battery"});
                self.request(url, "POST", "/accounts", Some(body), None).await
            }
        };
        Sent { way, op, reply }
    }

    /// The same command until it is known what became of it.
    pub async fn insist(&self, url: &str, sent: &Sent) -> Reply {
        let deadline = Instant::now() + harness::PATIENCE;
        loop {
            let again = self.send(url, sent.way, sent.op).await;
            if let Some(reply) = again.reply.filter(|reply| reply.status != 503) {
                return reply;
            }
            assert!(Instant::now() < deadline, "{sent:?} is never answered");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What a command writes.
fn name(op: Uuid) -> String {
    format!("n{:x}", op.as_u128() >> 16)
}

/// A post to like.
pub async fn post(pool: &PgPool, author: &Person) -> Uuid {
    let insert = sqlx::query_scalar("insert into posts (user_id, content) values ($1, 'chapter 3') returning id");
    insert.bind(author.id).fetch_one(pool).await.unwrap()
}

/// How often a command shows in the database.
pub async fn effects(pool: &PgPool, sent: &Sent) -> i64 {
    let count = match sent.way {
        Way::Alone => "select count(*) from task_lists where name = $1",
        Way::Row => "select count(*) from events where type = 'task.updated' and data->>'description' = $1",
        Way::Run => "select count(*) from users where username = $1",
        Way::Lane => "select count(*) from operations where op = $1::uuid",
    };
    let by = if sent.way == Way::Lane { sent.op.to_string() } else { name(sent.op) };
    sqlx::query_scalar(count).bind(by).fetch_one(pool).await.unwrap()
}

/// Every log is dense up to its head, and what the server acknowledged is there, once.
pub async fn verify(pool: &PgPool, sent: &[Sent]) {
    let broken: Vec<(String, i64, i64)> = sqlx::query_as(
        r#"select h.channel, h.head, count(e.*) from channel_heads h left join events e on e.channel = h.channel
           group by h.channel, h.head, h.floor
           having count(e.*) <> h.head - h.floor + 1 or count(distinct e."offset") <> count(e.*)"#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(broken.is_empty(), "logs with holes: {broken:?}");
    for sent in sent {
        let effects = effects(pool, sent).await;
        let acknowledged = sent.reply.as_ref().is_some_and(|reply| reply.status < 300);
        assert!(effects <= 1, "{sent:?} was done {effects} times");
        assert!(effects == 1 || !acknowledged, "{sent:?} is lost");
        if acknowledged && sent.way != Way::Run {
            let stored: String = sqlx::query_scalar("select answer::text from operations where op = $1")
                .bind(sent.op)
                .fetch_one(pool)
                .await
                .unwrap();
            let answered = &sent.reply.as_ref().unwrap().body;
            assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), *answered, "{sent:?}");
        }
    }
}

/// Waits for what is to become true, and says how long it took.
pub async fn until(what: &str, within: Duration, mut there: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !there().await {
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}
