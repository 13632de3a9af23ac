//! Which nodes have a lease, as this node's pulses see it.
//!
//! A node that dies is taken back by whoever finds its lease expired. Where Redis has lost its data there is neither lease nor
//! entry left to find: then what this node has heard of the dead one goes when it has had no lease for long enough.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// When each node was last seen with a lease.
#[derive(Default)]
pub(super) struct Leases {
    last: HashMap<Uuid, Instant>,
    /// The last look.
    looked: Option<Instant>,
}

impl Leases {
    /// These have one now. Returns those that have had none for `grace`. For the time between two looks that are half as
    /// far apart nobody is missed.
    pub fn look(&mut self, held: &[Uuid], grace: Duration, now: Instant) -> Vec<Uuid> {
        let looked = self.looked.replace(now);
        if looked.is_none_or(|looked| now.duration_since(looked) >= grace / 2) {
            self.last.values_mut().for_each(|last| *last = now);
        }
        self.last.extend(held.iter().map(|node| (*node, now)));
        let gone = self.last.extract_if(|_, last| now.duration_since(*last) >= grace);
        gone.map(|(node, _)| node).collect()
    }

    /// These have said something, so they had a lease, whether or not a look has found it: Redis may have lost it in between.
    pub fn heard(&mut self, nodes: impl IntoIterator<Item = Uuid>, now: Instant) {
        for node in nodes {
            self.last.entry(node).or_insert(now);
        }
    }

    /// From here to the next look nobody is missed.
    pub fn interrupt(&mut self) {
        self.looked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(6);

    #[test]
    fn who_has_no_lease_for_long_enough_is_gone_once() {
        let (ada, bob, start) = (Uuid::from_u128(1), Uuid::from_u128(2), Instant::now());
        let mut leases = Leases::default();
        let mut look = |second: u64, held: &[Uuid]| leases.look(held, GRACE, start + Duration::from_secs(second));
        assert!(look(0, &[ada, bob]).is_empty());
        for second in 1..6 {
            // Gone and back, as after a flush.
            let held: &[Uuid] = if second == 3 { &[] } else { &[ada] };
            assert!(look(second, held).is_empty());
        }
        assert_eq!(look(6, &[ada]), [bob]);
        assert!(look(7, &[ada]).is_empty());
    }

    #[test]
    fn who_was_only_heard_is_missed_as_well() {
        let (ada, bob, start) = (Uuid::from_u128(1), Uuid::from_u128(2), Instant::now());
        let mut leases = Leases::default();
        let at = |second: u64| start + Duration::from_secs(second);
        assert!(leases.look(&[ada], GRACE, at(0)).is_empty());
        leases.heard([ada, bob], at(1));
        // Said again by a late message.
        leases.heard([bob], at(5));
        for second in 2..7 {
            assert!(leases.look(&[ada], GRACE, at(second)).is_empty(), "{second}");
        }
        assert_eq!(leases.look(&[ada], GRACE, at(7)), [bob]);
    }

    #[test]
    fn nobody_is_missed_for_what_was_not_seen() {
        let (ada, start) = (Uuid::from_u128(1), Instant::now());
        let mut leases = Leases::default();
        let at = |second: u64| start + Duration::from_secs(second);
        assert!(leases.look(&[ada], GRACE, at(0)).is_empty());
        // This node stood still.
        assert!(leases.look(&[], GRACE, at(20)).is_empty());
        // Redis was gone.
        leases.interrupt();
        assert!(leases.look(&[], GRACE, at(22)).is_empty());
        assert!(leases.look(&[], GRACE, at(24)).is_empty());
        assert!(leases.look(&[], GRACE, at(26)).is_empty());
        assert_eq!(leases.look(&[], GRACE, at(28)), [ada]);
    }
}
