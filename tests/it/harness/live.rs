//! A client that shows everything that comes over its connection.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{PATIENCE, described};

/// One live connection. It answers pings and keeps pushes until they are asked for.
pub struct Live {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    lines: VecDeque<Value>,
    pushes: VecDeque<Value>,
    next_id: u32,
    /// What was asked and is not answered yet.
    asked: HashMap<u64, Value>,
    pub closed: Option<(u16, String)>,
}

impl Live {
    /// Opens a connection with any request.
    pub async fn open(request: impl IntoClientRequest + Unpin) -> Live {
        let (stream, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Live {
            stream,
            lines: VecDeque::new(),
            pushes: VecDeque::new(),
            next_id: 1,
            asked: HashMap::new(),
            closed: None,
        }
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
        self.asked.insert(u64::from(id), command);
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
                    self.compare(&line);
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

    /// With what the documents say about it.
    fn compare(&mut self, line: &Value) {
        if let Some(push) = line.get("push") {
            described::push(push);
        } else if let Some(command) = line["id"].as_u64().and_then(|id| self.asked.remove(&id)) {
            described::reply(&command, line);
        }
    }

    /// Waits for the close and returns its code and reason.
    pub async fn close_code(&mut self) -> (u16, String) {
        let closed = async { while self.next_line().await.is_some() {} };
        tokio::time::timeout(PATIENCE, closed).await.expect("not closed");
        self.closed.clone().expect("closed without a close frame")
    }

    /// Answers pings and takes what has come.
    pub fn keep_up(&mut self) {
        while let Some(Some(_)) = self.next_line().now_or_never() {}
    }

    /// Answers pings and takes what comes until it is closed; aborted, it vanishes.
    pub async fn stay(mut self) {
        while self.next_line().await.is_some() {}
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
