//! What the figures were measured on.

use std::fs;

use serde::{Deserialize, Serialize};

/// The machine and the code; never its name or where things lie on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// As the kernel counts them.
    pub cores: usize,
    /// The model of its CPU.
    pub cpu: String,
    /// Name and version.
    pub kernel: String,
    /// All of it, in GiB.
    pub memory_gib: f64,
    /// What was built.
    pub commit: Option<String>,
    /// `2026-05-31`, in UTC.
    pub date: String,
}

impl Machine {
    /// This one, now; what it does not tell is `unknown`.
    pub fn here(commit: Option<String>) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (cpu_info, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let cpu = field(&cpu_info, "model name").or_else(|| field(&cpu_info, "Processor"));
        let kib = field(&memory, "MemTotal").and_then(|total| total.split(' ').next()?.parse::<f64>().ok());
        let online = cpu_info.lines().filter(|line| line.starts_with("processor")).count();
        // What follows the version names whoever built it.
        let kernel = read("/proc/sys/kernel/osrelease");
        let kernel = kernel.split('-').next().unwrap_or_default().trim().to_owned();
        let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        Self {
            cores: online.max(1),
            cpu: cpu.unwrap_or_else(|| "unknown".into()),
            kernel: format!("{} {}", std::env::consts::OS, kernel),
            memory_gib: (kib.unwrap_or(0.0) / 1024.0 / 102.4).round() / 10.0,
            commit,
            date: date(seconds),
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let cores = if self.cores == 1 { "1 core".into() } else { format!("{} cores", self.cores) };
        format!("{cores} ({}), {} GiB of memory, {}, loopback", self.cpu, self.memory_gib, self.kernel)
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The day of a number of seconds since 1970, in the Gregorian calendar.
pub fn date(seconds: u64) -> String {
    // Years begin in March here, so that the day that comes and goes is the last one.
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let days: Vec<_> = [0, 951_782_399, 951_782_400, 951_868_800, 1_795_132_800].map(date).into();
        assert_eq!(days, ["1970-01-01", "2000-02-28", "2000-02-29", "2000-03-01", "2026-11-20"]);
    }

    #[test]
    fn this_machine_is_known() {
        let machine = Machine::here(Some("abc".into()));
        assert!(machine.cores >= 1 && machine.memory_gib > 0.0 && !machine.cpu.is_empty(), "{machine:?}");
    }
}
