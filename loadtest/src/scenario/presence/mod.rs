//! People who come and go, fall idle and wake up, and others who watch their pills.
//!
//! First everybody connects, and Redis is asked twice what that costs it: with half of the people and with all of them.
//! Then the watchers come, each with many profiles in one frame. Then people change, open loop: how long it takes from the
//! change's time in the schedule to the pill at each watcher. In the end nobody may be shown as what they are not.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use serde_json::Value;
use uuid::Uuid;

use self::people::People;
use self::watch::{Change, Seen, watch, watched};
use super::settle;
use crate::Common;
use crate::capacity::observe::redis::commands_run;
use crate::process::{Usage, rss_kib};
use crate::report::Latency;
use crate::report::run::{Run, Window};
use crate::setup::Api;

mod people;
mod watch;

/// Until what connecting stirred up has settled; also longer than anybody may be shown wrongly after the last change.
const REST: Duration = Duration::from_secs(3);

/// `presence`
#[derive(Debug, Clone, clap::Args)]
pub struct PresenceArgs {
    /// People who are there, a connection each.
    #[arg(long, default_value_t = 1_000)]
    people: usize,
    /// People who watch others.
    #[arg(long, default_value_t = 50)]
    watchers: usize,
    /// Profiles that each of them watches.
    #[arg(long, default_value_t = 200)]
    profiles: usize,
    /// How far apart the first profiles of two watchers lie: as many as `--profiles`, and nobody watches with another.
    #[arg(long, default_value_t = 50)]
    apart: usize,
    /// Changes of somebody's status a second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// People who go, a second; each comes back three seconds later.
    #[arg(long, default_value_t = 10.0)]
    leaves: f64,
    /// Length of each measurement.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Who changes when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// `host:port` or socket path of the server's Redis, to count its commands.
    #[arg(long)]
    redis: Option<String>,
}

/// Figures by name; what could not be measured is left out.
#[derive(Default)]
struct Figures(BTreeMap<String, f64>);

impl Figures {
    fn put(&mut self, name: &str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.0.insert(name.into(), value);
        }
    }

    fn latency(&mut self, name: &str, latency: &Latency) {
        for (suffix, quantile) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            self.put(&format!("{name}_{suffix}_ms"), latency.quantile(quantile));
        }
    }
}

/// Runs the scenario; `false` when a pill is wrong in the end, or somebody was refused.
pub async fn run(common: &Common, args: &PresenceArgs) -> Result<bool> {
    if args.profiles > args.people {
        bail!("nobody can watch more profiles than there are people");
    }
    let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let api = Api::new(&common.url)?;
    let pool = Common { pool: args.people + args.watchers, ..common.clone() };
    let accounts = api.accounts(&pool).await?;
    let (people, watchers) = accounts.split_at(args.people);
    api.show_presence(people).await?;
    let (mut figures, seen) = (Figures::default(), Rc::new(Seen::default()));
    let crowd = People::new(&api, people, &seen);
    let rss = || common.server_pid.and_then(rss_kib);
    let before = rss();
    crowd.come_all(0..people.len() / 2).await?;
    figures.put("redis_commands_per_s_half", redis_rate(args).await?);
    crowd.come_all(people.len() / 2..people.len()).await?;
    figures.put("redis_commands_per_s_all", redis_rate(args).await?);
    let all_here = rss();
    figures.put("kib_per_person", per(before, all_here, args.people));
    figures.latency("subscribe_all", &watch(&api, args, people, watchers, &seen).await?);
    figures.put("kib_per_watcher", per(all_here, rss(), args.watchers));
    let commands = commands(args).await?;
    let usage = Usage::now(common.server_pid);
    let changes = crowd.change(args).await?;
    let after = Usage::now(common.server_pid);
    let seconds = after.seconds_since(&usage);
    figures.put("redis_commands_per_s_changing", used(commands, self::commands(args).await?, seconds));
    let pairs: Vec<(usize, Uuid)> = (0..watchers.len())
        .flat_map(|watcher| watched(args, people, watcher).map(move |person| (watcher, person.id)))
        .collect();
    settle(REST, || seen.wrong(&pairs) == 0).await;
    let counts = [("wrong", seen.wrong(&pairs)), ("refused", seen.refused.get()), ("closed", seen.closed.get())];
    crowd.part();
    for (change, count) in changes {
        figures.put(&format!("{}s_per_s", change.name()), count as f64 / seconds);
    }
    figures.latency("late", &crowd.late.borrow());
    for (change, latency) in &*seen.latency.borrow() {
        figures.latency(change.name(), latency);
    }
    let server = after.server_since(&usage);
    figures.put("server_us_per_pill", server.map(|cpu| cpu * 1e6 / seen.pills.get().max(1) as f64));
    figures.put("own_busy", after.own_busy_since(&usage));
    let own_cpu_s = after.own_busy_since(&usage).unwrap_or_default() * seconds;
    let window = window(&seen, seconds, server, own_cpu_s);
    let mut run = told(args, window, figures, &counts);
    run.started_at = started_at;
    run.error = seen.first_error.borrow().clone();
    println!("{}", serde_json::to_string(&run)?);
    run.counts.iter().for_each(|(name, count)| eprintln!("{name:32} {count}"));
    run.figures.iter().for_each(|(name, figure)| eprintln!("{name:32} {figure:.3}"));
    Ok(run.ok)
}

/// The measured stretch; its latency is that of changes of status, which nothing holds back on purpose.
fn window(seen: &Seen, seconds: f64, server_cpu_s: Option<f64>, own_cpu_s: f64) -> Window {
    let latency = seen.latency.borrow();
    let status = latency.iter().find(|(change, _)| *change == Change::Status).map(|(_, latency)| latency);
    let at = |share: f64| status.and_then(|latency| latency.quantile(share)).unwrap_or_default();
    let (p50_ms, p99_ms, p999_ms, max_ms) = (at(0.5), at(0.99), at(0.999), at(1.0));
    Window { seconds, delivered: seen.pills.get(), server_cpu_s, own_cpu_s, p50_ms, p99_ms, p999_ms, max_ms }
}

fn told(args: &PresenceArgs, window: Window, figures: Figures, counts: &[(&str, u64)]) -> Run {
    let parameters = [
        ("people", Value::from(args.people)),
        ("watchers", Value::from(args.watchers)),
        ("profiles", Value::from(args.profiles)),
        ("apart", Value::from(args.apart)),
        ("rate", Value::from(args.rate)),
        ("leaves", Value::from(args.leaves)),
        ("seconds", Value::from(args.seconds)),
        ("seed", Value::from(args.seed)),
    ];
    let percentiles = vec![(0.5, window.p50_ms), (0.99, window.p99_ms), (0.999, window.p999_ms), (1.0, window.max_ms)];
    Run {
        scenario: "presence".into(),
        target: "studyhall".into(),
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        parameters: parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ok: counts.iter().all(|(_, count)| *count == 0) && window.delivered > 0,
        windows: vec![window],
        counts: counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        figures: figures.0,
        percentiles,
        ..Run::default()
    }
}

/// KiB for each of `count`.
fn per(before: Option<u64>, after: Option<u64>, count: usize) -> Option<f64> {
    Some((after? as f64 - before? as f64) / count.max(1) as f64)
}

async fn commands(args: &PresenceArgs) -> Result<Option<u64>> {
    match &args.redis {
        Some(redis) => Ok(Some(commands_run(redis).await?)),
        None => Ok(None),
    }
}

fn used(before: Option<u64>, after: Option<u64>, seconds: f64) -> Option<f64> {
    Some((after? - before?) as f64 / seconds)
}

/// Commands that Redis runs a second while nobody does anything.
async fn redis_rate(args: &PresenceArgs) -> Result<Option<f64>> {
    tokio::time::sleep(REST).await;
    let before = commands(args).await?;
    if before.is_some() {
        tokio::time::sleep(Duration::from_secs_f64(args.seconds)).await;
    }
    Ok(used(before, commands(args).await?, args.seconds))
}
