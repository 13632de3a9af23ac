//! From results to the document.

use super::chapters::{CHAPTERS, Chapter, PLOTTED, UNKNOWN};
use super::document::{Block, Document, Section, Table};
use super::plot::{Axis, Bar, Caption, Line, bars, lines};
use super::results::{FLOOR, FLOOR_MERGED, Merged, Results, STUDYHALL};
use super::run::Sample;
use super::stats::Spread;
use super::targets::{Good, TARGETS, Target, Verdict};
use super::text::{grouped, number};

/// Between the lowest and the highest, in tables.
const NOTHING: &str = "–";

/// What people wrote about the results, by scenario.
pub type Notes = Vec<(String, String)>;

/// The whole document.
pub fn document(results: &Results, notes: &Notes) -> Document {
    let mut intro = vec![Block::Text(origin(results)), Block::Text(HOW_TO_READ.into())];
    let judged: Vec<_> = TARGETS.iter().map(|target| (target, target.judge(results))).collect();
    if judged.iter().any(|(_, (_, verdict))| *verdict != Verdict::NotMeasured) {
        intro.push(Block::Table(targets(&judged)));
    }
    intro.extend(note(notes, "summary"));
    let known = CHAPTERS.iter().filter(|chapter| !results.of(chapter.scenario).is_empty());
    let mut sections: Vec<Section> = known.map(|chapter| section(chapter.scenario, chapter, results, notes)).collect();
    let unknown =
        results.scenarios().into_iter().filter(|name| !CHAPTERS.iter().any(|chapter| chapter.scenario == *name));
    sections.extend(unknown.map(|scenario| section(scenario, &UNKNOWN, results, notes)));
    Document { title: "Performance".into(), intro, sections }
}

const HOW_TO_READ: &str = "Every figure of Studyhall stands beside a **floor** of the same run: a bare server that writes the same bytes \
    to the same sockets, once per message (`floor`) or once for all that is pending (`floor-merged`), and checks, parses and stores \
    nothing. Neither do the other servers. All take turns, window by window; figures are the median of the windows, with the lowest and \
    the highest behind it. Compare ratios, not microseconds of different days.";

fn origin(results: &Results) -> String {
    let Some(machine) = &results.machine else {
        return "The results do not say where they were measured.".into();
    };
    let commit = machine.commit.as_ref().map_or_else(String::new, |commit| format!(" at commit `{commit}`"));
    format!("Measured on {}{commit}, on {}.", machine.date, machine.line())
}

fn note(notes: &Notes, scenario: &str) -> Option<Block> {
    notes.iter().find(|(name, _)| name == scenario).map(|(_, text)| Block::Text(text.clone()))
}

fn targets(judged: &[(&Target, (Option<Spread>, Verdict))]) -> Table {
    let head = ["what", "must", "aim", "measured (lowest to highest)", "verdict"].map(str::to_owned).into();
    let rows = judged.iter().map(|(target, (spread, verdict))| {
        let sign = if target.good == Good::Below { "≤" } else { "≥" };
        let round = |value: f64| if value.fract() == 0.0 { grouped(value) } else { value.to_string() };
        let bound = |value: f64| format!("{sign} {} {}", round(value), target.unit);
        let measured = spread.map_or_else(
            || NOTHING.into(),
            |spread| format!("**{} {}**{}", number(spread.median), target.unit, range(&spread)),
        );
        let verdict = match verdict {
            Verdict::Aim => "met, aim too".to_owned(),
            Verdict::Must => "met".to_owned(),
            Verdict::Missed(None) => "**missed**".to_owned(),
            Verdict::Missed(Some(why)) => format!("**missed**: {why}"),
            Verdict::NotMeasured => "not measured".to_owned(),
        };
        vec![target.what.to_owned(), bound(target.must), bound(target.aim), measured, verdict]
    });
    Table { head, rows: rows.collect() }
}

fn range(spread: &Spread) -> String {
    if spread.count < 2 { String::new() } else { format!(" ({} to {})", number(spread.low), number(spread.high)) }
}

fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NOTHING.into(), |spread| number(spread.median) + &range(&spread))
}

fn section(scenario: &str, chapter: &Chapter, results: &Results, notes: &Notes) -> Section {
    let runs = results.of(scenario);
    let title = if chapter.title.is_empty() { format!("`{scenario}`") } else { chapter.title.to_owned() };
    let subject = Subject { scenario, title: title.replace('`', ""), chapter, runs };
    let mut blocks = Vec::new();
    if !chapter.about.is_empty() {
        blocks.push(Block::Text(chapter.about.into()));
    }
    blocks.extend(subject.rates().map(Block::Table));
    blocks.extend(subject.broken());
    blocks.extend(subject.rate());
    blocks.extend(subject.cpu());
    blocks.extend(subject.percentiles());
    blocks.extend(subject.latency());
    blocks.extend(PLOTTED.iter().filter_map(|(figure, title, unit)| subject.figure(figure, title, unit)));
    blocks.extend(subject.figures().map(Block::Table));
    blocks.extend(note(notes, scenario));
    let typed = subject.runs.iter().find(|run| run.target == STUDYHALL).or(subject.runs.first());
    blocks.extend(typed.filter(|run| !run.command.is_empty()).map(|run| Block::Command(run.command.clone())));
    Section { title, blocks }
}

/// One scenario and all who ran in it.
struct Subject<'a> {
    scenario: &'a str,
    title: String,
    chapter: &'a Chapter,
    runs: Vec<&'a Merged>,
}

impl Subject<'_> {
    /// What each came to, window by window.
    fn rates(&self) -> Option<Table> {
        let runs: Vec<_> = self.runs.iter().filter(|run| !run.windows.is_empty()).collect();
        let base = self.runs.iter().find(|run| run.target == self.base());
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

    /// Whom the others are compared with.
    fn base(&self) -> &'static str {
        match self.scenario {
            "flood" => FLOOR_MERGED,
            "tasks" => "pgbench",
            _ => FLOOR,
        }
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

    fn plot(&self, kind: &str, title: &str, draw: impl FnOnce(&Caption) -> String) -> Block {
        let parameters = self.runs.first().map(|run| parameters(run)).unwrap_or_default();
        let caption = Caption { title: format!("{}: {title}", self.title), subtitle: parameters };
        let file = format!("{}-{kind}.svg", self.scenario.replace([':', ' ', '/', '_'], "-"));
        Block::Plot { file, svg: draw(&caption), title: caption.title }
    }

    /// Where the rate is what differs.
    fn rate(&self) -> Option<Block> {
        let base = self.runs.iter().find(|run| run.target == self.base());
        let bar = |run: &&Merged| {
            let value = run.over_windows(|window| window.per_s())?;
            let note = number(value.median) + &times(base.and_then(|base| run.rate_ratio(base)));
            Some(Bar { target: run.target.clone(), value, note })
        };
        let all: Vec<Bar> = self.runs.iter().filter_map(bar).collect();
        let title = format!("{} a second", self.chapter.many);
        (self.rate_counts() && !all.is_empty()).then(|| self.plot("rate", &title, |caption| bars(caption, "/s", &all)))
    }

    fn cpu(&self) -> Option<Block> {
        let base = self.runs.iter().find(|run| run.target == self.base() && !self.rate_counts());
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
        (!all.is_empty()).then(|| self.plot("cpu", &title, |caption| bars(caption, "µs", &all)))
    }

    fn figure(&self, figure: &str, title: &str, unit: &str) -> Option<Block> {
        let bar = |run: &&Merged| {
            let value = run.figure(figure)?;
            Some(Bar { target: run.target.clone(), note: number(value.median), value })
        };
        let all: Vec<Bar> = self.runs.iter().filter_map(bar).collect();
        let kind = figure.replace('_', "-");
        (!all.is_empty()).then(|| self.plot(&kind, &title.to_lowercase(), |caption| bars(caption, unit, &all)))
    }

    fn percentiles(&self) -> Option<Block> {
        let lines_of = |run: &&&Merged| Line { target: run.target.clone(), points: run.percentiles.clone() };
        let mut all: Vec<Line> =
            self.runs.iter().filter(|run| run.percentiles.len() > 1).map(|run| lines_of(&run)).collect();
        // The very last is one value, and lies infinitely far to the right.
        all.iter_mut().for_each(|line| line.points.retain(|(share, _)| *share < 1.0));
        let points = all.iter().flat_map(|line| &line.points);
        let x = Axis::nines(
            "share of what was received, not later than",
            points.clone().map(|(share, _)| *share).fold(0.0, f64::max),
        );
        let y = Axis::fitting("milliseconds from the scheduled time", points.map(|(_, ms)| *ms));
        (!all.is_empty())
            .then(|| self.plot("percentiles", "latency by percentile", |caption| lines(caption, &x, &y, &all)))
    }

    fn latency(&self) -> Option<Block> {
        let at = |sample: &Sample| Some((sample.at_s, sample.p99_ms?));
        let line =
            |run: &&Merged| Line { target: run.target.clone(), points: run.series.iter().filter_map(at).collect() };
        let all: Vec<Line> = self.runs.iter().map(line).filter(|line| line.points.len() > 1).collect();
        let points = all.iter().flat_map(|line| &line.points);
        let x = Axis::time("seconds since the start", points.clone().map(|(at, _)| *at).fold(0.0, f64::max));
        let y = Axis::fitting("p99 of each second, milliseconds", points.map(|(_, ms)| *ms));
        (!all.is_empty()).then(|| self.plot("latency", "latency over time", |caption| lines(caption, &x, &y, &all)))
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
        let text = value.as_f64().map_or_else(|| value.as_str().unwrap_or_default().to_owned(), number);
        format!("{} {text}", name.replace('_', " "))
    });
    said.collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn markdown() -> String {
        let mut results = Results::default();
        results.add(&sample::lines()).unwrap();
        document(&results, &Vec::new()).markdown("performance/")
    }

    fn row<'a>(markdown: &'a str, start: &str) -> Vec<&'a str> {
        let line = markdown.lines().find(|line| line.starts_with(&format!("| {start}"))).unwrap();
        line.trim_matches('|').split('|').map(str::trim).collect()
    }

    #[test]
    fn it_says_where_and_with_what() {
        let text = markdown();
        assert!(
            text.contains(
                "on 2026-05-31 at commit `0123abc`, on 2 cores (A <fast> CPU), 23.5 GiB of memory, linux 6.18"
            )
        );
        assert!(text.contains("```sh\nstudyhall-loadtest rooms --rooms 500\n```") && !text.contains("/srv"));
    }

    #[test]
    fn ours_stands_beside_floor_and_peers() {
        let text = markdown();
        let ours = row(&text, "**studyhall**");
        assert_eq!(ours[1..4], ["40,000", "8.80 (8.27 to 9.33)", "1.10 (1.10 to 1.10)"]);
        assert_eq!(row(&text, "bun")[3], "1.30 (1.30 to 1.30)");
        assert_eq!(row(&text, "floor ")[3], "1.00 (1.00 to 1.00)");
        assert_eq!(row(&text, "rss per connection (KiB)")[1..3], ["4.40", "4.00"]);
        assert!(text.contains("Not as it has to be: **nchan**: 3 lost."));
    }

    #[test]
    fn targets_say_met_missed_or_not_measured() {
        let text = markdown();
        let cpu = row(&text, "`rooms`, 500 rooms");
        assert_eq!(cpu[1..], ["≤ 1.3 ×", "≤ 1.15 ×", "**1.10 ×** (1.10 to 1.10)", "met, aim too"]);
        assert_eq!(row(&text, "`rooms`: highest")[3..], ["**340,909 deliveries/s**", "met"]);
        assert_eq!(row(&text, "idle connection")[4], "met");
        assert_eq!(row(&text, "`flood`")[3..], [NOTHING, "not measured"]);
    }

    #[test]
    fn scenarios_stand_in_order_and_unknown_ones_last() {
        let text = markdown();
        let titles: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(
            titles,
            ["Many small rooms", "Many small rooms, faster and faster", "Idle connections", "`something`"]
        );
    }

    #[test]
    fn names_of_figures_become_words() {
        let said: Vec<_> = ["rss_kib_per_connection", "ack_p99_ms", "likes_per_s", "log_reads"].map(label).into();
        assert_eq!(said, ["rss per connection (KiB)", "ack p99 (ms)", "likes (per s)", "log reads"]);
    }
}
