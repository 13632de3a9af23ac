//! Connections that do nothing, and what each of them costs the server in memory.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Common;
use crate::fanout::group::Spec;
use crate::fanout::speech::Kind;
use crate::fanout::{Fanout, FanoutArgs, runs};
use crate::report::run::Run;

/// Until what was only needed to open the connections has been given back.
const SETTLE: Duration = Duration::from_secs(3);

/// `idle`
#[derive(Debug, Clone, clap::Args)]
pub struct IdleArgs {
    /// How many rooms.
    #[arg(long, default_value_t = 2_500)]
    rooms: usize,
    /// Connections in each.
    #[arg(long, default_value_t = 4)]
    people: usize,
    /// People whose profile each connection is subscribed to besides; Studyhall only.
    #[arg(long, default_value_t = 10)]
    profiles: usize,
    #[command(flatten)]
    fanout: FanoutArgs,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &IdleArgs) -> Result<bool> {
    let specs = [Spec { kind: Kind::Drag, rooms: args.rooms, people: args.people, speakers: 0 }];
    let mut fanout = Fanout::new(common, &args.fanout).await?;
    fanout.profiles = args.profiles;
    let mut all = Vec::new();
    // One after the other: the connections of several servers are more than one process may open.
    for index in 0..fanout.bench.world.targets.len() {
        fanout.make(index, &specs, false).await?;
        all.push(measure(&mut fanout, index, specs[0].rooms * specs[0].people)?);
        fanout.bench.hang_up();
    }
    let ok = runs::print(all, &specs, &args.fanout, &[("profiles", args.profiles.into())]);
    fanout.leave().await?;
    Ok(ok)
}

fn measure(fanout: &mut Fanout, index: usize, connections: usize) -> Result<Run> {
    let used = move |fanout: &mut Fanout| -> Option<(f64, f64)> {
        let meter = fanout.bench.world.targets[index].meter.as_mut()?;
        Some((meter.rss_kib()? as f64, meter.cpu_seconds()?))
    };
    let before = used(fanout);
    fanout.open(index)?;
    let opened = used(fanout);
    let since = Instant::now();
    fanout.bench.wait(SETTLE)?;
    let after = used(fanout);
    let seconds = since.elapsed().as_secs_f64();
    let mut run = runs::idle(fanout, index, "idle");
    if let (Some(before), Some(opened), Some(after)) = (before, opened, after) {
        let each = 1.0 / connections as f64;
        run.figures.extend([
            ("rss_kib_per_connection".to_owned(), (after.0 - before.0) * each),
            ("rss_kib_before".to_owned(), before.0),
            ("opening_cpu_ms_per_connection".to_owned(), (opened.1 - before.1) * each * 1e3),
            ("idle_server_busy".to_owned(), (after.1 - opened.1) / seconds),
        ]);
    }
    Ok(run)
}
