//! What the server has to reach and what it aims at, and whether it does.

use super::results::{FLOOR, FLOOR_MERGED, Merged, Results, STUDYHALL};
use super::stats::Spread;

/// Which side of the bound is the good one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Good {
    /// At most.
    Below,
    /// At least.
    Above,
}

/// One line of the table.
pub struct Target {
    /// What is measured.
    pub what: &'static str,
    /// Where.
    pub scenario: &'static str,
    /// Which side is good.
    pub good: Good,
    /// The bound that has to hold.
    pub must: f64,
    /// The bound that is hoped for.
    pub aim: f64,
    /// Of all three numbers.
    pub unit: &'static str,
    measured: fn(&Merged, &Results) -> Option<Spread>,
}

/// What became of a target.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The median reaches what was aimed at.
    Aim,
    /// The median reaches what must be.
    Must,
    /// It does not, or the run broke a promise: then what.
    Missed(Option<String>),
    /// There was no such run, or no floor beside it.
    NotMeasured,
}

impl Target {
    /// The figure and what it means.
    pub fn judge(&self, results: &Results) -> (Option<Spread>, Verdict) {
        let Some(run) = results.one(self.scenario, STUDYHALL) else {
            return (None, Verdict::NotMeasured);
        };
        let Some(spread) = (self.measured)(run, results) else {
            return (None, Verdict::NotMeasured);
        };
        // At the highest rate newer values may replace older ones; below it nobody may notice the load.
        let thinned = (run.thinned() > 0 && !self.scenario.ends_with(":highest"))
            .then(|| format!("{} conflated or skipped", run.thinned()));
        if let Some(broken) = run.broken().or(thinned) {
            return (Some(spread), Verdict::Missed(Some(broken)));
        }
        let reaches = |bound: f64| match self.good {
            Good::Below => spread.median <= bound,
            Good::Above => spread.median >= bound,
        };
        let verdict = match (reaches(self.aim), reaches(self.must)) {
            (true, _) => Verdict::Aim,
            (false, true) => Verdict::Must,
            (false, false) => Verdict::Missed(None),
        };
        (Some(spread), verdict)
    }
}

fn cpu_over_floor(run: &Merged, results: &Results) -> Option<Spread> {
    run.cpu_ratio(results.one(&run.scenario, FLOOR)?)
}

fn rate(run: &Merged, _: &Results) -> Option<Spread> {
    run.over_windows(|window| window.per_s())
}

fn highest(run: &Merged, _: &Results) -> Option<Spread> {
    run.figure("highest_per_s")
}

fn p99(run: &Merged, _: &Results) -> Option<Spread> {
    run.over_windows(|window| window.p99_ms)
}

/// All of them, in the order of the table.
pub const TARGETS: &[Target] = &[
    Target {
        what: "`rooms`, 500 rooms of 4, 20 drags/s each: server CPU per delivery, over one write per message",
        scenario: "rooms",
        good: Good::Below,
        must: 1.3,
        aim: 1.15,
        unit: "×",
        measured: cpu_over_floor,
    },
    Target {
        what: "`rooms`: highest rate with p99 ≤ 100 ms",
        scenario: "rooms:highest",
        good: Good::Above,
        must: 300_000.0,
        aim: 450_000.0,
        unit: "deliveries/s",
        measured: highest,
    },
    Target {
        what: "`lecture`, 5,000 in a room, 10 messages/s: server CPU per delivery, over one write per message",
        scenario: "lecture",
        good: Good::Below,
        must: 1.15,
        aim: 1.08,
        unit: "×",
        measured: cpu_over_floor,
    },
    Target {
        what: "`lecture`: highest rate with p99 ≤ 250 ms",
        scenario: "lecture:highest",
        good: Good::Above,
        must: 1_000_000.0,
        aim: 2_000_000.0,
        unit: "deliveries/s",
        measured: highest,
    },
    Target {
        what: "`flood`, 1,000 in a room, 32 in flight: deliveries/s, over the merged floor",
        scenario: "flood",
        good: Good::Above,
        must: 0.6,
        aim: 1.0,
        unit: "×",
        measured: |run, results| run.rate_ratio(results.one("flood", FLOOR_MERGED)?),
    },
    Target {
        what: "`rooms` at 40,000 deliveries/s: p99 beyond the floor's",
        scenario: "rooms",
        good: Good::Below,
        must: 3.0,
        aim: 1.0,
        unit: "ms",
        measured: |run, results| {
            let floor = results.one("rooms", FLOOR)?;
            run.beside(floor, |ours, theirs| Some(ours.p99_ms - theirs.p99_ms))
        },
    },
    Target {
        what: "`rooms` while `lecture` runs on the same node: p99",
        scenario: "rooms:lecture",
        good: Good::Below,
        must: 50.0,
        aim: 20.0,
        unit: "ms",
        measured: p99,
    },
    Target {
        what: "idle connection with a room and ten profiles: resident memory",
        scenario: "idle",
        good: Good::Below,
        must: 8.0,
        aim: 4.0,
        unit: "KiB",
        measured: |run, _| run.figure("rss_kib_per_connection"),
    },
    Target {
        what: "`storm`, 5,000 connects with new tokens: server CPU per connection",
        scenario: "storm",
        good: Good::Below,
        must: 0.12,
        aim: 0.08,
        unit: "ms",
        measured: |run, _| run.figure("cpu_per_connection_ms"),
    },
    Target {
        what: "10,000 resume at once, each 20 events behind: until all are back",
        scenario: "storm:resume",
        good: Good::Below,
        must: 20.0,
        aim: 5.0,
        unit: "s",
        measured: |run, _| run.figure("resume_all_complete_s"),
    },
    Target {
        what: "the same: reads of the log",
        scenario: "storm:resume",
        good: Good::Below,
        must: 500.0,
        aim: 500.0,
        unit: "reads",
        measured: |run, _| run.figure("resume_log_reads"),
    },
    Target {
        what: "durable commands, 32 clients, over `pgbench` with one committed statement that writes as much",
        scenario: "tasks",
        good: Good::Above,
        must: 50.0,
        aim: 80.0,
        unit: "%",
        measured: |run, results| {
            let percent = run.rate_ratio(results.one("tasks", "pgbench")?)?;
            let [median, low, high] = [percent.median, percent.low, percent.high].map(|ratio| ratio * 100.0);
            Some(Spread { median, low, high, ..percent })
        },
    },
    Target {
        what: "likes on one hot post",
        scenario: "feed:likes",
        good: Good::Above,
        must: 5_000.0,
        aim: 20_000.0,
        unit: "likes/s",
        measured: rate,
    },
    Target {
        what: "durable commands, 1,000/s: from sending to receipt at the last of 4, p99",
        scenario: "tasks:latency",
        good: Good::Below,
        must: 10.0,
        aim: 5.0,
        unit: "ms",
        measured: p99,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::report::run::{Run, Window};

    fn results(scenario: &str, ours: &[f64], floor: &[f64], counts: &[(&str, u64)]) -> Results {
        let mut results = Results::default();
        for (target, cpu) in [(STUDYHALL, ours), (FLOOR, floor)] {
            let counts = if target == STUDYHALL { counts } else { &[] };
            let run = Run {
                scenario: scenario.into(),
                target: target.into(),
                windows: cpu
                    .iter()
                    .map(|cpu| Window { seconds: 1.0, delivered: 1_000, server_cpu_s: Some(*cpu), ..Window::default() })
                    .collect(),
                counts: counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
                figures: BTreeMap::from([("highest_per_s".to_owned(), 320_000.0)]),
                ok: counts.iter().all(|(name, _)| *name == "conflated"),
                ..Run::default()
            };
            results.add(&json!(run).to_string()).unwrap();
        }
        results
    }

    fn judged(results: &Results, what: &str) -> (Option<f64>, Verdict) {
        let target = TARGETS.iter().find(|target| target.what.starts_with(what)).unwrap();
        let (spread, verdict) = target.judge(results);
        (spread.map(|spread| spread.median), verdict)
    }

    #[test]
    fn the_median_decides() {
        let judge = |ours: &[f64]| judged(&results("rooms", ours, &[1.0, 1.0, 1.0], &[]), "`rooms`, 500");
        assert_eq!(judge(&[1.0, 1.15, 9.0]), (Some(1.15), Verdict::Aim));
        assert_eq!(judge(&[1.0, 1.16, 9.0]), (Some(1.16), Verdict::Must));
        assert_eq!(judge(&[1.0, 1.31, 9.0]), (Some(1.31), Verdict::Missed(None)));
        let highest = results("rooms:highest", &[1.0], &[1.0], &[("conflated", 7)]);
        assert_eq!(judged(&highest, "`rooms`: highest"), (Some(320_000.0), Verdict::Must));
    }

    #[test]
    fn a_broken_promise_is_a_miss_however_fast() {
        let with = |name| judged(&results("rooms", &[1.0], &[1.0], &[(name, 2)]), "`rooms`, 500").1;
        assert_eq!(with("lost"), Verdict::Missed(Some("2 lost".into())));
        assert_eq!(with("conflated"), Verdict::Missed(Some("2 conflated or skipped".into())));
    }

    #[test]
    fn without_a_floor_there_is_no_ratio() {
        let alone = results("rooms", &[1.0], &[], &[]);
        assert_eq!(judged(&alone, "`rooms`, 500"), (None, Verdict::NotMeasured));
        assert_eq!(judged(&alone, "`lecture`, 5,000"), (None, Verdict::NotMeasured));
    }

    #[test]
    fn aims_are_at_least_as_hard_as_musts() {
        for target in TARGETS {
            let harder = if target.good == Good::Below { target.aim <= target.must } else { target.aim >= target.must };
            assert!(harder, "{}", target.what);
        }
    }
}
