//! Who is in a place. People, not connections: three tabs of one person are one person, and a lost
//! connection is held for a while, so that a reconnect or a reload is neither a leave nor a join.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{self, ClientInfo, DeviceInfo, Move};
use studyhall_protocol::format::Format;
use uuid::Uuid;

use super::backend::Identity;
use super::flush::Flusher;
use super::limits::PEOPLE_LISTED_MAX;
use super::time::Ticks;
use super::topic::TopicState;

/// The people of one channel.
#[derive(Debug, Default)]
pub struct People {
    by_id: HashMap<Uuid, Person>,
}

#[derive(Debug)]
struct Person {
    devices: u32,
    info: Arc<RawValue>,
    /// Without a device: leaves then.
    leaves_at: Option<Ticks>,
}

impl People {
    /// One more device of a person. `true` when the person was not here.
    pub fn enter(&mut self, user_id: Uuid, info: &Arc<RawValue>) -> bool {
        if let Some(person) = self.by_id.get_mut(&user_id) {
            person.devices += 1;
            person.leaves_at = None;
            person.info = info.clone();
            return false;
        }
        self.by_id.insert(user_id, Person { devices: 1, info: info.clone(), leaves_at: None });
        true
    }

    /// One device less. The last one starts the hold, until `leaves_at`.
    pub fn leave(&mut self, user_id: Uuid, leaves_at: Ticks) {
        if let Some(person) = self.by_id.get_mut(&user_id) {
            person.devices = person.devices.saturating_sub(1);
            if person.devices == 0 {
                person.leaves_at = Some(leaves_at);
            }
        }
    }

    /// Takes a person out at once.
    pub fn expel(&mut self, user_id: Uuid) -> Option<ClientInfo> {
        self.by_id.remove_entry(&user_id).map(|(id, person)| person.to_info(id))
    }

    /// Takes out everybody whose hold is over.
    pub fn take_left(&mut self, now: Ticks) -> Vec<ClientInfo> {
        let due = |person: &mut Person| person.leaves_at.is_some_and(|at| at.is_due(now));
        self.by_id.extract_if(|_, person| due(person)).map(|(id, person)| person.to_info(id)).collect()
    }

    /// Whether somebody's hold is running.
    pub fn any_leaving(&self) -> bool {
        self.by_id.values().any(|person| person.leaves_at.is_some())
    }

    /// One person, as joins show them.
    pub fn get(&self, user_id: Uuid) -> Option<ClientInfo> {
        self.by_id.get(&user_id).map(|person| person.to_info(user_id))
    }

    /// Everybody's id.
    pub fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.by_id.keys().copied()
    }

    /// Everybody.
    pub fn all(&self) -> impl Iterator<Item = ClientInfo> {
        self.by_id.iter().map(|(id, person)| person.to_info(*id))
    }

    /// Devices and people.
    pub fn counts(&self) -> (u32, u32) {
        (self.by_id.values().map(|person| person.devices).sum(), self.by_id.len() as u32)
    }

    /// Whether nobody is here.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

impl Person {
    fn to_info(&self, id: Uuid) -> ClientInfo {
        ClientInfo {
            user: id,
            client: id,
            conn_info: Some((*self.info).to_owned()),
            chan_info: Some(DeviceInfo { devices: self.devices }),
        }
    }
}

/// A join or a leave as it is sent.
pub(super) fn encode_info(format: Format, channel: Channel, kind: Move, info: &ClientInfo) -> Vec<u8> {
    let mut message = Vec::with_capacity(256);
    encode::push_info(&mut message, format, channel, kind, info);
    message
}

impl TopicState {
    /// Notes a join or a leave; whoever calls it marks the subscribers.
    pub(super) fn push_move(&mut self, channel: Channel, kind: Move, info: &ClientInfo) {
        self.rings.push_move(channel, kind, info);
        self.last_used = Ticks::now();
    }

    pub(super) fn person_enters(&mut self, channel: Channel, identity: &Identity, flusher: &Flusher) {
        let people = self.people.get_or_insert_default();
        if people.enter(identity.user_id, &identity.info)
            && let Some(info) = people.get(identity.user_id)
        {
            self.push_move(channel, Move::Join, &info);
            self.mark_all(flusher);
        }
    }

    pub(super) fn people_left(&mut self, channel: Channel, now: Ticks, flusher: &Flusher) {
        let left = self.people.as_mut().map(|people| people.take_left(now)).unwrap_or_default();
        let any = !left.is_empty();
        for info in left {
            self.push_move(channel, Move::Leave, &info);
        }
        if any {
            self.mark_all(flusher);
        }
        if self.people.as_ref().is_some_and(|people| people.is_empty()) {
            self.people = None;
        }
    }

    /// `{"num_users":…,"people":[…],"slots":[…]}`: what a newcomer has to know besides the log. A crowd is
    /// counted and not listed: in a lecture of thousands the lists alone would be gigabytes.
    pub(super) fn snapshot(&self, channel: Channel) -> Vec<u8> {
        let users = self.people.as_ref().map_or(0, |people| people.counts().1);
        let mut data = format!(r#"{{"num_users":{users},"people":["#).into_bytes();
        let people = self.people.iter().flat_map(|people| people.all()).take(PEOPLE_LISTED_MAX);
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
        data.extend_from_slice(b"]}");
        data
    }
}
