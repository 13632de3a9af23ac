//! Whether the rules notice what they are for, and what they cost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::rules::{self, Rule};
use super::selftest::{self, DEMANDS, generate, mutate::MUTATIONS};

#[test]
fn clean_histories_pass_and_broken_ones_do_not() {
    let table = selftest::run(rand::random::<u32>().into());
    println!("{table}");
    assert!(table.is_clean());
}

#[test]
fn every_rule_is_broken_by_something() {
    let broken: BTreeSet<Rule> = MUTATIONS.iter().flat_map(|mutation| mutation.rules).copied().collect();
    for rule in Rule::ALL {
        assert!(broken.contains(rule), "{} is never broken", rule.name());
    }
}

#[test]
fn the_cost_is_linear() {
    let history = generate::history(7, 20_000);
    let began = Instant::now();
    let findings = rules::check(&history, &DEMANDS);
    let (records, took) = (history.records.len(), began.elapsed());
    assert!(findings.is_clean(), "{:?}", findings.broken());
    println!("{records} records in {took:?}");
    // Below a second without a load beside it. Were it quadratic, it would be minutes.
    assert!(records > 100_000 && took < Duration::from_secs(15), "{records} {took:?}");
}

#[test]
fn a_history_is_written_line_by_line() {
    let history = generate::history(3, 40);
    let mut out = Vec::new();
    history.write(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let logged: usize = history.finals.logs.values().map(|log| log.events.len()).sum();
    assert_eq!(text.lines().count(), history.records.len() + logged);
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["what"].is_string(), "{line}");
    }
}
