//! What a process has used so far, from `/proc`.

use std::fs;

/// `USER_HZ`: the unit of `/proc/<pid>/stat`, 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of a process with all its threads, in seconds: utime + stime.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, blanks and parentheses included.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let utime: f64 = fields.get(11)?.parse().ok()?;
    let stime: f64 = fields.get(12)?.parse().ok()?;
    Some((utime + stime) / TICKS_PER_SECOND)
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
