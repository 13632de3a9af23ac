//! Durable commands on a schedule: people in rooms of four drop widgets, and each drop counts when the last of the four
//! has received it. Latency is from the scheduled time.
//!
//! Every drop must arrive at all four, once, and the numbers of each room must be consecutive.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use studyhall_protocol::client::{self, Push, Reply, ServerLine, Wishes};
use uuid::Uuid;

use super::TasksArgs;
use crate::Common;
use crate::client::{Options, Sender, open};
use crate::process::Usage;
use crate::report::Latency;
use crate::scenario::record::{Record, family_cpu_seconds, used};
use crate::scenario::{all_ready, settle};
use crate::setup::{Api, Room};

/// People in a room.
const PEOPLE: usize = 4;
/// After the last drop; what has not arrived then is lost.
const SETTLE: Duration = Duration::from_secs(5);

/// A drop of the current stretch.
struct Drop {
    scheduled: Instant,
    /// Who has not received it.
    left: u8,
}

#[derive(Default)]
struct Found {
    ready: Cell<usize>,
    closed: Cell<u64>,
    refused: Cell<u64>,
    gaps: Cell<u64>,
    repeated: Cell<u64>,
    /// Of the current stretch, by operation.
    drops: RefCell<HashMap<Uuid, Drop>>,
    arrived: Cell<u64>,
    last: RefCell<Option<Latency>>,
    first_error: RefCell<Option<String>>,
}

fn add(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

impl Found {
    fn line(&self, line: ServerLine<'_>, at: Instant, next: &Cell<Option<u64>>) {
        match line {
            ServerLine::Reply { result: Ok(Reply::Subscribe(seat)), .. } => {
                next.set(Some(seat.offset + 1));
                self.ready.set(self.ready.get() + 1);
            }
            ServerLine::Reply { result: Err(error), .. } => {
                add(&self.refused);
                self.first_error.borrow_mut().get_or_insert(error.to_string());
            }
            ServerLine::Push { push: Push::Pub(publication), .. } => {
                if let Some(offset) = publication.offset {
                    self.event(offset, publication.read().and_then(|said| said.op), at, next);
                }
            }
            ServerLine::Ping | ServerLine::Reply { .. } | ServerLine::Push { .. } => {}
        }
    }

    fn event(&self, offset: u64, op: Option<Uuid>, at: Instant, next: &Cell<Option<u64>>) {
        match next.replace(Some(offset + 1)) {
            Some(expected) if offset < expected => {
                next.set(Some(expected));
                return add(&self.repeated);
            }
            Some(expected) if offset > expected => add(&self.gaps),
            _ => {}
        }
        let mut drops = self.drops.borrow_mut();
        let Some(drop) = op.and_then(|op| drops.get_mut(&op)) else { return };
        drop.left = drop.left.saturating_sub(1);
        if drop.left == 0 {
            add(&self.arrived);
            if let Some(last) = &mut *self.last.borrow_mut() {
                last.record(at.saturating_duration_since(drop.scheduled));
            }
        }
    }
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &TasksArgs, rate: f64) -> Result<bool> {
    let api = Api::new(&common.url)?;
    let accounts = api.accounts(&Common { pool: common.pool.max(PEOPLE), ..common.clone() }).await?;
    api.sweep(&accounts).await?;
    let rooms = api.rooms(&accounts, args.rooms, PEOPLE, PEOPLE).await?;
    let found = Rc::new(Found::default());
    let mut senders = Vec::with_capacity(rooms.len() * PEOPLE);
    for room in &rooms {
        for member in &room.members {
            let (sender, mut receiver) = open(&api.host, Options::default()).await?;
            let subscribe = client::subscribe(2, room.channel, Wishes::default());
            sender.send(&format!("{}\n{subscribe}", client::connect(1, &accounts[*member].token)))?;
            senders.push(sender);
            let found = found.clone();
            tokio::task::spawn_local(async move {
                let next = Cell::new(None);
                let ended = receiver.listen(|line, at| {
                    found.line(line, at, &next);
                    ControlFlow::<anyhow::Error>::Continue(())
                });
                let error = ended.await.unwrap_or_else(|error| error);
                add(&found.closed);
                found.first_error.borrow_mut().get_or_insert(format!("{error:#}"));
            });
        }
    }
    all_ready(&found.ready, senders.len(), Duration::from_secs(30)).await?;
    let parameters: [(&str, Value); 5] = [
        ("rate", rate.into()),
        ("rooms", rooms.len().into()),
        ("people", PEOPLE.into()),
        ("seconds", args.seconds.into()),
        ("windows", args.windows.into()),
    ];
    let mut record = Record::new("tasks:latency", "studyhall", &parameters);
    window(common, args, &found, &rooms, &senders, (rate, args.warmup), None).await?;
    for _ in 0..args.windows.max(1) {
        window(common, args, &found, &rooms, &senders, (rate, args.seconds), Some(&mut record)).await?;
    }
    for (name, count) in [
        ("refused", found.refused.get()),
        ("lost", found.gaps.get()),
        ("duplicates", found.repeated.get()),
        ("closed", found.closed.get()),
    ] {
        record.count(name, count, true);
    }
    record.error(found.first_error.borrow().clone());
    senders.iter().for_each(Sender::close);
    let ok = record.print("command", "commands");
    api.sweep(&accounts).await?;
    Ok(ok)
}

/// One stretch of drops; without a record it only warms up.
async fn window(
    common: &Common,
    args: &TasksArgs,
    found: &Found,
    rooms: &[Room],
    senders: &[Sender],
    (rate, seconds): (f64, f64),
    record: Option<&mut Record>,
) -> Result<()> {
    let many = (rate * seconds) as usize;
    let from = Instant::now() + Duration::from_millis(20);
    let ops: Vec<Uuid> = (0..many).map(|_| Uuid::new_v4()).collect();
    let scheduled = |number: usize| from + Duration::from_secs_f64(number as f64 / rate);
    let drops = ops.iter().enumerate();
    let drops = drops.map(|(number, op)| (*op, Drop { scheduled: scheduled(number), left: PEOPLE as u8 }));
    *found.drops.borrow_mut() = drops.collect();
    found.arrived.set(0);
    *found.last.borrow_mut() = Some(Latency::new());
    let (before, postgres) = (Usage::now(common.server_pid), args.postgres_pid.and_then(family_cpu_seconds));
    send(rooms, senders, ops, scheduled).await?;
    let (after, used_by_postgres) = (Usage::now(common.server_pid), args.postgres_pid.and_then(family_cpu_seconds));
    settle(SETTLE, || found.arrived.get() == many as u64).await;
    if let (Some(record), Some(last)) = (record, found.last.borrow_mut().take()) {
        record.count("lost", many as u64 - found.arrived.get(), true);
        record.window(used(&before, &after, found.arrived.get()), &last);
        record.postgres(used_by_postgres.zip(postgres).map(|(after, before)| after - before));
    }
    Ok(())
}

/// Sends each drop at its time, on a thread of its own: the timers of the runtime count milliseconds.
async fn send(rooms: &[Room], senders: &[Sender], ops: Vec<Uuid>, scheduled: impl Fn(usize) -> Instant) -> Result<()> {
    let drop = |(number, op): (usize, Uuid)| {
        let (room, round) = (number % rooms.len(), number / rooms.len());
        let person = round % PEOPLE;
        // To and fro, so that every drop changes something.
        let data = json!({
            "id": rooms[room].widgets[person], "drag_id": Uuid::new_v4(),
            "grid_x": round % 100, "grid_y": person, "op": op,
        });
        let text = client::rpc(u32::try_from(number).unwrap_or(0) + 3, "widget.move", &data);
        (scheduled(number), senders[room * PEOPLE + person].clone(), text)
    };
    let drops: Vec<(Instant, Sender, String)> = ops.into_iter().enumerate().map(drop).collect();
    let sending = tokio::task::spawn_blocking(move || {
        for (due, sender, text) in drops {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            sender.send(&text)?;
        }
        anyhow::Ok(())
    });
    sending.await?
}
