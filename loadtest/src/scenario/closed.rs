//! Durable commands in a closed loop: each client sends its next command when the one before is acknowledged.
//!
//! Every acknowledgement names the position of the command's event on `user:<me>`. That event must arrive there once,
//! under that number, and the numbers must be consecutive.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use studyhall_protocol::client::{self, Push, Reply, ServerLine, Wishes};
use studyhall_protocol::{Answer, Channel};
use uuid::Uuid;

use super::record::{Record, family_cpu_seconds, used};
use super::{all_ready, settle};
use crate::Common;
use crate::client::{Options, Sender, open};
use crate::process::Usage;
use crate::report::Latency;
use crate::setup::{Account, Api};

/// After the last acknowledgement; an event that has not arrived then is missing.
const SETTLE: Duration = Duration::from_secs(3);

/// What all clients found.
pub struct Found {
    ready: Cell<usize>,
    acks: Cell<u64>,
    refused: Cell<u64>,
    gaps: Cell<u64>,
    repeated: Cell<u64>,
    closed: Cell<u64>,
    first_error: RefCell<Option<String>>,
    ack: RefCell<Latency>,
    event: RefCell<Latency>,
    from: Cell<Option<Instant>>,
    until: Cell<Option<Instant>>,
}

impl Found {
    fn new() -> Self {
        Self {
            ready: Cell::default(),
            acks: Cell::default(),
            refused: Cell::default(),
            gaps: Cell::default(),
            repeated: Cell::default(),
            closed: Cell::default(),
            first_error: RefCell::default(),
            ack: RefCell::new(Latency::new()),
            event: RefCell::new(Latency::new()),
            from: Cell::default(),
            until: Cell::default(),
        }
    }
}

/// A client's next command: its name and payload, of the operation id and whether it is the first, third, … of them.
pub type Next = Box<dyn Fn(Uuid, bool) -> (&'static str, Value)>;

/// One client: what it waits for, what it was promised, what it saw.
pub struct Client {
    sender: Sender,
    channel: Channel,
    next: Next,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The number of the next event; `None` before the subscription.
    next: Option<u64>,
    odd: bool,
    under_way: Option<(Uuid, Instant)>,
    command: u32,
    /// Commands whose event has not come.
    sent: HashMap<Uuid, Instant>,
    /// Acknowledged: the operation and the number of its event.
    promised: HashMap<Uuid, u64>,
    /// Arrived.
    seen: HashMap<Uuid, u64>,
}

fn add(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

impl Client {
    fn line(&self, line: ServerLine<'_>, at: Instant, found: &Found) -> Result<()> {
        match line {
            ServerLine::Reply { result: Ok(Reply::Subscribe(seat)), .. } => {
                self.state.borrow_mut().next = Some(seat.offset + 1);
                found.ready.set(found.ready.get() + 1);
            }
            ServerLine::Reply { result: Ok(Reply::Rpc(data)), .. } => {
                self.acknowledged(serde_json::from_str(data.get())?, at, found)?;
                self.send(found)?;
            }
            ServerLine::Reply { result: Err(error), .. } => {
                add(&found.refused);
                found.first_error.borrow_mut().get_or_insert(error.to_string());
                self.state.borrow_mut().under_way = None;
            }
            ServerLine::Push { push: Push::Pub(publication), .. } => {
                let Some(offset) = publication.offset else {
                    return Ok(());
                };
                self.event(offset, publication.read().and_then(|said| said.op), at, found);
            }
            ServerLine::Ping | ServerLine::Reply { .. } | ServerLine::Push { .. } => {}
        }
        Ok(())
    }

    fn acknowledged(&self, answer: Answer<Value>, at: Instant, found: &Found) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let (op, sent) = state.under_way.take().context("an answer that nobody asked for")?;
        let position = answer.positions.iter().find(|position| position.channel == self.channel);
        state.promised.insert(op, position.context("an answer without a position")?.offset);
        if measured(at, found) {
            add(&found.acks);
            found.ack.borrow_mut().record(at - sent);
        }
        Ok(())
    }

    fn event(&self, offset: u64, op: Option<Uuid>, at: Instant, found: &Found) {
        let mut state = self.state.borrow_mut();
        match state.next {
            Some(next) if offset < next => return add(&found.repeated),
            Some(next) if offset > next => add(&found.gaps),
            _ => {}
        }
        state.next = Some(offset + 1);
        let Some(op) = op else { return };
        // Absent: the command of another connection of the same person.
        if let Some(sent) = state.sent.remove(&op)
            && measured(at, found)
        {
            found.event.borrow_mut().record(at - sent);
        }
        if state.seen.insert(op, offset).is_some() {
            add(&found.repeated);
        }
    }

    /// Sends the next command, while there is time.
    fn send(&self, found: &Found) -> Result<()> {
        if found.until.get().is_none_or(|until| Instant::now() >= until) {
            return Ok(());
        }
        let mut state = self.state.borrow_mut();
        let op = Uuid::new_v4();
        state.odd = !state.odd;
        state.command += 1;
        let now = Instant::now();
        state.under_way = Some((op, now));
        state.sent.insert(op, now);
        let (method, data) = (self.next)(op, state.odd);
        self.sender.send(&client::rpc(state.command + 2, method, &data))
    }

    /// Drops what was promised and kept, so that a long run needs no more memory.
    fn forget(&self) {
        let mut state = self.state.borrow_mut();
        let State { promised, seen, .. } = &mut *state;
        promised.retain(|op, offset| seen.get(op) != Some(offset));
        seen.clear();
    }

    /// Whether the last command was the first, third, … of them.
    pub fn odd(&self) -> bool {
        self.state.borrow().odd
    }

    /// Promised events that did not come, or came under another number.
    fn missing(&self) -> u64 {
        let state = self.state.borrow();
        state.promised.iter().filter(|(op, offset)| state.seen.get(op) != Some(offset)).count() as u64
    }
}

fn measured(at: Instant, found: &Found) -> bool {
    found.from.get().is_some_and(|from| at >= from) && found.until.get().is_some_and(|until| at < until)
}

/// A measured stretch.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Seconds of load before it.
    pub warmup: f64,
    /// Its length.
    pub seconds: f64,
    /// The first process of PostgreSQL, for its CPU time.
    pub postgres_pid: Option<u32>,
}

/// Clients that are connected and subscribed to their person's channel.
pub struct Crowd {
    /// All of them.
    pub clients: Vec<Rc<Client>>,
    found: Rc<Found>,
}

impl Crowd {
    /// Connects a client for each of these, as that account.
    pub async fn connect(api: &Api, all: Vec<(&Account, Next)>) -> Result<Self> {
        let found = Rc::new(Found::new());
        let mut clients = Vec::with_capacity(all.len());
        for (account, next) in all {
            let (sender, mut receiver) = open(&api.host, Options::default()).await?;
            let channel = Channel::User(account.id);
            let subscribe = client::subscribe(2, channel, Wishes::default());
            sender.send(&format!("{}\n{subscribe}", client::connect(1, &account.token)))?;
            let client = Rc::new(Client { sender, channel, next, state: RefCell::default() });
            clients.push(client.clone());
            let found = found.clone();
            tokio::task::spawn_local(async move {
                let ended = receiver.listen(|line, at| match client.line(line, at, &found) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => ControlFlow::Break(error),
                });
                let error = ended.await.unwrap_or_else(|error| error);
                add(&found.closed);
                found.first_error.borrow_mut().get_or_insert(format!("{error:#}"));
            });
        }
        all_ready(&found.ready, clients.len(), Duration::from_secs(30)).await?;
        Ok(Self { clients, found })
    }

    /// Says goodbye, and what was found of promises.
    pub fn close(&self, record: &mut Record) {
        let Self { clients, found } = self;
        let waiting = clients.iter().filter(|client| client.state.borrow().under_way.is_some()).count() as u64;
        let missing = clients.iter().map(|client| client.missing()).sum::<u64>();
        let counts = [
            ("refused", found.refused.get()),
            ("lost", found.gaps.get() + missing),
            ("duplicates", found.repeated.get()),
            ("closed", found.closed.get()),
            ("unanswered", waiting),
        ];
        counts.into_iter().for_each(|(name, count)| record.count(name, count, true));
        let events = found.event.borrow();
        for (name, quantile) in [("event_p50_ms", 0.5), ("event_p99_ms", 0.99)] {
            record.figure(name, events.quantile(quantile));
        }
        record.error(found.first_error.borrow().clone());
        clients.iter().for_each(|client| client.sender.close());
    }
}

/// One stretch of commands, until the last of them is acknowledged and its event has come.
pub async fn window(common: &Common, crowd: &Crowd, stretch: Stretch, record: &mut Record) -> Result<()> {
    let Crowd { clients, found } = crowd;
    let from = Instant::now() + Duration::from_secs_f64(stretch.warmup);
    let until = from + Duration::from_secs_f64(stretch.seconds);
    found.from.set(Some(from));
    found.until.set(Some(until));
    found.acks.set(0);
    for client in clients {
        client.send(found)?;
    }
    tokio::time::sleep_until(from.into()).await;
    let (before, postgres) = (Usage::now(common.server_pid), stretch.postgres_pid.and_then(family_cpu_seconds));
    tokio::time::sleep_until(until.into()).await;
    let (after, postgres) = (Usage::now(common.server_pid), since(postgres, stretch.postgres_pid));
    let waiting = || clients.iter().filter(|client| client.state.borrow().under_way.is_some()).count();
    let missing = || clients.iter().map(|client| client.missing()).sum::<u64>();
    settle(SETTLE, || waiting() == 0 && missing() == 0).await;
    record.window(used(&before, &after, found.acks.get()), &found.ack.replace(Latency::new()));
    record.postgres(postgres);
    clients.iter().for_each(|client| client.forget());
    Ok(())
}

/// CPU time of PostgreSQL since `before`.
pub fn since(before: Option<f64>, pid: Option<u32>) -> Option<f64> {
    Some(pid.and_then(family_cpu_seconds)? - before?)
}
