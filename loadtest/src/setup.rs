//! People, rooms and widgets, made over REST.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use studyhall_protocol::Channel;
use studyhall_protocol::accounts::SignedIn;
use uuid::Uuid;

use crate::Common;

/// Requests under way at a time.
const AT_ONCE: usize = 8;
/// What our rooms and lists are called.
pub const NAME: &str = "Load";
/// How often a request that was refused for now is made again.
const TRIES: usize = 30;

/// Somebody who can sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// The person.
    pub id: Uuid,
    username: String,
    password: String,
    /// For `connect` and `Authorization`.
    pub token: String,
}

/// A room with one widget for each of its first members.
#[derive(Debug, Clone)]
pub struct Room {
    /// Its channel.
    pub channel: Channel,
    /// Indexes into the accounts.
    pub members: Vec<usize>,
    /// One widget per publisher.
    pub widgets: Vec<Uuid>,
}

/// A list with one task.
#[derive(Debug, Clone, Copy)]
pub struct OneTask {
    /// The task.
    pub id: Uuid,
}

/// The REST side of the server.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    /// `name:port` of the server.
    pub host: String,
}

impl Api {
    /// Nothing is asked yet.
    pub fn new(url: &str) -> Result<Self> {
        let host = url.trim_end_matches('/').strip_prefix("http://").context("the address must begin with http://")?;
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        // Kept connections are given up soon: while load is measured nobody would notice that the server closed them.
        let idle = Duration::from_secs(2);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).pool_idle_timeout(idle).build()?;
        Ok(Self { http, base: format!("http://{host}/api/v1"), host: with_port })
    }

    /// One request; waits and repeats when the server is too busy.
    pub async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Value) -> Result<Value> {
        for _ in 0..TRIES {
            let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            if !body.is_null() {
                request = request.json(&body);
            }
            let response = request.send().await.with_context(|| format!("{method} {path}"))?;
            let status = response.status();
            if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                tokio::time::sleep(Duration::from_secs(after.unwrap_or(1))).await;
                continue;
            }
            let text = response.text().await?;
            if !status.is_success() {
                bail!("{method} {path}: {status} {text}");
            }
            return Ok(serde_json::from_str(&text).unwrap_or(Value::Null));
        }
        bail!("{method} {path}: the server stays too busy")
    }

    /// Bytes of the answer to a GET, which is not looked at.
    pub async fn get(&self, path: &str, token: &str) -> Result<usize> {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(token);
        let response = request.send().await.and_then(reqwest::Response::error_for_status)?;
        Ok(response.bytes().await?.len())
    }

    /// The people of the pool: from the file where their tokens still work, else new ones.
    pub async fn accounts(&self, common: &Common) -> Result<Vec<Account>> {
        let known = common.accounts.as_deref().map(read_accounts).unwrap_or_default();
        let run = Uuid::new_v4().simple().to_string();
        let slots =
            (0..common.pool.max(1)).map(|index| (known.get(index).cloned(), format!("load-{}-{index}", &run[..8])));
        let accounts = stream::iter(slots)
            .map(|(known, username)| self.account(known, username))
            .buffered(AT_ONCE / 2)
            .try_collect::<Vec<_>>()
            .await?;
        if let Some(path) = &common.accounts {
            let kept = accounts.iter().chain(known.iter().skip(accounts.len())).collect::<Vec<_>>();
            fs::write(path, serde_json::to_vec_pretty(&kept)?)
                .with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(accounts)
    }

    async fn account(&self, known: Option<Account>, username: String) -> Result<Account> {
        if let Some(known) = known {
            if self.call(Method::GET, "/me", Some(&known.token), Value::Null).await.is_ok() {
                return Ok(known);
            }
            let body = json!({"username": known.username, "password": known.password});
            if let Ok(answer) = self.call(Method::POST, "/sessions", None, body).await {
                let signed_in: SignedIn = serde_json::from_value(answer)?;
                return Ok(Account { token: signed_in.token, ..known });
            }
        }
        let password = Uuid::new_v4().to_string();
        let body = json!({"username": username, "password": password});
        let answer = self.call(Method::POST, "/accounts", None, body).await?;
        let signed_in: SignedIn = serde_json::from_value(answer)?;
        Ok(Account { id: signed_in.user.user.id, username, password, token: signed_in.token })
    }

    /// Lets everybody see that these people are there.
    pub async fn show_presence(&self, accounts: &[Account]) -> Result<()> {
        let shown = stream::iter(accounts).map(|account| {
            let body = json!({"presence_visibility": "everyone"});
            self.call(Method::PATCH, "/me/settings", Some(&account.token), body)
        });
        shown.buffer_unordered(AT_ONCE).try_for_each(async |_| Ok(())).await
    }

    /// Rooms of `people` distinct members each, with a widget for each of the first `widgets`.
    pub async fn rooms(&self, accounts: &[Account], rooms: usize, people: usize, widgets: usize) -> Result<Vec<Room>> {
        let people = people.clamp(1, accounts.len());
        stream::iter(0..rooms)
            .map(|room| {
                let members = (0..people).map(|person| (room * people + person) % accounts.len()).collect();
                self.room(accounts, room, members, widgets)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn room(&self, accounts: &[Account], number: usize, members: Vec<usize>, widgets: usize) -> Result<Room> {
        let owner = &accounts[members[0]];
        let body = json!({"name": format!("{NAME} {number}")});
        let answer = self.call(Method::POST, "/workspaces", Some(&owner.token), body).await?;
        let id = id_of(&answer)?;
        for member in members.iter().skip(1) {
            let path = format!("/workspaces/{id}/members/{}", accounts[*member].id);
            self.call(Method::PUT, &path, Some(&owner.token), Value::Null).await?;
        }
        let mut made = Vec::with_capacity(widgets);
        for column in 0..widgets {
            let body = json!({"type": "clock", "grid_x": column, "grid_y": 0, "grid_w": 1, "grid_h": 1});
            let path = format!("/workspaces/{id}/widgets");
            made.push(id_of(&self.call(Method::POST, &path, Some(&owner.token), body).await?)?);
        }
        Ok(Room { channel: Channel::Workspace(id), members, widgets: made })
    }

    /// One list with one task for each client; client `n` is account `n` modulo their number.
    pub async fn tasks(&self, accounts: &[Account], clients: usize) -> Result<Vec<OneTask>> {
        stream::iter(0..clients)
            .map(|client| async move {
                let token = Some(accounts[client % accounts.len()].token.as_str());
                let list = self.call(Method::POST, "/task-lists", token, json!({"name": NAME})).await?;
                let path = format!("/task-lists/{}/tasks", id_of(&list)?);
                let task = self.call(Method::POST, &path, token, json!({"description": "Tick me"})).await?;
                Ok(OneTask { id: id_of(&task)? })
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    /// A post of this person.
    pub async fn post(&self, author: &Account) -> Result<Uuid> {
        let answer = self.call(Method::POST, "/posts", Some(&author.token), json!({"content": NAME})).await?;
        id_of(&answer)
    }

    /// How many like a post.
    pub async fn like_count(&self, reader: &Account, post: Uuid) -> Result<u64> {
        let answer = self.call(Method::GET, &format!("/posts/{post}"), Some(&reader.token), Value::Null).await?;
        let count = answer.pointer("/data/like_count").and_then(Value::as_u64);
        count.with_context(|| format!("no count in {answer}"))
    }

    /// Removes a post again.
    pub async fn remove_post(&self, author: &Account, post: Uuid) -> Result<()> {
        self.call(Method::DELETE, &format!("/posts/{post}"), Some(&author.token), Value::Null).await.map(drop)
    }

    /// Removes what runs have made, this one or one that was interrupted: people may be in so many rooms only.
    pub async fn sweep(&self, accounts: &[Account]) -> Result<()> {
        loop {
            let removed = stream::iter(accounts).map(|account| self.sweep_of(account)).buffer_unordered(AT_ONCE);
            // A page may be full of other people's rooms; when those are gone, one's own come up.
            if removed.try_fold(0, async |sum, removed| Ok(sum + removed)).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn sweep_of(&self, account: &Account) -> Result<usize> {
        let mut removed = 0;
        for path in ["/workspaces", "/task-lists"] {
            let page = self.call(Method::GET, path, Some(&account.token), Value::Null).await?;
            for item in page.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
                let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                if text("/name").starts_with(NAME) && text("/user_id") == account.id.to_string() {
                    let path = format!("{path}/{}", text("/id"));
                    self.call(Method::DELETE, &path, Some(&account.token), Value::Null).await?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

fn read_accounts(path: &Path) -> Vec<Account> {
    let text = fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// The id of what a command made.
fn id_of(answer: &Value) -> Result<Uuid> {
    let id = answer.pointer("/data/id").or_else(|| answer.get("id")).and_then(Value::as_str);
    id.and_then(|id| id.parse().ok()).with_context(|| format!("no id in {answer}"))
}
