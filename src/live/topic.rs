//! One channel on this node: the rings of its last messages, its slots, its people, its subscribers.
//!
//! All of it is under one lock, held for memory work only, never for a write to a socket. Locks are
//! taken in the order connection → topic → flush list, never backwards; that is why a topic marks a
//! connection by atomics and leaves notes (`expelled`) for what the connection has to find out itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{self, ClientInfo};
use studyhall_protocol::error::Unsubscribed;
use uuid::Uuid;

use super::backend::{Effect, Grant, Identity, LogEvent};
use super::conn::{Conn, ConnId};
use super::flush::Flusher;
use super::limits::{
    LEFT_HOLD, LOST_HOLD, MOVES_BYTES_PER_CHANNEL, PEOPLE_LISTED_MAX, REVOKED_MAX, RING_BYTES_PER_CHANNEL,
};
use super::people::People;
use super::ring::Ring;
use super::slots::Slots;
use super::time::Ticks;

/// A channel of this node.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub channel: Channel,
    pub(super) state: Mutex<TopicState>,
}

#[derive(Debug)]
pub(super) struct TopicState {
    pub phase: Phase,
    /// Numbered events; a line's number is its offset.
    pub events: Ring,
    /// Broadcasts.
    pub casts: Ring,
    /// Joins and leaves.
    pub moves: Ring,
    pub slots: Option<Box<Slots>>,
    pub people: Option<Box<People>>,
    pub seats: Seats,
    /// Connections whose subscription was ended here and who have not been told yet.
    pub expelled: Vec<Expelled>,
    /// Who lost the right to be here, and with which event: an admission older than that is void.
    pub revoked: Vec<Revoked>,
    /// Revocations up to this event are forgotten: an older admission has to be checked again.
    pub revoked_until: u64,
    /// Events that came before the ones they follow.
    pub early: BTreeMap<u64, (LogEvent, Vec<Effect>)>,
    pub repairing: bool,
    pub last_used: Ticks,
}

/// How far the topic knows its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Somebody is reading where the head is; events wait in `early`.
    Loading,
    /// The ring goes on from here.
    Live { epoch: Arc<str> },
    /// The log is another one now: every cursor into it is void.
    Void,
    /// Out of the hub's map; look it up again.
    Retired,
}

#[derive(Debug)]
pub(super) struct Expelled {
    pub conn: ConnId,
    pub why: Unsubscribed,
    /// The event that ended it; it and those before it were still meant for them.
    pub offset: u64,
}

#[derive(Debug)]
pub(super) struct Revoked {
    /// `None`: all guests.
    user_id: Option<Uuid>,
    offset: u64,
}

/// The subscribers: places in a list, so that leaving needs no search.
#[derive(Debug, Default)]
pub(super) struct Seats {
    seats: Vec<Option<Seat>>,
    free: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Seat {
    pub conn: Arc<Conn>,
    /// The subscription's index in the connection.
    pub index: u16,
    pub grant: Grant,
    pub user_id: Uuid,
}

impl Seats {
    fn take(&mut self, seat: Seat) -> u32 {
        if let Some(place) = self.free.pop() {
            self.seats[place as usize] = Some(seat);
            return place;
        }
        self.seats.push(Some(seat));
        self.seats.len() as u32 - 1
    }

    fn leave(&mut self, place: u32, conn: ConnId) -> Option<Seat> {
        let seat = self.seats.get_mut(place as usize)?;
        if seat.as_ref().is_none_or(|seat| seat.conn.id != conn) {
            return None;
        }
        let left = seat.take();
        self.free.push(place);
        if self.is_empty() {
            *self = Self::default();
        }
        left
    }

    pub(super) fn holds(&self, place: u32, conn: ConnId) -> bool {
        self.seats.get(place as usize).and_then(Option::as_ref).is_some_and(|seat| seat.conn.id == conn)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.seats.len()
    }

    fn iter(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().flatten()
    }

    fn matching(&self, test: impl Fn(&Seat) -> bool) -> Vec<u32> {
        let taken = self.seats.iter().enumerate();
        taken.filter(|(_, seat)| seat.as_ref().is_some_and(&test)).map(|(place, _)| place as u32).collect()
    }
}

/// A subscriber who takes a seat.
#[derive(Debug)]
pub struct Newcomer<'a> {
    /// The connection.
    pub conn: &'a Arc<Conn>,
    /// The subscription's index in it.
    pub index: u16,
    /// Who it is.
    pub identity: &'a Identity,
    /// What they may do.
    pub grant: Grant,
    /// The head that the permission was checked at.
    pub admitted_at: u64,
    /// The epoch of that head.
    pub epoch: &'a Arc<str>,
    /// Whether people are shown here.
    pub place: bool,
}

/// What a newcomer finds.
#[derive(Debug)]
pub struct Seated {
    /// The seat.
    pub place: u32,
    /// The next broadcast.
    pub next_cast: u64,
    /// The next join or leave.
    pub next_move: u64,
    /// The version of the slots in `data`.
    pub slots_seen: u64,
    /// `{"num_users":…,"people":[…],"slots":[…]}`
    pub data: Vec<u8>,
    /// Somebody came into the place and has to be watched.
    pub timed: bool,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSeat {
    /// The topic left the hub: get the new one.
    Retired,
    /// The permission was revoked since it was checked.
    Revoked,
}

/// What has to be done after events were applied, outside the lock.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// There is a hole: read the log.
    pub repair: bool,
}

impl Topic {
    /// A topic whose head is not known yet.
    pub fn new(channel: Channel) -> Self {
        let state = TopicState {
            phase: Phase::Loading,
            events: Ring::starting_at(1),
            casts: Ring::starting_at(1),
            moves: Ring::starting_at(1),
            slots: None,
            people: None,
            seats: Seats::default(),
            expelled: Vec::new(),
            revoked: Vec::new(),
            revoked_until: 0,
            early: BTreeMap::new(),
            repairing: false,
            last_used: Ticks::now(),
        };
        Self { channel, state: Mutex::new(state) }
    }

    /// Takes a seat. The first one to know the head brings the topic to life.
    pub fn enter(&self, new: Newcomer<'_>, flusher: &Flusher) -> Result<Seated, NoSeat> {
        let mut state = self.state.lock();
        match &state.phase {
            Phase::Retired | Phase::Void => return Err(NoSeat::Retired),
            Phase::Live { epoch } if *epoch != *new.epoch => {
                // The database was restored: nobody's cursor means anything any more.
                state.phase = Phase::Void;
                state.mark_all(flusher);
                return Err(NoSeat::Retired);
            }
            Phase::Live { .. } => {}
            Phase::Loading => {
                state.events = Ring::starting_at(new.admitted_at + 1);
                state.phase = Phase::Live { epoch: new.epoch.clone() };
                state.early = state.early.split_off(&(new.admitted_at + 1));
                state.drain_early(self.channel, flusher);
            }
        }
        let void = |revoked: &Revoked| match revoked.user_id {
            Some(user_id) => user_id == new.identity.user_id,
            None => new.grant == Grant::Guest,
        };
        let outdated = new.admitted_at < state.revoked_until;
        if outdated || state.revoked.iter().any(|revoked| revoked.offset > new.admitted_at && void(revoked)) {
            return Err(NoSeat::Revoked);
        }
        let next_move = state.moves.next();
        let timed = new.place;
        if new.place {
            state.person_enters(self.channel, new.identity, flusher);
        }
        let data = state.snapshot(self.channel);
        let place = state.seats.take(Seat {
            conn: new.conn.clone(),
            index: new.index,
            grant: new.grant,
            user_id: new.identity.user_id,
        });
        Ok(Seated {
            place,
            next_cast: state.casts.next(),
            next_move,
            slots_seen: state.slots.as_ref().map_or(0, |slots| slots.version()),
            data,
            timed,
        })
    }

    /// Gives up a seat. `clean`: the person said so; otherwise the connection was lost.
    pub fn leave(&self, place: u32, conn: ConnId, clean: bool, flusher: &Flusher) {
        let now = Ticks::now();
        let mut state = self.state.lock();
        state.expelled.retain(|expelled| expelled.conn != conn);
        let Some(seat) = state.seats.leave(place, conn) else { return };
        state.last_used = now;
        let leaves_at = now.after(if clean { LEFT_HOLD } else { LOST_HOLD });
        if let Some(people) = &mut state.people {
            people.leave(seat.user_id, leaves_at);
        }
        let plain = state.slots.as_mut().map(|slots| slots.author_left(conn, now)).unwrap_or_default();
        for key in plain {
            state.clear_slot(self.channel, key, flusher);
        }
    }

    /// Takes one event of the log, in any order, any number of times.
    pub fn apply(&self, event: LogEvent, effects: Vec<Effect>, flusher: &Flusher) -> Applied {
        let mut state = self.state.lock();
        let next = state.events.next();
        match state.phase {
            Phase::Loading => {
                state.early.insert(event.offset, (event, effects));
                return Applied::default();
            }
            Phase::Live { .. } if event.offset < next => return Applied::default(),
            Phase::Live { .. } => {}
            Phase::Void | Phase::Retired => return Applied::default(),
        }
        state.early.insert(event.offset, (event, effects));
        state.drain_early(self.channel, flusher);
        let repair = !state.early.is_empty() && !state.repairing;
        state.repairing |= repair;
        Applied { repair }
    }

    /// The number after which the log has to be read to close a hole; `None` when there is none.
    pub fn hole_after(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.repairing = !state.early.is_empty() && matches!(state.phase, Phase::Live { .. });
        state.repairing.then(|| state.events.next() - 1)
    }

    /// The log begins later than the hole: whoever needs it will be told that it is gone.
    pub fn skip_to(&self, first: u64, flusher: &Flusher) {
        let mut state = self.state.lock();
        if first > state.events.next() {
            state.events = Ring::starting_at(first);
            state.early = state.early.split_off(&first);
            state.drain_early(self.channel, flusher);
        }
    }

    /// Who is here.
    pub fn people(&self) -> Vec<ClientInfo> {
        self.state.lock().people.as_ref().map(|people| people.all().collect()).unwrap_or_default()
    }

    /// Devices and people.
    pub fn counts(&self) -> (u32, u32) {
        self.state.lock().people.as_ref().map_or((0, 0), |people| people.counts())
    }

    /// Whether nothing here has to be kept, and has not for a while.
    pub fn is_idle(&self, now: Ticks, after: std::time::Duration) -> bool {
        let state = self.state.lock();
        state.seats.is_empty()
            && now.since(state.last_used) >= after
            && state.people.as_ref().is_none_or(|people| people.is_empty())
            && state.slots.as_ref().is_none_or(|slots| !slots.has_gestures())
    }

    /// Ends the topic if it is still idle. The caller holds the map's entry, so nobody gets it anew.
    pub fn retire(&self) -> bool {
        let mut state = self.state.lock();
        if !state.seats.is_empty() {
            return false;
        }
        state.phase = Phase::Retired;
        true
    }

    /// Bytes in the rings, and when the channel was last used.
    pub fn ring_use(&self) -> (usize, Ticks) {
        let state = self.state.lock();
        (state.events.len_bytes() + state.casts.len_bytes(), state.last_used)
    }

    /// Gives the rings' memory back; readers that lag go to the log.
    pub fn drop_rings(&self) {
        let mut state = self.state.lock();
        state.events.clear();
        state.casts.clear();
    }
}

impl TopicState {
    /// Tells every subscriber that there is news.
    pub fn mark_all(&mut self, flusher: &Flusher) {
        for seat in self.seats.iter() {
            flusher.mark(&seat.conn, seat.index);
        }
    }

    pub fn push_cast(&mut self, line: &[u8], flusher: &Flusher) {
        self.casts.push(line, RING_BYTES_PER_CHANNEL);
        self.last_used = Ticks::now();
        self.mark_all(flusher);
    }

    fn push_move(&mut self, channel: Channel, kind: &str, info: &ClientInfo, flusher: &Flusher) {
        let mut line = Vec::with_capacity(256);
        encode::push_info(&mut line, channel, kind, info);
        self.moves.push(&line, MOVES_BYTES_PER_CHANNEL);
        self.mark_all(flusher);
    }

    fn person_enters(&mut self, channel: Channel, identity: &Identity, flusher: &Flusher) {
        let people = self.people.get_or_insert_default();
        if people.enter(identity.user_id, &identity.info)
            && let Some(info) = people.get(identity.user_id)
        {
            self.push_move(channel, "join", &info, flusher);
        }
    }

    pub fn people_left(&mut self, channel: Channel, now: Ticks, flusher: &Flusher) {
        let left = self.people.as_mut().map(|people| people.take_left(now)).unwrap_or_default();
        for info in left {
            self.push_move(channel, "leave", &info, flusher);
        }
        if self.people.as_ref().is_some_and(|people| people.is_empty()) {
            self.people = None;
        }
    }

    /// Sends and numbers every event that is next in line.
    fn drain_early(&mut self, channel: Channel, flusher: &Flusher) {
        let mut any = false;
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.events.next() {
                break;
            }
            let (offset, (event, effects)) = entry.remove_entry();
            if offset < self.events.next() {
                continue;
            }
            any = true;
            let mut line = Vec::with_capacity(event.payload.len() + 128);
            encode::push_event(&mut line, channel, offset, &event.payload);
            self.events.push(&line, RING_BYTES_PER_CHANNEL);
            for effect in effects {
                self.take_effect(channel, offset, effect, flusher);
            }
        }
        if any {
            self.last_used = Ticks::now();
            self.mark_all(flusher);
        }
    }

    fn take_effect(&mut self, channel: Channel, offset: u64, effect: Effect, flusher: &Flusher) {
        match effect {
            Effect::EndGesture { key, gesture } => {
                self.slots.get_or_insert_default().end_gesture(key, gesture);
            }
            Effect::Remove(user_id, why) => {
                self.revoked.push(Revoked { user_id: Some(user_id), offset });
                self.expel(channel, offset, why, |seat| seat.user_id == user_id, flusher);
            }
            Effect::RemoveGuests(why) => {
                self.revoked.push(Revoked { user_id: None, offset });
                self.expel(channel, offset, why, |seat| seat.grant == Grant::Guest, flusher);
            }
            Effect::RemoveAll(why) => self.expel(channel, offset, why, |_| true, flusher),
            // About the person's sockets, not about this channel: the hub has seen to it.
            Effect::EndSessions { .. } => {}
        }
        if self.revoked.len() > REVOKED_MAX {
            let forgotten = self.revoked.drain(..REVOKED_MAX / 2).next_back();
            self.revoked_until = forgotten.map_or(self.revoked_until, |revoked| revoked.offset);
        }
    }

    fn expel(
        &mut self,
        channel: Channel,
        offset: u64,
        why: Unsubscribed,
        test: impl Fn(&Seat) -> bool,
        flusher: &Flusher,
    ) {
        for place in self.seats.matching(test) {
            let Some(seat) = self.seats.seats[place as usize].take() else { continue };
            self.seats.free.push(place);
            self.expelled.push(Expelled { conn: seat.conn.id, why, offset });
            flusher.mark(&seat.conn, seat.index);
            let slots = self.slots.as_ref().map(|slots| slots.of_author(seat.user_id)).unwrap_or_default();
            for key in slots {
                self.clear_slot(channel, key, flusher);
            }
            let person = self.people.as_mut().and_then(|people| people.expel(seat.user_id));
            if let Some(info) = person {
                self.push_move(channel, "leave", &info, flusher);
            }
        }
    }

    /// `{"num_users":…,"people":[…],"slots":[…]}`: what a newcomer has to know besides the log. A crowd is
    /// counted and not listed: in a lecture of thousands the lists alone would be gigabytes.
    pub fn snapshot(&self, channel: Channel) -> Vec<u8> {
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
            data.extend_from_slice(super::publish::data_of(channel, line));
        }
        data.extend_from_slice(b"]}");
        data
    }
}
