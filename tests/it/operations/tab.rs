//! A tab as the client libraries have it: it comes back by itself, goes on where it was, and notices whatever is missing.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use studyhall_protocol::client::{self, PONG, Push, Reply, ServerLine, Wishes};
use studyhall_protocol::{Channel, Position};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::harness::PATIENCE;

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The first delay of the libraries before they come back, and what it grows to.
const DELAY_MIN: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(20);

/// What tabs are told.
#[derive(Clone)]
pub enum Order {
    /// Go on.
    Live,
    /// Lose the connection, all at this moment.
    Cut,
    /// Stop where each channel has reached this.
    Until(Arc<HashMap<Channel, u64>>),
}

/// What all tabs found.
#[derive(Default)]
pub struct Found {
    /// How often each end or refusal was met.
    pub ends: Mutex<HashMap<String, usize>>,
    pub wrong: Mutex<Vec<String>>,
    /// From each loss of a connection to the last of its subscriptions.
    pub back: Mutex<Vec<Duration>>,
    /// From each command of the handshake to its answer.
    pub answers: Mutex<Vec<Duration>>,
    /// Connections that have all they asked for, from the beginning on.
    pub complete: std::sync::atomic::AtomicUsize,
}

impl Found {
    pub fn end(&self, why: impl Into<String>) {
        *self.ends.lock().unwrap().entry(why.into()).or_default() += 1;
    }

    pub fn wrong(&self, what: impl Into<String>) {
        self.wrong.lock().unwrap().push(what.into());
    }

    pub fn complete(&self) -> usize {
        self.complete.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// The libraries' delay before try number `step`.
pub fn delay(step: u32) -> Duration {
    let spread = DELAY_MIN.saturating_mul(1 << step.min(10)).min(DELAY_MAX);
    (DELAY_MIN + spread.mul_f64(rand::random::<f64>())).min(DELAY_MAX)
}

pub struct Tab {
    pub url: String,
    pub token: String,
    pub places: Vec<(Channel, Option<Position>)>,
    pub join_leave: bool,
    found: Arc<Found>,
    lost_at: Option<Instant>,
}

impl Tab {
    pub fn new(url: &str, token: &str, channels: &[Channel], found: &Arc<Found>) -> Self {
        let places = channels.iter().map(|channel| (*channel, None)).collect();
        let (url, token) = (url.replace("http://", "ws://") + "/connection/websocket", token.to_owned());
        Self { url, token, places, join_leave: false, found: found.clone(), lost_at: None }
    }

    /// Lives until it has reached the goal, wherever its connections end.
    pub async fn run(mut self, mut goal: watch::Receiver<Order>) -> Self {
        let mut step = 0;
        loop {
            match tokio::time::timeout(PATIENCE, tokio_tungstenite::connect_async(&self.url)).await {
                Ok(Ok((socket, _))) => {
                    step = 0;
                    if let ControlFlow::Break(()) = self.live(socket, &mut goal).await {
                        return self;
                    }
                    self.lost_at = Some(Instant::now());
                }
                Ok(Err(Error::Http(response))) => self.found.end(format!("refused {}", response.status().as_u16())),
                Ok(Err(error)) => self.found.end(format!("no connection: {error}")),
                Err(_) => self.found.wrong("an upgrade was never answered"),
            }
            tokio::time::sleep(delay(step)).await;
            step += 1;
        }
    }

    /// Connects and subscribes over an open socket, in one frame.
    pub async fn hello(&self, socket: &mut Socket) -> Result<(), Error> {
        let mut lines = vec![client::connect(1, &self.token)];
        for (index, (channel, position)) in self.places.iter().enumerate() {
            let wishes = Wishes { since: position.as_ref(), join_leave: self.join_leave, reject_unrecovered: false };
            lines.push(client::subscribe(index as u32 + 2, *channel, wishes));
        }
        socket.send(Message::text(lines.join("\n"))).await
    }

    /// One connection, to its end: `Break` when the goal was reached.
    async fn live(&mut self, mut socket: Socket, goal: &mut watch::Receiver<Order>) -> ControlFlow<()> {
        let sent = Instant::now();
        let mut unanswered = self.places.len() + 1;
        if self.hello(&mut socket).await.is_err() {
            return ControlFlow::Continue(());
        }
        loop {
            if unanswered == 0 && self.reached(goal) {
                let _ = socket.close(None).await;
                return ControlFlow::Break(());
            }
            let message = tokio::select! {
                message = socket.next() => message,
                _ = goal.changed() => {
                    if matches!(*goal.borrow_and_update(), Order::Cut) {
                        return ControlFlow::Continue(());
                    }
                    continue;
                }
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    for line in client::lines(&text) {
                        if line == PONG {
                            let _ = socket.send(Message::text(PONG)).await;
                        } else if self.line(line) {
                            self.found.answers.lock().unwrap().push(sent.elapsed());
                            unanswered -= 1;
                            if unanswered == 0 {
                                self.complete();
                            }
                        }
                    }
                }
                Some(Ok(Message::Close(close))) => {
                    self.found.end(close.map_or("closed".into(), |close| format!("closed {}", u16::from(close.code))));
                    return ControlFlow::Continue(());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.found.end(format!("lost: {error}"));
                    return ControlFlow::Continue(());
                }
                None => {
                    self.found.end("lost");
                    return ControlFlow::Continue(());
                }
            }
        }
    }

    fn complete(&mut self) {
        match self.lost_at.take() {
            Some(lost_at) => self.found.back.lock().unwrap().push(lost_at.elapsed()),
            None => drop(self.found.complete.fetch_add(1, std::sync::atomic::Ordering::SeqCst)),
        }
    }

    fn reached(&self, goal: &watch::Receiver<Order>) -> bool {
        let Order::Until(goal) = &*goal.borrow() else { return false };
        self.places.iter().all(|(channel, position)| {
            let reached = position.as_ref().map_or(0, |position| position.offset);
            reached >= goal.get(channel).copied().unwrap_or(0)
        })
    }

    /// One line; whether it is a reply.
    fn line(&mut self, line: &str) -> bool {
        match ServerLine::parse(line).unwrap() {
            ServerLine::Reply { id, result: Ok(Reply::Subscribe(seat)) } => {
                let (channel, position) = &mut self.places[id as usize - 2];
                if position.is_some() && !seat.recovered {
                    self.found.wrong(format!("{channel} was not recovered"));
                }
                let channel = *channel;
                *position = Some(Position { channel, offset: seat.offset, epoch: seat.epoch });
                true
            }
            ServerLine::Reply { result: Ok(_), .. } => true,
            ServerLine::Reply { result: Err(error), .. } => {
                self.found.wrong(format!("refused: {error}"));
                true
            }
            ServerLine::Push { channel, push: Push::Pub(publication) } => {
                if let Some(offset) = publication.offset {
                    self.event(channel, offset);
                }
                false
            }
            ServerLine::Push { channel, push: Push::Unsubscribe(ended) } => {
                self.found.wrong(format!("{channel} ended: {}", ended.code));
                false
            }
            ServerLine::Push { .. } | ServerLine::Ping => false,
        }
    }

    fn event(&mut self, channel: Channel, offset: u64) {
        let place = self.places.iter_mut().find(|(known, _)| *known == channel);
        let Some((_, Some(position))) = place else {
            return self.found.wrong(format!("an event of {channel} before its subscription"));
        };
        if offset != position.offset + 1 {
            self.found.wrong(format!("{channel}: {offset} came after {}", position.offset));
        }
        position.offset = position.offset.max(offset);
    }
}
