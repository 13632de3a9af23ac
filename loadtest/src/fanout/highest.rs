//! The highest rate at which everything still arrives, and in time.

use std::time::Duration;

use anyhow::Result;

use super::bench::{Load, Plan};
use super::group::Counts;
use super::runs::{OTHER_BUSY_MAX, Taking};
use super::{Fanout, FanoutArgs};
use crate::report::progress::Progress;
use crate::report::run::Run;

/// Rates closer than this are the same.
const NEAR: f64 = 1.05;
/// A rate is too high when it failed this often: a hiccup of the machine is not the server's.
const TRIES: usize = 2;

/// Windows in which other programs ran are taken again, so often in all.
const DISTURBED_MAX: usize = 10;
/// What a search takes more or less.
const STEPS: usize = 14;

/// The search at one server.
#[derive(Debug, Clone)]
struct Search {
    rate: f64,
    passed: Option<f64>,
    failed: Option<f64>,
    tries: usize,
    disturbed: usize,
}

impl Search {
    fn new(rate: f64) -> Self {
        Self { rate, passed: None, failed: None, tries: 0, disturbed: 0 }
    }

    /// Whether there is nothing more to find out.
    fn over(&self) -> bool {
        match (self.passed, self.failed) {
            (Some(passed), Some(failed)) => failed / passed <= NEAR,
            // Nothing at all is fast enough.
            (None, Some(failed)) => failed < 0.01,
            _ => false,
        }
    }

    /// Goes on from what this rate came to: twice as much until it is too much, then the middle, by ratio.
    fn next(&mut self, passed: bool) {
        self.tries += 1;
        if passed {
            self.passed = Some(self.rate);
        } else if self.tries < TRIES {
            return;
        } else {
            self.failed = Some(self.rate);
        }
        self.tries = 0;
        self.rate = match (self.passed, self.failed) {
            (Some(passed), Some(failed)) => (passed * failed).sqrt(),
            (None, Some(failed)) => failed / 2.0,
            _ => self.rate * 2.0,
        };
    }
}

/// What a rate has to keep to.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// So late may one value in a hundred be.
    pub p99_ms: f64,
    /// Newer values may replace older ones; what is received counts.
    pub conflated: bool,
}

/// Searches at all servers in turns. `first`: where to begin, as a rate of the first group. The windows of each run are
/// those at its highest rate.
pub fn search(fanout: &mut Fanout, args: &FanoutArgs, scenario: &str, first: f64, bound: Bound) -> Result<Vec<Run>> {
    let targets = fanout.bench.world.targets.len();
    let settle = Duration::from_secs_f64(args.settle);
    let mut searches = vec![Search::new(first); targets];
    let mut best: Vec<Taking> = (0..targets).map(|target| Taking::new(&fanout.bench, target, scenario)).collect();
    let expected = (STEPS * targets) as f64 * args.seconds;
    let mut progress = Progress::new(scenario, Duration::from_secs_f64(expected));
    while searches.iter().any(|search| !search.over()) {
        for target in 0..targets {
            let search = &mut searches[target];
            if search.over() {
                continue;
            }
            let plan = Plan { groups: vec![Load::Rate(search.rate)], seconds: args.seconds, settle };
            let (before, refused) = (counts(fanout, target), fanout.bench.world.targets[target].refused);
            let measured = fanout.bench.window(target, &plan)?;
            let after = counts(fanout, target);
            let whole = after.lost + after.overdue == before.lost + before.overdue
                && (bound.conflated || after.gaps == before.gaps);
            let whole = whole && fanout.bench.world.targets[target].refused == refused;
            let passed = whole && measured.window.p99_ms <= bound.p99_ms;
            let name = &fanout.bench.world.targets[target].name;
            eprintln!(
                "{name} at {:.1}/s: {:.0} deliveries/s, p99 {:.1} ms, {} lost, {} passed over{}",
                search.rate,
                measured.window.per_s(),
                measured.window.p99_ms,
                after.lost - before.lost,
                after.gaps - before.gaps,
                if passed { "" } else { " - too much" },
            );
            let disturbed = !passed && measured.other_busy.is_some_and(|busy| busy > OTHER_BUSY_MAX);
            if passed && search.passed.is_none_or(|passed| search.rate > passed) {
                best[target] = Taking::new(&fanout.bench, target, scenario);
                best[target].take(measured);
            } else {
                fanout.bench.calm()?;
                // Beyond the highest rate that is to be expected; what is wrong at any rate is kept.
                let target = &mut fanout.bench.world.targets[target];
                let Counts { lost, gaps, overdue, .. } = before;
                target.groups[0].counts = Counts { lost, gaps, overdue, ..target.groups[0].counts };
                if target.refused > refused {
                    (target.refused, target.error) = (refused, None);
                }
            }
            if disturbed && search.disturbed < DISTURBED_MAX {
                // Something else ran on this machine, so that says nothing.
                search.disturbed += 1;
                continue;
            }
            search.next(passed);
            progress.tick(fanout.bench.world.delivered());
        }
    }
    drop(progress);
    let runs = best.into_iter().zip(searches).enumerate().map(|(target, (taking, search))| {
        let mut run = taking.finish(fanout, target);
        let highest = run.windows.first().map_or(0.0, |window| window.per_s());
        run.figures.insert("highest_per_s".to_owned(), highest);
        run.figures.insert("highest_rate_per_s".to_owned(), search.passed.unwrap_or(0.0));
        run.parameters.insert("p99_ms".to_owned(), bound.p99_ms.into());
        run.parameters.insert("conflated".to_owned(), bound.conflated.into());
        run
    });
    Ok(runs.collect())
}

fn counts(fanout: &Fanout, target: usize) -> Counts {
    fanout.bench.world.targets[target].groups[0].counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches where everything up to `limit` passes, but for the first try in `hiccup`.
    fn found(first: f64, limit: f64, hiccup: usize) -> (f64, usize) {
        let mut search = Search::new(first);
        let mut windows = 0;
        while !search.over() {
            windows += 1;
            let passed = search.rate <= limit && windows != hiccup;
            search.next(passed);
            assert!(windows < 60, "{search:?}");
        }
        (search.passed.unwrap_or(0.0), windows)
    }

    #[test]
    fn the_highest_rate_is_found_from_below_and_from_above() {
        for first in [1.0, 90.0, 1_000.0] {
            let (rate, _) = found(first, 100.0, 0);
            assert!(rate <= 100.0 && rate * NEAR >= 100.0, "{rate} from {first}");
        }
    }

    #[test]
    fn a_hiccup_is_no_limit() {
        let (calm, _) = found(20.0, 100.0, 0);
        for hiccup in 1..8 {
            assert_eq!(found(20.0, 100.0, hiccup).0, calm);
        }
    }

    #[test]
    fn nothing_may_be_fast_enough() {
        assert_eq!(found(10.0, 0.0, 0).0, 0.0);
    }
}
