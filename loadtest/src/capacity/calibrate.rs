//! Short runs that each isolate one kind of thing, and what they say about unit costs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use studyhall_protocol::Channel;
use studyhall_protocol::client;

use super::drivers::Drivers;
use super::mix::{Gesture, Kind, Loads, Mix, Rooms};
use super::observe::Observer;
use super::units::{Amounts, Memory, Units};
use crate::client::{Options, Sender, open};
use crate::scenario::day::crowd::Crowd;
use crate::scenario::day::window::{self, Stretch};
use crate::scenario::day::world::World;

/// Connections whose memory is measured, besides the crowd.
const IDLE: usize = 2_000;
/// Profiles that each of those watches, when they watch.
const IDLE_PROFILES: usize = 10;
/// Until memory and caches have settled.
const REST: Duration = Duration::from_millis(1_500);

/// A crowd, and what it does in turn.
struct Plan {
    /// Who watches whom, who is in rooms.
    shape: Mix,
    /// One kind at so many a second, for all together; `None` is silence.
    windows: Vec<(Option<(Kind, f64)>, Gesture)>,
}

/// People alone, people who watch others, rooms of four, rooms of one. What is done is the same and what gets to others
/// differs, so commands and deliveries can be told apart.
fn plans() -> Vec<Plan> {
    let usual = Gesture::default();
    // Drags with few drops, and drops with hardly a drag.
    let (long, short) = (Gesture { seconds: 1.0, per_second: 20.0 }, Gesture { seconds: 0.1, per_second: 20.0 });
    // As many at once as a busy node has.
    let fast = Gesture { seconds: 1.0, per_second: 40.0 };
    let some = |kind: Kind, rate: f64| (Some((kind, rate)), usual);
    let alone = vec![
        (None, usual),
        some(Kind::Task, 100.0),
        some(Kind::Task, 300.0),
        some(Kind::Like, 150.0),
        some(Kind::Comment, 120.0),
        some(Kind::Post, 80.0),
        // Few are told by themselves, many together.
        some(Kind::Status, 5.0),
        some(Kind::Status, 300.0),
        some(Kind::Dashboard, 150.0),
        some(Kind::Feed, 120.0),
        some(Kind::Visit, 30.0),
    ];
    let watching = vec![
        some(Kind::Like, 80.0),
        some(Kind::Comment, 60.0),
        some(Kind::Post, 40.0),
        some(Kind::Status, 120.0),
        some(Kind::Visit, 15.0),
    ];
    let rooms = vec![
        (Some((Kind::Gesture, 40.0)), long),
        (Some((Kind::Gesture, 120.0)), long),
        (Some((Kind::Gesture, 120.0)), fast),
        (Some((Kind::Gesture, 60.0)), short),
        some(Kind::Pointer, 600.0),
        some(Kind::Pointer, 2_000.0),
        some(Kind::Pointer, 6_000.0),
        some(Kind::Broadcast, 600.0),
        some(Kind::RoomLoad, 150.0),
        some(Kind::Visit, 30.0),
    ];
    let single = vec![
        (Some((Kind::Gesture, 50.0)), long),
        some(Kind::Pointer, 1_500.0),
        some(Kind::Pointer, 6_000.0),
        some(Kind::Broadcast, 800.0),
    ];
    let shape = |profiles: usize, profiles_online: usize, share: f64, size: usize| Mix {
        name: "calibration".into(),
        about: String::new(),
        profiles,
        profiles_online,
        rooms: Rooms { share, size },
        loads: Loads { dashboard: 0.0, feed: 0.0, room: 0.0 },
        gesture: usual,
        per_hour: BTreeMap::new(),
        day: super::mix::Day::default(),
    };
    vec![
        Plan { shape: shape(0, 0, 0.0, 4), windows: alone },
        Plan { shape: shape(20, 10, 0.0, 4), windows: watching },
        Plan { shape: shape(0, 0, 1.0, 4), windows: rooms },
        Plan { shape: shape(0, 0, 0.25, 1), windows: single },
    ]
}

/// How long a window is, and how it is told.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Seconds that are measured.
    pub seconds: f64,
    /// Who does what when.
    pub seed: u64,
}

/// Measures everything; `mixed` is run as well, at such a speed, so that costs hold for things done at once.
pub async fn calibrate(world: &Rc<World>, observer: &Observer, pace: Pace, mixed: &[(Mix, f64)]) -> Result<Units> {
    let memory = memory(world, observer).await?;
    let mut measured: Vec<(Drivers, Amounts)> = Vec::new();
    let people = world.size.people;
    for plan in plans() {
        let crowd = Rc::new(Crowd::gather(world, people, &plan.shape, pace.seed).await?);
        for (what, gesture) in plan.windows {
            let mut mix = Mix { gesture, ..plan.shape.clone() };
            if let Some((kind, rate)) = what {
                let who = people as f64 * if kind.in_rooms() { mix.rooms.share } else { 1.0 };
                mix.per_hour.insert(kind, rate * 3_600.0 / who);
            }
            measured.push(one(&crowd, &mix, 1.0, observer, pace).await?);
        }
        crowd.part().await;
    }
    for (mix, speed) in mixed {
        let crowd = Rc::new(Crowd::gather(world, people, mix, pace.seed).await?);
        measured.push(one(&crowd, mix, *speed, observer, pace).await?);
        crowd.part().await;
    }
    let measured_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut units = Units { machine: machine(), measured_at, memory, ..Units::default() };
    units.fit(&measured);
    Ok(units)
}

async fn one(crowd: &Rc<Crowd>, mix: &Mix, speed: f64, observer: &Observer, pace: Pace) -> Result<(Drivers, Amounts)> {
    // Not before the first drags are dropped.
    let warmup = 0.7_f64.max(mix.gesture.seconds + 0.2);
    let stretch = Stretch { warmup, seconds: pace.seconds, speed };
    let measured = window::run(crowd, mix, stretch, observer).await?;
    let what = mix.per_hour.keys().map(super::mix::name).collect::<Vec<_>>().join(" ");
    let cores = |resource| measured.used.get(&resource).copied().unwrap_or_default() / 1e6;
    eprintln!(
        "{:40} server {:.3} PostgreSQL {:.3} ours {:.2} cores",
        if what.is_empty() { "nothing" } else { &what },
        cores(super::units::Resource::ServerUs),
        cores(super::units::Resource::PostgresUs),
        measured.own_busy
    );
    if !measured.ok() {
        bail!("{what}: {:?} {:?}", measured.faults, crowd.found.first_error.borrow());
    }
    Ok((measured.drivers(mix, crowd.people.len() as f64), measured.used))
}

/// Opens many connections that do nothing, three times: with their own channel, with a room, with profiles.
async fn memory(world: &Rc<World>, observer: &Observer) -> Result<Memory> {
    let rss = || observer.server_kib().map_or(0.0, |kib| kib as f64);
    let node_kib = rss();
    let mut reached = Vec::new();
    for (room, profiles) in [(false, 0), (true, 0), (false, IDLE_PROFILES)] {
        let here = idle(world, room, profiles).await?;
        tokio::time::sleep(REST).await;
        reached.push(rss());
        here.iter().for_each(Sender::close);
        tokio::time::sleep(REST).await;
    }
    // What the allocator got it does not give back, so each counts from the same start.
    let per = |more: f64| more.max(0.0) / IDLE as f64;
    Ok(Memory {
        node_kib,
        connection_kib: per(reached[0] - node_kib),
        seat_kib: per(reached[1] - reached[0]),
        subscription_kib: per(reached[2] - reached[1].max(reached[0])) / IDLE_PROFILES as f64,
    })
}

async fn idle(world: &Rc<World>, room: bool, profiles: usize) -> Result<Vec<Sender>> {
    let people = world.size.people;
    let opened = stream::iter(0..IDLE).map(|index| async move {
        let person = index % people;
        let account = &world.accounts[person];
        let mut channels = vec![Channel::User(account.id)];
        channels.extend(world.rooms.get(person / world.size.room).filter(|_| room).map(|room| room.channel));
        channels.extend((0..profiles).map(|step| Channel::Profile(world.accounts[(person + step) % people].id)));
        let (sender, mut receiver) = open(&world.api.host, Options::default()).await?;
        let mut lines = vec![client::connect(1, &account.token)];
        let subscribe =
            |(id, channel): (usize, &Channel)| client::subscribe(id as u32 + 2, *channel, client::Wishes::default());
        lines.extend(channels.iter().enumerate().map(subscribe));
        sender.send(&lines.join("\n"))?;
        let mut missing = lines.len();
        let all = receiver.listen(|line, _| {
            missing -= usize::from(matches!(line, client::ServerLine::Reply { .. }));
            if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        all.await?;
        tokio::task::spawn_local(async move {
            let _ = receiver.listen(|_, _| ControlFlow::<()>::Continue(())).await;
        });
        anyhow::Ok(sender)
    });
    opened.buffered(32).try_collect().await
}

/// Cores, processor, kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} cores, {}, Linux {}", model.unwrap_or("unknown"), read("/proc/sys/kernel/osrelease").trim())
}
