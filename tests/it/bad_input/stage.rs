//! A small world with something of everything, the rows in it, and witnesses who must not notice anything.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

use crate::harness::{self, Live, Person, TestApp};

/// Ada owns a room with Bob; Cleo was in it; Eve is a stranger.
pub struct Stage {
    pub app: TestApp,
    pub ada: Person,
    pub bob: Person,
    pub cleo: Person,
    pub eve: Person,
    ids: Vec<(&'static str, String)>,
    http: reqwest::Client,
    /// Of Ada, for rpc.
    pub live: Live,
    witnesses: Vec<Live>,
}

/// An answer as it is.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Reply {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A problem with this status and code; returns it.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert!(self.headers.contains_key("x-request-id"));
        self.body
    }
}

static PANICS: AtomicU32 = AtomicU32::new(0);

/// Counts panics of the server, which runs in this process.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.location().is_none_or(|place| !place.file().starts_with("tests/")) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            usual(info);
        }));
    });
}

pub async fn stage() -> Stage {
    count_panics();
    let app = harness::app_with(|config| {
        config.commands_per_second = 1_000_000;
        config.commands_burst = 1_000_000;
    })
    .await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (cleo, eve) = (app.person("cleo").await, app.person("eve").await);
    let id = |made: &Value| made["data"]["id"].as_str().unwrap().to_owned();
    let list = id(&ada.post("/task-lists", json!({"name": "list"})).await.expect(201));
    let tasks = format!("/task-lists/{list}/tasks");
    let task = id(&ada.post(&tasks, json!({"description": "one"})).await.expect(201));
    let task2 = id(&ada.post(&tasks, json!({"description": "two"})).await.expect(201));
    let room = id(&ada.post("/workspaces", json!({"name": "room"})).await.expect(201));
    ada.put(&format!("/workspaces/{room}/members/{}", bob.id)).await.expect(201);
    ada.put(&format!("/workspaces/{room}/members/{}", cleo.id)).await.expect(201);
    ada.delete(&format!("/workspaces/{room}/members/{}", cleo.id)).await.expect(200);
    let body = json!({"type": "clock", "grid_x": 0, "grid_y": 0, "grid_w": 1, "grid_h": 1});
    let widget = id(&ada.post(&format!("/workspaces/{room}/widgets"), body).await.expect(201));
    let post = id(&ada.post("/posts", json!({"content": "post"})).await.expect(201));
    let comment = id(&ada.post(&format!("/posts/{post}/comments"), json!({"body": "comment"})).await.expect(201));
    let file = ada.request("POST", "/attachments?file_name=file").body("file").send().await.unwrap();
    let file = id(&file.json().await.unwrap());
    let day = |title: &str| json!({"event_date": "2026-11-24", "title": title});
    let event = id(&ada.post("/calendar-events", day("one")).await.expect(201));
    let event2 = id(&ada.post("/calendar-events", day("two")).await.expect(201));
    let never = json!({"remind_at": "2998-01-01T00:00:00Z"});
    let reminder = id(&ada.post(&format!("/calendar-events/{event}/reminders"), never).await.expect(201));
    let told = "insert into notifications (user_id, kind, actor_id) values ($1, 'follow', $2) returning id";
    let told = sqlx::query_scalar::<_, Uuid>(told).bind(ada.id).bind(bob.id).fetch_one(&app.database.pool).await;
    let notification = told.unwrap().to_string();
    let again = json!({"username": "ada", "password": "correct horse battery"});
    let other = ada.post("/sessions", again).await.expect(201)["token"].as_str().unwrap().to_owned();
    let sessions = ada.again(&other).get("/sessions").await.expect(200);
    let session = sessions["items"].as_array().unwrap().iter().find(|item| item["current"] == true).unwrap();
    let session = session["id"].as_str().unwrap().to_owned();
    let ids = [("list", list), ("task", task), ("task2", task2), ("widget", widget), ("session", session)];
    let mut ids = Vec::from(ids);
    ids.push(("file", file));
    ids.extend([("room", room.clone()), ("drag", Uuid::new_v4().to_string()), ("post", post), ("comment", comment)]);
    ids.extend(study(&ada, &bob).await);
    ids.extend([("event", event), ("event2", event2), ("reminder", reminder), ("notification", notification)]);
    for (name, person) in [("ada", &ada), ("bob", &bob), ("cleo", &cleo), ("eve", &eve)] {
        ids.push((name, person.id.to_string()));
    }
    let (live, mut mine, mut theirs) = (ada.live().await, ada.live().await, bob.live().await);
    mine.subscribe(&ada.channel()).await;
    theirs.subscribe(&format!("workspace:{room}")).await;
    theirs.subscribe(&bob.channel()).await;
    let http = reqwest::Client::new();
    Stage { app, ada, bob, cleo, eve, ids, http, live, witnesses: vec![mine, theirs] }
}

/// What Ada studies, a course of it with Bob.
async fn study(ada: &Person, bob: &Person) -> Vec<(&'static str, String)> {
    let mut ids = Vec::new();
    let playlist = json!({"title": "list", "provider": "vimeo", "embed_url": "https://player.vimeo.com/video/0"});
    for (name, path, body) in [
        ("course", "/courses", json!({"name": "course"})),
        ("assignment", "/assignments", json!({"title": "due"})),
        ("resource", "/resources", json!({"label": "one"})),
        ("resource2", "/resources", json!({"label": "two"})),
        ("focus", "/focus-entries", json!({"title": "one"})),
        ("focus2", "/focus-entries", json!({"title": "two"})),
        ("playlist", "/playlists", playlist.clone()),
        ("playlist2", "/playlists", playlist),
    ] {
        let made = ada.post(path, body).await.expect(201);
        ids.push((name, made["data"]["id"].as_str().unwrap().to_owned()));
    }
    ada.put(&format!("/courses/{}/members/{}", ids[0].1, bob.id)).await.expect(200);
    let body = json!({"scope": "day", "value": 0});
    let made = ada.call("PUT", "/progress-metrics", Some(body), None).await.expect(200);
    ids.push(("metric", made["data"]["id"].as_str().unwrap().to_owned()));
    ids
}

impl Stage {
    /// Puts ids in.
    pub fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, id) in &self.ids {
            text = text.replace(&format!("{{{name}}}"), id);
        }
        text
    }

    pub fn id(&self, name: &str) -> &str {
        &self.ids.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Another id under the same name.
    pub fn set(&mut self, name: &str, id: &str) {
        self.ids.iter_mut().find(|(known, _)| *known == name).unwrap().1 = id.to_owned();
    }

    /// Sends bytes as Ada, as JSON unless told otherwise.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let token = format!("Bearer {}", self.ada.token);
        let mut all = vec![("authorization", token.as_str()), ("content-type", "application/json")];
        all.retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
        all.extend(headers.iter().filter(|(_, value)| !value.is_empty()));
        self.bare(method, path, &all, body).await
    }

    /// Sends bytes with these headers only.
    pub async fn bare(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let url = format!("{}/api/v1{path}", self.app.url());
        let mut request = self.http.request(method.parse().unwrap(), url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        assert!(status < 500 || status == 503, "{method} {path}: {status} {text}");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        harness::described::rest(method, path, None, status, &body);
        Reply { status, headers, body }
    }

    /// Sends bytes over TCP as they are and returns all that comes until the end, which must come soon.
    pub async fn raw(&self, request: &[u8]) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.app.address).await.unwrap();
        // A server that answers early may close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let mut part = [0_u8; 4_096];
        loop {
            match tokio::time::timeout(harness::PATIENCE, stream.read(&mut part)).await.expect("an end") {
                Ok(0) | Err(_) => break,
                Ok(bytes) => answer.extend_from_slice(&part[..bytes]),
            }
            if answer.starts_with(b"HTTP/1.1 101") {
                break;
            }
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
        answer
    }

    /// Every row of every table, as one sum for each; but for presence, which is written down a moment later than it
    /// changes, and changes with every connection.
    pub async fn dump(&self) -> Vec<(String, String)> {
        let pool = &self.app.database.pool;
        let tables = "select relname::text from pg_class where relkind in ('r', 'p') and not relispartition
            and relnamespace = 'public'::regnamespace and relname not like '\\_sqlx%' and relname <> 'user_presence' order by relname";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
        let sums = tables.iter().map(|table| {
            format!("select '{table}', md5(coalesce(string_agg(t::text, chr(10) order by t::text), '')) from {table} t")
        });
        let sums = sums.collect::<Vec<_>>().join(" union all ");
        sqlx::query_as(sqlx::AssertSqlSafe(sums)).fetch_all(pool).await.unwrap()
    }

    /// Nothing was changed since `before`, nobody was told anything, nothing panicked.
    #[track_caller]
    pub fn unchanged<'s>(&'s mut self, before: &'s [(String, String)], what: &'s str) -> impl Future<Output = ()> + 's {
        let place = std::panic::Location::caller();
        async move {
            let after = self.dump().await;
            let changed: Vec<_> = after.iter().filter(|row| !before.contains(row)).map(|row| &row.0).collect();
            assert!(changed.is_empty(), "{place}: {what} changed {changed:?}");
            for witness in &mut self.witnesses {
                let seen = witness.drain().await;
                assert!(seen.is_empty(), "{place}: {what} was told: {seen:?}");
            }
            self.live.drain().await;
            assert_eq!(PANICS.load(Ordering::Relaxed), 0, "{place}: {what} made the server panic");
        }
    }

    /// Witnesses still get exactly their events.
    pub async fn goes_on(&mut self) {
        let made = self.ada.post("/task-lists", json!({"name": "after all"})).await.expect(201);
        let (offset, event) = self.witnesses[0].event().await;
        assert_eq!((&json!(offset), &event["type"]), (&made["positions"][0]["offset"], &json!("task_list.created")));
        let path = format!("/workspaces/{}", self.id("room"));
        let made = self.bob.patch(&path, json!({"name": "after all"})).await.expect(200);
        let (offset, event) = self.witnesses[1].event().await;
        assert_eq!((&json!(offset), &event["data"]["name"]), (&made["positions"][0]["offset"], &json!("after all")));
        for witness in &mut self.witnesses {
            assert_eq!(witness.drain().await, Vec::<Value>::new());
        }
    }
}
