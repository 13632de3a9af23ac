//! A day as people spend it: everything of a mix at once, open loop.
//!
//! What is durable is checked by the numbers of the logs at each receiver, drags, pointers and broadcasts by sequence
//! numbers, pills by what was said last. Latency counts from the time that the schedule names; the clock of the schedule
//! has a millisecond's grain, and `late_p99_ms` says how late things were sent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::Value;

use self::crowd::Crowd;
use self::window::{Measured, Stretch};
use self::world::{Size, World};
use crate::Common;
use crate::capacity::drivers::Driver;
use crate::capacity::mix::{Mix, name};
use crate::capacity::observe::{Observed, Observer};
use crate::capacity::units::Resource;
use crate::report::run::{Run, Window};

pub mod crowd;
mod found;
mod pace;
mod person;
pub mod window;
pub mod world;

/// `day`
#[derive(Debug, Clone, clap::Args)]
pub struct DayArgs {
    /// What people do.
    #[arg(long, default_value = "loadtest/mixes/evening.json")]
    mix: PathBuf,
    /// People online, each with an account and a connection.
    #[arg(long, default_value_t = 200)]
    people: usize,
    /// How many times as often as the mix says, so that few people make load in a short time.
    #[arg(long, default_value_t = 60.0)]
    speed: f64,
    /// Length of the measurement.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds of load before the measurement.
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Who does what when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    observed: Observed,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &DayArgs) -> Result<bool> {
    let mix = Mix::read(&args.mix)?;
    let size = Size {
        people: args.people,
        strangers: mix.profiles - mix.profiles_online,
        followed: mix.profiles_online,
        room: mix.rooms.size,
    };
    let world = Rc::new(World::make(common, size).await?);
    let observer = Observer::new(common.server_pid, &args.observed).await;
    let crowd = Rc::new(Crowd::gather(&world, args.people, &mix, args.seed).await?);
    let stretch = Stretch { warmup: args.warmup, seconds: args.seconds, speed: args.speed };
    let measured = window::run(&crowd, &mix, stretch, &observer).await?;
    let run = told(args, &mix, &crowd, &measured);
    if let Some(crowd) = Rc::into_inner(crowd) {
        crowd.part().await;
    }
    world.leave().await?;
    println!("{}", serde_json::to_string(&run)?);
    show(&run);
    Ok(run.ok)
}

/// The run as a line.
fn told(args: &DayArgs, mix: &Mix, crowd: &Crowd, measured: &Measured) -> Run {
    let mut figures = BTreeMap::new();
    for (kind, rate) in &measured.actions {
        figures.insert(format!("{}_per_s", name(kind)), *rate);
    }
    for (what, latency) in &*crowd.found.latency.borrow() {
        for (suffix, quantile) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            if let Some(time) = latency.quantile(quantile) {
                figures.insert(format!("{what}_{suffix}_ms"), time);
            }
        }
    }
    let drivers = measured.drivers(mix, args.people as f64);
    let others = drivers.get(Driver::RoomDelivery) + drivers.get(Driver::ProfileDelivery);
    figures.insert("expected_to_others_per_s".into(), others);
    figures.insert("delivered_per_s".into(), measured.delivered);
    figures.insert("own_busy".into(), measured.own_busy);
    for (resource, amount) in &measured.used {
        let (name, amount) = match resource {
            Resource::ServerUs => ("server_cores", amount / 1e6),
            Resource::PostgresUs => ("postgres_cores", amount / 1e6),
            Resource::RedisUs => ("redis_cores", amount / 1e6),
            Resource::Statements => ("statements_per_s", *amount),
            Resource::WalBytes => ("wal_bytes_per_s", *amount),
            Resource::RedisOps => ("redis_ops_per_s", *amount),
            Resource::NetworkBytes => ("network_bytes_per_s", *amount),
        };
        figures.insert(name.into(), amount);
    }
    if let Some(kib) = measured.server_kib {
        figures.insert("server_kib".into(), kib as f64);
    }
    let mut counts: BTreeMap<String, u64> =
        measured.faults.iter().map(|(fault, count)| ((*fault).to_owned(), *count)).collect();
    counts.insert("conflated".into(), crowd.found.conflated.get());
    counts.insert("skipped".into(), crowd.found.skipped.get());
    counts.insert("postponed".into(), crowd.found.postponed.get());
    let all = crowd.found.latency.borrow();
    let quantile = |what: &str, quantile: f64| all.get(what).and_then(|latency| latency.quantile(quantile));
    let seen = |share: f64| quantile("drag_seen", share).or(quantile("task_seen", share)).unwrap_or_default();
    let window = Window {
        seconds: measured.seconds,
        delivered: (measured.delivered * measured.seconds).round() as u64,
        server_cpu_s: measured.used.get(&Resource::ServerUs).map(|busy| busy / 1e6 * measured.seconds),
        own_cpu_s: measured.own_busy * measured.seconds,
        p50_ms: seen(0.5),
        p99_ms: seen(0.99),
        p999_ms: seen(0.999),
        max_ms: seen(1.0),
    };
    Run {
        scenario: format!("day:{}", mix.name),
        target: "studyhall".into(),
        started_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        parameters: BTreeMap::from([
            ("mix".to_owned(), Value::from(mix.name.clone())),
            ("people".to_owned(), Value::from(args.people)),
            ("speed".to_owned(), Value::from(args.speed)),
            ("seconds".to_owned(), Value::from(args.seconds)),
            ("seed".to_owned(), Value::from(args.seed)),
        ]),
        windows: vec![window],
        counts,
        figures,
        percentiles: [0.5, 0.9, 0.99, 0.999, 1.0].map(|share| (share, seen(share))).to_vec(),
        series: Vec::new(),
        ok: measured.ok(),
        error: crowd.found.first_error.borrow().clone(),
    }
}

/// The same for people.
fn show(run: &Run) {
    for (name, count) in &run.counts {
        eprintln!("{name:28} {count}");
    }
    for (name, figure) in &run.figures {
        eprintln!("{name:28} {figure:.3}");
    }
    if let Some(error) = &run.error {
        eprintln!("{error}");
    }
}
