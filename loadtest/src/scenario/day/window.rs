//! A measured stretch of a day.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::crowd::Crowd;
use super::pace::Pace;
use crate::capacity::drivers::{Actions, Drivers, actions, drivers};
use crate::capacity::mix::Mix;
use crate::capacity::observe::Observer;
use crate::capacity::units::Amounts;

/// How long.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Seconds of load before.
    pub warmup: f64,
    /// Seconds that are measured.
    pub seconds: f64,
    /// How many times as often as the mix says.
    pub speed: f64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Measured {
    /// How long it really was.
    pub seconds: f64,
    /// What was done, in a second.
    pub actions: Actions,
    /// What it cost, in a second.
    pub used: Amounts,
    /// Cores that we used ourselves.
    pub own_busy: f64,
    /// Resident memory of the server.
    pub server_kib: Option<u64>,
    /// Messages that receivers got, in a second.
    pub delivered: f64,
    /// What must be 0.
    pub faults: Vec<(&'static str, u64)>,
}

impl Measured {
    /// What was done, as what costs something.
    pub fn drivers(&self, mix: &Mix, people: f64) -> Drivers {
        drivers(mix, people, &self.actions)
    }

    /// No promise was broken.
    pub fn ok(&self) -> bool {
        self.faults.iter().all(|(_, count)| *count == 0)
    }
}

/// Runs a crowd for a while.
pub async fn run(crowd: &Rc<Crowd>, mix: &Mix, stretch: Stretch, observer: &Observer) -> Result<Measured> {
    let rates = actions(mix, crowd.people.len() as f64, stretch.speed);
    let pace = Pace::new(crowd.clone(), mix, rates);
    let done = pace.done.clone();
    let from = Instant::now() + Duration::from_secs_f64(stretch.warmup);
    let until = from + Duration::from_secs_f64(stretch.seconds);
    crowd.found.window.set(Some((from, until)));
    let measured = async {
        tokio::time::sleep_until(from.into()).await;
        let mut before = observer.look();
        observer.ask(&mut before).await?;
        // Processes are looked at again: asking took a moment, and cost something.
        let before = before.again(observer.look());
        let (did, delivered) = (done.borrow().clone(), crowd.found.delivered.get());
        tokio::time::sleep_until(until.into()).await;
        let mut after = observer.look();
        let (does, delivers) = (done.borrow().clone(), crowd.found.delivered.get());
        observer.ask(&mut after).await?;
        let seconds = after.seconds_since(&before);
        let since = |(kind, now): (_, &f64)| (kind, (now - did.get(&kind).copied().unwrap_or_default()) / seconds);
        anyhow::Ok(Measured {
            seconds,
            actions: does.iter().map(|(kind, now)| since((*kind, now))).collect(),
            used: after.used_since(&before),
            own_busy: after.own_busy_since(&before),
            server_kib: observer.server_kib(),
            delivered: (delivers - delivered) as f64 / seconds,
            faults: Vec::new(),
        })
    };
    // A little longer, so that the load does not end before the last look.
    let (measured, ()) = tokio::join!(measured, pace.run(until + Duration::from_millis(300)));
    let mut measured = measured?;
    let missing = crowd.rest().await;
    measured.faults = crowd.found.faults.all().into_iter().chain(missing).collect();
    Ok(measured)
}
