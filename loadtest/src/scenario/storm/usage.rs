//! What the processes around a storm use, to the nanosecond: a storm is over before the clock of `/proc/PID/stat` has
//! moved much.

use std::fs;

use anyhow::{Context, Result};

/// CPU time of a process with all its threads that still run, in seconds.
pub fn cpu(pid: u32) -> Option<f64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let stat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(nanoseconds.sum::<u64>() as f64 / 1e9)
}

/// The same of a process and its children, such as PostgreSQL's. Of children that ended meanwhile nothing is known.
pub fn cpu_of_family(pid: u32) -> Option<f64> {
    let children = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (parent == pid).then(|| cpu(child)).flatten()
    });
    Some(cpu(pid)? + children.sum::<f64>())
}

/// CPU time at one moment, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    pub at: std::time::Instant,
    pub server: Option<f64>,
    pub postgres: Option<f64>,
    pub own: f64,
}

impl Cpu {
    pub fn now(server: Option<u32>, postgres: Option<u32>) -> Self {
        Self {
            at: std::time::Instant::now(),
            server: server.and_then(cpu),
            postgres: postgres.and_then(cpu_of_family),
            own: cpu(std::process::id()).unwrap_or_default(),
        }
    }
}

/// What the server has counted of something, by its page of metrics.
#[derive(Debug, Default)]
pub struct Counted(Vec<(String, f64)>);

impl Counted {
    /// Reads the page; nothing without an address.
    pub async fn read(url: Option<&str>) -> Result<Self> {
        let Some(url) = url else { return Ok(Self::default()) };
        let text = reqwest::get(url).await.and_then(reqwest::Response::error_for_status)?.text().await?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value)));
        let pairs = pairs.map(|(name, value)| Ok((name, value.parse().context("a metric that is no number")?)));
        Ok(Self(pairs.collect::<Result<_>>()?))
    }

    /// What was added to each counter since `earlier`.
    pub fn since<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = (&'a str, f64)> {
        let counters = self.0.iter().filter(|(name, _)| name.ends_with("_total"));
        counters.map(|(name, value)| {
            let before = earlier.0.iter().find(|(other, _)| other == name).map_or(0.0, |(_, before)| *before);
            (name.as_str(), value - before)
        })
    }
}
