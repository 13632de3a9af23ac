//! How many uploads a node has under way: each holds a part in memory, and a slow one holds it for minutes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Uploads at once, of everybody.
const ALL_MAX: usize = 64;
/// Uploads at once, of one person.
const ONE_MAX: usize = 8;

/// Lets uploads begin. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    people: HashMap<Uuid, usize>,
}

/// One upload under way, until it is dropped.
#[derive(Debug)]
pub struct Place {
    gate: Gate,
    person: Uuid,
}

impl Gate {
    /// A place for one more upload of `person`: 429 `too_many_requests` when they have as many as they may, 503 `busy` when
    /// the node does.
    pub fn enter(&self, person: Uuid) -> Result<Place> {
        let mut counts = self.0.lock();
        if counts.all >= ALL_MAX {
            return Err(Error::busy("too many files are on their way here; try again shortly", 2));
        }
        let own = counts.people.entry(person).or_default();
        if *own >= ONE_MAX {
            let detail = format!("at most {ONE_MAX} files at once; wait until one is there");
            return Err(Error::too_many("too_many_requests", detail, 1));
        }
        *own += 1;
        counts.all += 1;
        Ok(Place { gate: self.clone(), person })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.gate.0.lock();
        counts.all -= 1;
        if let Some(own) = counts.people.get_mut(&self.person) {
            *own -= 1;
            if *own == 0 {
                counts.people.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places() {
        let gate = Gate::default();
        let person = Uuid::from_u128(1);
        let mut own: Vec<Place> = (0..ONE_MAX).map(|_| gate.enter(person).unwrap()).collect();
        assert_eq!(gate.enter(person).unwrap_err().code(), "too_many_requests");
        let others: Vec<Place> = (2..).map_while(|other| gate.enter(Uuid::from_u128(other)).ok()).collect();
        assert_eq!(own.len() + others.len(), ALL_MAX);
        assert_eq!(gate.enter(Uuid::nil()).unwrap_err().code(), "busy");
        own.pop();
        assert!(gate.enter(person).is_ok());
        drop((own, others));
        assert!(gate.0.lock().people.is_empty() && gate.0.lock().all == 0);
    }
}
