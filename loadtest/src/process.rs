//! What processes have used so far, from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::str::FromStr;

/// A server, as it is named on the command line: `123` is that process, `123+` it and all that it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The process.
    pub pid: u32,
    /// Its descendants as well.
    pub family: bool,
}

impl FromStr for Named {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let family = text.ends_with('+');
        Ok(Self { pid: text.trim_end_matches('+').parse()?, family })
    }
}

/// The CPU time of one server, all threads, to the nanosecond.
///
/// `schedstat` is of living threads only: what a thread had used when it was last seen counts after its end. It is brought
/// up to date when the thread leaves the CPU or at a tick, so a busy thread is a few milliseconds behind, an idle one exact.
#[derive(Debug, Clone)]
pub struct Meter {
    named: Named,
    threads: HashMap<u32, u64>,
}

impl Meter {
    /// Of this server.
    pub fn new(named: Named) -> Self {
        Self { named, threads: HashMap::new() }
    }

    /// Seconds until now; `None` when the process is not there.
    pub fn cpu_seconds(&mut self) -> Option<f64> {
        let mut there = false;
        for pid in self.pids() {
            for thread in numbers(&format!("/proc/{pid}/task")) {
                let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok();
                if let Some(ran) = stat.and_then(|stat| stat.split(' ').next()?.parse::<u64>().ok()) {
                    self.threads.insert(thread, ran);
                    there = true;
                }
            }
        }
        there.then(|| self.threads.values().sum::<u64>() as f64 / 1e9)
    }

    /// Resident memory of all of it, in KiB.
    pub fn rss_kib(&self) -> Option<u64> {
        self.pids().into_iter().map(rss_kib).sum()
    }

    fn pids(&self) -> Vec<u32> {
        let mut family = vec![self.named.pid];
        if self.named.family {
            let parents: Vec<(u32, u32)> =
                numbers("/proc").filter_map(|pid| Some((pid, stat_field(pid, 1)?.parse().ok()?))).collect();
            let mut next = 0;
            while next < family.len() {
                let parent = family[next];
                family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
                next += 1;
            }
        }
        family
    }
}

/// CPU time of everything on this machine, in seconds; to a hundredth of one for each core.
pub fn machine_cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields = stat.lines().next()?.split_whitespace().skip(1).map(|field| field.parse::<f64>());
    let ticks: Vec<f64> = fields.collect::<Result<_, _>>().ok()?;
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are within user.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks[..] else {
        return None;
    };
    Some((user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND)
}

/// The entries of a folder that are numbers.
fn numbers(folder: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A field of `/proc/<pid>/stat`, counted from the one behind the name.
fn stat_field(pid: u32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, blanks and parentheses included.
    stat.rsplit_once(')')?.1.split_whitespace().nth(field).map(str::to_owned)
}

/// `USER_HZ`: the unit of `/proc/<pid>/stat`, 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of a process with all its threads, in seconds: utime + stime.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let ticks = |field| stat_field(pid, field)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Resident memory in KiB.
pub fn rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CPU time of the server and of ourselves at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// When.
    pub at: std::time::Instant,
    server: Option<f64>,
    own: Option<f64>,
}

impl Usage {
    /// Now.
    pub fn now(server: Option<u32>) -> Self {
        Self {
            at: std::time::Instant::now(),
            server: server.and_then(cpu_seconds),
            own: cpu_seconds(std::process::id()),
        }
    }

    /// Seconds of wall time since `earlier`.
    pub fn seconds_since(&self, earlier: &Usage) -> f64 {
        self.at.duration_since(earlier.at).as_secs_f64()
    }

    /// Seconds of CPU that the server used since `earlier`.
    pub fn server_since(&self, earlier: &Usage) -> Option<f64> {
        Some(self.server? - earlier.server?)
    }

    /// The share of one core that we used ourselves since `earlier`.
    pub fn own_busy_since(&self, earlier: &Usage) -> Option<f64> {
        Some((self.own? - earlier.own?) / self.seconds_since(earlier))
    }
}
