//! Results by hand, for tests.

use std::collections::BTreeMap;

use serde_json::json;

use super::machine::Machine;
use super::run::{Run, Sample, Window};

/// A machine and five servers in `rooms`, one of which loses something; `rooms:highest`, `idle`, a mix, an unknown scenario.
pub fn lines() -> String {
    let machine = Machine {
        cores: 2,
        cpu: "A <fast> CPU".into(),
        kernel: "linux 6.18".into(),
        memory_gib: 23.5,
        commit: Some("0123abc".into()),
        date: "2026-05-31".into(),
    };
    let mut lines = vec![json!({ "machine": machine }).to_string()];
    let servers = [
        ("studyhall", 8.8, 0.9, 0),
        ("floor", 8.0, 0.5, 0),
        ("floor-merged", 8.1, 0.6, 0),
        ("bun", 10.4, 1.4, 0),
        ("nchan", 11.1, 30.0, 3),
    ];
    // One invocation prints the lines of all its servers.
    let mut say = |run: fn(&str, f64, f64, u64) -> Run| {
        lines.extend(servers.iter().map(|(target, cpu, p99, lost)| json!(run(target, *cpu, *p99, *lost)).to_string()));
    };
    say(rooms);
    say(|target, cpu, _, _| Run { figures: figure("highest_per_s", 3e6 / cpu), ..named("rooms:highest", target) });
    say(|target, cpu, _, _| Run { figures: figure("rss_kib_per_connection", cpu / 2.0), ..named("idle", target) });
    lines.push(json!(named("day:evening", "studyhall")).to_string());
    lines.push(json!(Run { figures: figure("odd_ms", 3.0), ..named("something", "studyhall") }).to_string());
    lines.join("\n")
}

fn named(scenario: &str, target: &str) -> Run {
    let command = "/srv/target/release/studyhall-loadtest rooms --server-pid 12 --rooms 500".into();
    Run { scenario: scenario.into(), target: target.into(), command, ok: true, ..Run::default() }
}

fn figure(name: &str, value: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([(name.to_owned(), value)])
}

fn rooms(target: &str, cpu_us: f64, p99_ms: f64, lost: u64) -> Run {
    let wobble = |index: usize| 1.0 + 0.06 * ((index * 7 % 9) as f64 - 4.0) / 4.0;
    let window = |index: usize| Window {
        seconds: 3.0,
        delivered: 120_000,
        server_cpu_s: Some(cpu_us * 0.12 * wobble(index)),
        own_cpu_s: 1.0,
        p50_ms: 0.05,
        p99_ms: p99_ms * wobble(index),
        p999_ms: p99_ms * 5.0,
        max_ms: p99_ms * 9.0,
    };
    let sample = |index: usize| Sample {
        at_s: index as f64 * 3.0,
        delivered_per_s: 40_000.0,
        p50_ms: Some(0.05),
        p99_ms: Some(p99_ms * wobble(index % 9)),
        server_busy: Some(0.3),
        own_busy: 0.3,
        server_rss_kib: Some(20_000),
    };
    let percentile = |step: usize| {
        let share = 1.0 - 10_f64.powf(-(step as f64) / 8.0);
        (share, 0.03 + p99_ms * (step as f64 / 16.0).powi(3))
    };
    Run {
        parameters: BTreeMap::from([("rooms".to_owned(), json!(500)), ("rate".to_owned(), json!(20.0))]),
        windows: (0..9).map(window).collect(),
        counts: BTreeMap::from([("lost".to_owned(), lost), ("conflated".to_owned(), 0)]),
        percentiles: (0..40).map(percentile).chain([(1.0, p99_ms * 9.0)]).collect(),
        series: (0..40).map(sample).collect(),
        ok: lost == 0,
        ..named("rooms", target)
    }
}
