//! A subscriber that only keeps what it is told: as cheap as it can be, for there are many of them.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use studyhall_protocol::client::{self, PONG, Push, Reply, ServerLine};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::harness::{PATIENCE, Person};

/// What the server did at the end of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The connection was closed, with this code.
    Closed(u16),
    /// The subscription was ended, with this code.
    Unsubscribed(u32),
}

/// One connection with one subscription.
pub struct Reader {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    lines: VecDeque<String>,
    /// Numbered events as they came.
    pub seen: Vec<(u64, Box<RawValue>)>,
    /// The head or the position that it began behind.
    pub from: u64,
}

impl Reader {
    /// Connects and subscribes, from the head or from a position; the code of the error when that is refused.
    pub async fn open(url: &str, person: &Person, channel: &str, from: Option<&Value>) -> Result<Self, u64> {
        let url = url.replace("http://", "ws://") + "/connection/websocket";
        let (stream, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let mut reader = Self { stream, lines: VecDeque::new(), seen: Vec::new(), from: 0 };
        let connect = json!({"id": 1, "connect": {"token": person.token}});
        let mut subscribe = json!({"channel": channel, "flag": 3});
        if let Some(from) = from {
            subscribe["recover"] = true.into();
            subscribe["offset"] = from["offset"].clone();
            subscribe["epoch"] = from["epoch"].clone();
        }
        reader.send(format!("{connect}\n{}", json!({"id": 2, "subscribe": subscribe}))).await;
        loop {
            let line = reader.line().await.expect("closed before it was subscribed");
            match ServerLine::parse(&line).unwrap() {
                ServerLine::Reply { id: 2, result: Ok(Reply::Subscribe(subscribed)) } => {
                    assert_eq!(subscribed.recovered, from.is_some());
                    reader.from = subscribed.offset;
                    return Ok(reader);
                }
                ServerLine::Reply { id: 2, result: Err(error) } => return Err(error.code.into()),
                _ => {}
            }
        }
    }

    async fn send(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// The next line; `Err` with the code when the connection is closed.
    async fn line(&mut self) -> Result<String, u16> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(line);
            }
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("nothing came");
            match message {
                Some(Ok(Message::Text(text))) => self.lines.extend(client::lines(&text).map(str::to_owned)),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The number of the next event, which has to follow the one before.
    pub async fn next(&mut self) -> Result<u64, End> {
        loop {
            let line = self.line().await.map_err(End::Closed)?;
            match ServerLine::parse(&line).unwrap() {
                ServerLine::Ping => self.send(PONG.to_owned()).await,
                ServerLine::Push { push: Push::Unsubscribe(ended), .. } => return Err(End::Unsubscribed(ended.code)),
                ServerLine::Push { push: Push::Pub(publication), .. } => {
                    let Some(offset) = publication.offset else { continue };
                    let last = self.seen.last().map_or(self.from, |(last, _)| *last);
                    assert_eq!(offset, last + 1, "a gap or a duplicate");
                    self.seen.push((offset, publication.data.unwrap().to_owned()));
                    return Ok(offset);
                }
                _ => {}
            }
        }
    }

    /// Reads on until this event.
    pub async fn until(&mut self, last: u64) {
        while self.seen.last().map_or(self.from, |(last, _)| *last) < last {
            self.next().await.unwrap();
        }
    }
}
