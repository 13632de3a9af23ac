//! Tables and plots of one scenario.

use super::chapters::{Chapter, PLOTTED};
use super::document::{Block, Table};
use super::plot::{Axis, Bar, Caption, Line, bars, lines};
use super::results::{FLOOR, FLOOR_MERGED, Merged, STUDYHALL};
use super::run::Sample;
use super::stats::Spread;
use super::text::{number, plain};

/// In a cell without a figure.
pub const NOTHING: &str = "–";

/// One scenario and all who ran in it.
pub struct Subject<'a> {
    /// Its name in the runs.
    pub scenario: &'a str,
    /// Of all its plots.
    pub title: String,
    /// What there is to say.
    pub chapter: &'a Chapter,
    /// In the order in which they are shown.
    pub runs: Vec<&'a Merged>,
}

impl Subject<'_> {
    /// Everything about it, in its order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        if !self.chapter.about.is_empty() {
            blocks.push(Block::Text(self.chapter.about.into()));
        }
        blocks.extend(self.rates().map(Block::Table));
        blocks.extend(self.broken());
        blocks.extend(self.remarks());
        blocks.extend(self.rate());
        blocks.extend(self.cpu());
        blocks.extend(self.percentiles());
        blocks.extend(self.latency());
        blocks.extend(PLOTTED.iter().filter_map(|(figure, title, unit)| self.figure(figure, title, unit)));
        blocks.extend(self.figures().map(Block::Table));
        blocks
    }

    /// What was typed.
    pub fn command(&self) -> Option<Block> {
        let run = self.runs.iter().find(|run| run.target == STUDYHALL).or(self.runs.first())?;
        (!run.command.is_empty()).then(|| Block::Command(run.command.clone()))
    }

    /// What each came to, window by window.
    fn rates(&self) -> Option<Table> {
        let runs: Vec<_> = self.runs.iter().filter(|run| run.windows().next().is_some()).collect();
        let base = self.base();
        let (counted, many) = (self.chapter.counted, self.chapter.many);
        let mut head = vec!["server".into(), format!("{many}/s"), format!("CPU µs/{counted}")];
        head.extend(base.map(|base| {
            if self.rate_counts() { format!("× {} (rate)", base.target) } else { format!("× {}", base.target) }
        }));
        head.extend(
            ["p50 ms", "p99 ms", "p99.9 ms", "conflated, skipped", "server busy", "tester busy"].map(str::to_owned),
        );
        let rows = runs.iter().map(|run| {
            let name = if run.target == STUDYHALL { format!("**{}**", run.target) } else { run.target.clone() };
            let mut cells = vec![name, middle(run.over_windows(|window| window.per_s())), spread(run.cpu_us())];
            let ratio = |base: &Merged| if self.rate_counts() { run.rate_ratio(base) } else { run.cpu_ratio(base) };
            cells.extend(base.map(|base| spread(ratio(base))));
            cells.extend([
                middle(run.over_windows(|window| window.p50_ms)),
                spread(run.over_windows(|window| window.p99_ms)),
                middle(run.over_windows(|window| window.p999_ms)),
                run.thinned().to_string(),
                percent(run.server_busy()),
                percent(run.over_windows(|window| window.own_busy())),
            ]);
            cells
        });
        (!runs.is_empty()).then(|| Table { head, rows: rows.collect() })
    }

    /// Whom the others are compared with. Nobody at their highest rates, which differ: what a delivery costs there is no
    /// ratio.
    fn base(&self) -> Option<&Merged> {
        let name = match self.scenario {
            "flood" => FLOOR_MERGED,
            "tasks" => "pgbench",
            scenario if scenario.ends_with(":highest") => return None,
            _ => FLOOR,
        };
        self.runs.iter().find(|run| run.target == name).copied()
    }

    /// In a closed loop it is the rate that differs; on a schedule all have the same.
    fn rate_counts(&self) -> bool {
        matches!(self.scenario, "flood" | "tasks")
    }

    fn broken(&self) -> Option<Block> {
        let broken = self.runs.iter().filter_map(|run| Some(format!("**{}**: {}", run.target, run.broken()?)));
        let broken: Vec<String> = broken.collect();
        (!broken.is_empty()).then(|| Block::Text(format!("Not as it has to be: {}.", broken.join("; "))))
    }

    /// What is said of several in the same words is said once; numbers in it may differ.
    fn remarks(&self) -> Option<Block> {
        let words = |remark: &str| remark.replace(|letter: char| letter.is_ascii_digit(), "");
        let mut said: Vec<(String, Vec<&str>)> = Vec::new();
        for (run, remark) in self.runs.iter().filter_map(|run| Some((run, run.remark()?))) {
            match said.iter_mut().find(|(known, _)| words(known) == words(remark)) {
                Some((_, targets)) => targets.push(&run.target),
                None => said.push((remark.to_owned(), vec![&run.target])),
            }
        }
        let remarks: Vec<String> =
            said.iter().map(|(remark, targets)| format!("{} ({})", remark, targets.join(", "))).collect();
        (!remarks.is_empty()).then(|| Block::Text(format!("To be read with care: {}.", remarks.join("; "))))
    }

    fn plot(&self, kind: &str, title: &str, unit: &str, draw: impl FnOnce(&Caption) -> String) -> Block {
        let parameters = self.runs.first().map(|run| parameters(run)).unwrap_or_default();
        let parts = [unit.to_owned(), parameters].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let caption = Caption { title: format!("{}: {title}", self.title), subtitle: parts.join(" · ") };
        let file = format!("{}-{kind}.svg", self.scenario.replace([':', ' ', '/', '_'], "-"));
        Block::Plot { file, svg: draw(&caption), title: caption.title }
    }

    /// Where the rate is what differs.
    fn rate(&self) -> Option<Block> {
        let base = self.base();
        let bar = |run: &&Merged| {
            let value = run.over_windows(|window| window.per_s())?;
            let note = number(value.median) + &times(base.and_then(|base| run.rate_ratio(base)));
            Some(Bar { target: run.target.clone(), value, note })
        };
        let all: Vec<Bar> = self.runs.iter().filter_map(bar).collect();
        let title = format!("{} a second", self.chapter.many);
        (self.rate_counts() && !all.is_empty())
            .then(|| self.plot("rate", &title, self.chapter.many, |caption| bars(caption, &all)))
    }

    fn cpu(&self) -> Option<Block> {
        let base = self.base().filter(|_| !self.rate_counts());
        let all: Vec<Bar> = self
            .runs
            .iter()
            .filter_map(|run| {
                let value = run.cpu_us()?;
                let ratio = base.and_then(|base| run.cpu_ratio(base));
                Some(Bar { target: run.target.clone(), note: number(value.median) + &times(ratio), value })
            })
            .collect();
        let title = format!("server CPU per {}", self.chapter.counted);
        (!all.is_empty()).then(|| self.plot("cpu", &title, "µs", |caption| bars(caption, &all)))
    }

    fn figure(&self, figure: &str, title: &str, unit: &str) -> Option<Block> {
        let bar = |run: &&Merged| {
            let value = run.figure(figure)?;
            Some(Bar { target: run.target.clone(), note: number(value.median), value })
        };
        let all: Vec<Bar> = self.runs.iter().filter_map(bar).collect();
        let kind = figure.replace('_', "-");
        (!all.is_empty()).then(|| self.plot(&kind, title, unit, |caption| bars(caption, &all)))
    }

    fn percentiles(&self) -> Option<Block> {
        let line = |run: &&Merged| Line { target: run.target.clone(), points: run.percentiles.clone() };
        let mut all: Vec<Line> = self.runs.iter().filter(|run| run.percentiles.len() > 1).map(line).collect();
        // The very last is one value, and lies infinitely far to the right.
        all.iter_mut().for_each(|line| line.points.retain(|(share, _)| *share < 1.0));
        let points = all.iter().flat_map(|line| &line.points);
        let x = Axis::nines(
            "share of what was received, not later than",
            points.clone().map(|(share, _)| *share).fold(0.0, f64::max),
        );
        let y = Axis::fitting("milliseconds from the scheduled time", points.map(|(_, ms)| *ms));
        (!all.is_empty())
            .then(|| self.plot("percentiles", "latency by percentile", "", |caption| lines(caption, &x, &y, &all)))
    }

    fn latency(&self) -> Option<Block> {
        let begun =
            self.runs.iter().flat_map(|run| &run.series).map(|sample| sample.at_s).fold(f64::INFINITY, f64::min);
        let line = |run: &&Merged| Line { target: run.target.clone(), points: over_time(&run.series, begun) };
        let all: Vec<Line> = self.runs.iter().map(line).filter(|line| line.points.len() > 1).collect();
        let points = all.iter().flat_map(|line| &line.points);
        let x = Axis::time("seconds", points.clone().map(|(at, _)| *at).fold(0.0, f64::max));
        let y = Axis::fitting("p99 of each second, milliseconds", points.map(|(_, ms)| *ms));
        (!all.is_empty()).then(|| self.plot("latency", "latency over time", "", |caption| lines(caption, &x, &y, &all)))
    }

    /// Everything else that was measured.
    fn figures(&self) -> Option<Table> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.runs.iter().flat_map(|run| run.figures.keys()) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let runs: Vec<_> = self.runs.iter().filter(|run| !run.figures.is_empty()).collect();
        let head = std::iter::once("figure".to_owned()).chain(runs.iter().map(|run| run.target.clone())).collect();
        let rows = names.iter().map(|name| {
            let cells = runs.iter().map(|run| spread(run.figure(name)));
            std::iter::once(label(name)).chain(cells).collect()
        });
        (!names.is_empty()).then(|| Table { head, rows: rows.collect() })
    }
}

/// Beside a bar.
fn times(ratio: Option<Spread>) -> String {
    ratio.map_or_else(String::new, |ratio| format!(" ({} ×)", number(ratio.median)))
}

fn middle(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NOTHING.into(), |spread| number(spread.median))
}

fn percent(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NOTHING.into(), |spread| format!("{:.0} %", spread.median * 100.0))
}

/// `rss_kib_per_connection` is `rss per connection (KiB)`.
fn label(name: &str) -> String {
    const UNITS: [(&str, &str); 8] = [
        ("per_s", "per s"),
        ("ms", "ms"),
        ("s", "s"),
        ("us", "µs"),
        ("kib", "KiB"),
        ("mib", "MiB"),
        ("percent", "%"),
        ("share", "share"),
    ];
    for (unit, said) in UNITS {
        let (end, middle) = (format!("_{unit}"), format!("_{unit}_"));
        if let Some(start) = name.strip_suffix(&end) {
            return format!("{} ({said})", start.replace('_', " "));
        }
        if let Some((before, after)) = name.split_once(&middle) {
            return format!("{} {} ({said})", before.replace('_', " "), after.replace('_', " "));
        }
    }
    name.replace('_', " ")
}

/// `rooms 500 · people 4 · rate 20`.
fn parameters(run: &Merged) -> String {
    let shown = run.parameters.iter().filter(|(_, value)| value.is_number() || value.is_string());
    let said = shown.map(|(name, value)| {
        let text = value.as_f64().map_or_else(|| value.as_str().unwrap_or_default().to_owned(), plain);
        format!("{} {text}", name.replace('_', " "))
    });
    said.collect::<Vec<_>>().join(" · ")
}

/// The p99 of each second. What was left of a stretch after its last whole second is no second of its own: the higher of
/// both counts.
fn over_time(series: &[Sample], begun: f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (at, ms) in series.iter().filter_map(|sample| Some((sample.at_s - begun, sample.p99_ms?))) {
        match points.last_mut() {
            Some((before, highest)) if at - *before < 0.6 => *highest = highest.max(ms),
            _ => points.push((at, ms)),
        }
    }
    points
}

/// Behind a median.
pub fn range(spread: &Spread) -> String {
    if spread.count < 2 { String::new() } else { format!(" ({} to {})", number(spread.low), number(spread.high)) }
}

fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NOTHING.into(), |spread| number(spread.median) + &range(&spread))
}

#[cfg(test)]
mod tests {
    use super::super::chapters::CHAPTERS;
    use super::*;

    #[test]
    fn remnants_of_a_second_join_it() {
        let sample = |(at_s, p99_ms)| Sample { at_s, p99_ms, ..Sample::default() };
        let series =
            [(3.0, Some(1.0)), (3.001, Some(4.0)), (9.0, Some(2.0)), (10.0, None), (10.5, Some(0.5))].map(sample);
        assert_eq!(over_time(&series, 3.0), [(0.0, 4.0), (6.0, 2.0), (7.5, 0.5)]);
    }

    #[test]
    fn the_same_remark_is_made_once() {
        let run = |target: &str, error: &str| {
            let mut run = Merged::default();
            (run.target, run.error, run.ok) = (target.into(), Some(error.into()), true);
            run
        };
        let runs = [run("studyhall", "others took 72 %"), run("floor", "others took 8 %"), run("bun", "odd")];
        let subject =
            Subject { scenario: "rooms", title: String::new(), chapter: &CHAPTERS[0], runs: runs.iter().collect() };
        let Some(Block::Text(said)) = subject.remarks() else { panic!("no remarks") };
        assert_eq!(said, "To be read with care: others took 72 % (studyhall, floor); odd (bun).");
    }

    #[test]
    fn names_of_figures_become_words() {
        let said: Vec<_> = ["rss_kib_per_connection", "ack_p99_ms", "likes_per_s", "log_reads"].map(label).into();
        assert_eq!(said, ["rss per connection (KiB)", "ack p99 (ms)", "likes (per s)", "log reads"]);
    }
}
