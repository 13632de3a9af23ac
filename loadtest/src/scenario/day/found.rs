//! What all receivers of a day found.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use studyhall_protocol::Channel;
use uuid::Uuid;

use crate::report::Latency;

/// What must not be.
#[derive(Debug, Default)]
pub struct Faults {
    /// Events of a log that were left out.
    pub gaps: Cell<u64>,
    /// Numbers that came again.
    pub duplicates: Cell<u64>,
    /// Values that came after a newer one.
    pub reordered: Cell<u64>,
    /// For somebody else.
    pub foreign: Cell<u64>,
    /// Commands that were refused.
    pub refused: Cell<u64>,
    /// Connections that ended before their time.
    pub closed: Cell<u64>,
}

/// Counts.
pub fn add(cell: &Cell<u64>, count: u64) {
    cell.set(cell.get() + count);
}

impl Faults {
    /// With their names.
    pub fn all(&self) -> [(&'static str, u64); 6] {
        [
            ("gaps", self.gaps.get()),
            ("duplicates", self.duplicates.get()),
            ("reordered", self.reordered.get()),
            ("foreign", self.foreign.get()),
            ("refused", self.refused.get()),
            ("closed", self.closed.get()),
        ]
    }
}

/// What all connections share.
pub struct Found {
    /// Times in values count from here.
    pub epoch: Instant,
    /// What must not be.
    pub faults: Faults,
    /// Values of slots that a newer one replaced on the way.
    pub conflated: Cell<u64>,
    /// Broadcasts that a reader missed.
    pub skipped: Cell<u64>,
    /// What nobody was free to do when it was due.
    pub postponed: Cell<u64>,
    /// Messages that receivers got.
    pub delivered: Cell<u64>,
    /// The first complaint.
    pub first_error: RefCell<Option<String>>,
    /// By what was done and how it is seen.
    pub latency: RefCell<BTreeMap<String, Latency>>,
    /// What is due within counts.
    pub window: Cell<Option<(Instant, Instant)>>,
    /// The newest number of each log, by anybody's word.
    pub heads: RefCell<HashMap<Channel, u64>>,
    /// When the command of each operation was due, and what it was.
    pub operations: RefCell<HashMap<Uuid, (&'static str, Instant)>>,
    /// What each person last said that they do.
    pub truth: RefCell<HashMap<Uuid, Option<String>>>,
}

impl Found {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            epoch: Instant::now(),
            faults: Faults::default(),
            conflated: Cell::default(),
            skipped: Cell::default(),
            postponed: Cell::default(),
            delivered: Cell::default(),
            first_error: RefCell::default(),
            latency: RefCell::default(),
            window: Cell::default(),
            heads: RefCell::default(),
            operations: RefCell::default(),
            truth: RefCell::default(),
        }
    }

    /// Keeps the first of them.
    pub fn complain(&self, text: String) {
        self.first_error.borrow_mut().get_or_insert(text);
    }

    /// Keeps how long it took since it was due.
    pub fn record(&self, what: &str, due: Instant, at: Instant) {
        if !self.window.get().is_some_and(|(from, until)| due >= from && due < until) {
            return;
        }
        let mut latency = self.latency.borrow_mut();
        let time = at.saturating_duration_since(due);
        match latency.get_mut(what) {
            Some(known) => known.record(time),
            None => {
                let mut first = Latency::new();
                first.record(time);
                latency.insert(what.to_owned(), first);
            }
        }
    }

    /// A moment as a number that fits into a value.
    pub fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_micros() as u64
    }

    /// The same, back.
    pub fn moment(&self, micros: u64) -> Instant {
        self.epoch + Duration::from_micros(micros)
    }

    /// A log has come so far.
    pub fn head(&self, channel: Channel, offset: u64) {
        let mut heads = self.heads.borrow_mut();
        let head = heads.entry(channel).or_default();
        *head = offset.max(*head);
    }
}
