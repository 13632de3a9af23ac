//! Durable commands on a schedule: people in rooms of four drop widgets, and each drop counts when the last of the four
//! has received it. Latency is from the scheduled time.
//!
//! Every drop must arrive at all four, once, and the numbers of each room must be consecutive.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use studyhall_protocol::client;
use uuid::Uuid;

use super::TasksArgs;
use crate::Common;
use crate::client::Sender;
use crate::process::Usage;
use crate::scenario::record::{Record, family_cpu_seconds, used};
use crate::scenario::witness::Witnesses;
use crate::scenario::{all_ready, settle};
use crate::setup::{Api, Room};

/// People in a room.
const PEOPLE: usize = 4;
/// After the last drop; what has not arrived then is lost.
const SETTLE: Duration = Duration::from_secs(5);

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &TasksArgs, rate: f64) -> Result<bool> {
    let api = Api::new(&common.url)?;
    let accounts = api.accounts(&Common { pool: common.pool.max(PEOPLE), ..common.clone() }).await?;
    api.sweep(&accounts).await?;
    let rooms = api.rooms(&accounts, args.rooms, PEOPLE, PEOPLE).await?;
    let witnesses = Rc::new(Witnesses::default());
    let mut senders = Vec::with_capacity(rooms.len() * PEOPLE);
    for room in &rooms {
        for member in &room.members {
            senders.push(witnesses.open(&api.host, &accounts[*member].token, &[room.channel]).await?);
        }
    }
    all_ready(&witnesses.ready, senders.len(), Duration::from_secs(30)).await?;
    let parameters: [(&str, Value); 5] = [
        ("rate", rate.into()),
        ("rooms", rooms.len().into()),
        ("people", PEOPLE.into()),
        ("seconds", args.seconds.into()),
        ("windows", args.windows.into()),
    ];
    let mut record = Record::new("tasks:latency", "studyhall", &parameters);
    window(common, args, &witnesses, &rooms, &senders, (rate, args.warmup), None).await?;
    for _ in 0..args.windows.max(1) {
        window(common, args, &witnesses, &rooms, &senders, (rate, args.seconds), Some(&mut record)).await?;
    }
    witnesses.report(&mut record);
    senders.iter().for_each(Sender::close);
    let ok = record.print("command", "commands");
    api.sweep(&accounts).await?;
    Ok(ok)
}

/// One stretch of drops; without a record it only warms up.
async fn window(
    common: &Common,
    args: &TasksArgs,
    witnesses: &Witnesses,
    rooms: &[Room],
    senders: &[Sender],
    (rate, seconds): (f64, f64),
    record: Option<&mut Record>,
) -> Result<()> {
    let many = (rate * seconds) as usize;
    let from = Instant::now() + Duration::from_millis(20);
    let ops: Vec<Uuid> = (0..many).map(|_| Uuid::new_v4()).collect();
    let scheduled = |number: usize| from + Duration::from_secs_f64(number as f64 / rate);
    witnesses.await_all(ops.iter().enumerate().map(|(number, op)| (*op, scheduled(number))), PEOPLE);
    let (before, postgres) = (Usage::now(common.server_pid), args.postgres_pid.and_then(family_cpu_seconds));
    send(rooms, senders, ops, scheduled).await?;
    let (after, used_by_postgres) = (Usage::now(common.server_pid), args.postgres_pid.and_then(family_cpu_seconds));
    settle(SETTLE, || witnesses.arrived() == many).await;
    if let (Some(record), Some(last)) = (record, witnesses.take_latency()) {
        record.count("lost", witnesses.missing(), true);
        record.window(used(&before, &after, witnesses.arrived() as u64), &last);
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
