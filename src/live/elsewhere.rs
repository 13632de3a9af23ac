//! The other nodes: what they say is merged into what is known here, what is known here is told to them.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode;
use studyhall_protocol::format::Format;
use studyhall_protocol::live::{Json, Publication};
use studyhall_protocol::presence::Presence;
use uuid::Uuid;

use super::backend::{Grant, LogEvent};
use super::flush::Flusher;
use super::hub::Hub;
use super::roster::{Ear, Others, Roster};
use super::shown::Sighting;
use super::time::Ticks;
use super::topic::{Topic, TopicState};

/// The roster, where it has to be shown in a debugger.
#[derive(Clone)]
pub(super) struct Nodes(pub Arc<dyn Roster>);

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nodes")
    }
}

/// The `data` of a push that another node sends, as [`encode::push_published`] spells it.
#[derive(Deserialize)]
struct Published<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    actor: Uuid,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Ear for Hub {
    fn heard(&self, place: Channel, others: Others) {
        if let Some(topic) = self.known(place) {
            topic.heard(&others, &self.flusher);
        }
    }

    fn committed(self: Arc<Self>, epoch: &str, events: Vec<LogEvent>) {
        self.apply_hints(epoch, events);
    }

    fn published(&self, node: Uuid, channel: Channel, data: &[u8]) {
        let Some(topic) = self.known(channel) else { return };
        let Ok(said) = serde_json::from_slice::<Published<'_>>(data) else {
            tracing::debug!(%channel, "a node of another kind publishes");
            return;
        };
        let value = Some(said.data).filter(|data| data.get() != "null").map(Json::from);
        let publication = Publication { channel: None, kind: said.kind, key: said.key, data: value };
        // Who may publish is decided where they are; what it does is the same everywhere.
        let Ok(action) = self.backend.publication(said.actor, channel, Grant::Member, &publication) else { return };
        let mut line = Vec::with_capacity(data.len() + 128);
        encode::push_unnumbered(&mut line, Format::Json, channel, data);
        if topic.published_elsewhere(&action, (said.actor, node), &line, &self.flusher) {
            self.watch(channel);
        }
    }

    fn asked(&self, channel: Channel) {
        if let Some(topic) = self.known(channel) {
            topic.publish_again();
        }
    }

    fn interrupted(&self) {
        let now = Ticks::now();
        for topic in self.topics.iter().filter(|topic| topic.doubt_others(now)) {
            self.watch(topic.channel);
        }
    }
}

impl Hub {
    fn known(&self, channel: Channel) -> Option<Arc<Topic>> {
        self.topics.get(&channel).map(|topic| topic.clone())
    }

    /// Listens to the others about these topics, as far as they are places that nobody listened to yet. When this
    /// returns, what the others say of them is known.
    pub(super) async fn attend(&self, topics: Vec<Arc<Topic>>) {
        let new: Vec<Arc<Topic>> = topics.into_iter().filter(|topic| topic.is_unattended()).collect();
        if new.is_empty() {
            return;
        }
        let places = new.iter().map(|topic| topic.channel).collect();
        let said = self.roster.attend(places).await;
        for (topic, others) in new.iter().zip(said) {
            topic.attended(&others, &self.flusher);
        }
    }

    /// What is known of these people on all nodes, in order, as others may see it. What is known here comes first; the
    /// rest is one question.
    pub async fn presences(&self, people: &[Uuid]) -> Vec<Presence> {
        let known = self.sightings(people).await;
        people.iter().zip(known).map(|(user_id, (known, at))| Sighting::public(known.as_ref(), *user_id, at)).collect()
    }

    /// A person's own presence on all nodes, as it truly is.
    pub async fn own_presence(&self, user_id: Uuid) -> Presence {
        let mut own = self.true_presence(user_id);
        if let Some((Some(together), _)) = self.sightings(&[user_id]).await.pop() {
            let together = Sighting::own(Some(&together), user_id);
            if together.status >= own.status {
                own = together;
            }
        }
        own
    }

    /// Whom of these people nobody has seen on any node.
    pub async fn nowhere(&self, people: &[Uuid]) -> Vec<Uuid> {
        let known = self.sightings(people).await;
        let gone = people.iter().zip(known).filter(|(user_id, (known, _))| known.is_none() && !self.is_here(**user_id));
        gone.map(|(user_id, _)| *user_id).collect()
    }

    async fn sightings(&self, people: &[Uuid]) -> Vec<(Option<Sighting>, Option<chrono::DateTime<chrono::Utc>>)> {
        let topics =
            people.iter().map(|user_id| self.topics.get(&Channel::Profile(*user_id)).map(|topic| topic.clone()));
        let mut known: Vec<_> = topics.map(|topic| topic.and_then(|topic| topic.sighting())).collect();
        let unknown: Vec<usize> = (0..people.len()).filter(|index| known[*index].is_none()).collect();
        if !unknown.is_empty() {
            let ids: Vec<Uuid> = unknown.iter().map(|index| people[*index]).collect();
            let others = self.roster.look(ids.iter().map(|user_id| Channel::Profile(*user_id)).collect()).await;
            for ((index, here), others) in unknown.into_iter().zip(self.said_here(&ids)).zip(others) {
                let elsewhere: Vec<_> = others.into_iter().flat_map(|(_, entries)| entries).collect();
                let together = Sighting::together(here.into_iter().chain(Sighting::read(&elsewhere)));
                known[index] = Some((together, None));
            }
        }
        known.into_iter().map(Option::unwrap_or_default).collect()
    }
}

impl Topic {
    /// Whether other nodes have something to say about this channel and nobody listens yet.
    fn is_unattended(&self) -> bool {
        !self.state.lock().attended
    }

    /// What the others said when this node began to listen. What was heard of a person since then is newer.
    fn attended(&self, others: &[Others], flusher: &Flusher) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.attended, true) {
            return;
        }
        let heard = std::mem::take(&mut state.heard);
        for others in others.iter().filter(|(user_id, _)| !heard.contains(user_id)) {
            state.take_others(self.channel, others, flusher);
        }
    }

    fn heard(&self, others: &Others, flusher: &Flusher) {
        let mut state = self.state.lock();
        if !state.attended {
            state.heard.push(others.0);
        }
        state.take_others(self.channel, others, flusher);
    }
}

impl TopicState {
    fn take_others(&mut self, channel: Channel, (user_id, entries): &Others, flusher: &Flusher) {
        match channel {
            Channel::Profile(owner) if owner == *user_id => self.show_elsewhere(channel, entries, flusher),
            Channel::Workspace(_) => self.people_elsewhere(channel, *user_id, entries, flusher),
            Channel::Profile(_) | Channel::User(_) => {}
        }
    }

    /// A person is not on another node any more: nor is what they published there, though they may be somewhere else.
    pub(super) fn left_elsewhere(&mut self, channel: Channel, (user_id, node): (Uuid, Uuid), flusher: &Flusher) {
        let known = self.nodes.0.hears();
        let slots = self.slots.as_mut();
        let plain = slots.map(|slots| slots.author_left_elsewhere(user_id, node, known, Ticks::now()));
        self.clear_slots(channel, plain.unwrap_or_default(), flusher);
    }

    /// Takes those for gone who have published on a node that does not say that they are there: it may have died before it
    /// said so.
    pub(super) fn miss_authors(&mut self, channel: Channel, now: Ticks, flusher: &Flusher) {
        let authors = self.slots.as_ref().map(|slots| slots.authors_elsewhere(now)).unwrap_or_default();
        for (author, node) in authors {
            if !self.people.as_ref().is_some_and(|people| people.nodes_of(author).contains(&node)) {
                self.left_elsewhere(channel, (author, node), flusher);
            }
        }
    }

    /// Listens no more.
    pub(super) fn desert(&mut self, channel: Channel) {
        if std::mem::take(&mut self.attended) {
            self.nodes.0.desert(channel);
        }
    }
}
