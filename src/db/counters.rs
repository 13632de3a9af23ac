//! What is asked of the database most, counted for whoever watches over a node.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start. The statements against what they were asked for tell how well many go together.
#[derive(Debug, Default)]
pub struct Counters {
    /// Statements that read logs.
    pub log_reads: Counter,
    /// Pages and holes that they were asked for.
    pub log_pages: Counter,
    /// Statements that say whose tokens these are.
    pub authentication_statements: Counter,
    /// Tokens that they were asked for.
    pub authentications: Counter,
    /// Statements that say who may subscribe.
    pub admission_statements: Counter,
    /// Channels that they were asked for.
    pub admissions: Counter,
}

/// One count.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// So many more.
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
