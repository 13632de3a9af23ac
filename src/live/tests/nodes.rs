//! Several nodes in one process: a roster that tells what it was told, in order, behind the backs of those who tell.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::backend::{Gate, Toy};
use super::{Engine, eventually};
use crate::live::backend::{LogEvent, SlotKey};
use crate::live::roster::{Ear, Entry, Others, Roster};
use crate::live::{HubLink, Limits};

#[derive(Default)]
struct State {
    /// What each node says of a person at a place.
    entries: HashMap<(Channel, Uuid), HashMap<usize, Bytes>>,
    attending: HashSet<(usize, Channel)>,
    deaf: HashSet<usize>,
}

/// What all nodes share.
pub struct Shared {
    state: Mutex<State>,
    ears: Vec<HubLink>,
    told: mpsc::Sender<Word>,
    /// Said and not heard yet.
    pending: AtomicUsize,
    /// Behind the snapshot of an answer: who is held has an old one.
    pub attending: Gate,
    /// Channels in each question of `attend`.
    pub questions: Mutex<Vec<usize>>,
}

enum Word {
    /// Something about a person at a place.
    Person(Channel, Uuid),
    /// A node has published.
    Published(usize, Channel, Bytes),
}

struct Node {
    shared: Arc<Shared>,
    number: usize,
}

/// So many nodes over one toy.
pub async fn nodes<const N: usize>() -> ([Engine; N], Arc<Shared>) {
    let (told, mut said) = mpsc::channel(10_000);
    let ears = (0..N).map(|_| HubLink::default()).collect();
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        ears,
        told,
        pending: AtomicUsize::new(0),
        attending: Gate::default(),
        questions: Mutex::default(),
    });
    let toy = Arc::<Toy>::default();
    let mut engines = Vec::new();
    for number in 0..N {
        let node = Node { shared: shared.clone(), number };
        let engine = Engine::start_among(Limits::default(), toy.clone(), Arc::new(node)).await;
        shared.ears[number].set(&engine.hub);
        engines.push(engine);
    }
    let crier = Arc::downgrade(&shared);
    tokio::spawn(async move {
        while let Some(word) = said.recv().await {
            let Some(shared) = crier.upgrade() else { return };
            match word {
                Word::Person(place, person) => shared.cry(place, person),
                Word::Published(node, channel, data) => shared.spread(node, channel, &data),
            }
            shared.pending.fetch_sub(1, Ordering::SeqCst);
        }
    });
    (engines.try_into().ok().unwrap(), shared)
}

/// As the others know it.
fn name(number: usize) -> Uuid {
    Uuid::from_u128(number as u128)
}

impl Shared {
    fn cry(&self, place: Channel, person: Uuid) {
        for (number, ear) in self.ears.iter().enumerate() {
            let others = {
                let state = self.state.lock();
                if !state.attending.contains(&(number, place)) {
                    continue;
                }
                state.others(number, place, person)
            };
            if let Some(hub) = ear.get() {
                hub.heard(place, (person, others));
            }
        }
    }

    fn spread(&self, from: usize, channel: Channel, data: &[u8]) {
        for (number, ear) in self.ears.iter().enumerate() {
            let state = self.state.lock();
            let listens = state.attending.contains(&(number, channel)) && !state.deaf.contains(&number);
            drop(state);
            if let Some(hub) = ear.get().filter(|_| number != from && listens) {
                hub.published(name(from), channel, data);
            }
        }
    }

    fn say(&self, place: Channel, person: Uuid) {
        self.send(Word::Person(place, person));
    }

    fn send(&self, word: Word) {
        self.pending.fetch_add(1, Ordering::SeqCst);
        self.told.try_send(word).ok().unwrap();
    }

    /// Tells a node of events, as another one would that has committed them.
    pub fn hint(&self, number: usize, epoch: &str, events: Vec<LogEvent>) {
        self.ears[number].get().unwrap().committed(epoch, events);
    }

    /// A node cannot hear the others, or can again; what was said meanwhile is lost.
    pub fn deafen(&self, number: usize, deaf: bool) {
        let mut state = self.state.lock();
        let _ = if deaf { state.deaf.insert(number) } else { state.deaf.remove(&number) };
        drop(state);
        if !deaf {
            self.ears[number].get().unwrap().interrupted();
        }
    }

    /// Every node publishes again what holds there.
    pub fn ask(&self, channel: Channel) {
        self.ears.iter().filter_map(HubLink::get).for_each(|hub| hub.asked(channel));
    }

    /// Until everything that was said was heard.
    pub async fn settled(&self) {
        eventually("heard", || self.pending.load(Ordering::SeqCst) == 0).await;
    }

    /// The node is dead, and its people are taken back for it.
    pub fn bury(&self, number: usize) {
        let gone: Vec<_> = {
            let mut state = self.state.lock();
            state.attending.retain(|(node, _)| *node != number);
            let of_node = state.entries.iter_mut().filter_map(|(key, said)| said.remove(&number).map(|_| *key));
            of_node.collect()
        };
        gone.into_iter().for_each(|(place, person)| self.say(place, person));
    }

    /// Places that a node listens to.
    pub fn attended(&self, number: usize) -> HashSet<Channel> {
        let state = self.state.lock();
        state.attending.iter().filter(|(node, _)| *node == number).map(|(_, place)| *place).collect()
    }

    /// What is said of a person at a place, by so many nodes.
    pub fn said_by(&self, place: Channel, person: Uuid) -> usize {
        self.state.lock().entries.get(&(place, person)).map_or(0, HashMap::len)
    }
}

impl State {
    fn others(&self, number: usize, place: Channel, person: Uuid) -> Vec<Entry> {
        let said = self.entries.get(&(place, person)).into_iter().flatten();
        said.filter(|(node, _)| **node != number)
            .map(|(node, said)| Entry { node: name(*node), said: said.clone() })
            .collect()
    }

    fn all_others(&self, number: usize, place: Channel) -> Vec<Others> {
        let people = self.entries.keys().filter(|(of, _)| *of == place);
        let others = people.map(|(_, person)| (*person, self.others(number, place, *person)));
        others.filter(|(_, entries)| !entries.is_empty()).collect()
    }
}

impl Roster for Node {
    fn tell(&self, place: Channel, person: Uuid, entry: Option<Bytes>) {
        let mut state = self.shared.state.lock();
        let said = state.entries.entry((place, person)).or_default();
        match entry {
            Some(entry) => drop(said.insert(self.number, entry)),
            None => drop(said.remove(&self.number)),
        }
        drop(state);
        self.shared.say(place, person);
    }

    fn attend(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>> {
        async move {
            self.shared.questions.lock().push(places.len());
            let said = {
                let mut state = self.shared.state.lock();
                state.attending.extend(places.iter().map(|place| (self.number, *place)));
                places.iter().map(|place| state.all_others(self.number, *place)).collect()
            };
            self.shared.attending.pass().await;
            said
        }
        .boxed()
    }

    fn desert(&self, place: Channel) {
        self.shared.state.lock().attending.remove(&(self.number, place));
    }

    fn look(&self, places: Vec<Channel>) -> BoxFuture<'_, Vec<Vec<Others>>> {
        let state = self.shared.state.lock();
        let said = places.iter().map(|place| state.all_others(self.number, *place)).collect();
        async move { said }.boxed()
    }

    fn publish(&self, channel: Channel, _slot: Option<SlotKey>, data: &[u8]) {
        self.shared.send(Word::Published(self.number, channel, Bytes::copy_from_slice(data)));
    }

    fn hears(&self) -> bool {
        !self.shared.state.lock().deaf.contains(&self.number)
    }

    fn hand_over(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
