//! An ear that remembers all that it heard.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use studyhall::live::roster::{Ear, Others};
use studyhall_protocol::channel::Channel;
use tokio::sync::watch;
use uuid::Uuid;

use crate::harness::PATIENCE;

/// What was heard, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub place: Channel,
    pub person: Uuid,
    /// The entries as texts, sorted.
    pub others: Vec<String>,
}

#[derive(Debug)]
pub struct Ears(watch::Sender<Vec<Heard>>);

impl Ear for Ears {
    fn heard(&self, place: Channel, (person, others): Others) {
        let heard = Heard { place, person, others: texts(&others) };
        self.0.send_modify(|log| log.push(heard));
    }
}

pub fn texts(entries: &[Bytes]) -> Vec<String> {
    let mut texts: Vec<String> = entries.iter().map(|entry| String::from_utf8(entry.to_vec()).unwrap()).collect();
    texts.sort();
    texts
}

impl Ears {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(Vec::new())))
    }

    pub fn weak(self: &Arc<Self>) -> Weak<dyn Ear> {
        let ear: Arc<dyn Ear> = self.clone();
        Arc::downgrade(&ear)
    }

    /// All that was said of a person, one after another.
    pub fn of(&self, place: Channel, person: Uuid) -> Vec<Vec<String>> {
        let log = self.0.borrow();
        log.iter()
            .filter(|heard| heard.place == place && heard.person == person)
            .map(|heard| heard.others.clone())
            .collect()
    }

    /// Whether anything was said of a place.
    pub fn mentions(&self, place: Channel) -> bool {
        self.0.borrow().iter().any(|heard| heard.place == place)
    }

    /// Waits until this is what was said last of each of them.
    pub async fn hear(&self, place: Channel, people: &[Uuid], others: &[&str]) {
        let mut log = self.0.subscribe();
        let said = |log: &Vec<Heard>| {
            let mut last = std::collections::HashMap::new();
            log.iter().filter(|heard| heard.place == place).for_each(|heard| {
                last.insert(heard.person, &heard.others);
            });
            people.iter().all(|person| last.get(person).is_some_and(|last| **last == *others))
        };
        let waited = tokio::time::timeout(PATIENCE, log.wait_for(said)).await;
        assert!(waited.is_ok(), "not heard of {} people: {others:?}", people.len());
    }
}
