//! A run in which nothing happened proves nothing.

use super::super::history::What;
use super::index::Index;
use super::{Findings, Rule};

/// What a run must have had at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demands {
    /// Acknowledged commands.
    pub acks: usize,
    /// Events that came to subscribers.
    pub events: usize,
    /// Times that state was loaded.
    pub loads: usize,
    /// Subscriptions that went on from where they were.
    pub resumes: usize,
    /// Faults.
    pub faults: usize,
}

/// What a run had.
pub fn counts(records: &[super::super::history::Record]) -> Demands {
    let mut had = Demands { acks: 0, events: 0, loads: 0, resumes: 0, faults: 0 };
    for record in records {
        match &record.what {
            What::Ok(_) => had.acks += 1,
            What::Event { .. } => had.events += 1,
            What::Loaded { .. } => had.loads += 1,
            What::Subscribed(granted) if granted.recovered => had.resumes += 1,
            What::Fault { on: true, .. } => had.faults += 1,
            _ => {}
        }
    }
    had
}

pub fn check(index: &Index<'_>, demands: &Demands, findings: &mut Findings) {
    let had = counts(&index.history.records);
    for (what, had, wanted) in [
        ("acknowledged commands", had.acks, demands.acks),
        ("events that came to subscribers", had.events, demands.events),
        ("times that state was loaded", had.loads, demands.loads),
        ("subscriptions that went on from where they were", had.resumes, demands.resumes),
        ("faults", had.faults, demands.faults),
    ] {
        if had < wanted {
            findings.add(Rule::Vacuous, || format!("{had} {what}; at least {wanted} are needed to prove something"));
        }
    }
}
