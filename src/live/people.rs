//! Who is in a place. People, not connections: three tabs of one person are one person, and a lost
//! connection is held for a while, so that a reconnect or a reload is neither a leave nor a join.
//!
//! Not everybody sees everybody: see [`Sight`]. Whatever changes who sees whom goes through
//! [`TopicState::change_person`], which tells exactly those who gain or lose the sight of somebody.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{self, ClientInfo, DeviceInfo, Move};
use studyhall_protocol::format::Format;
use uuid::Uuid;

use super::backend::{Grant, Identity};
use super::flush::Flusher;
use super::limits::PEOPLE_LISTED_MAX;
use super::moves::{For, Sight};
use super::roster::Entry;
use super::standing::Known;
use super::time::Ticks;
use super::topic::{Topic, TopicState};

/// The people of one channel, on all nodes.
#[derive(Debug, Default)]
pub struct People {
    by_id: HashMap<Uuid, Person>,
    /// Those of them here whom a block parts from somebody.
    parted: HashMap<Uuid, Arc<Known>>,
}

#[derive(Debug, Default)]
struct Person {
    here: Option<Here>,
    elsewhere: Option<Box<Elsewhere>>,
}

/// A person on this node.
#[derive(Debug)]
struct Here {
    devices: u32,
    info: Arc<RawValue>,
    standing: Arc<Known>,
    /// Without a device: leaves then.
    leaves_at: Option<Ticks>,
}

/// What a node says of a person in a room.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Elsewhere {
    devices: u32,
    sight: u8,
    info: Box<RawValue>,
    /// Which nodes say so.
    #[serde(skip)]
    nodes: Vec<Uuid>,
}

/// Who looks at a place.
#[derive(Debug, Clone, Copy)]
pub struct Viewer {
    /// The person.
    pub user_id: Uuid,
    /// As what.
    pub grant: Grant,
}

impl People {
    /// One more device of a person.
    pub(super) fn enter(&mut self, identity: &Identity, standing: &Arc<Known>) {
        let person = self.by_id.entry(identity.user_id).or_default();
        let devices = person.here.as_ref().map_or(0, |here| here.devices) + 1;
        // Somebody else may have come with a newer one.
        let before = person.here.take().map(|here| here.standing);
        let standing = before.filter(|before| before.version > standing.version).unwrap_or_else(|| standing.clone());
        person.here = Some(Here { devices, info: identity.info.clone(), standing, leaves_at: None });
        self.note_parted(identity.user_id);
    }

    /// One device less. The last one starts the hold, until `leaves_at`.
    pub(super) fn leave(&mut self, user_id: Uuid, leaves_at: Ticks) {
        if let Some(here) = self.by_id.get_mut(&user_id).and_then(|person| person.here.as_mut()) {
            here.devices = here.devices.saturating_sub(1);
            if here.devices == 0 {
                here.leaves_at = Some(leaves_at);
            }
        }
    }

    /// Takes a person out at once. They may be on another node; that one says when they are not.
    pub(super) fn expel(&mut self, user_id: Uuid) {
        if let Some(person) = self.by_id.get_mut(&user_id) {
            person.here = None;
        }
        self.parted.remove(&user_id);
    }

    /// Those whose hold is over.
    fn overdue(&self, now: Ticks) -> Vec<Uuid> {
        let due =
            |person: &Person| person.here.as_ref().and_then(|here| here.leaves_at).is_some_and(|at| at.is_due(now));
        self.by_id.iter().filter(|(_, person)| due(person)).map(|(user_id, _)| *user_id).collect()
    }

    fn set_standing(&mut self, user_id: Uuid, standing: &Arc<Known>) {
        if let Some(here) = self.by_id.get_mut(&user_id).and_then(|person| person.here.as_mut()) {
            here.standing = standing.clone();
        }
        self.note_parted(user_id);
    }

    fn note_parted(&mut self, user_id: Uuid) {
        let here = self.by_id.get(&user_id).and_then(|person| person.here.as_ref());
        match here.filter(|here| !here.standing.standing.hidden.is_empty()) {
            Some(here) => self.parted.insert(user_id, here.standing.clone()),
            None => self.parted.remove(&user_id),
        };
    }

    /// Whether somebody's hold is running.
    pub(super) fn any_leaving(&self) -> bool {
        self.by_id.values().filter_map(|person| person.here.as_ref()).any(|here| here.leaves_at.is_some())
    }

    /// Everybody's id who is on this node.
    pub(super) fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.by_id.iter().filter(|(_, person)| person.here.is_some()).map(|(user_id, _)| *user_id)
    }

    fn visible_to(&self, viewer: Viewer) -> impl Iterator<Item = (Uuid, &Person)> {
        let parted = self.parted.get(&viewer.user_id);
        let seen = move |user_id: Uuid, person: &Person| {
            let hidden = parted.is_some_and(|parted| parted.standing.hidden.contains(&user_id));
            user_id == viewer.user_id || (!hidden && person.sight().has(viewer.grant))
        };
        self.by_id
            .iter()
            .map(|(user_id, person)| (*user_id, person))
            .filter(move |(user_id, person)| seen(*user_id, person))
    }

    /// Those whom this viewer sees.
    pub(super) fn seen_by(&self, viewer: Viewer) -> impl Iterator<Item = ClientInfo> {
        self.visible_to(viewer).filter_map(|(user_id, person)| person.to_info(user_id))
    }

    /// Devices and people whom this viewer sees.
    pub(super) fn counts(&self, viewer: Viewer) -> (u32, u32) {
        self.visible_to(viewer).fold((0, 0), |(all, people), (_, person)| (all + person.devices(), people + 1))
    }

    /// The other nodes that say that they are there.
    pub(super) fn nodes_of(&self, user_id: Uuid) -> &[Uuid] {
        let elsewhere = self.by_id.get(&user_id).and_then(|person| person.elsewhere.as_ref());
        elsewhere.map_or(&[], |elsewhere| &elsewhere.nodes)
    }

    /// Whether nobody is on this node.
    pub(super) fn is_nobody_here(&self) -> bool {
        self.ids().next().is_none()
    }

    /// What there is to be seen of a person, by whom.
    fn showing(&self, user_id: Uuid) -> Option<(Sight, ClientInfo)> {
        let person = self.by_id.get(&user_id)?;
        Some((person.sight(), person.to_info(user_id)?))
    }

    /// What this node says of a person to the others.
    fn told(&self, user_id: Uuid) -> Option<(u32, Sight, *const RawValue)> {
        let here = self.by_id.get(&user_id)?.here.as_ref()?;
        Some((here.devices, Sight::of(&here.standing.standing), Arc::as_ptr(&here.info)))
    }

    fn entry(&self, user_id: Uuid) -> Option<Bytes> {
        let here = self.by_id.get(&user_id)?.here.as_ref()?;
        let sight = Sight::of(&here.standing.standing).bits();
        let entry = Elsewhere { devices: here.devices, sight, info: (*here.info).to_owned(), nodes: Vec::new() };
        serde_json::to_vec(&entry).ok().map(|entry| Bytes::from(entry.into_boxed_slice()))
    }
}

impl Elsewhere {
    fn read(entries: &[Entry]) -> Option<Box<Elsewhere>> {
        let read = |entry: &Entry| {
            let elsewhere = serde_json::from_slice::<Elsewhere>(&entry.said).ok()?;
            Some(Elsewhere { nodes: vec![entry.node], ..elsewhere })
        };
        let entries = entries.iter().filter_map(read);
        let together = |one: Elsewhere, other: Elsewhere| Elsewhere {
            devices: one.devices + other.devices,
            sight: one.sight & other.sight,
            info: other.info,
            nodes: [one.nodes, other.nodes].concat(),
        };
        entries.reduce(together).map(Box::new)
    }
}

impl Person {
    /// Who sees them. A node that does not know yet that somebody is hidden must not give them away.
    fn sight(&self) -> Sight {
        let here = self.here.as_ref().map(|here| Sight::of(&here.standing.standing));
        let elsewhere = self.elsewhere.as_ref().map(|elsewhere| Sight::from_bits(elsewhere.sight));
        match (here, elsewhere) {
            (Some(here), Some(elsewhere)) => here.within(elsewhere).and(Sight::SELF),
            (Some(one), None) | (None, Some(one)) => one.and(Sight::SELF),
            (None, None) => Sight::NOBODY,
        }
    }

    fn devices(&self) -> u32 {
        let elsewhere = self.elsewhere.as_ref().map_or(0, |elsewhere| elsewhere.devices);
        self.here.as_ref().map_or(0, |here| here.devices) + elsewhere
    }

    fn to_info(&self, id: Uuid) -> Option<ClientInfo> {
        let here = self.here.as_ref().map(|here| (*here.info).to_owned());
        let devices = self.devices();
        let info = here.or_else(|| self.elsewhere.as_ref().map(|elsewhere| elsewhere.info.clone()))?;
        Some(ClientInfo { user: id, client: id, conn_info: Some(info), chan_info: Some(DeviceInfo { devices }) })
    }
}

/// A join or a leave as it is sent.
pub(super) fn encode_info(format: Format, channel: Channel, kind: Move, info: &ClientInfo) -> Vec<u8> {
    let mut message = Vec::with_capacity(256);
    encode::push_info(&mut message, format, channel, kind, info);
    message
}

impl Topic {
    /// Everybody's id who is here, or held.
    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.state.lock().people.as_ref().map(|people| people.ids().collect()).unwrap_or_default()
    }

    /// A person's standing has changed, or may have: tells those who see them now or do not any more, and them whom
    /// they see.
    pub(super) fn set_standing(&self, known: &Arc<Known>, flusher: &Flusher) {
        let user_id = known.standing.user_id;
        let mut state = self.state.lock();
        let here = state.people.as_ref().and_then(|people| people.by_id.get(&user_id)?.here.as_ref());
        let Some(before) = here.map(|here| here.standing.clone()).filter(|before| before.version < known.version)
        else {
            return;
        };
        let mut moved = state.change_person(self.channel, user_id, |people| people.set_standing(user_id, known));
        let (old, new) = (&before.standing.hidden, &known.standing.hidden);
        let lost = new.iter().filter(|other| !old.contains(other)).map(|other| (Move::Leave, *other));
        let found = old.iter().filter(|other| !new.contains(other)).map(|other| (Move::Join, *other));
        for (kind, other) in lost.chain(found).collect::<Vec<_>>() {
            let Some((sight, info)) = state.people.as_ref().and_then(|people| people.showing(other)) else { continue };
            let to = For { sight: sight.without(Sight::SELF), only: Some(user_id), except: Box::default() };
            state.push_move(self.channel, kind, &info, to);
            moved = true;
        }
        if moved {
            state.mark_all(flusher);
        }
    }
}

impl TopicState {
    fn push_move(&mut self, channel: Channel, kind: Move, info: &ClientInfo, to: For) {
        self.rings.push_move(channel, kind, info, to);
        self.last_used = Ticks::now();
    }

    /// Changes one person of this place, and tells whoever has to know: the viewers who see them now or do not any
    /// more, and the other nodes. Returns whether subscribers have to be marked.
    pub(super) fn change_person(&mut self, channel: Channel, user_id: Uuid, change: impl FnOnce(&mut People)) -> bool {
        let mut people = self.people.take().unwrap_or_default();
        let (before, told) = (people.showing(user_id), people.told(user_id));
        change(&mut people);
        let (after, tell) = (people.showing(user_id), people.told(user_id));
        if told != tell {
            self.nodes.0.tell(channel, user_id, people.entry(user_id));
        }
        let sight = |showing: &Option<(Sight, ClientInfo)>| showing.as_ref().map_or(Sight::NOBODY, |(sight, _)| *sight);
        let lost = sight(&before).without(sight(&after));
        let found = sight(&after).without(sight(&before));
        let except: Box<[Uuid]> = if lost == found {
            Box::default()
        } else {
            let parted = people.parted.iter().filter(|(_, parted)| parted.standing.hidden.contains(&user_id));
            parted.map(|(viewer, _)| *viewer).collect()
        };
        if after.is_none() {
            people.by_id.remove(&user_id);
        }
        self.people = (!people.by_id.is_empty()).then_some(people);
        for (kind, sight, info) in [(Move::Leave, lost, before), (Move::Join, found, after)] {
            if let Some((_, info)) = info.filter(|_| sight != Sight::NOBODY) {
                self.push_move(channel, kind, &info, For { sight, only: None, except: except.clone() });
            }
        }
        lost != found
    }

    /// What the other nodes say of a person in this room.
    pub(super) fn people_elsewhere(&mut self, channel: Channel, user_id: Uuid, entries: &[Entry], flusher: &Flusher) {
        let elsewhere = Elsewhere::read(entries);
        let before = self.people.as_ref().map(|people| people.nodes_of(user_id).to_vec()).unwrap_or_default();
        for node in before {
            if !entries.iter().any(|entry| entry.node == node) {
                self.left_elsewhere(channel, (user_id, node), flusher);
            }
        }
        let change = |people: &mut People| people.by_id.entry(user_id).or_default().elsewhere = elsewhere;
        if self.change_person(channel, user_id, change) {
            self.mark_all(flusher);
        }
    }

    /// Takes out everybody whose hold is over.
    pub(super) fn people_left(&mut self, channel: Channel, now: Ticks, flusher: &Flusher) {
        let overdue = self.people.as_ref().map(|people| people.overdue(now)).unwrap_or_default();
        let mut moved = false;
        for user_id in overdue {
            moved |= self.change_person(channel, user_id, |people| people.expel(user_id));
        }
        if moved {
            self.mark_all(flusher);
        }
    }

    /// `{"num_users":…,"people":[…],"slots":[…]}`: what this viewer has to know besides the log. A crowd is
    /// counted and not listed: in a lecture of thousands the lists alone would be gigabytes.
    pub(super) fn snapshot(&self, channel: Channel, viewer: Viewer, sees: bool) -> Vec<u8> {
        let users = self.people.as_ref().map_or(0, |people| people.counts(viewer).1);
        let mut data = format!(r#"{{"num_users":{users},"people":["#).into_bytes();
        let people = self.people.iter().flat_map(|people| people.seen_by(viewer)).take(PEOPLE_LISTED_MAX);
        for (index, info) in people.enumerate() {
            if index > 0 {
                data.push(b',');
            }
            let _ = serde_json::to_writer(&mut data, &info);
        }
        data.extend_from_slice(br#"],"slots":["#);
        let slots = self.slots.iter().flat_map(|slots| slots.lines());
        for (index, line) in slots.enumerate() {
            if index > 0 {
                data.push(b',');
            }
            data.extend_from_slice(encode::data_of(channel, line));
        }
        if let Some(shown) = self.shown_to(channel, viewer.user_id).filter(|_| sees) {
            data.extend_from_slice(&shown);
        }
        data.extend_from_slice(b"]}");
        data
    }
}
