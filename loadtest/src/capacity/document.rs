//! The tables of `docs/capacity.md`, between markers, written anew from what was measured.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Record;
use super::check::{Checked, MAY_BE_OFF};
use super::drivers::{Driver, actions, drivers};
use super::mix::{Mix, name};
use super::model::{Hosting, load, most_people};
use super::simulate::{Minute, Simulated, simulate};
use super::units::{Resource, Units};

/// People online that the table is made for.
const PEOPLE: [f64; 3] = [1e4, 1e6, 1e8];

/// Replaces what stands between the markers of each table.
pub fn rewrite(path: &Path, record: &Record, hosting: &Hosting, mix: &Mix, seed: u64) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut text = between(&text, "units", &units(&record.units))?;
    text = between(&text, "sizes", &sizes(&record.units, hosting, mix, seed))?;
    text = between(&text, "limits", &limits(&record.units, hosting, mix))?;
    text = between(&text, "check", &checks(&record.checks))?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn between(text: &str, table: &str, what: &str) -> Result<String> {
    let (from, until) = (format!("<!-- {table} -->\n"), format!("<!-- /{table} -->"));
    let (Some(begin), Some(end)) = (text.find(&from), text.find(&until)) else {
        bail!("the document has no place for {table}: {from}{until}");
    };
    if end < begin {
        bail!("the markers of {table} are the wrong way round");
    }
    Ok(format!("{}{from}{what}{}", &text[..begin], &text[end..]))
}

/// What one of everything costs.
pub fn units(units: &Units) -> String {
    let mut text = format!(
        "{}{}. Mean miss of the fit: server {}, PostgreSQL {}.\n\n",
        units.machine,
        if units.commit.is_empty() { String::new() } else { format!(", commit {}", units.commit) },
        percent(units.fit_error.get(&Resource::ServerUs)),
        percent(units.fit_error.get(&Resource::PostgresUs)),
    );
    text +=
        "| one | server µs | PostgreSQL µs | statements | log bytes | Redis commands | Redis µs | network bytes |\n";
    text += "|---|---|---|---|---|---|---|---|\n";
    let columns = [
        Resource::ServerUs,
        Resource::PostgresUs,
        Resource::Statements,
        Resource::WalBytes,
        Resource::RedisOps,
        Resource::RedisUs,
        Resource::NetworkBytes,
    ];
    for driver in Driver::ALL {
        let cells = columns.map(|column| digits(units.cost(driver, column)));
        let _ = writeln!(text, "| {} | {} |", name(&driver), cells.join(" | "));
    }
    let memory = units.memory;
    let _ = writeln!(
        text,
        "\nMemory: a node that serves nobody {} MiB; a connection {} KiB, a subscription to a profile {} KiB, a place in \
         a room {} KiB.",
        digits(memory.node_kib / 1_024.0),
        digits(memory.connection_kib),
        digits(memory.subscription_kib),
        digits(memory.seat_kib),
    );
    text
}

/// What is needed for how many.
pub fn sizes(units: &Units, hosting: &Hosting, mix: &Mix, seed: u64) -> String {
    let days = PEOPLE.map(|people| simulate(units, hosting, mix, people, seed));
    let mut text = format!("| people online (mix `{}`, seed {seed}) |", mix.name);
    PEOPLE.iter().for_each(|people| text += &format!(" {} |", digits(*people)));
    text += "\n|---|---|---|---|\n";
    let mut row = |what: &str, of: &dyn Fn(&Simulated, &super::model::Size) -> String| {
        let cells: Vec<String> = days.iter().map(|(day, size)| of(day, size)).collect();
        let _ = writeln!(text, "| {what} | {} |", cells.join(" | "));
    };
    let peak = |figure: fn(&Minute) -> f64| move |day: &Simulated, _: &super::model::Size| digits(day.peak(figure));
    row("durable commands/s, peak minute", &peak(|minute| minute.commands));
    row("**nodes**, one of them to spare", &|_, size| digits(size.nodes));
    row("people on a node", &|_, size| digits(size.node_people));
    row("memory of a node, GiB", &|_, size| digits(size.node_gib));
    row("server cores, peak minute", &|_, size| digits(size.server_cores));
    row("server cores, median minute", &|day, _| digits(day.quantile(|minute| minute.server_cores, 0.5)));
    row("cores of the busiest node, p99 of minutes and highest", &|day, _| {
        let of = |share: f64| digits(day.quantile(|minute| minute.busiest_node_cores, share));
        format!("{} and {}", of(0.99), of(1.0))
    });
    row("server cores while the people of a dead node come back", &peak(|minute| minute.worst_server_cores));
    row("**PostgreSQL cores**, peak minute", &|_, size| digits(size.postgres_cores));
    row("PostgreSQL cores, worst second", &peak(|minute| minute.worst_postgres_cores));
    row("PostgreSQL cores for followers, as built", &|_, size| digits(size.follower_cores));
    row("statements/s", &peak(|minute| minute.statements));
    row("write-ahead log, MB/s", &peak(|minute| minute.wal_bytes / 1e6));
    row("… and images of pages, at the most", &peak(|minute| minute.image_bytes / 1e6));
    row("**PostgreSQL primaries** (shards)", &|_, size| digits(size.postgres_shards));
    row("Redis commands/s", &peak(|minute| minute.redis_ops));
    row("Redis cores", &|_, size| digits(size.redis_cores));
    row("**Redis servers** (shards)", &|_, size| digits(size.redis_shards));
    row("network to clients, Gbit/s", &peak(|minute| minute.network_bytes * 8.0 / 1e9));
    row("network between nodes, Gbit/s", &peak(|minute| minute.bus_bytes * 8.0 / 1e9));
    text
}

/// What ends first when people become more, and at how many.
pub fn limits(units: &Units, hosting: &Hosting, mix: &Mix) -> String {
    let at =
        |people: f64, nodes: f64| load(units, hosting, mix, &drivers(mix, people, &actions(mix, people, 1.0)), nodes);
    // With as many people on a node as its CPU takes, all of them on one.
    let per_node = most_people(|people| {
        at(people, 1.0).get(Resource::ServerUs) / 1e6 <= hosting.node_cores * hosting.busy
            && people <= hosting.node_connections
    });
    let nodes = |people: f64| (people / per_node).ceil().max(1.0);
    let rows = [
        (format!("one node of {} cores", digits(hosting.node_cores)), "more nodes".to_owned(), per_node),
        (
            format!("one PostgreSQL primary of {} cores, without followers", digits(hosting.postgres_cores)),
            "shards: by person, and by room".to_owned(),
            most_people(|people| {
                at(people, nodes(people)).get(Resource::PostgresUs) / 1e6 <= hosting.postgres_cores * hosting.busy
            }),
        ),
        (
            "the same, with followers as built".to_owned(),
            "followers that read only what their node's channels need".to_owned(),
            most_people(|people| {
                let load = at(people, nodes(people));
                (load.get(Resource::PostgresUs) + load.followers_us) / 1e6 <= hosting.postgres_cores * hosting.busy
            }),
        ),
        (
            "one Redis, presence alone".to_owned(),
            "shards by person and room (scripts that name their keys)".to_owned(),
            most_people(|people| at(people, 1.0).get(Resource::RedisUs) / 1e6 <= hosting.busy),
        ),
        (
            "one Redis, presence and the bus".to_owned(),
            "the same; or a room's people on one node".to_owned(),
            most_people(|people| at(people, nodes(people)).get(Resource::RedisUs) / 1e6 <= hosting.busy),
        ),
    ];
    let mut rows = rows.to_vec();
    rows.sort_by(|one, other| one.2.total_cmp(&other.2));
    let mut text =
        "| what ends | at people online (mean of the busiest hour) | what then |\n|---|---|---|\n".to_owned();
    for (what, then, people) in rows {
        let _ = writeln!(text, "| {what} | {} | {then} |", digits(people));
    }
    text
}

/// Predictions and what came.
pub fn checks(checks: &[Checked]) -> String {
    let mut text = String::new();
    for checked in checks {
        let _ = writeln!(
            text,
            "Mix `{}`, {} people, {} times as fast; load tester {:.0} % of a core; {}.\n",
            checked.mix,
            checked.people,
            digits(checked.speed),
            checked.own_busy * 100.0,
            if checked.holds() { "all within the bound" } else { "**not within the bound**" },
        );
        text += "| what | predicted | measured | error |\n|---|---|---|---|\n";
        for line in &checked.lines {
            let over = if line.holds() { "" } else { " **over**" };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:+.0} %{over} |",
                line.what,
                digits(line.predicted),
                line.measured.map_or_else(|| "not measured".into(), digits),
                line.error() * 100.0,
            );
        }
        text.push('\n');
    }
    let _ = writeln!(text, "The bound is {:.0} %.", MAY_BE_OFF * 100.0);
    text
}

fn percent(share: Option<&f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.0} %", share * 100.0))
}

/// Three digits, thousands apart; nothing is a dash.
fn digits(value: f64) -> String {
    if value == 0.0 {
        return "–".into();
    }
    if !value.is_finite() {
        return "?".into();
    }
    let places = (2.0 - value.abs().log10().floor()).clamp(0.0, 4.0) as usize;
    let text = format!("{value:.places$}");
    let (whole, part) = text.split_once('.').map_or((text.as_str(), None), |(whole, part)| (whole, Some(part)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && digit.is_ascii_digit() && (whole.len() - index).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    part.map_or(grouped.clone(), |part| format!("{grouped}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let text = "before\n<!-- units -->\nold\n<!-- /units -->\nafter\n";
        let new = between(text, "units", "new\n").unwrap();
        assert_eq!(new, "before\n<!-- units -->\nnew\n<!-- /units -->\nafter\n");
        assert_eq!(between(&new, "units", "new\n").unwrap(), new);
        assert!(between(text, "sizes", "new\n").is_err());
    }

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        let cases = [
            (0.0, "–"),
            (0.012_34, "0.0123"),
            (1.234, "1.23"),
            (123.4, "123"),
            (1e6, "1,000,000"),
            (-1_234.0, "-1,234"),
        ];
        for (value, text) in cases {
            assert_eq!(digits(value), text);
        }
    }
}
