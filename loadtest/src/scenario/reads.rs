//! The pages that every tab loads, over REST, in a closed loop: each client asks again when it has been answered.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use serde_json::Value;

use super::closed::since;
use super::day::world::{Size, World};
use super::record::{Record, family_cpu_seconds, used};
use crate::Common;
use crate::process::Usage;
use crate::report::Latency;

/// Whom everybody follows: so many who are here, and as many strangers as make twenty.
const FOLLOWED: usize = 6;
const STRANGERS: usize = 14;
/// People of a room.
const ROOM: usize = 4;

/// `reads`
#[derive(Debug, Clone, clap::Args)]
pub struct ReadsArgs {
    /// Clients, each another person.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Measured stretches of each page.
    #[arg(long, default_value_t = 1)]
    windows: usize,
    /// Length of each.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds of load before each.
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// The first process of PostgreSQL, for its CPU time.
    #[arg(long)]
    postgres_pid: Option<u32>,
}

/// Runs the scenario; `false` when an answer was none.
pub async fn run(common: &Common, args: &ReadsArgs) -> Result<bool> {
    let people = args.clients.max(FOLLOWED + 1).next_multiple_of(ROOM);
    let world = World::make(common, Size { people, strangers: STRANGERS, followed: FOLLOWED, room: ROOM }).await?;
    let room = |person: usize| format!("/workspaces/{}", world.rooms[person / ROOM].channel.id());
    let ok = page(common, args, &world, "dashboard", &|_| "/dashboard".into()).await?
        & page(common, args, &world, "room", &room).await?
        & page(common, args, &world, "feed", &|_| "/feed".into()).await?;
    world.leave(common).await?;
    Ok(ok)
}

async fn page(
    common: &Common,
    args: &ReadsArgs,
    world: &World,
    name: &str,
    path: &impl Fn(usize) -> String,
) -> Result<bool> {
    let parameters: [(&str, Value); 3] =
        [("clients", args.clients.into()), ("seconds", args.seconds.into()), ("windows", args.windows.into())];
    let mut record = Record::new(&format!("reads:{name}"), "studyhall", &parameters);
    for _ in 0..args.windows.max(1) {
        window(common, args, world, path, &mut record).await?;
    }
    Ok(record.print("request", "requests"))
}

async fn window(
    common: &Common,
    args: &ReadsArgs,
    world: &World,
    path: &impl Fn(usize) -> String,
    record: &mut Record,
) -> Result<()> {
    let from = Instant::now() + Duration::from_secs_f64(args.warmup);
    let until = from + Duration::from_secs_f64(args.seconds);
    let (latency, bytes, answered) = (RefCell::new(Latency::new()), Cell::new(0), Cell::new(0_u64));
    let client = async |person: usize| {
        let path = path(person);
        loop {
            let asked = Instant::now();
            if asked >= until {
                return anyhow::Ok(());
            }
            bytes.set(world.api.get(&path, &world.accounts[person].token).await?);
            let at = Instant::now();
            if (from..until).contains(&at) {
                answered.set(answered.get() + 1);
                latency.borrow_mut().record(at - asked);
            }
        }
    };
    let looking = async {
        tokio::time::sleep_until(from.into()).await;
        let (before, postgres) = (Usage::now(common.server_pid), args.postgres_pid.and_then(family_cpu_seconds));
        tokio::time::sleep_until(until.into()).await;
        (before, Usage::now(common.server_pid), since(postgres, args.postgres_pid))
    };
    let (asked, (before, after, postgres)) = tokio::join!(try_join_all((0..args.clients).map(client)), looking);
    asked?;
    record.window(used(&before, &after, answered.get()), &latency.borrow());
    record.postgres(postgres);
    record.figure("bytes_per_request", bytes.get() as f64);
    Ok(())
}
