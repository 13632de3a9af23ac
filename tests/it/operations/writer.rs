//! Somebody who gives commands steadily, and gives each one again until it is answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use studyhall_protocol::client::{self, PONG, ServerLine};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::tab::Socket;
use crate::harness::PATIENCE;

/// What the writers did.
#[derive(Default)]
pub struct Written {
    /// Acknowledged operations, with the answer.
    pub acknowledged: Mutex<Vec<(Uuid, Value)>>,
    /// Why commands had to be given again.
    pub retried: Mutex<HashMap<String, usize>>,
    /// From the first try to the answer.
    pub took: Mutex<Vec<Duration>>,
}

impl Written {
    pub fn quantile(&self, quantile: f64) -> Duration {
        super::quantile(&self.took.lock().unwrap(), quantile)
    }

    fn retry(&self, why: String) {
        *self.retried.lock().unwrap().entry(why).or_default() += 1;
    }
}

/// Which door a writer uses.
#[derive(Debug, Clone, Copy)]
pub enum Door {
    Rest,
    Rpc,
}

pub struct Writer {
    pub door: Door,
    token: String,
    /// Of a node, or of the balancer.
    pub url: String,
    pub http: reqwest::Client,
    pub written: Arc<Written>,
    socket: Option<Socket>,
    id: u32,
}

impl Writer {
    pub fn new(door: Door, token: &str, url: &str, http: &reqwest::Client, written: &Arc<Written>) -> Self {
        let (token, url, http, written) = (token.to_owned(), url.to_owned(), http.clone(), written.clone());
        Self { door, token, url, http, written, socket: None, id: 1 }
    }

    /// Writes every so often until told to stop; what has begun is brought to its end.
    pub async fn run(mut self, every: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = closed(&mut self.socket) => {
                    // Found out between two commands, as any client does.
                    self.socket = None;
                    continue;
                }
                () = stop.cancelled() => return,
            }
            let (op, began) = (Uuid::new_v4(), Instant::now());
            let answer = loop {
                assert!(began.elapsed() < PATIENCE, "a command was never answered: {:?}", self.written.retried);
                let tried = match self.door {
                    Door::Rest => self.rest(op).await,
                    Door::Rpc => self.rpc(op).await,
                };
                match tried {
                    Ok(answer) => break answer,
                    Err(why) => self.written.retry(why),
                }
                tokio::time::sleep(Duration::from_millis(rand::random_range(50..300))).await;
            };
            self.written.took.lock().unwrap().push(began.elapsed());
            self.written.acknowledged.lock().unwrap().push((op, answer));
        }
    }

    async fn rest(&self, op: Uuid) -> Result<Value, String> {
        let request = self.http.patch(format!("{}/api/v1/me/settings", self.url)).bearer_auth(&self.token);
        let request = request.header("idempotency-key", op.to_string()).json(&json!({ "data": {"note": op} }));
        let response = request.send().await.map_err(|error| format!("no answer: {error:?}"))?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(|error| format!("half an answer: {error}"))?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if status == 200 { Ok(body) } else { Err(format!("{status} {}", body["code"].as_str().unwrap_or(&text))) }
    }

    async fn rpc(&mut self, op: Uuid) -> Result<Value, String> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.connect().await?,
        };
        self.id += 1;
        let line = client::rpc(self.id, "settings.update", &json!({"data": {"note": op}, "op": op}));
        if socket.send(Message::text(line)).await.is_err() {
            // It is over, and says why to whoever reads.
            reply(&mut socket, self.id).await?;
        }
        let answer = reply(&mut socket, self.id).await?;
        self.socket = Some(socket);
        Ok(answer)
    }

    async fn connect(&mut self) -> Result<Socket, String> {
        let url = self.url.replace("http://", "ws://") + "/connection/websocket";
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.map_err(|error| match error {
            Error::Http(response) => format!("refused {}", response.status().as_u16()),
            error => format!("no connection: {error}"),
        })?;
        self.id = 1;
        let connect = client::connect(1, &self.token);
        socket.send(Message::text(connect)).await.map_err(|error| format!("lost: {error}"))?;
        reply(&mut socket, 1).await?;
        Ok(socket)
    }
}

/// Answers pings until the connection is over. A close is the end: who read on, and was dropped meanwhile, would have
/// lost the reason.
async fn closed(socket: &mut Option<Socket>) {
    let Some(socket) = socket else { return std::future::pending().await };
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() {
            return;
        }
        if message.to_text().is_ok_and(|text| client::lines(text).any(|line| line == PONG)) {
            let _ = socket.send(Message::text(PONG)).await;
        }
    }
}

/// Waits for the reply; why there is none.
async fn reply(socket: &mut Socket, wanted: u32) -> Result<Value, String> {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.map_err(|_| "no reply")?;
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(Some(close)))) => return Err(format!("closed {}", u16::from(close.code))),
            Some(Ok(_)) => continue,
            Some(Err(error)) => return Err(format!("lost: {error}")),
            None => return Err("lost".into()),
        };
        for line in client::lines(&text) {
            if line == PONG {
                let _ = socket.send(Message::text(PONG)).await;
                continue;
            }
            if let Ok(ServerLine::Reply { id, result }) = ServerLine::parse(line)
                && id == wanted
            {
                result.map_err(|error| format!("refused: {error}"))?;
                let line: Value = serde_json::from_str(line).unwrap();
                return Ok(line["rpc"]["data"].clone());
            }
        }
    }
}
