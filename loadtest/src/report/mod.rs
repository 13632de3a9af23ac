//! What a run came to: one JSON line for programs, a table for people.

pub mod run;

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// Named figures in the order in which they were set.
#[derive(Debug, Clone, Default)]
pub struct Report(Vec<(String, Value)>);

impl Report {
    /// An empty report of this scenario.
    pub fn new(scenario: &str) -> Self {
        Self(vec![("scenario".into(), scenario.into())])
    }

    /// Adds a figure.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// Adds a figure with a few digits; what could not be measured is `null`.
    pub fn number(&mut self, name: &str, value: impl Into<Option<f64>>) -> &mut Self {
        let value = value.into().map(|value| (value * 1_000.0).round() / 1_000.0);
        self.set(name, value)
    }

    /// Adds p50, p99, p99.9 and the maximum, in milliseconds.
    pub fn latency(&mut self, name: &str, latency: &Latency) -> &mut Self {
        for (suffix, quantile) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            self.number(&format!("{name}_{suffix}_ms"), latency.quantile(quantile));
        }
        self
    }

    /// Prints both forms.
    pub fn print(&self) {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.0 {
            match value {
                Value::String(text) => eprintln!("{name:width$}  {text}"),
                Value::Null => eprintln!("{name:width$}  -"),
                value => eprintln!("{name:width$}  {value}"),
            }
        }
        eprintln!();
        println!("{}", serde_json::to_string(self).unwrap_or_default());
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Times in microseconds, three significant digits, up to ten minutes.
pub struct Latency(Histogram<u64>);

impl Latency {
    /// Nothing measured yet.
    pub fn new() -> Self {
        // The bounds are constants that the library takes.
        Self(Histogram::new_with_bounds(1, 600_000_000, 3).unwrap_or_else(|_| unreachable!("valid bounds")))
    }

    /// Adds one; what is longer than ten minutes counts as ten minutes.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(time.as_micros() as u64);
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Latency) {
        // Both have the bounds above.
        let _ = self.0.add(&other.0);
    }

    /// In milliseconds; `None` when nothing was measured.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 / 1_000.0)
    }
}
