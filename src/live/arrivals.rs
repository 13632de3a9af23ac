//! Who is let in, and how many at a time.
//!
//! A connection *arrives* from its upgrade until its first subscriptions are answered. What it asks for in between is what
//! loads the database, so the number of those who arrive at a time is bounded, whatever their rate: everybody who is let in
//! is answered soon, and the others are told before their upgrade to come again. A client that takes its time does not keep
//! others out: who says nothing for a second is no longer counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::hub::Hub;
use super::limits::ARRIVE_WITHIN;
use super::time::Ticks;

/// The node takes no more connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// It is going away.
    Draining,
    /// It has as many as it may.
    Connections,
    /// As many as it may are on their way in.
    Arrivals,
}

impl Full {
    /// For whoever is refused.
    pub fn reason(self) -> &'static str {
        match self {
            Full::Draining => "this node is going away; connect again, and another one answers",
            Full::Connections => "this node has as many connections as it may",
            Full::Arrivals => "too many connect at this moment; connect again a little later",
        }
    }

    /// Seconds after which it is worth trying again: others are refused at the same moment and should not all come back
    /// at the same one.
    pub fn retry_after(self) -> u32 {
        match self {
            Full::Draining => 1,
            Full::Arrivals => rand::random_range(1..=4),
            Full::Connections => rand::random_range(2..=10),
        }
    }
}

/// Those who are on their way in.
#[derive(Debug)]
pub(super) struct Arrivals {
    room: Arc<Semaphore>,
    /// In the order in which they came, or were looked at. Those of the last second, whatever became of them, and those
    /// for whom something is being done.
    line: Mutex<VecDeque<(Arc<Place>, Ticks)>>,
}

#[derive(Debug)]
struct Place {
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    /// Something is being done for it: it does not keep us waiting, we do.
    working: AtomicBool,
}

/// Somebody on the way in, until this is dropped.
#[derive(Debug)]
pub struct Arrival(Arc<Place>);

impl Arrivals {
    pub fn new(max: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(max.max(1))), line: Mutex::default() }
    }

    /// Lets somebody in, unless too many are on their way.
    pub fn enter(&self) -> Option<Arrival> {
        let now = Ticks::now();
        let mut line = self.line.lock();
        while let Some((place, since)) = line.front() {
            let over = place.permit.lock().is_none();
            if !over && now.since(*since) < ARRIVE_WITHIN {
                break;
            }
            let Some((place, _)) = line.pop_front() else { break };
            if over {
                continue;
            }
            if place.working.load(Ordering::Acquire) {
                line.push_back((place, now));
            } else {
                place.permit.lock().take();
            }
        }
        let permit = self.room.clone().try_acquire_owned().ok()?;
        let place = Arc::new(Place { permit: Mutex::new(Some(permit)), working: AtomicBool::new(false) });
        line.push_back((place.clone(), now));
        Some(Arrival(place))
    }
}

impl Arrival {
    /// Whether something is being done for it from now on.
    pub fn set_working(&self, working: bool) {
        self.0.working.store(working, Ordering::Release);
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.permit.lock().take();
    }
}

impl Hub {
    /// Reserves room for a connection, before its upgrade is answered. Keep what this returns until the connection has what
    /// it came for.
    pub fn welcome(&self) -> Result<Arrival, Full> {
        // A node that goes away says so, also when it is busy.
        if self.is_draining() {
            return Err(Full::Draining);
        }
        let arrival = self.arrivals.enter().ok_or(Full::Arrivals)?;
        self.admit_connection()?;
        Ok(arrival)
    }

    /// Reserves room for a connection that nobody waits for.
    pub fn admit_connection(&self) -> Result<(), Full> {
        if self.is_draining() {
            return Err(Full::Draining);
        }
        let max = self.limits.connections_max;
        let taken =
            self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < max).then_some(open + 1));
        taken.map(|_| ()).map_err(|_| Full::Connections)
    }

    /// Gives back what [`Hub::welcome`] or [`Hub::admit_connection`] reserved.
    pub fn release_connection(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_at_a_time_and_no_more() {
        let arrivals = Arrivals::new(2);
        let (first, second) = (arrivals.enter().unwrap(), arrivals.enter().unwrap());
        assert!(arrivals.enter().is_none());
        drop(second);
        let third = arrivals.enter().unwrap();
        assert!(arrivals.enter().is_none());
        drop((first, third));
        // What is over is forgotten, whatever came of it.
        drop((arrivals.enter(), arrivals.enter()));
        drop(arrivals.enter());
        assert!(arrivals.line.lock().len() <= 1);
    }

    #[test]
    fn who_says_nothing_keeps_nobody_out_and_who_is_being_answered_counts() {
        let arrivals = Arrivals::new(2);
        let (silent, waiting) = (arrivals.enter().unwrap(), arrivals.enter().unwrap());
        waiting.set_working(true);
        assert!(arrivals.enter().is_none());
        std::thread::sleep(ARRIVE_WITHIN + Duration::from_millis(50));
        let next = arrivals.enter().unwrap();
        assert!(arrivals.enter().is_none(), "the one who is being answered was forgotten");
        // Its place was given away already.
        drop(silent);
        assert!(arrivals.enter().is_none());
        drop((waiting, next));
        assert!(arrivals.enter().is_some());
    }
}
