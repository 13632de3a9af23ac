//! How scenarios of durable commands write down what they measured.

use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::process::Usage;
use crate::report::Latency;
use crate::report::run::{Run, Window};

/// Parts of the values that [`Run::percentiles`] has.
const SHARES: [f64; 10] = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0];
/// `USER_HZ`: the unit of `/proc/<pid>/stat`, 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A run as far as it is.
pub struct Record {
    run: Run,
    latency: Latency,
    /// CPU time of PostgreSQL in the windows.
    postgres_s: Option<f64>,
}

impl Record {
    /// Begins now.
    pub fn new(scenario: &str, target: &str, parameters: &[(&str, Value)]) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let parameters: BTreeMap<String, Value> =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let run = Run {
            scenario: scenario.to_owned(),
            target: target.to_owned(),
            started_at: since.as_secs(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            parameters,
            ok: true,
            ..Run::default()
        };
        Self { run, latency: Latency::new(), postgres_s: None }
    }

    /// Adds a measured stretch; latencies are those of all that was delivered in it.
    pub fn window(&mut self, window: Window, latency: &Latency) {
        let of = |share| latency.quantile(share).unwrap_or(0.0);
        self.run.windows.push(Window {
            p50_ms: of(0.5),
            p99_ms: of(0.99),
            p999_ms: of(0.999),
            max_ms: of(1.0),
            ..window
        });
        self.latency.add(latency);
    }

    /// Adds CPU time that PostgreSQL used in a window.
    pub fn postgres(&mut self, seconds: Option<f64>) {
        self.postgres_s = seconds.map(|seconds| self.postgres_s.unwrap_or(0.0) + seconds).or(self.postgres_s);
    }

    /// Adds to what is counted; `must`: whether it has to be 0.
    pub fn count(&mut self, name: &str, count: u64, must: bool) {
        *self.run.counts.entry(name.to_owned()).or_default() += count;
        self.run.ok &= !must || count == 0;
    }

    /// Adds a figure; the unit is the end of its name.
    pub fn figure(&mut self, name: &str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.run.figures.insert(name.to_owned(), value);
        }
    }

    /// The first complaint stays.
    pub fn error(&mut self, error: Option<String>) {
        self.run.ok &= error.is_none();
        self.run.error = self.run.error.take().or(error);
    }

    /// Prints the line of JSON and, to stderr, what it comes to. Whether every promise was kept. `one` is
    /// what is delivered, `many` its plural.
    pub fn print(mut self, one: &str, many: &str) -> bool {
        let run = &mut self.run;
        run.percentiles = SHARES.iter().filter_map(|share| Some((*share, self.latency.quantile(*share)?))).collect();
        let delivered: u64 = run.windows.iter().map(|window| window.delivered).sum();
        run.ok &= delivered > 0;
        let of = |seconds: f64| seconds * 1e6 / delivered.max(1) as f64;
        let server: Option<f64> = run.windows.iter().map(|window| window.server_cpu_s).sum();
        for (name, seconds) in [("server", server), ("postgres", self.postgres_s)] {
            if let Some(seconds) = seconds {
                run.figures.insert(format!("{name}_us_per_{one}"), of(seconds));
            }
        }
        let own: f64 = run.windows.iter().map(|window| window.own_cpu_s).sum();
        let seconds: f64 = run.windows.iter().map(|window| window.seconds).sum();
        run.figures.insert("own_busy".to_owned(), own / seconds.max(f64::MIN_POSITIVE));
        let mut rates: Vec<f64> = run.windows.iter().map(Window::per_s).collect();
        rates.sort_by(f64::total_cmp);
        let rate = |share: f64| rates.get((rates.len().saturating_sub(1) as f64 * share) as usize).copied();
        run.figures.insert(format!("{many}_per_s"), rate(0.5).unwrap_or(0.0));
        eprintln!("{} · {}: {} windows", run.scenario, run.target, run.windows.len());
        let [low, median, high] = [0.0, 0.5, 1.0].map(|share| rate(share).unwrap_or(0.0));
        eprintln!("  {many} a second  {median:.0} ({low:.0} to {high:.0})");
        for (share, value) in run.percentiles.iter().filter(|(share, _)| [0.5, 0.99, 0.999, 1.0].contains(share)) {
            eprintln!("  {:5} %  {value:.2} ms", share * 100.0);
        }
        for (name, value) in &run.figures {
            eprintln!("  {name}  {value:.3}");
        }
        for (name, value) in run.counts.iter().filter(|(_, value)| **value > 0) {
            eprintln!("  {name}  {value}");
        }
        if let Some(error) = &run.error {
            eprintln!("  error  {error}");
        }
        println!("{}", serde_json::to_string(run).unwrap_or_default());
        run.ok
    }
}

/// What was used between two moments.
pub fn used(before: &Usage, after: &Usage, delivered: u64) -> Window {
    let seconds = after.seconds_since(before);
    Window {
        seconds,
        delivered,
        server_cpu_s: after.server_since(before),
        own_cpu_s: after.own_busy_since(before).unwrap_or(0.0) * seconds,
        ..Window::default()
    }
}

/// CPU time in seconds of a process, its children and those that it has outlived: of a whole PostgreSQL by its postmaster.
pub fn family_cpu_seconds(pid: u32) -> Option<f64> {
    let own: u64 = stat(pid)?.get(11..15)?.iter().sum();
    let children = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let fields = stat(entry.file_name().to_str()?.parse().ok()?)?;
        (*fields.get(1)? == u64::from(pid)).then(|| fields.get(11..13).map(|used| used.iter().sum::<u64>()))?
    });
    Some((own + children.sum::<u64>()) as f64 / TICKS_PER_SECOND)
}

/// The fields of `/proc/<pid>/stat` behind the name; what is no number is 0.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}
