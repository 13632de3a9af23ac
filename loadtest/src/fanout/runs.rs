//! The runs of all servers, window by window, and what they come to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::Value;

use super::bench::{Bench, Load, Measured, Plan};
use super::group::{Counts, Spec};
use super::table;
use super::{Fanout, FanoutArgs};
use crate::report::Latency;
use crate::report::progress::Progress;
use crate::report::run::Run;

/// Above this share of a core the load tester may be what is measured.
const OWN_BUSY_MAX: f64 = 0.9;
/// Above this share of a core others disturb the measurement.
pub const OTHER_BUSY_MAX: f64 = 0.2;

/// Steps of [`Run::percentiles`] from 0 to 90 %, from there to 99 %, and so on to 99.999 %.
const STEPS: i32 = 8;

/// A server's run as far as it is.
pub struct Taking {
    run: Run,
    latency: Vec<Latency>,
    /// Cores that other processes used, in the worst window.
    other_busy: f64,
}

/// Offers the load to all servers in turns, and makes their runs.
pub fn interleaved(fanout: &mut Fanout, args: &FanoutArgs, scenario: &str, loads: &[Load]) -> Result<Vec<Run>> {
    let settle = Duration::from_secs_f64(args.settle);
    let targets = fanout.bench.world.targets.len();
    let expected = (args.warmup + args.windows as f64 * args.seconds) * targets as f64;
    let mut progress = Progress::new(scenario, Duration::from_secs_f64(expected));
    let warmup = Plan { groups: loads.to_vec(), seconds: args.warmup, settle };
    if args.warmup > 0.0 {
        for target in 0..targets {
            fanout.bench.window(target, &warmup)?;
        }
    }
    let plan = Plan { seconds: args.seconds, ..warmup };
    let mut taking: Vec<Taking> = (0..targets).map(|target| Taking::new(&fanout.bench, target, scenario)).collect();
    for round in 0..args.windows {
        for place in 0..targets {
            // Back and forth: what drifts favours nobody.
            let target = if round % 2 == 0 { place } else { targets - 1 - place };
            let measured = fanout.bench.window(target, &plan)?;
            taking[target].take(measured);
            // Between windows only: drawing takes longer than a delivery.
            progress.tick(fanout.bench.world.delivered());
        }
    }
    drop(progress);
    let runs = taking.into_iter().enumerate();
    Ok(runs.map(|(target, taking)| taking.finish(fanout, target)).collect())
}

/// Prints all runs, a line of JSON each, and the table. Whether every promise was kept. `more`: parameters of the scenario.
pub fn print(mut runs: Vec<Run>, specs: &[Spec], args: &FanoutArgs, more: &[(&str, Value)]) -> bool {
    let Spec { rooms, people, speakers, .. } = specs[0];
    let common: [(&str, Value); 7] = [
        ("rooms", rooms.into()),
        ("people", people.into()),
        ("publishers", speakers.into()),
        ("windows", args.windows.into()),
        ("seconds", args.seconds.into()),
        ("send", args.send.into()),
        ("sleep", args.sleep.into()),
    ];
    for run in &mut runs {
        let parameters = common.iter().chain(more).map(|(name, value)| ((*name).to_owned(), value.clone()));
        run.parameters.extend(parameters);
        println!("{}", serde_json::to_string(run).unwrap_or_default());
    }
    eprint!("{}", table::table(&runs));
    runs.iter().all(|run| run.ok)
}

/// The run of a server that is not under load.
pub fn idle(fanout: &Fanout, index: usize, scenario: &str) -> Run {
    Taking::new(&fanout.bench, index, scenario).finish(fanout, index)
}

/// A run of this server that begins now.
fn empty(target: &str, scenario: &str) -> Run {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Run {
        scenario: scenario.to_owned(),
        target: target.to_owned(),
        started_at: since.as_secs(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        ok: true,
        ..Run::default()
    }
}

impl Taking {
    /// Begins now.
    pub fn new(bench: &Bench, index: usize, scenario: &str) -> Self {
        let target = &bench.world.targets[index];
        let latency = target.groups.iter().map(|_| Latency::new()).collect();
        Self { run: empty(&target.name, scenario), latency, other_busy: 0.0 }
    }

    /// Adds a window.
    pub fn take(&mut self, measured: Measured) {
        self.run.windows.push(measured.window);
        self.run.series.extend(measured.series);
        self.other_busy = self.other_busy.max(measured.other_busy.unwrap_or(0.0));
        for (all, window) in self.latency.iter_mut().zip(&measured.latency) {
            all.add(window);
        }
    }

    /// With all that was found besides.
    pub fn finish(mut self, fanout: &Fanout, index: usize) -> Run {
        let target = &fanout.bench.world.targets[index];
        let run = &mut self.run;
        let shares = (0..=5 * STEPS).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / f64::from(STEPS)));
        let percentile = |share| Some((share, self.latency[0].quantile(share)?));
        run.percentiles = shares.chain([1.0]).filter_map(percentile).collect();
        let mut late = Latency::new();
        target.groups.iter().for_each(|group| late.add(&group.late));
        let figures = [
            ("send_late_p99_ms", late.quantile(0.99)),
            ("opened_s", fanout.opened_s.get(index).copied()),
            ("rss_kib", target.meter.as_ref().and_then(|meter| meter.rss_kib()).map(|kib| kib as f64)),
            ("beside_p99_ms", self.latency.get(1).and_then(|latency| latency.quantile(0.99))),
        ];
        run.figures = figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        counts(run, fanout, index);
        let busiest = run.windows.iter().map(|window| window.own_busy()).fold(0.0, f64::max);
        run.figures.insert("own_busy_max".to_owned(), busiest);
        run.figures.insert("other_busy_max".to_owned(), self.other_busy);
        if busiest > OWN_BUSY_MAX {
            let busy = format!("the load tester was {:.0} % busy: it may be what was measured", busiest * 100.0);
            run.error.get_or_insert(busy);
        }
        if self.other_busy > OTHER_BUSY_MAX {
            let busy = format!("other programs used {:.0} % of a core: do not trust this", self.other_busy * 100.0);
            run.error.get_or_insert(busy);
        }
        self.run
    }
}

/// Puts what receivers found into the run.
fn counts(run: &mut Run, fanout: &Fanout, index: usize) {
    let target = &fanout.bench.world.targets[index];
    let mut add = |name: &str, count: u64| *run.counts.entry(name.to_owned()).or_default() += count;
    for group in &target.groups {
        let Counts { sent, delivered, duplicates, reordered, foreign, gaps, lost, overdue, parsed } = group.counts;
        let thinned = if group.spec.kind == super::speech::Kind::Drag { "conflated" } else { "skipped" };
        let found = [("duplicates", duplicates), ("reordered", reordered), ("foreign", foreign), (thinned, gaps)];
        let more = [("lost", lost), ("overdue", overdue), ("sent", sent), ("delivered", delivered), ("parsed", parsed)];
        found.into_iter().chain(more).for_each(|(name, count)| add(name, count));
    }
    add("refused", target.refused);
    add("closed", target.closed);
    let faults = ["duplicates", "reordered", "foreign", "lost", "overdue", "refused", "closed"];
    run.ok = faults.iter().all(|fault| run.counts.get(*fault).is_none_or(|count| *count == 0));
    run.error.clone_from(&target.error);
}
