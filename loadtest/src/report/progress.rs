//! How far a run is, on stderr: a bar on a terminal, a plain line now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use super::text::{grouped, seconds};

/// Between two drawings of the bar.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(10);
/// Characters of the bar itself.
const WIDTH: usize = 24;

/// A run under way. Ends its line when dropped.
#[derive(Debug)]
pub struct Progress {
    label: String,
    total: Duration,
    started: Instant,
    /// When it was last said how far the run is, and how many there were then.
    said: (Instant, u64),
    terminal: bool,
    drawn: bool,
}

impl Progress {
    /// Begins now and ends after `total`.
    pub fn new(label: impl Into<String>, total: Duration) -> Self {
        let now = Instant::now();
        let terminal = stderr().is_terminal();
        Self { label: label.into(), total, started: now, said: (now, 0), terminal, drawn: false }
    }

    /// Says how far the run is, if it is time to. `count`: what was delivered or acknowledged from the start on.
    pub fn tick(&mut self, count: u64) {
        let now = Instant::now();
        let pause = if self.terminal { REDRAW } else { LINE };
        if now.duration_since(self.said.0) < pause {
            return;
        }
        let line = self.line(now, count);
        self.said = (now, count);
        // Whoever closed stderr does not want to know.
        let _ = if self.terminal {
            self.drawn = true;
            write!(stderr(), "\r\x1b[2K{line}").and_then(|()| stderr().flush())
        } else {
            writeln!(stderr(), "{line}")
        };
    }

    fn line(&self, now: Instant, count: u64) -> String {
        let (said_at, said) = self.said;
        let since = now.duration_since(said_at).as_secs_f64().max(1e-3);
        let rate = grouped(count.saturating_sub(said) as f64 / since);
        let elapsed = now.duration_since(self.started).as_secs_f64();
        let times = format!("{} of {}", seconds(elapsed), seconds(self.total.as_secs_f64()));
        if !self.terminal {
            return format!("{}: {times}, {rate}/s", self.label);
        }
        let share = (elapsed / self.total.as_secs_f64().max(1e-3)).clamp(0.0, 1.0);
        let full = (share * WIDTH as f64) as usize;
        format!("{} [{}{}] {times}, {rate}/s", self.label, "=".repeat(full), " ".repeat(WIDTH - full))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(stderr(), "\r\x1b[2K").and_then(|()| stderr().flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(elapsed: Duration, terminal: bool) -> String {
        let now = Instant::now();
        let progress = Progress {
            label: "rooms".into(),
            total: Duration::from_secs(120),
            started: now - elapsed,
            said: (now - Duration::from_secs(2), 1_000),
            terminal,
            drawn: false,
        };
        progress.line(now, 81_000)
    }

    #[test]
    fn a_line_says_label_times_and_rate() {
        assert_eq!(after(Duration::from_secs(30), false), "rooms: 30 s of 2 min 0 s, 40,000/s");
    }

    #[test]
    fn the_bar_fills_with_time_and_never_beyond() {
        let bar = |elapsed| after(Duration::from_secs(elapsed), true).matches('=').count();
        assert_eq!([bar(0), bar(60), bar(120), bar(500)], [0, WIDTH / 2, WIDTH, WIDTH]);
    }
}
