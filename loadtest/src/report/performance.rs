//! From results to the document.

use super::chapters::{UNKNOWN, chapter_of};
use super::document::{Block, Document, Section, Table};
use super::results::Results;
use super::stats::Spread;
use super::subject::{NOTHING, Subject, range};
use super::targets::{Good, TARGETS, Target, Verdict};
use super::text::{number, plain};

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
    let mut scenarios = results.scenarios();
    scenarios.sort_by_key(|scenario| chapter_of(scenario).map_or(usize::MAX, |(place, _)| place));
    let sections = scenarios.into_iter().map(|scenario| section(scenario, results, notes)).collect();
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
        let bound = |value: f64| format!("{sign} {} {}", plain(value), target.unit);
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

fn section(scenario: &str, results: &Results, notes: &Notes) -> Section {
    let chapter = chapter_of(scenario).map_or(&UNKNOWN, |(_, chapter)| chapter);
    let title = match (chapter.title, scenario.split_once(':')) {
        ("", _) => scenario.to_owned(),
        (title, Some((_, variant))) if chapter.scenario != scenario => format!("{title}: {variant}"),
        (title, _) => title.to_owned(),
    };
    let subject = Subject { scenario, title: title.replace('`', ""), chapter, runs: results.of(scenario) };
    let mut blocks = subject.blocks();
    blocks.extend(note(notes, scenario));
    blocks.extend(subject.command());
    Section { title, blocks }
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
            [
                "Many small rooms",
                "Many small rooms, faster and faster",
                "Idle connections",
                "A day: evening",
                "something"
            ]
        );
    }
}
