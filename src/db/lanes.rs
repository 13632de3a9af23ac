//! Who waits to be committed together with whom.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::operations::Wanted;
use crate::error::Result;

/// Commands a second in one lane; above it they are drained.
const COMMANDS_PER_SECOND: usize = 20;
/// How long commands of a drained lane are collected.
pub(super) const COLLECT: Duration = Duration::from_millis(50);
/// Commands of one transaction.
const BATCH_MAX: usize = 2_000;
/// Lanes that are kept without asking whether they are still in use.
const LANES: usize = 1_024;

/// How a command comes to its answer.
pub(super) type Answer = oneshot::Sender<Result<Box<RawValue>>>;

/// What became of a command at its lane.
pub(super) enum Entry {
    /// The lane is quiet: a transaction of its own.
    Alone(Box<Wanted>),
    /// It waits for its batch. `first`: nobody drains the lane yet, the caller has to see to it.
    Waits { answer: oneshot::Receiver<Result<Box<RawValue>>>, first: bool },
}

/// Every lane that was used within the last second. What waits is bounded by the commands in flight.
#[derive(Default)]
pub(super) struct Lanes(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    lanes: HashMap<Uuid, Lane>,
    /// From this many on, lanes that fell quiet are looked for.
    sweep_at: usize,
}

struct Lane {
    /// The last ones, oldest first.
    arrivals: VecDeque<Instant>,
    waiting: VecDeque<(Instant, Wanted, Answer)>,
    /// Somebody takes batches until nobody waits.
    draining: bool,
    taken: Instant,
}

impl Lanes {
    /// Lets a command wait if its lane is busy.
    pub(super) fn enter(&self, key: Uuid, wanted: Wanted, now: Instant) -> Entry {
        let mut inner = self.0.lock();
        inner.sweep(now);
        let lane = inner.lanes.entry(key).or_insert_with(|| Lane::new(now));
        if !lane.is_busy(now) && !lane.draining {
            return Entry::Alone(Box::new(wanted));
        }
        let (sender, answer) = oneshot::channel();
        lane.waiting.push_back((now, wanted, sender));
        let first = !std::mem::replace(&mut lane.draining, true);
        Entry::Waits { answer, first }
    }

    /// When the next batch is to be taken; `None` when nobody waits, and then whoever comes next is `first` again.
    pub(super) fn due(&self, key: Uuid) -> Option<Instant> {
        let mut inner = self.0.lock();
        let lane = inner.lanes.get_mut(&key)?;
        match lane.waiting.front() {
            // Never more than one batch per `COLLECT`; who comes later than that after the last one is not kept.
            Some((since, ..)) => Some((lane.taken + COLLECT).max(*since)),
            None => {
                lane.draining = false;
                None
            }
        }
    }

    /// The next batch, in the order of arrival. A second command with an operation id stays for the next one: it
    /// will find the answer of the first.
    pub(super) fn take(&self, key: Uuid, now: Instant) -> (Vec<Wanted>, Vec<Answer>) {
        let mut inner = self.0.lock();
        let Some(lane) = inner.lanes.get_mut(&key) else { return Default::default() };
        lane.taken = now;
        let (mut batch, mut answers) = (Vec::new(), Vec::new());
        let mut ids = HashSet::new();
        let mut rest = VecDeque::new();
        for (since, wanted, answer) in lane.waiting.drain(..) {
            if batch.len() < BATCH_MAX && ids.insert(wanted.by) {
                batch.push(wanted);
                answers.push(answer);
            } else {
                rest.push_back((since, wanted, answer));
            }
        }
        lane.waiting = rest;
        (batch, answers)
    }
}

impl Inner {
    fn sweep(&mut self, now: Instant) {
        if self.lanes.len() >= self.sweep_at.max(LANES) {
            self.lanes
                .retain(|_, lane| lane.draining || lane.arrivals.back().is_some_and(|last| is_recent(*last, now)));
            self.sweep_at = 2 * self.lanes.len();
        }
    }
}

impl Lane {
    fn new(now: Instant) -> Self {
        Self { arrivals: VecDeque::new(), waiting: VecDeque::new(), draining: false, taken: now }
    }

    /// Counts an arrival; whether it is one too many for a second.
    fn is_busy(&mut self, now: Instant) -> bool {
        self.arrivals.push_back(now);
        self.arrivals.len() > COMMANDS_PER_SECOND
            && self.arrivals.pop_front().is_some_and(|oldest| is_recent(oldest, now))
    }
}

fn is_recent(then: Instant, now: Instant) -> bool {
    now.saturating_duration_since(then) < Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::By;
    use studyhall_protocol::Command;
    use studyhall_protocol::posts::PostRef;

    const LANE: Uuid = Uuid::nil();

    fn wanted(op: u128) -> Wanted {
        let by = By { actor: Uuid::nil(), op: Uuid::from_u128(op) };
        Wanted::new(by, Command::PostLike(PostRef { post_id: Uuid::nil() }), None).unwrap()
    }

    /// Whether the command waits, and if so whether it is the first.
    fn enter(lanes: &Lanes, op: u128, now: Instant) -> Option<bool> {
        match lanes.enter(LANE, wanted(op), now) {
            Entry::Alone(_) => None,
            Entry::Waits { first, .. } => Some(first),
        }
    }

    fn ops(lanes: &Lanes, now: Instant) -> Vec<u128> {
        lanes.take(LANE, now).0.iter().map(|wanted| wanted.by.op.as_u128()).collect()
    }

    #[test]
    fn more_than_twenty_in_a_second_wait() {
        let (lanes, start) = (Lanes::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        // Twenty a second for ever.
        for number in 0..100 {
            assert_eq!(enter(&lanes, number, at(50 * number as u64)), None);
        }
        assert_eq!(enter(&lanes, 100, at(4_960)), Some(true));
        assert_eq!(enter(&lanes, 101, at(4_970)), Some(false));
        // Somebody drains: whoever comes joins, however long it takes.
        assert_eq!(enter(&lanes, 102, at(9_000)), Some(false));
        assert_eq!(ops(&lanes, at(9_000)), [100, 101, 102]);
        assert_eq!(lanes.due(LANE), None);
        assert_eq!(enter(&lanes, 103, at(9_001)), None);
    }

    #[test]
    fn a_batch_every_fifty_milliseconds_at_most() {
        let (lanes, start) = (Lanes::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        for number in 0..20 + BATCH_MAX as u128 + 7 {
            enter(&lanes, number, start);
        }
        assert_eq!(lanes.due(LANE), Some(at(50)));
        assert_eq!(ops(&lanes, at(60)).len(), BATCH_MAX);
        // What is left over was here before, and waits all the same.
        assert_eq!(lanes.due(LANE), Some(at(110)));
        assert_eq!(ops(&lanes, at(200)).len(), 7);
        enter(&lanes, 1_000, at(230));
        enter(&lanes, 1_001, at(240));
        assert_eq!(lanes.due(LANE), Some(at(250)));
        assert_eq!(ops(&lanes, at(250)), [1_000, 1_001]);
        // Nobody came for a while: whoever does now has nothing to wait for.
        enter(&lanes, 1_002, at(400));
        assert_eq!(lanes.due(LANE), Some(at(400)));
    }

    #[test]
    fn an_operation_is_in_a_batch_once() {
        let (lanes, now) = (Lanes::default(), Instant::now());
        (0..20).for_each(|number| assert_eq!(enter(&lanes, number, now), None));
        [50, 51, 50, 52].into_iter().for_each(|op| assert!(enter(&lanes, op, now).is_some()));
        assert_eq!(ops(&lanes, now), [50, 51, 52]);
        assert_eq!(ops(&lanes, now), [50]);
    }

    #[test]
    fn quiet_lanes_are_forgotten() {
        let (lanes, start) = (Lanes::default(), Instant::now());
        for lane in 0..10 * LANES {
            let now = start + Duration::from_millis(10 * lane as u64);
            lanes.enter(Uuid::from_u128(lane as u128), wanted(0), now);
        }
        assert!(lanes.0.lock().lanes.len() <= LANES);
    }
}
