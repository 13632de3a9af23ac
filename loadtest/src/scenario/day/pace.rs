//! The schedule: open loop, each kind a Poisson process of its own. What is late counts as late.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::crowd::Crowd;
use super::found::add;
use crate::capacity::drivers::Actions;
use crate::capacity::mix::{Kind, Mix};

/// Long enough that others see who went.
const AWAY: Duration = Duration::from_secs(3);
/// Things done before receivers get their turn.
const PER_TURN: usize = 32;

/// Something that is due.
enum Due {
    /// The next of a kind, whoever does it.
    Next(Kind),
    /// A value of a gesture.
    Value { person: usize, gesture: Uuid, number: u64 },
    /// Somebody comes back.
    Come(usize),
}

/// What has been done so far.
pub struct Pace {
    crowd: Rc<Crowd>,
    mix: Mix,
    rates: Actions,
    queue: BTreeMap<(Instant, u64), Due>,
    ticket: u64,
    /// How often; a gesture counts by its values.
    pub done: Rc<RefCell<Actions>>,
}

impl Pace {
    /// Everything that the mix says, at these rates.
    pub fn new(crowd: Rc<Crowd>, mix: &Mix, rates: Actions) -> Self {
        let (queue, done) = (BTreeMap::new(), Rc::default());
        let mut pace = Self { crowd, mix: mix.clone(), rates, queue, ticket: 0, done };
        let now = Instant::now();
        for kind in Kind::ALL {
            pace.next(kind, now);
        }
        pace
    }

    fn push(&mut self, at: Instant, due: Due) {
        self.ticket += 1;
        self.queue.insert((at, self.ticket), due);
    }

    fn next(&mut self, kind: Kind, after: Instant) {
        let rate = self.rates.get(&kind).copied().unwrap_or_default();
        if rate > 0.0 {
            self.push(after + self.crowd.wait(rate), Due::Next(kind));
        }
    }

    /// Runs until then; what has begun is brought to its end.
    pub async fn run(mut self, until: Instant) {
        while let Some(((at, _), due)) = self.queue.pop_first() {
            if at >= until {
                match due {
                    Due::Next(_) => continue,
                    Due::Value { person, gesture, .. } => self.crowd.let_go(person, gesture, at),
                    Due::Come(person) => self.come(person, at),
                }
                continue;
            }
            if at > Instant::now() {
                tokio::time::sleep_until(at.into()).await;
            } else if self.ticket.is_multiple_of(PER_TURN as u64) {
                tokio::task::yield_now().await;
            }
            self.crowd.found.record("late", at, Instant::now());
            self.act(due, at);
        }
    }

    fn act(&mut self, due: Due, at: Instant) {
        match due {
            Due::Next(kind) => {
                self.next(kind, at);
                let Some(person) = self.crowd.somebody(kind) else {
                    return add(&self.crowd.found.postponed, 1);
                };
                self.crowd.act(kind, person, at);
                match kind {
                    Kind::Gesture => self.value(person, Uuid::new_v4(), 0, at),
                    Kind::Visit => {
                        self.count(kind, 1.0);
                        self.push(at + AWAY, Due::Come(person));
                    }
                    _ => self.count(kind, 1.0),
                }
            }
            Due::Value { person, gesture, number } => self.value(person, gesture, number, at),
            Due::Come(person) => self.come(person, at),
        }
    }

    fn value(&mut self, person: usize, gesture: Uuid, number: u64, at: Instant) {
        let values = self.mix.gesture.values();
        if number as f64 >= values {
            return self.crowd.let_go(person, gesture, at);
        }
        self.crowd.drag(person, gesture, number, at);
        self.count(Kind::Gesture, 1.0 / values);
        let step = Duration::from_secs_f64(1.0 / self.mix.gesture.per_second);
        self.push(at + step, Due::Value { person, gesture, number: number + 1 });
    }

    fn come(&self, person: usize, at: Instant) {
        let crowd = self.crowd.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = crowd.come(person, at).await {
                add(&crowd.found.faults.refused, 1);
                crowd.found.complain(format!("connecting: {error:#}"));
            }
        });
        let loads = self.mix.loads;
        for (kind, chance) in
            [(Kind::Dashboard, loads.dashboard), (Kind::Feed, loads.feed), (Kind::RoomLoad, loads.room)]
        {
            if self.crowd.happens(chance) {
                self.crowd.act(kind, person, at);
            }
        }
    }

    fn count(&self, kind: Kind, amount: f64) {
        *self.done.borrow_mut().entry(kind).or_default() += amount;
    }
}
