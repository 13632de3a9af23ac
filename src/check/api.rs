//! The REST door, as a stranger uses it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use studyhall_protocol::rest::{Answer, Problem};
use studyhall_protocol::routes::{BASE, ROUTES};
use studyhall_protocol::{Command, error::WireError};
use uuid::Uuid;

/// As long as the SDKs wait.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What came of sending a command once.
#[derive(Debug)]
pub enum Sent {
    /// Done.
    Done(Answer<Box<RawValue>>),
    /// Refused, with the stable word. Definite, unless an earlier attempt was made.
    Refused(String),
    /// Not taken because there is too much; nothing was done by this attempt. Seconds to wait.
    TooMany(u64),
    /// Done or not.
    Unknown(String),
}

/// The addresses of a deployment.
pub struct Api {
    http: reqwest::Client,
    urls: Vec<String>,
}

impl Api {
    /// Nothing is asked yet.
    pub fn new(urls: &[String]) -> Result<Self> {
        let mut plain = Vec::new();
        for url in urls {
            let url = url.trim().trim_end_matches('/');
            if url.starts_with("https://") {
                bail!(
                    "{url}: TLS is the proxy's and this program speaks plain http; give the address behind the proxy"
                );
            }
            if !url.starts_with("http://") {
                bail!("{url}: an address begins with http://, such as http://127.0.0.1:8080");
            }
            plain.push(url.to_owned());
        }
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(2)).build()?;
        Ok(Self { http, urls: plain })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.urls.len()
    }

    /// One of them.
    pub fn url(&self, number: usize) -> &str {
        &self.urls[number % self.urls.len()]
    }

    /// Where its WebSocket is.
    pub fn socket_url(&self, number: usize) -> String {
        format!("{}/connection/websocket", self.url(number).replacen("http", "ws", 1))
    }

    /// Whether it says that it can serve people.
    pub async fn is_ready(&self, number: usize) -> bool {
        let asked = self.http.get(format!("{}/readyz", self.url(number))).timeout(Duration::from_secs(2)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    /// Signs somebody up.
    pub async fn post_open<T: DeserializeOwned>(&self, url: usize, path: &str, body: &Value) -> Result<T, Failed> {
        let request = self.http.post(format!("{}{BASE}{path}", self.url(url))).json(body);
        read(request.timeout(Duration::from_secs(20))).await
    }

    /// Reads something.
    pub async fn get<T: DeserializeOwned>(&self, url: usize, token: &str, path: &str) -> Result<T, Failed> {
        let request = self.http.get(format!("{}{BASE}{path}", self.url(url))).bearer_auth(token);
        read(request.timeout(ANSWER_WITHIN)).await
    }

    /// Reads something for which it is worth waiting: again when there is too much to do, or an address is gone for a
    /// moment.
    pub async fn insist<T: DeserializeOwned>(&self, url: usize, token: &str, path: &str) -> Result<T> {
        let mut tries = 0;
        loop {
            match self.get(url, token, path).await {
                Ok(answer) => return Ok(answer),
                Err(failed) if failed.is_temporary() && tries < 20 => {
                    tries += 1;
                    tokio::time::sleep(failed.wait()).await;
                }
                Err(failed) => return Err(failed).with_context(|| format!("GET {path} of {}", self.url(url))),
            }
        }
    }

    /// Signs out; whether that worked does not matter.
    pub async fn sign_out(&self, url: usize, token: &str) {
        let request = self.http.delete(format!("{}{BASE}/sessions/current", self.url(url))).bearer_auth(token);
        let _ = request.timeout(ANSWER_WITHIN).send().await;
    }

    /// Sends a command once.
    pub async fn command(&self, url: usize, token: &str, op: Uuid, command: &Command) -> Sent {
        let Some((method, path, body)) = request(command) else {
            return Sent::Refused(format!("{} has no route", command.name()));
        };
        let mut request =
            self.http.request(method.clone(), format!("{}{BASE}{path}", self.url(url))).bearer_auth(token);
        request = request.header("idempotency-key", op.to_string()).timeout(ANSWER_WITHIN);
        if matches!(method, Method::POST | Method::PATCH) {
            request = request.json(&body);
        }
        match read(request).await {
            Ok(answer) => Sent::Done(answer),
            Err(failed) => failed.into(),
        }
    }
}

/// The request of a command by the table of routes.
fn request(command: &Command) -> Option<(Method, String, Value)> {
    let route = ROUTES.iter().find(|route| route.command == Some(command.name()))?;
    let mut fields = fields(command);
    let mut path = route.path.to_owned();
    for id in route.ids {
        let value = fields.remove(*id)?;
        let (from, until) = (path.find('{')?, path.find('}')?);
        path.replace_range(from..=until, value.as_str()?);
    }
    Some((route.method.parse().ok()?, path, Value::Object(fields)))
}

/// The fields of a command, as both doors take them.
pub fn fields(command: &Command) -> Map<String, Value> {
    let data = serde_json::to_value(command).ok().and_then(|mut tagged| tagged.get_mut("data").map(Value::take));
    match data {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Failed {
    /// 0: no answer at all.
    pub status: u16,
    /// The stable word, or what went wrong.
    pub code: String,
    /// For people.
    pub title: String,
    /// Seconds until it may be tried again.
    pub retry_after: Option<u64>,
}

impl Failed {
    /// Whether it may be different later.
    pub fn is_temporary(&self) -> bool {
        self.status == 0 || self.status == 429 || self.status >= 500
    }

    /// How long to wait before the next try.
    pub fn wait(&self) -> Duration {
        self.retry_after.map_or(Duration::from_millis(200), Duration::from_secs).min(Duration::from_secs(10))
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} {})", self.title, self.status, self.code)
    }
}

impl std::error::Error for Failed {}

impl From<Failed> for Sent {
    fn from(failed: Failed) -> Self {
        match failed.status {
            429 => Sent::TooMany(failed.retry_after.unwrap_or(1)),
            400..500 => Sent::Refused(failed.code),
            _ => Sent::Unknown(failed.code),
        }
    }
}

impl From<WireError> for Sent {
    fn from(error: WireError) -> Self {
        let word = error.message.split(':').next().unwrap_or_default().to_owned();
        match error.code {
            111 | 1429 => Sent::TooMany(1),
            _ if error.temporary || error.code == 100 || error.code >= 1500 => Sent::Unknown(word),
            _ => Sent::Refused(word),
        }
    }
}

/// The answer, or what the problem says.
async fn read<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, Failed> {
    let lost = |error: reqwest::Error| {
        let code = if error.is_timeout() { "no answer in time" } else { "connection lost" };
        Failed { status: 0, code: code.into(), title: plain(&error), retry_after: None }
    };
    let response = request.send().await.map_err(lost)?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.text().await.map_err(lost)?;
    if status >= 400 {
        let problem = serde_json::from_str::<Problem>(&body).ok();
        let (code, title) = problem.map_or_else(
            || ("not a problem document".to_owned(), body.chars().take(200).collect()),
            |problem| (problem.code, problem.detail.unwrap_or(problem.title)),
        );
        return Err(Failed { status, code, title, retry_after });
    }
    serde_json::from_str(&body).map_err(|error| Failed {
        status: 0,
        code: "an answer that cannot be read".into(),
        title: error.to_string(),
        retry_after: None,
    })
}

/// The innermost cause: what is outside of it only repeats the address.
fn plain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use studyhall_protocol::workspaces::MemberRef;

    use super::*;

    #[test]
    fn every_command_has_a_request() {
        let (room, person) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let add = Command::MemberAdd(MemberRef { workspace_id: room, user_id: person });
        let (method, path, body) = request(&add).unwrap();
        assert_eq!(
            (method, path, body),
            (Method::PUT, format!("/workspaces/{room}/members/{person}"), Value::Object(Map::new()))
        );
        for name in Command::NAMES {
            assert!(ROUTES.iter().any(|route| route.command == Some(*name)), "{name}");
        }
    }
}
