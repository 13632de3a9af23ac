//! An ear that remembers all that it heard.

use std::sync::{Arc, Weak};

use studyhall::live::backend::LogEvent;
use studyhall::live::roster::{Ear, Entry, Others};
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
pub struct Ears {
    said: watch::Sender<Vec<Heard>>,
    /// Of events the epoch and the payload, of publications the data, as texts; of a question `?`.
    hints: watch::Sender<Vec<(Channel, String)>>,
}

impl Ear for Ears {
    fn heard(&self, place: Channel, (person, others): Others) {
        let heard = Heard { place, person, others: texts(&others) };
        self.said.send_modify(|log| log.push(heard));
    }

    fn committed(self: Arc<Self>, epoch: &str, events: Vec<LogEvent>) {
        for event in events {
            let text = String::from_utf8(event.payload.to_vec()).unwrap();
            self.note(event.channel, format!("{epoch} {} {} {text}", event.offset, event.name));
        }
    }

    fn published(&self, _node: Uuid, channel: Channel, data: &[u8]) {
        self.note(channel, String::from_utf8(data.to_vec()).unwrap());
    }

    fn asked(&self, channel: Channel) {
        self.note(channel, "?".to_owned());
    }

    fn interrupted(&self) {}
}

pub fn texts(entries: &[Entry]) -> Vec<String> {
    let mut texts: Vec<String> = entries.iter().map(|entry| String::from_utf8(entry.said.to_vec()).unwrap()).collect();
    texts.sort();
    texts
}

impl Ears {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { said: watch::Sender::new(Vec::new()), hints: watch::Sender::new(Vec::new()) })
    }

    fn note(&self, channel: Channel, hint: String) {
        self.hints.send_modify(|log| log.push((channel, hint)));
    }

    /// The hints for a channel so far, without questions.
    pub fn hints(&self, channel: Channel) -> Vec<String> {
        let log = self.hints.borrow();
        log.iter().filter(|(of, hint)| *of == channel && hint != "?").map(|(_, hint)| hint.clone()).collect()
    }

    /// Whether somebody has begun to listen to a channel.
    pub fn was_asked(&self, channel: Channel) -> bool {
        self.hints.borrow().contains(&(channel, "?".to_owned()))
    }

    /// Waits until this is the last hint for a channel.
    pub async fn last_hint(&self, channel: Channel, hint: &str) {
        let mut log = self.hints.subscribe();
        let last = |log: &Vec<(Channel, String)>| {
            log.iter().rev().find(|(of, _)| *of == channel).is_some_and(|(_, last)| last == hint)
        };
        let waited = tokio::time::timeout(PATIENCE, log.wait_for(last)).await;
        assert!(waited.is_ok(), "not told: {hint}; {:?}", self.hints(channel));
    }

    pub fn weak(self: &Arc<Self>) -> Weak<dyn Ear> {
        let ear: Arc<dyn Ear> = self.clone();
        Arc::downgrade(&ear)
    }

    /// All that was said of a person, one after another.
    pub fn of(&self, place: Channel, person: Uuid) -> Vec<Vec<String>> {
        let log = self.said.borrow();
        log.iter()
            .filter(|heard| heard.place == place && heard.person == person)
            .map(|heard| heard.others.clone())
            .collect()
    }

    /// Whether anything was said of a place.
    pub fn mentions(&self, place: Channel) -> bool {
        self.said.borrow().iter().any(|heard| heard.place == place)
    }

    /// Waits until this is what was said last of each of them.
    pub async fn hear(&self, place: Channel, people: &[Uuid], others: &[&str]) {
        let mut log = self.said.subscribe();
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
