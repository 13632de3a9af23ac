//! Who is here, over all their devices on this node.
//!
//! A device is a connection, or a program that says so over REST without one. Each counts until it is over, and a while
//! longer: a reload, a lost connection or a rolling deploy is no flap. One lock for all people; below it the locks of
//! topics are taken, never above.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::presence::{Presence, PresenceSet, Status};
use uuid::Uuid;

use super::backend::Identity;
use super::conn::ConnId;
use super::hub::Hub;
use super::limits::PROGRAM_FOR;
use super::shown::Sighting;
use super::standing::Known;
use super::time::{Ticks, wall};
use super::topic::Topic;

/// Names a device of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceId {
    /// A connection.
    Conn(ConnId),
    /// A program without one: its sign-in.
    Session(Uuid),
}

#[derive(Debug)]
struct Device {
    id: DeviceId,
    session_id: Uuid,
    status: Status,
    /// Counts until then; for ever without.
    until: Option<Ticks>,
}

/// A person who is here, or is held.
#[derive(Debug, Default)]
struct Person {
    devices: Vec<Device>,
    activity: Option<Box<str>>,
    activity_at: i64,
    /// Until it is known, nobody sees them.
    standing: Option<Arc<Known>>,
    /// What was said of them last.
    told: Option<Sighting>,
}

/// Everybody who is here.
#[derive(Debug, Default)]
pub(super) struct Presences(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Boxed: a large map is half empty after it has grown.
    people: HashMap<Uuid, Box<Person>>,
    /// Who has a device that ends by time alone.
    timed: HashSet<Uuid>,
}

impl Person {
    fn status(&self) -> Status {
        self.devices.iter().map(|device| device.status).max().unwrap_or_default()
    }

    /// What there is to say of them now.
    fn sighting(&self, now: DateTime<Utc>) -> Option<Sighting> {
        let standing = self.standing.as_ref()?;
        let status = self.status();
        if status == Status::Offline {
            return None;
        }
        let (activity, activity_at) = (self.activity.clone(), self.activity_at);
        let invisible = standing.standing.invisible;
        let told = self.told.as_ref();
        let seen_at = told.and_then(|told| told.seen_at);
        let mut sighting = Sighting { status, invisible, activity, activity_at, seen_at };
        // To others, turning invisible is leaving; what somebody invisible does is not to be seen.
        let stays_hidden = invisible && told.is_none_or(|told| told.invisible);
        if told != Some(&sighting) && !stays_hidden {
            sighting.seen_at = Some(now);
        }
        Some(sighting)
    }

    /// A program calls, or a page with a connection does: then it speaks for that.
    fn program(&mut self, session_id: Uuid, status: Option<Status>) {
        let mut connected = false;
        let open = |device: &&mut Device| device.session_id == session_id && device.until.is_none();
        for device in self.devices.iter_mut().filter(open) {
            device.status = status.unwrap_or(device.status);
            connected = true;
        }
        if connected {
            return;
        }
        let id = DeviceId::Session(session_id);
        let before = self.devices.iter().find(|device| device.id == id).map(|device| device.status);
        self.devices.retain(|device| device.id != id);
        let status = status.or(before).unwrap_or(Status::Online);
        if status != Status::Offline {
            let until = Some(Ticks::now().after(PROGRAM_FOR));
            self.devices.push(Device { id, session_id, status, until });
        }
    }

    fn write(&mut self, activity: Option<&str>) {
        self.activity = activity.map(Box::from);
        // Two words of one moment still have an order.
        self.activity_at = Utc::now().timestamp_micros().max(self.activity_at + 1);
    }
}

impl Hub {
    /// Changes a person who is here or comes, and says what follows from it.
    fn change_person(&self, user_id: Uuid, change: impl FnOnce(&mut Person)) {
        let mut state = self.presences.0.lock();
        let comes = !state.people.contains_key(&user_id);
        change(state.people.entry(user_id).or_default());
        self.settle(&mut state, user_id);
        if comes && state.people.contains_key(&user_id) {
            self.standings.want([user_id]);
        }
    }

    /// Changes a person if they are here.
    fn change_known(&self, user_id: Uuid, change: impl FnOnce(&mut Person)) {
        let mut state = self.presences.0.lock();
        if let Some(person) = state.people.get_mut(&user_id) {
            change(person);
            self.settle(&mut state, user_id);
        }
    }

    /// A connection of this person.
    pub(super) fn device_came(&self, conn: ConnId, identity: &Identity) {
        let session_id = identity.session_id;
        self.change_person(identity.user_id, |person| {
            // What is held for this sign-in has come back.
            person.devices.retain(|device| device.session_id != session_id || device.until.is_none());
            let id = DeviceId::Conn(conn);
            // Most people have one.
            person.devices.reserve_exact(1);
            person.devices.push(Device { id, session_id, status: Status::Online, until: None });
        });
    }

    /// The connection is over; the device counts for `hold` longer.
    pub(super) fn device_left(&self, user_id: Uuid, conn: ConnId, hold: Duration) {
        self.change_known(user_id, |person| {
            let left = person.devices.iter_mut().filter(|device| device.id == DeviceId::Conn(conn));
            left.for_each(|device| device.until = Some(Ticks::now().after(hold)));
        });
    }

    /// These sign-ins are over, and with them their programs. Their connections are closed on their own.
    pub(super) fn end_programs(&self, user_id: Uuid, session_ids: &[Uuid]) {
        self.change_known(user_id, |person| {
            let over = |id: DeviceId| matches!(id, DeviceId::Session(session) if session_ids.contains(&session));
            person.devices.retain(|device| !over(device.id));
        });
    }

    /// A person says what they do on this device.
    pub fn set_presence(&self, who: &Identity, device: DeviceId, set: &PresenceSet) {
        self.change_person(who.user_id, |person| {
            match device {
                DeviceId::Session(session_id) => person.program(session_id, set.status),
                DeviceId::Conn(_) => {
                    let own = person.devices.iter_mut().filter(|own| own.id == device);
                    own.for_each(|own| own.status = set.status.unwrap_or(own.status));
                }
            }
            if let Some(activity) = &set.activity {
                person.write(activity.as_deref());
            }
        });
    }

    /// Looks after those who have a device that ends by time. Nobody else is looked at.
    pub(super) fn look_after_people(&self, now: Ticks) {
        let timed: Vec<Uuid> = self.presences.0.lock().timed.iter().copied().collect();
        for user_id in timed {
            self.change_known(user_id, |person| {
                person.devices.retain(|device| device.until.is_none_or(|until| !until.is_due(now)));
            });
        }
    }

    /// Says what is to be said of a person, if that has changed, and forgets who has no device any more.
    fn settle(&self, state: &mut State, user_id: Uuid) {
        let State { people, timed } = state;
        let Some(person) = people.get_mut(&user_id) else { return };
        if person.status() == Status::Offline {
            person.activity = None;
        }
        let now = wall();
        let sighting = person.sighting(now);
        if sighting != person.told {
            let gone = person.told.take().filter(|_| sighting.is_none());
            let seen_at = gone.and_then(|told| told.left_at(now));
            self.say(user_id, sighting.as_ref(), seen_at);
            person.told = sighting;
        }
        if person.devices.iter().any(|device| device.until.is_some()) {
            timed.insert(user_id);
        } else {
            timed.remove(&user_id);
        }
        if person.devices.is_empty() {
            people.remove(&user_id);
        }
    }

    /// To those who watch the profile here, to the other nodes, to the store; under the lock, so that the last word is
    /// the last.
    fn say(&self, user_id: Uuid, sighting: Option<&Sighting>, seen_at: Option<DateTime<Utc>>) {
        let place = Channel::Profile(user_id);
        if let Some(topic) = self.topics.get(&place) {
            topic.show_here(sighting.cloned(), seen_at, &self.flusher);
        }
        self.roster.tell(place, user_id, sighting.map(Sighting::entry));
        self.records.note(user_id, sighting.cloned(), seen_at);
    }

    /// A topic that is new knows nothing of its person yet; from here on it is told.
    pub(super) fn show_on(&self, topic: &Topic) {
        let state = self.presences.0.lock();
        let person = state.people.get(&topic.channel.id());
        if let Some(sighting) = person.and_then(|person| person.told.clone()) {
            topic.show_here(Some(sighting), None, &self.flusher);
        }
    }

    /// How many people there are to be looked after.
    #[cfg(test)]
    pub(super) fn timed_people(&self) -> usize {
        self.presences.0.lock().timed.len()
    }

    /// How a person stands who is here, once it is known.
    pub(super) fn standing_known(&self, user_id: Uuid) -> Option<Arc<Known>> {
        self.presences.0.lock().people.get(&user_id)?.standing.clone()
    }

    /// Whether this person has a device here.
    pub(super) fn is_here(&self, user_id: Uuid) -> bool {
        self.presences.0.lock().people.contains_key(&user_id)
    }

    pub(super) fn set_standing(&self, standing: &Arc<Known>) {
        self.change_known(standing.standing.user_id, |person| person.standing = Some(standing.clone()));
    }

    /// What this node says of these people.
    pub(super) fn said_here(&self, people: &[Uuid]) -> Vec<Option<Sighting>> {
        let state = self.presences.0.lock();
        people.iter().map(|user_id| state.people.get(user_id)?.told.clone()).collect()
    }

    /// The person's own presence on this node, as it truly is.
    pub(super) fn true_presence(&self, user_id: Uuid) -> Presence {
        let state = self.presences.0.lock();
        let person = state.people.get(&user_id);
        let mut presence = Sighting::own(person.and_then(|person| person.told.as_ref()), user_id);
        if let Some(person) = person {
            presence.status = person.status();
            presence.activity = person.activity.as_deref().map(str::to_owned);
        }
        presence
    }
}
