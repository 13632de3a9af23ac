//! What one run against one server came to: a line of JSON, from which every table and plot is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One scenario against one target.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Run {
    /// `rooms`, `lecture`, …; a variant behind a colon: `rooms:send`, `rooms:highest`.
    pub scenario: String,
    /// `studyhall`, `floor`, `floor-merged`, or the name of a peer.
    pub target: String,
    /// Seconds since 1970.
    pub started_at: u64,
    /// What was typed.
    pub command: String,
    /// What the run was made with, by the names of the options.
    pub parameters: BTreeMap<String, Value>,
    /// The measured stretches. Those of several targets take turns.
    pub windows: Vec<Window>,
    /// What must be 0 (`lost`, `duplicates`, `reordered`, `foreign`, `refused`, `closed`) and what may not be
    /// (`conflated`, `skipped`).
    pub counts: BTreeMap<String, u64>,
    /// Everything else that was measured; the unit is the end of the name (`_ms`, `_s`, `_us`, `_kib`, `_per_s`).
    pub figures: BTreeMap<String, f64>,
    /// Latency over all windows: share (0 to 1) and milliseconds.
    pub percentiles: Vec<(f64, f64)>,
    /// About one a second.
    pub series: Vec<Sample>,
    /// No promise was broken.
    pub ok: bool,
    /// The first complaint.
    pub error: Option<String>,
}

/// A measured stretch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Window {
    /// How long it was.
    pub seconds: f64,
    /// What receivers got, or commands acknowledged.
    pub delivered: u64,
    /// CPU time of the server, all threads; `None` when it is not on this machine.
    pub server_cpu_s: Option<f64>,
    /// CPU time of the load tester.
    pub own_cpu_s: f64,
    /// From the scheduled time.
    pub p50_ms: f64,
    /// From the scheduled time.
    pub p99_ms: f64,
    /// From the scheduled time.
    pub p999_ms: f64,
    /// From the scheduled time.
    pub max_ms: f64,
}

/// The state of things at one moment of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Since the start of the run.
    pub at_s: f64,
    /// Deliveries a second since the sample before.
    pub delivered_per_s: f64,
    /// Of what arrived since the sample before.
    pub p50_ms: Option<f64>,
    /// Of what arrived since the sample before.
    pub p99_ms: Option<f64>,
    /// Cores that the server used since the sample before.
    pub server_busy: Option<f64>,
    /// Cores that the load tester used since the sample before.
    pub own_busy: f64,
    /// Resident memory of the server.
    pub server_rss_kib: Option<u64>,
}

impl Window {
    /// Server CPU for one delivery, in microseconds.
    pub fn cpu_us(&self) -> Option<f64> {
        self.server_cpu_s.filter(|_| self.delivered > 0).map(|cpu| cpu * 1e6 / self.delivered as f64)
    }

    /// Deliveries a second.
    pub fn per_s(&self) -> f64 {
        self.delivered as f64 / self.seconds
    }

    /// Cores that the load tester used.
    pub fn own_busy(&self) -> f64 {
        self.own_cpu_s / self.seconds
    }
}
