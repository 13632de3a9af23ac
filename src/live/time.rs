//! The engine's clock: milliseconds since the process began to serve, small enough for an atomic.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

static START: OnceLock<Instant> = OnceLock::new();

/// A moment, in milliseconds since the first use of the clock; never 0. Good for 49 days, then it
/// wraps; differences stay right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticks(u32);

impl Ticks {
    /// Now.
    pub fn now() -> Self {
        let start = START.get_or_init(Instant::now);
        Self::from_millis(start.elapsed().as_millis() as u32)
    }

    /// A moment so many milliseconds after the start.
    pub fn from_millis(millis: u32) -> Self {
        Self(if millis == 0 { 1 } else { millis })
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Ticks) -> Duration {
        let difference = self.0.wrapping_sub(earlier.0);
        Duration::from_millis(if difference > u32::MAX / 2 { 0 } else { u64::from(difference) })
    }

    /// This long after.
    pub fn after(self, duration: Duration) -> Self {
        Self::from_millis(self.0.wrapping_add(duration.as_millis() as u32))
    }

    /// Whether this moment has come.
    pub fn is_due(self, now: Ticks) -> bool {
        now.0.wrapping_sub(self.0) <= u32::MAX / 2
    }
}

/// A moment that may be unset, shared between threads.
#[derive(Debug, Default)]
pub struct Deadline(AtomicU32);

impl Deadline {
    /// Sets or unsets it.
    pub fn set(&self, at: Option<Ticks>) {
        self.0.store(at.map_or(0, |at| at.0), Ordering::Relaxed);
    }

    /// The moment, if one is set.
    pub fn get(&self) -> Option<Ticks> {
        Some(self.0.load(Ordering::Relaxed)).filter(|millis| *millis != 0).map(Ticks)
    }

    /// Whether it is set and has come.
    pub fn is_due(&self, now: Ticks) -> bool {
        self.get().is_some_and(|at| at.is_due(now))
    }
}

/// The time of day, as finely as PostgreSQL keeps it: what is told live and what is read back later are the same.
pub fn wall() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_survive_the_wrap() {
        let before = Ticks::from_millis(u32::MAX - 10);
        let after = before.after(Duration::from_millis(30));
        assert!(after.since(before) >= Duration::from_millis(30));
        assert!(before.is_due(after) && !after.is_due(before));
    }
}
