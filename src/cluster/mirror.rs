//! What the other nodes say of the places that this one attends to.
//!
//! Two sources tell it: messages, one by one, and reads of a place's whole hash. A read is older than the messages that
//! came while it was on its way, so for that time ends are kept as tombstones and news is marked.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use tokio::sync::Notify;
use uuid::Uuid;

use super::book::Key;
use super::message::{Version, Word, has_people};
use crate::live::roster::{Entry, Others};

/// All attended places.
#[derive(Default)]
pub(super) struct Mirror {
    state: Mutex<State>,
    /// Places were attended or deserted.
    pub wishes: Notify,
    /// Somebody is to be told of.
    pub news: Notify,
    /// Places were read.
    pub read: Notify,
}

#[derive(Default)]
struct State {
    places: HashMap<Channel, Place>,
    /// Attended or deserted since the listener last looked. Without a listener nothing is written down: a new one
    /// begins with all.
    wishes: HashSet<Channel>,
    listening: bool,
    news: HashSet<Key>,
    /// Counts reads.
    reads: u64,
    /// Who has said anything, until somebody asks.
    speakers: HashSet<Uuid>,
}

#[derive(Default)]
struct Place {
    /// Of most places nobody else says anything, and there are more places than people.
    #[expect(clippy::box_collection, reason = "an absent one is then 8 bytes and not 48")]
    people: Option<Box<HashMap<Uuid, Vec<Said>>>>,
    /// Whether all that was said is here.
    fresh: bool,
    /// Whether a read is on its way.
    reading: bool,
}

struct Said {
    node: Uuid,
    version: Version,
    entry: Option<Bytes>,
    /// The newest read that had begun when this was heard.
    after: u64,
}

/// What to do about places whose attendance changed.
#[derive(Default)]
pub(super) struct Wishes {
    pub attend: Vec<Channel>,
    pub desert: Vec<Channel>,
}

impl Mirror {
    /// These are to be listened to.
    pub fn attend(&self, places: &[Channel]) {
        let mut state = self.state.lock();
        let state = &mut *state;
        for place in places {
            if !state.places.contains_key(place) {
                state.places.insert(*place, Place::default());
                if state.listening {
                    state.wishes.insert(*place);
                }
            }
        }
        self.wishes.notify_one();
    }

    /// This one is not any more.
    pub fn desert(&self, place: Channel) {
        let mut state = self.state.lock();
        if state.places.remove(&place).is_some() && state.listening {
            state.wishes.insert(place);
            self.wishes.notify_one();
        }
    }

    /// A listener begins: all places have to be subscribed to and read.
    pub fn begin(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.listening = true;
        state.wishes = state.places.keys().copied().collect();
        self.wishes.notify_one();
    }

    /// The listener is gone; from here on changes are missed.
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.listening = false;
        state.wishes.clear();
        state.places.values_mut().for_each(|place| place.fresh = false);
    }

    /// Nothing was heard for so long that it is worth nothing.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        for (place, mirrored) in &mut state.places {
            let people = mirrored.people.take().into_iter().flat_map(|people| people.into_keys());
            state.news.extend(people.map(|person| (*place, person)));
        }
        self.news.notify_one();
    }

    /// These nodes are gone, and what they said.
    pub fn forget_nodes(&self, nodes: &[Uuid]) {
        let mut state = self.state.lock();
        let state = &mut *state;
        for (place, mirrored) in &mut state.places {
            let Some(people) = &mut mirrored.people else { continue };
            people.retain(|person, said| {
                let before = said.len();
                said.retain(|said| !nodes.contains(&said.node));
                if said.len() < before {
                    state.news.insert((*place, *person));
                }
                !said.is_empty()
            });
            mirrored.people.take_if(|people| people.is_empty());
        }
        self.news.notify_one();
    }

    /// Nodes that have said something since this was asked last.
    pub fn take_speakers(&self) -> HashSet<Uuid> {
        std::mem::take(&mut self.state.lock().speakers)
    }

    /// Some of the places whose attendance changed.
    pub fn next_wishes(&self, limit: usize) -> Wishes {
        let mut state = self.state.lock();
        let state = &mut *state;
        let places: Vec<Channel> = state.wishes.iter().take(limit).copied().collect();
        let mut wishes = Wishes::default();
        for place in places {
            state.wishes.remove(&place);
            let attended = state.places.contains_key(&place);
            if attended { &mut wishes.attend } else { &mut wishes.desert }.push(place);
        }
        if state.wishes.is_empty() {
            // After a storm there is room in it for all of them.
            state.wishes = HashSet::new();
        }
        wishes
    }

    /// All attended places.
    pub fn places(&self) -> Vec<Channel> {
        self.state.lock().places.keys().copied().collect()
    }

    /// A message.
    pub fn hear(&self, place: Channel, word: Word) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(mirrored) = state.places.get_mut(&place) else { return };
        let person = word.person;
        state.speakers.insert(word.node);
        if mirrored.take(word, state.reads) {
            state.news.insert((place, person));
            self.news.notify_one();
        }
    }

    /// These places are about to be read; the answer is for [`Mirror::take`].
    pub fn expect(&self, places: &[Channel]) -> u64 {
        let mut state = self.state.lock();
        state.reads += 1;
        for place in places {
            if let Some(mirrored) = state.places.get_mut(place) {
                mirrored.reading = true;
            }
        }
        state.reads
    }

    /// The answer to a read. `complete`: whom it does not name is not there; otherwise they may only not be there yet.
    pub fn take(&self, place: Channel, words: Vec<Word>, read: u64, complete: bool) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(mirrored) = state.places.get_mut(&place) else { return };
        let named: HashSet<(Uuid, Uuid)> = words.iter().map(|word| (word.node, word.person)).collect();
        for word in words {
            let person = word.person;
            state.speakers.insert(word.node);
            if mirrored.take(word, state.reads) {
                state.news.insert((place, person));
            }
        }
        mirrored.reading = false;
        mirrored.fresh = true;
        if let Some(people) = &mut mirrored.people {
            people.retain(|person, said| {
                said.retain(|said| {
                    let missing = complete && said.after < read && !named.contains(&(said.node, *person));
                    if missing && said.entry.is_some() {
                        state.news.insert((place, *person));
                    }
                    said.entry.is_some() && !missing
                });
                !said.is_empty()
            });
        }
        mirrored.people.take_if(|people| people.is_empty());
        self.news.notify_one();
    }

    /// Whether all of these are fresh; a place that was deserted meanwhile is no reason to wait.
    pub fn are_fresh(&self, places: &[Channel]) -> bool {
        let state = self.state.lock();
        places.iter().all(|place| !has_people(*place) || state.places.get(place).is_none_or(|mirrored| mirrored.fresh))
    }

    /// What is said of a place that is attended and fresh.
    pub fn fresh(&self, place: Channel) -> Option<Vec<Others>> {
        let state = self.state.lock();
        let mirrored = state.places.get(&place).filter(|mirrored| mirrored.fresh)?;
        let people = mirrored.people.iter().flat_map(|people| people.iter());
        let all = people.map(|(person, said)| (*person, entries(said)));
        Some(all.filter(|(_, entries)| !entries.is_empty()).collect())
    }

    /// Whom to tell of next.
    pub fn next_news(&self, limit: usize) -> Vec<(Channel, Others)> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let keys: Vec<Key> = state.news.iter().take(limit).copied().collect();
        let mut news = Vec::with_capacity(keys.len());
        for key in keys {
            state.news.remove(&key);
            if let Some(mirrored) = state.places.get(&key.0) {
                let said = mirrored.people.as_ref().and_then(|people| people.get(&key.1));
                news.push((key.0, (key.1, said.map_or_else(Vec::new, |said| entries(said)))));
            }
        }
        news
    }
}

impl Place {
    /// Whether this changes what is said of the person.
    fn take(&mut self, word: Word, reads: u64) -> bool {
        let Word { node, person, version, entry } = word;
        let people = self.people.get_or_insert_default();
        let said = people.entry(person).or_default();
        let known = said.iter_mut().find(|said| said.node == node);
        let changed = match known {
            Some(known) if known.version >= version => false,
            Some(known) => {
                let changed = known.entry != entry;
                *known = Said { node, version, entry, after: reads };
                changed
            }
            None => {
                let there = entry.is_some();
                said.push(Said { node, version, entry, after: reads });
                there
            }
        };
        if !self.reading {
            said.retain(|said| said.entry.is_some());
        }
        if said.is_empty() {
            people.remove(&person);
        }
        self.people.take_if(|people| people.is_empty());
        changed
    }
}

fn entries(said: &[Said]) -> Vec<Entry> {
    said.iter().filter_map(|said| Some(Entry { node: said.node, said: said.entry.clone()? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Channel = Channel::Workspace(Uuid::nil());
    const ADA: Uuid = Uuid::from_u128(1);
    const BOB: Uuid = Uuid::from_u128(2);

    fn word(person: Uuid, version: Version, entry: Option<&'static str>) -> Word {
        Word { node: Uuid::from_u128(9), person, version, entry: entry.map(Bytes::from) }
    }

    fn attended() -> Mirror {
        let mirror = Mirror::default();
        mirror.begin();
        mirror.attend(&[PLACE]);
        let read = mirror.expect(&[PLACE]);
        mirror.take(PLACE, Vec::new(), read, true);
        mirror
    }

    /// What the ear would be told now, of one person at a time.
    fn news(mirror: &Mirror) -> Vec<(Uuid, Vec<Bytes>)> {
        let mut news: Vec<_> = mirror.next_news(10).into_iter().map(|(_, others)| said(others)).collect();
        news.sort();
        news
    }

    fn said((person, entries): Others) -> (Uuid, Vec<Bytes>) {
        (person, entries.into_iter().map(|entry| entry.said).collect())
    }

    #[test]
    fn a_late_word_never_wins() {
        let mirror = attended();
        mirror.hear(PLACE, word(ADA, (2, 5), Some("new")));
        assert_eq!(news(&mirror), [(ADA, vec![Bytes::from("new")])]);
        for late in [word(ADA, (2, 4), Some("old")), word(ADA, (1, 9), None), word(ADA, (2, 5), None)] {
            mirror.hear(PLACE, late);
        }
        assert_eq!(news(&mirror), []);
        mirror.hear(PLACE, word(ADA, (2, u64::MAX), None));
        assert_eq!(news(&mirror), [(ADA, vec![])]);
        mirror.hear(PLACE, word(ADA, (3, 6), Some("new")));
        mirror.hear(PLACE, word(ADA, (4, 7), Some("new")));
        assert_eq!(news(&mirror), [(ADA, vec![Bytes::from("new")])]);
        mirror.hear(PLACE, word(ADA, (5, 8), Some("new")));
        assert_eq!(news(&mirror), [], "the same again is no news");
    }

    #[test]
    fn a_read_does_not_undo_what_was_heard_while_it_was_on_its_way() {
        let mirror = attended();
        mirror.hear(PLACE, word(ADA, (1, 1), Some("a")));
        news(&mirror);
        let read = mirror.expect(&[PLACE]);
        mirror.hear(PLACE, word(ADA, (1, 2), None));
        mirror.hear(PLACE, word(BOB, (1, 3), Some("b")));
        mirror.take(PLACE, vec![word(ADA, (1, 1), Some("a"))], read, true);
        assert_eq!(news(&mirror), [(ADA, vec![]), (BOB, vec![Bytes::from("b")])]);
        assert_eq!(
            mirror.fresh(PLACE).unwrap().into_iter().map(said).collect::<Vec<_>>(),
            [(BOB, vec![Bytes::from("b")])]
        );
        assert_eq!(mirror.state.lock().places[&PLACE].people.as_ref().unwrap().len(), 1, "the tombstone is gone");
    }

    #[test]
    fn only_a_complete_read_takes_away() {
        let mirror = attended();
        mirror.hear(PLACE, word(ADA, (1, 1), Some("a")));
        news(&mirror);
        let read = mirror.expect(&[PLACE]);
        mirror.take(PLACE, vec![word(BOB, (1, 2), Some("b"))], read, false);
        assert_eq!(news(&mirror), [(BOB, vec![Bytes::from("b")])]);
        let read = mirror.expect(&[PLACE]);
        mirror.take(PLACE, vec![word(BOB, (1, 2), Some("b"))], read, true);
        assert_eq!(news(&mirror), [(ADA, vec![])]);
    }

    #[test]
    fn a_place_of_which_nobody_says_anything_is_small() {
        // Every profile that somebody here watches is one, so ten of them to a connection are not rare.
        assert!(size_of::<(Channel, Place)>() <= 40);
        let mirror = attended();
        mirror.hear(PLACE, word(ADA, (1, 1), Some("a")));
        mirror.hear(PLACE, word(ADA, (1, 2), None));
        assert!(mirror.state.lock().places[&PLACE].people.is_none());
    }

    #[test]
    fn nothing_is_kept_of_places_that_nobody_attends() {
        let mirror = attended();
        mirror.end();
        for number in 1..100 {
            mirror.attend(&[Channel::Workspace(Uuid::from_u128(number))]);
            mirror.desert(Channel::Workspace(Uuid::from_u128(number)));
        }
        mirror.hear(Channel::Workspace(Uuid::from_u128(1)), word(ADA, (1, 1), Some("a")));
        let state = mirror.state.lock();
        assert_eq!((state.places.len(), state.wishes.len(), state.news.len()), (1, 0, 0));
    }
}
