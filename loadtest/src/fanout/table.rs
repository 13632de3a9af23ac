//! The runs of one scenario beside each other, for people.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::report::run::{Run, Window};
use crate::report::stats::Spread;

/// The header and the cells of one row of each run.
pub fn table(runs: &[Run]) -> String {
    let rows = if runs.iter().all(|run| run.windows.is_empty()) { figures(runs) } else { windows(runs) };
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    for run in runs {
        if let Some(error) = &run.error {
            let _ = writeln!(text, "{}: {error}", run.target);
        }
    }
    text
}

/// Of runs without load: whatever was measured.
fn figures(runs: &[Run]) -> Vec<Vec<String>> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.figures.keys()).collect();
    let mut rows = vec![std::iter::once(String::new()).chain(names.iter().map(|name| (*name).clone())).collect()];
    rows.extend(runs.iter().map(|run| {
        let figure =
            |name: &&String| run.figures.get(*name).map_or_else(|| "–".to_owned(), |figure| format!("{figure:.3}"));
        std::iter::once(run.target.clone()).chain(names.iter().map(figure)).collect()
    }));
    rows
}

fn windows(runs: &[Run]) -> Vec<Vec<String>> {
    let floors: Vec<&Run> = runs.iter().filter(|run| run.target.starts_with("floor")).collect();
    let mut head: Vec<String> =
        ["", "deliveries/s", "CPU µs each", "p50 ms", "p99 ms", "p99.9 ms", "server busy", "own busy", "faults"]
            .map(str::to_owned)
            .to_vec();
    head.extend(
        floors.iter().flat_map(|floor| [format!("CPU × {}", floor.target), format!("rate × {}", floor.target)]),
    );
    let mut rows = vec![head];
    rows.extend(runs.iter().map(|run| row(run, &floors)));
    rows
}

fn row(run: &Run, floors: &[&Run]) -> Vec<String> {
    let over = |figure: fn(&Window) -> Option<f64>| -> Option<Spread> {
        Spread::of(run.windows.iter().map(figure).collect::<Option<Vec<f64>>>()?)
    };
    let mut cells = vec![
        run.target.clone(),
        cell(over(|window| Some(window.per_s())), 0),
        cell(over(|window| window.cpu_us()), 2),
        cell(over(|window| Some(window.p50_ms)), 2),
        cell(over(|window| Some(window.p99_ms)), 2),
        cell(over(|window| Some(window.p999_ms)), 2),
        cell(over(|window| Some(window.server_cpu_s? / window.seconds)), 2),
        cell(over(|window| Some(window.own_busy())), 2),
        faults(run),
    ];
    for floor in floors {
        let paired = |both: fn(&Window, &Window) -> Option<f64>| Spread::paired(&run.windows, &floor.windows, both);
        cells.push(cell(paired(|ours, theirs| Some(ours.cpu_us()? / theirs.cpu_us()?)), 2));
        cells.push(cell(paired(|ours, theirs| Some(ours.per_s() / theirs.per_s())), 2));
    }
    cells
}

/// The median and, behind it, the lowest and the highest.
fn cell(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |Spread { median, low, high, .. }| format!("{median:.digits$} ({low:.digits$}..{high:.digits$})"),
    )
}

fn faults(run: &Run) -> String {
    let counts =
        run.counts.iter().filter(|(name, count)| **count > 0 && !["sent", "delivered"].contains(&name.as_str()));
    let counts: Vec<String> = counts.map(|(name, count)| format!("{count} {name}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}
