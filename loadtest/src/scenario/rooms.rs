//! Drags in many rooms, open loop: sends follow a schedule, and latency counts from the scheduled time,
//! so a server that holds up the sender is not rewarded for it.
//!
//! Each publisher drags its own widget, a slot of its own. The column of the drag is its sequence number,
//! so every receiver can tell what it got. Slots are latest-wins: a skipped value is conflated, not lost,
//! as long as the last one arrives.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use studyhall_protocol::Channel;
use studyhall_protocol::client::{self, Pub, Push, Reply, ServerLine, Wishes};
use studyhall_protocol::live::Drag;
use uuid::Uuid;

use self::pacer::{Pacer, Publisher};
use super::{all_ready, settle};
use crate::Common;
use crate::client::{Options, Sender, open};
use crate::process::{Usage, rss_kib};
use crate::report::{Latency, Report};
use crate::setup::{Account, Api, Room};

mod pacer;

/// How many sequence numbers one column of the grid holds; a power of two, so that fractions are exact.
const PER_COLUMN: f64 = 1024.0;
/// After the last send; what has not arrived then is lost.
const SETTLE: Duration = Duration::from_secs(3);

/// `rooms`
#[derive(Debug, Clone, clap::Args)]
pub struct RoomsArgs {
    /// How many rooms.
    #[arg(long, default_value_t = 50)]
    rooms: usize,
    /// Connections in each room; all of them read.
    #[arg(long, default_value_t = 4)]
    people: usize,
    /// Those among them who drag, at most one for each account of the pool.
    #[arg(long, default_value_t = 4)]
    publishers: usize,
    /// Values a second in each room, from all its publishers together.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Length of the measurement.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds of load before the measurement.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// Spin instead of sleeping between sends: exact, but takes a core.
    #[arg(long)]
    spin: bool,
    /// Publish by `send`, which has no reply.
    #[arg(long)]
    send: bool,
}

/// When value `sequence` of publisher `index` is due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: Instant,
    /// Between two sends of anybody.
    step: f64,
    publishers: usize,
}

impl Schedule {
    fn due(&self, index: usize, sequence: u64) -> Instant {
        self.start + Duration::from_secs_f64((sequence as f64 * self.publishers as f64 + index as f64) * self.step)
    }
}

/// What all receivers found.
#[derive(Default)]
struct Found {
    ready: Cell<usize>,
    delivered: Cell<u64>,
    replies: Cell<u64>,
    refused: Cell<u64>,
    duplicates: Cell<u64>,
    reordered: Cell<u64>,
    foreign: Cell<u64>,
    conflated: Cell<u64>,
    closed: Cell<u64>,
    first_error: RefCell<Option<String>>,
    latency: RefCell<Option<Latency>>,
    schedule: Cell<Option<Schedule>>,
    measure_from: Cell<Option<Instant>>,
}

fn add(cell: &Cell<u64>, count: u64) {
    cell.set(cell.get() + count);
}

impl Found {
    fn complain(&self, text: String) {
        self.first_error.borrow_mut().get_or_insert(text);
    }
}

/// Whose widget it is: room, publisher in the room, publisher overall.
type Widgets = HashMap<Uuid, (usize, usize, usize)>;

/// One receiver's view.
struct Seat {
    room: usize,
    channel: Channel,
    /// The next sequence number of each publisher of the room.
    next: Rc<RefCell<Vec<u64>>>,
}

impl Seat {
    fn line(&self, line: ServerLine<'_>, at: Instant, found: &Found, widgets: &Widgets) {
        match line {
            ServerLine::Reply {
                result: Ok(Reply::Subscribe(_)),
                ..
            } => found.ready.set(found.ready.get() + 1),
            ServerLine::Reply {
                result: Ok(Reply::Done),
                ..
            } => add(&found.replies, 1),
            ServerLine::Reply { result: Err(error), .. } => {
                add(&found.refused, 1);
                found.complain(error.to_string());
            }
            ServerLine::Push { channel, .. } if channel != self.channel => add(&found.foreign, 1),
            ServerLine::Push {
                push: Push::Pub(publication),
                ..
            } => self.publication(&publication, at, found, widgets),
            ServerLine::Push {
                push: Push::Unsubscribe(ended),
                ..
            } => {
                add(&found.closed, 1);
                found.complain(format!("unsubscribed: {} {}", ended.code, ended.reason));
            }
            ServerLine::Ping | ServerLine::Reply { .. } | ServerLine::Push { .. } => {}
        }
    }

    fn publication(&self, publication: &Pub<'_>, at: Instant, found: &Found, widgets: &Widgets) {
        let Some(said) = publication.read().filter(|said| said.kind == "drag") else {
            return;
        };
        let widget = said
            .key
            .and_then(|key| key.parse().ok())
            .and_then(|key: Uuid| widgets.get(&key));
        let Some(&(_, local, overall)) = widget.filter(|(room, ..)| *room == self.room) else {
            return add(&found.foreign, 1);
        };
        // A cleared slot has no value.
        let Some(drag) = said.data.and_then(|data| serde_json::from_str::<Drag>(data.get()).ok()) else {
            return;
        };
        let sequence = (drag.grid_x * PER_COLUMN).round() as u64;
        add(&found.delivered, 1);
        let next = &mut self.next.borrow_mut()[local];
        match sequence {
            _ if sequence + 1 == *next => return add(&found.duplicates, 1),
            _ if sequence < *next => return add(&found.reordered, 1),
            _ => add(&found.conflated, sequence - *next),
        }
        *next = sequence + 1;
        if let (Some(schedule), Some(from)) = (found.schedule.get(), found.measure_from.get()) {
            let due = schedule.due(overall, sequence);
            if due >= from
                && let Some(latency) = &mut *found.latency.borrow_mut()
            {
                latency.record(at.saturating_duration_since(due));
            }
        }
    }
}

struct World {
    rooms: Vec<Room>,
    accounts: Vec<Account>,
    widgets: Rc<Widgets>,
    found: Rc<Found>,
    host: String,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &RoomsArgs) -> Result<bool> {
    let api = Api::new(&common.url)?;
    let accounts = api.accounts(common).await?;
    let publishers = args.publishers.min(args.people).min(accounts.len());
    let rooms = api.rooms(&accounts, args.rooms, args.people, publishers).await?;
    let widgets = rooms.iter().enumerate().flat_map(|(room, made)| {
        // Rooms take turns, so that the sends of one room are spread over its period.
        let place = move |local: usize| (room, local, local * args.rooms + room);
        made.widgets
            .iter()
            .enumerate()
            .map(move |(local, widget)| (*widget, place(local)))
    });
    let widgets = Rc::new(widgets.collect());
    let world = World {
        rooms,
        accounts,
        widgets,
        found: Rc::default(),
        host: api.host,
    };

    let rss_before = common.server_pid.and_then(rss_kib);
    let connections = args.rooms * args.people;
    let opening = Instant::now();
    let seats = connect(&world, args).await?;
    all_ready(&world.found.ready, connections, Duration::from_secs(60)).await?;
    let opened_in = opening.elapsed();
    let rss_after = common.server_pid.and_then(rss_kib);

    let mut report = Report::new("rooms");
    report
        .set("rooms", args.rooms)
        .set("people", args.people)
        .set("publishers", publishers);
    report
        .set("rate", args.rate)
        .set("seconds", args.seconds)
        .number("connect_seconds", opened_in.as_secs_f64());
    let growth = rss_before
        .zip(rss_after)
        .map(|(before, after)| (after as f64 - before as f64) / connections as f64);
    report.number("server_kib_per_connection", growth);
    let ok = measure(common, args, &world, seats, publishers, &mut report).await?;
    report
        .set("server_rss_kib", common.server_pid.and_then(rss_kib))
        .set("ok", ok)
        .print();
    Ok(ok)
}

/// A connection's sending half, and what its receiver has seen.
type Connected = (Sender, Rc<RefCell<Vec<u64>>>);

/// Opens all connections, room by room.
async fn connect(world: &World, args: &RoomsArgs) -> Result<Vec<Connected>> {
    stream::iter(0..args.rooms * args.people)
        .map(|index| async move {
            let (room, person) = (index / args.people, index % args.people);
            let plan = &world.rooms[room];
            let account = &world.accounts[plan.members[person % plan.members.len()]];
            let (sender, mut receiver) = open(&world.host, Options::default()).await?;
            let subscribe = client::subscribe(2, plan.channel, Wishes::default());
            sender.send(&format!("{}\n{subscribe}", client::connect(1, &account.token)))?;
            let next = Rc::new(RefCell::new(vec![0; plan.widgets.len()]));
            let seat = Seat {
                room,
                channel: plan.channel,
                next: next.clone(),
            };
            let (found, widgets) = (world.found.clone(), world.widgets.clone());
            tokio::task::spawn_local(async move {
                let ended = receiver.listen(|line, at| {
                    seat.line(line, at, &found, &widgets);
                    ControlFlow::<()>::Continue(())
                });
                if let Err(error) = ended.await {
                    add(&found.closed, 1);
                    found.complain(format!("{error:#}"));
                }
            });
            Ok((sender, next))
        })
        .buffered(64)
        .try_collect()
        .await
}

async fn measure(
    common: &Common,
    args: &RoomsArgs,
    world: &World,
    seats: Vec<Connected>,
    publishers: usize,
    report: &mut Report,
) -> Result<bool> {
    let found = &world.found;
    let total = publishers * args.rooms;
    let start = Instant::now() + Duration::from_millis(200);
    let step = 1.0 / (args.rate * args.rooms as f64);
    let schedule = Schedule {
        start,
        step,
        publishers: total,
    };
    let from = start + Duration::from_secs_f64(args.warmup);
    let until = from + Duration::from_secs_f64(args.seconds);
    found.schedule.set(Some(schedule));
    found.measure_from.set(Some(from));
    *found.latency.borrow_mut() = Some(Latency::new());

    // Without a rate, idle connections are all there is to measure.
    let turns = if step.is_finite() { publishers } else { 0 };
    let sending = (0..turns)
        .flat_map(|local| (0..args.rooms).map(move |room| (local, room)))
        .map(|(local, room)| {
            let sender = seats[room * args.people + local].0.clone();
            let (channel, widget) = (world.rooms[room].channel, world.rooms[room].widgets[local]);
            Publisher {
                sender,
                channel,
                widget,
                drag: Uuid::new_v4(),
            }
        });
    let pacer = Pacer {
        publishers: sending.collect(),
        schedule,
        until,
        spin: args.spin,
        send: args.send,
    };
    // A thread of its own sleeps more exactly than the runtime's timer, which counts milliseconds.
    let pacer = std::thread::spawn(move || pacer.run());

    tokio::time::sleep_until(from.into()).await;
    let (before, delivered) = (Usage::now(common.server_pid), found.delivered.get());
    tokio::time::sleep_until(until.into()).await;
    let (after, delivered) = (Usage::now(common.server_pid), found.delivered.get() - delivered);
    let sent = tokio::task::spawn_blocking(move || pacer.join()).await?;
    let sent = sent.ok().context("the sender panicked")??;
    let missing = || missing(&seats, args.people, &sent.values, args.rooms);
    settle(SETTLE, || missing() == 0).await;
    let lost = missing();
    let_go(world, args, &seats)?;

    let server = after.server_since(&before);
    report.set("published", sent.count).set("delivered", delivered);
    report.number("deliveries_per_s", delivered as f64 / after.seconds_since(&before));
    if let Some(latency) = &*found.latency.borrow() {
        report.latency("latency", latency);
    }
    report.number("send_late_p99_ms", sent.late.quantile(0.99));
    report.number(
        "server_us_per_delivery",
        server.map(|cpu| cpu * 1e6 / delivered.max(1) as f64),
    );
    report.number("server_busy", server.map(|cpu| cpu / after.seconds_since(&before)));
    report.number("own_busy", after.own_busy_since(&before));
    let counts = [
        &found.refused,
        &found.duplicates,
        &found.reordered,
        &found.foreign,
        &found.closed,
    ]
    .map(Cell::get);
    for (name, count) in ["refused", "duplicates", "reordered", "foreign", "closed"]
        .into_iter()
        .zip(counts)
    {
        report.set(name, count);
    }
    report.set("conflated", found.conflated.get()).set("lost", lost);
    report.set("error", found.first_error.borrow().clone());
    Ok(lost == 0 && counts.iter().sum::<u64>() == 0)
}

/// Clears the slots, or the server would commit the drags of people who vanished, and leaves.
fn let_go(world: &World, args: &RoomsArgs, seats: &[Connected]) -> Result<()> {
    for (room, plan) in world.rooms.iter().enumerate() {
        for (local, widget) in plan.widgets.iter().enumerate() {
            let nothing = json!({"type": "drag", "key": widget, "data": null});
            seats[room * args.people + local]
                .0
                .send(&client::publish(u32::MAX, plan.channel, &nothing))?;
        }
    }
    seats.iter().for_each(|(sender, _)| sender.close());
    Ok(())
}

/// Values after the last one that each receiver saw of each publisher.
fn missing(seats: &[Connected], people: usize, sent: &[u64], rooms: usize) -> u64 {
    let lost = seats.iter().enumerate().map(|(index, (_, next))| {
        let room = index / people;
        let behind = |(local, next): (usize, &u64)| sent.get(local * rooms + room).map_or(0, |sent| sent - next);
        next.borrow().iter().enumerate().map(behind).sum::<u64>()
    });
    lost.sum()
}

fn value(widget: Uuid, drag: Uuid, index: usize, sequence: u64) -> serde_json::Value {
    json!({"type": "drag", "key": widget, "data": {"drag_id": drag, "grid_x": sequence as f64 / PER_COLUMN, "grid_y": index}})
}
