//! Durable commands, closed loop: each client ticks its task, and ticks again when that is acknowledged.
//!
//! Every acknowledgement names the position of its event on `user:<me>`. That event must arrive there once,
//! under that number, and the numbers must be consecutive.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use studyhall_protocol::client::{self, Push, Reply, ServerLine, Wishes};
use studyhall_protocol::{Answer, Channel};
use uuid::Uuid;

use super::{all_ready, settle};
use crate::Common;
use crate::client::{Options, Sender, open};
use crate::process::Usage;
use crate::report::{Latency, Report};
use crate::setup::Api;

/// After the last acknowledgement; an event that has not arrived then is missing.
const SETTLE: Duration = Duration::from_secs(3);

/// `tasks`
#[derive(Debug, Clone, clap::Args)]
pub struct TasksArgs {
    /// Connections; those beyond the pool share a person, and with it a log.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Length of the measurement.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds of load before the measurement.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
}

/// What all clients found.
struct Found {
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

/// One client: what it waits for, what it was promised, what it saw.
struct Client {
    sender: Sender,
    channel: Channel,
    task: Uuid,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The number of the next event; `None` before the subscription.
    next: Option<u64>,
    ticked: bool,
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
                self.tick(found)?;
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
    fn tick(&self, found: &Found) -> Result<()> {
        if found.until.get().is_none_or(|until| Instant::now() >= until) {
            return Ok(());
        }
        let mut state = self.state.borrow_mut();
        let op = Uuid::new_v4();
        state.ticked = !state.ticked;
        state.command += 1;
        let now = Instant::now();
        state.under_way = Some((op, now));
        state.sent.insert(op, now);
        let data = json!({"id": self.task, "is_completed": state.ticked, "op": op});
        self.sender.send(&client::rpc(state.command + 2, "task.update", &data))
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

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &TasksArgs) -> Result<bool> {
    let api = Api::new(&common.url)?;
    let accounts = api.accounts(common).await?;
    api.sweep(&accounts).await?;
    let tasks = api.tasks(&accounts, args.clients).await?;
    let found = Rc::new(Found {
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
    });
    let mut clients = Vec::with_capacity(args.clients);
    for (index, task) in tasks.iter().enumerate() {
        let account = &accounts[index % accounts.len()];
        let (sender, mut receiver) = open(&api.host, Options::default()).await?;
        let channel = Channel::User(account.id);
        let subscribe = client::subscribe(2, channel, Wishes::default());
        sender.send(&format!("{}\n{subscribe}", client::connect(1, &account.token)))?;
        let client = Rc::new(Client { sender, channel, task: task.id, state: RefCell::default() });
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
    all_ready(&found.ready, args.clients, Duration::from_secs(30)).await?;
    let ok = measure(common, args, &clients, &found).await?;
    api.sweep(&accounts).await?;
    Ok(ok)
}

async fn measure(common: &Common, args: &TasksArgs, clients: &[Rc<Client>], found: &Found) -> Result<bool> {
    let from = Instant::now() + Duration::from_secs_f64(args.warmup);
    let until = from + Duration::from_secs_f64(args.seconds);
    found.from.set(Some(from));
    found.until.set(Some(until));
    for client in clients {
        client.tick(found)?;
    }
    tokio::time::sleep_until(from.into()).await;
    let before = Usage::now(common.server_pid);
    tokio::time::sleep_until(until.into()).await;
    let after = Usage::now(common.server_pid);
    let waiting = || clients.iter().filter(|client| client.state.borrow().under_way.is_some()).count() as u64;
    let missing = || clients.iter().map(|client| client.missing()).sum::<u64>();
    settle(SETTLE, || waiting() == 0 && missing() == 0).await;

    let (acks, server) = (found.acks.get(), after.server_since(&before));
    let mut report = Report::new("tasks");
    report.set("clients", args.clients).set("people", clients.len().min(common.pool)).set("seconds", args.seconds);
    report.set("acks", acks).number("acks_per_s", acks as f64 / after.seconds_since(&before));
    report.latency("ack", &found.ack.borrow()).latency("event", &found.event.borrow());
    report.number("server_us_per_ack", server.map(|cpu| cpu * 1e6 / acks.max(1) as f64));
    report.number("server_busy", server.map(|cpu| cpu / after.seconds_since(&before)));
    report.number("own_busy", after.own_busy_since(&before));
    let counts =
        [found.refused.get(), found.gaps.get(), found.repeated.get(), found.closed.get(), waiting(), missing()];
    for (name, count) in ["refused", "gaps", "repeated", "closed", "unanswered", "missing"].into_iter().zip(counts) {
        report.set(name, count);
    }
    let ok = counts.iter().sum::<u64>() == 0 && acks > 0;
    report.set("error", found.first_error.borrow().clone()).set("ok", ok).print();
    clients.iter().for_each(|client| client.sender.close());
    Ok(ok)
}
