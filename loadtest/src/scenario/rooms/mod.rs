//! Drags in many rooms, open loop: sends follow a schedule, and latency counts from the scheduled time,
//! so a server that holds up the sender is not rewarded for it.
//!
//! Each publisher drags its own widget, a slot of its own. The column of the drag is its sequence number,
//! so every receiver can tell what it got. Slots are latest-wins: a skipped value is conflated, not lost,
//! as long as the last one arrives.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use studyhall_protocol::client::{self, Wishes};
use uuid::Uuid;

use self::pacer::{Pacer, Publisher};
use self::seat::{Found, Schedule, Seat, Widgets, add, missing};
use super::{all_ready, settle};
use crate::Common;
use crate::client::{Options, Sender, open};
use crate::process::{Usage, rss_kib};
use crate::report::{Latency, Report};
use crate::setup::{Account, Api, Room};

mod pacer;
mod seat;

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
    api.sweep(&accounts).await?;
    let publishers = args.publishers.min(args.people).min(accounts.len());
    let rooms = api.rooms(&accounts, args.rooms, args.people, publishers).await?;
    let widgets = rooms.iter().enumerate().flat_map(|(room, made)| {
        // Rooms take turns, so that the sends of one room are spread over its period.
        let place = move |local: usize| (room, local, local * args.rooms + room);
        made.widgets.iter().enumerate().map(move |(local, widget)| (*widget, place(local)))
    });
    let widgets = Rc::new(widgets.collect());
    let world = World { rooms, accounts, widgets, found: Rc::default(), host: api.host.clone() };

    let rss_before = common.server_pid.and_then(rss_kib);
    let connections = args.rooms * args.people;
    let opening = Instant::now();
    let seats = connect(&world, args).await?;
    all_ready(&world.found.ready, connections, Duration::from_secs(60)).await?;
    let opened_in = opening.elapsed();
    let rss_after = common.server_pid.and_then(rss_kib);

    let mut report = Report::new("rooms");
    report.set("rooms", args.rooms).set("people", args.people).set("publishers", publishers);
    report.set("rate", args.rate).set("seconds", args.seconds).number("connect_seconds", opened_in.as_secs_f64());
    let growth = rss_before.zip(rss_after).map(|(before, after)| (after as f64 - before as f64) / connections as f64);
    report.number("server_kib_per_connection", growth);
    let ok = measure(common, args, &world, seats, publishers, &mut report).await?;
    api.sweep(&world.accounts).await?;
    report.set("server_rss_kib", common.server_pid.and_then(rss_kib)).set("ok", ok).print();
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
            let seat = Seat { room, channel: plan.channel, next: next.clone() };
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
    let schedule = Schedule { start, step, publishers: total };
    let from = start + Duration::from_secs_f64(args.warmup);
    let until = from + Duration::from_secs_f64(args.seconds);
    found.schedule.set(Some(schedule));
    found.measure_from.set(Some(from));
    *found.latency.borrow_mut() = Some(Latency::new());

    // Without a rate, idle connections are all there is to measure.
    let turns = if step.is_finite() { publishers } else { 0 };
    let sending = (0..turns).flat_map(|local| (0..args.rooms).map(move |room| (local, room))).map(|(local, room)| {
        let sender = seats[room * args.people + local].0.clone();
        let (channel, widget) = (world.rooms[room].channel, world.rooms[room].widgets[local]);
        Publisher { sender, channel, widget, drag: Uuid::new_v4() }
    });
    let pacer = Pacer { publishers: sending.collect(), schedule, until, spin: args.spin, send: args.send };
    // A thread of its own sleeps more exactly than the runtime's timer, which counts milliseconds.
    let pacer = std::thread::spawn(move || pacer.run());

    tokio::time::sleep_until(from.into()).await;
    let (before, delivered) = (Usage::now(common.server_pid), found.delivered.get());
    tokio::time::sleep_until(until.into()).await;
    let (after, delivered) = (Usage::now(common.server_pid), found.delivered.get() - delivered);
    let sent = tokio::task::spawn_blocking(move || pacer.join()).await?;
    let sent = sent.ok().context("the sender panicked")??;
    let missing = || missing(seats.iter().map(|(_, next)| next), args.people, &sent.values, args.rooms);
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
    report.number("server_us_per_delivery", server.filter(|_| delivered > 0).map(|cpu| cpu * 1e6 / delivered as f64));
    report.number("server_busy", server.map(|cpu| cpu / after.seconds_since(&before)));
    report.number("own_busy", after.own_busy_since(&before));
    let counts = [&found.refused, &found.duplicates, &found.reordered, &found.foreign, &found.closed].map(Cell::get);
    for (name, count) in ["refused", "duplicates", "reordered", "foreign", "closed"].into_iter().zip(counts) {
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
            seats[room * args.people + local].0.send(&client::publish(u32::MAX, plan.channel, &nothing))?;
        }
    }
    seats.iter().for_each(|(sender, _)| sender.close());
    Ok(())
}
