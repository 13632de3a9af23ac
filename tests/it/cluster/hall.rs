//! The smallest roster of several nodes: a table in one process. What holds for it has to hold for the real one.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use studyhall::live::backend::SlotKey;
use studyhall::live::roster::{Ear, Entry, Others, Roster};
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use super::ears::Ears;

#[derive(Default)]
struct Table {
    entries: BTreeMap<(Channel, Uuid, usize), Bytes>,
    nodes: Vec<(Weak<dyn Ear>, HashSet<Channel>)>,
}

struct Node {
    number: usize,
    table: Arc<Mutex<Table>>,
}

fn name(number: usize) -> Uuid {
    Uuid::from_u128(number as u128)
}

/// As many nodes as ears.
pub fn hall(ears: &[Arc<Ears>]) -> Vec<Arc<dyn Roster>> {
    let nodes = ears.iter().map(|ears| (ears.weak(), HashSet::new())).collect();
    let table = Arc::new(Mutex::new(Table { nodes, ..Table::default() }));
    (0..ears.len()).map(|number| Arc::new(Node { number, table: table.clone() }) as Arc<dyn Roster>).collect()
}

impl Table {
    fn others(&self, place: Channel, person: Uuid, node: usize) -> Others {
        let all = self.entries.iter().filter(|((at, who, by), _)| (*at, *who) == (place, person) && *by != node);
        let entry = |((_, _, by), said): (&(_, _, usize), &Bytes)| Entry { node: name(*by), said: said.clone() };
        (person, all.map(entry).collect())
    }

    fn seen(&self, place: Channel, node: usize) -> Vec<Others> {
        let people: HashSet<Uuid> =
            self.entries.keys().filter(|(at, _, by)| *at == place && *by != node).map(|(_, who, _)| *who).collect();
        people.into_iter().map(|person| self.others(place, person, node)).collect()
    }
}

impl Roster for Node {
    fn tell(&self, place: Channel, person: Uuid, entry: Option<Bytes>) {
        let mut table = self.table.lock().unwrap();
        let key = (place, person, self.number);
        match entry {
            Some(entry) => table.entries.insert(key, entry),
            None => table.entries.remove(&key),
        };
        for (number, (ear, places)) in table.nodes.iter().enumerate() {
            if number != self.number && places.contains(&place) {
                ear.upgrade().unwrap().heard(place, table.others(place, person, number));
            }
        }
    }

    fn attend(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>> {
        self.table.lock().unwrap().nodes[self.number].1.extend(&places);
        self.look(places)
    }

    fn desert(&self, place: Channel) {
        self.table.lock().unwrap().nodes[self.number].1.remove(&place);
    }

    fn look(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>> {
        let table = self.table.lock().unwrap();
        let seen: Vec<_> = places.iter().map(|place| table.seen(*place, self.number)).collect();
        async move { seen }.boxed()
    }

    fn publish(&self, channel: Channel, _slot: Option<SlotKey>, data: &[u8]) {
        let table = self.table.lock().unwrap();
        for (number, (ear, places)) in table.nodes.iter().enumerate() {
            if number != self.number && places.contains(&channel) {
                ear.upgrade().unwrap().published(name(self.number), channel, data);
            }
        }
    }

    fn hears(&self) -> bool {
        true
    }

    fn hand_over(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
