//! The floor of a durable command: pgbench with one committed statement, on the product's own tables.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::process::cpu_seconds;
use crate::report::Latency;
use crate::report::run::Window;

const PREPARE: &str = include_str!("../../../pgbench/prepare.sql");
const TICK: &str = include_str!("../../../pgbench/tick.sql");
/// People that `prepare.sql` makes.
const CLIENTS_MAX: usize = 256;
/// Of so many commands the time is written down: often enough for percentiles, too seldom to slow pgbench down.
const SAMPLED: f64 = 0.05;

/// pgbench, ready to run.
pub struct Pgbench {
    database: String,
    clients: usize,
    /// Its script and its logs.
    folder: PathBuf,
}

impl Pgbench {
    /// Makes the people that it acts for.
    pub fn new(database: &str, clients: usize) -> Result<Self> {
        if clients > CLIENTS_MAX {
            bail!("pgbench has people for at most {CLIENTS_MAX} clients");
        }
        let mut psql = Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database])
            .stdin(Stdio::piped())
            .spawn()
            .context("psql cannot be run")?;
        psql.stdin.take().context("psql takes nothing")?.write_all(PREPARE.as_bytes())?;
        if !psql.wait()?.success() {
            bail!("psql could not make the people for pgbench");
        }
        let folder = env::temp_dir().join(format!("studyhall-pgbench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("tick.sql"), TICK)?;
        Ok(Self { database: database.to_owned(), clients, folder })
    }

    /// One stretch; the latencies are those of a sample.
    pub fn window(&self, seconds: f64) -> Result<(Window, Latency)> {
        let length = (seconds.ceil() as u64).max(1).to_string();
        let clients = self.clients.to_string();
        let sampled = SAMPLED.to_string();
        let before = cpu_seconds_of_children();
        let output = Command::new("pgbench")
            .args(["-n", "-M", "prepared", "-f", "tick.sql", "-j", "1", "-l", "--log-prefix=tick"])
            .args(["--sampling-rate", &sampled, "-c", &clients, "-T", &length, &self.database])
            .current_dir(&self.folder)
            .output()
            .context("pgbench cannot be run")?;
        let own_cpu_s = cpu_seconds_of_children() - before;
        let (done, rate) = read(&output)?;
        let window = Window { seconds: done as f64 / rate, delivered: done, own_cpu_s, ..Window::default() };
        Ok((window, self.latency()?))
    }

    /// Reads the logs of a stretch and removes them.
    fn latency(&self) -> Result<Latency> {
        let mut latency = Latency::new();
        for entry in fs::read_dir(&self.folder)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("tick.")
                && entry.path().extension() != Some("sql".as_ref())
            {
                sampled(&entry.path(), &mut latency)?;
                fs::remove_file(entry.path())?;
            }
        }
        Ok(latency)
    }
}

impl Drop for Pgbench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// How many were committed, and how many a second.
fn read(output: &Output) -> Result<(u64, f64)> {
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |words: &str| {
        let rest = text.split_once(words)?.1;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let done = number("transactions actually processed: ").and_then(|word| word.parse().ok());
    let rate = number("tps = ").and_then(|word| word.parse().ok());
    match done.zip(rate) {
        Some(found) if output.status.success() => Ok(found),
        _ => bail!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr).trim_end()),
    }
}

/// The third field of each line is the time in microseconds.
fn sampled(path: &Path, latency: &mut Latency) -> Result<()> {
    for line in fs::read_to_string(path)?.lines() {
        if let Some(micros) = line.split(' ').nth(2).and_then(|field| field.parse().ok()) {
            latency.record(Duration::from_micros(micros));
        }
    }
    Ok(())
}

/// Of ourselves and of processes that have ended.
fn cpu_seconds_of_children() -> f64 {
    let own = std::process::id();
    super::super::record::family_cpu_seconds(own).unwrap_or(0.0) - cpu_seconds(own).unwrap_or(0.0)
}
