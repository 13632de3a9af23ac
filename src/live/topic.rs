//! One channel on this node: the rings of its last messages, its slots, its people, its subscribers.
//!
//! All of it is under one lock, held for memory work only, never for a write to a socket. Locks are
//! taken in the order connection → topic → flush list, never backwards; that is why a topic marks a
//! connection by atomics and leaves notes (`expelled`) for what the connection has to find out itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::ClientInfo;
use studyhall_protocol::format::Format;
use uuid::Uuid;

use super::backend::{Admission, Effect, LogEvent};
use super::bars::Bars;
use super::conn::ConnId;
use super::elsewhere::Nodes;
use super::flush::Flusher;
use super::newcomer::{Asked, Newcomer, NoSeat, Seated};
use super::people::{People, Viewer};
use super::removal::{Expelled, Revoked};
use super::rings::Rings;
use super::seats::{Seat, Seats};
use super::shown::Shown;
use super::slots::Slots;
use super::sync::Mutex;
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
    /// Events, broadcasts, joins and leaves.
    pub rings: Rings,
    pub slots: Option<Box<Slots>>,
    pub people: Option<Box<People>>,
    /// In a profile, what it shows of its person.
    pub shown: Option<Box<Shown>>,
    /// The other nodes, and whether they are listened to.
    pub nodes: Nodes,
    pub attended: bool,
    /// Of whom they have said something before they were asked.
    pub heard: Vec<Uuid>,
    pub seats: Seats,
    /// Connections whose subscription was ended here and who have not been told yet.
    pub expelled: Vec<Expelled>,
    /// Who lost the right to be here, and with which event: an admission older than that is void.
    pub revoked: Vec<Revoked>,
    /// Revocations up to this event are forgotten: an older admission has to be checked again.
    pub revoked_until: u64,
    /// Who lost it by an event of another channel.
    pub bars: Option<Box<Bars>>,
    /// Events that came before the ones they follow.
    pub early: BTreeMap<u64, (LogEvent, Vec<Effect>)>,
    pub repairing: bool,
    /// Every subscriber was told that there is news, and none has looked since: what is new now they will find as well.
    pub told: bool,
    /// The hub looks at it at every tick.
    pub watched: bool,
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

/// What has to be done after events were applied, outside the lock.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// There is a hole: read the log.
    pub repair: bool,
}

impl Topic {
    /// A topic whose head is not known yet.
    pub(super) fn new(channel: Channel, nodes: Nodes) -> Self {
        let state = TopicState {
            phase: Phase::Loading,
            rings: Rings::new(),
            slots: None,
            people: None,
            shown: None,
            nodes,
            attended: false,
            heard: Vec::new(),
            seats: Seats::default(),
            expelled: Vec::new(),
            revoked: Vec::new(),
            revoked_until: 0,
            bars: None,
            early: BTreeMap::new(),
            repairing: false,
            told: false,
            watched: false,
            last_used: Ticks::now(),
        };
        Self { channel, state: Mutex::new(state) }
    }

    /// Takes a seat. The first one to know the head brings the topic to life.
    pub fn enter(&self, new: Newcomer<'_>, flusher: &Flusher) -> Result<Seated, NoSeat> {
        let mut state = self.state.lock();
        let Admission { grant, head, epoch: admitted_to, place, sees, last_seen_at, .. } = new.asked.admission;
        let (grant, sees) = (*grant, *sees);
        match &state.phase {
            Phase::Retired | Phase::Void => return Err(NoSeat::Retired),
            Phase::Live { epoch } if epoch != admitted_to => {
                // The database was restored: nobody's cursor means anything any more.
                state.phase = Phase::Void;
                state.mark_all(flusher);
                return Err(NoSeat::Retired);
            }
            Phase::Live { .. } => state.rings.begin(new.conn.format),
            Phase::Loading => {
                state.rings.begin(new.conn.format);
                state.rings.restart_events(head + 1);
                state.phase = Phase::Live { epoch: admitted_to.clone() };
                let later = state.early.split_off(&(head + 1));
                let earlier = std::mem::replace(&mut state.early, later);
                for effect in earlier.into_values().flat_map(|(_, effects)| effects) {
                    // What another node published may have come before the event that ended it.
                    if let Effect::EndGesture { key, gesture } = effect {
                        state.end_gesture(self.channel, key, gesture);
                    }
                }
                // Whom the events up to the head removed is not known here.
                state.revoked_until = *head;
                state.drain_early(self.channel, flusher);
            }
        }
        if state.is_revoked(&new) {
            return Err(NoSeat::Revoked);
        }
        state.note_admission(&new);
        let next_move = state.rings.next_move();
        let timed = *place;
        let Asked { identity, standing, .. } = new.asked;
        let user_id = identity.user_id;
        if *place && state.change_person(self.channel, user_id, |people| people.enter(identity, standing)) {
            state.mark_all(flusher);
        }
        if matches!(self.channel, Channel::Profile(_)) {
            state.show_stored(self.channel, *last_seen_at, flusher);
        }
        let data = state.snapshot(self.channel, Viewer { user_id, grant }, sees);
        let shown = if sees { state.shown_version(self.channel, user_id) } else { 0 };
        let repair = state.wants_repair();
        // The newcomer has not been told.
        state.told = false;
        let place = state.seats.take(Seat { conn: new.conn.clone(), index: new.index, grant, sees });
        Ok(Seated {
            place,
            next_cast: state.rings.next_cast(),
            next_move,
            slots_seen: state.slots.as_ref().map_or(0, |slots| slots.version()),
            shown,
            data,
            timed,
            repair,
        })
    }

    /// Gives up a seat. The person stays for `hold`, unless another device of theirs is here.
    pub fn leave(&self, place: u32, conn: ConnId, hold: Duration, flusher: &Flusher) {
        let now = Ticks::now();
        let mut state = self.state.lock();
        state.expelled.retain(|expelled| expelled.conn != conn);
        let Some(seat) = state.seats.leave(place, conn) else {
            return;
        };
        state.last_used = now;
        if state.people.is_some() {
            // Held: nobody sees anything yet.
            state.change_person(self.channel, seat.user_id(), |people| people.leave(seat.user_id(), now.after(hold)));
        }
        let plain = state.slots.as_mut().map(|slots| slots.author_left(conn, now)).unwrap_or_default();
        state.clear_slots(self.channel, plain, flusher);
    }

    /// Takes one event of the log, in any order, any number of times.
    pub fn apply(&self, event: LogEvent, effects: Vec<Effect>, flusher: &Flusher) -> Applied {
        let mut state = self.state.lock();
        let next = state.rings.next_event();
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
        Applied { repair: state.wants_repair() }
    }

    /// The number after which the log has to be read to close a hole; `None` when there is none.
    pub fn hole_after(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.repairing = !state.early.is_empty() && matches!(state.phase, Phase::Live { .. });
        state.repairing.then(|| state.rings.next_event() - 1)
    }

    /// The log begins later than the hole: whoever needs it will be told that it is gone.
    pub fn skip_to(&self, first: u64, flusher: &Flusher) {
        let mut state = self.state.lock();
        if first > state.rings.next_event() {
            state.rings.restart_events(first);
            state.early = state.early.split_off(&first);
            state.revoked_until = first - 1;
            state.drain_early(self.channel, flusher);
        }
    }

    /// Who is here.
    pub fn people(&self, viewer: Viewer) -> Vec<ClientInfo> {
        self.state.lock().people.as_ref().map(|people| people.seen_by(viewer).collect()).unwrap_or_default()
    }

    /// Devices and people.
    pub fn counts(&self, viewer: Viewer) -> (u32, u32) {
        self.state.lock().people.as_ref().map_or((0, 0), |people| people.counts(viewer))
    }

    /// Whether nothing here has to be kept, and has not for a while.
    pub fn is_idle(&self, now: Ticks, after: Duration) -> bool {
        let state = self.state.lock();
        state.seats.is_empty()
            && now.since(state.last_used) >= after
            && state.people.as_ref().is_none_or(|people| people.is_nobody_here())
            && state.slots.as_ref().is_none_or(|slots| !slots.has_gestures())
    }

    /// Ends the topic if it is still idle. The caller holds the map's entry, so nobody gets it anew.
    pub fn retire(&self) -> bool {
        let mut state = self.state.lock();
        if !state.seats.is_empty() {
            return false;
        }
        state.phase = Phase::Retired;
        state.desert(self.channel);
        true
    }

    /// Bytes in the rings, and when the channel was last used.
    pub fn ring_use(&self) -> (usize, Ticks) {
        let state = self.state.lock();
        let recent = state.slots.as_ref().map_or(0, |slots| slots.held_bytes());
        (state.rings.held_bytes() + recent, state.last_used)
    }

    /// Gives the rings' memory back; readers that lag go to the log.
    pub fn drop_rings(&self) {
        self.state.lock().clear_rings();
    }

    /// Gives the rings' memory back if nothing has happened for a while, or nobody reads their format: whoever comes
    /// back with an older position than that finds the events in the log.
    pub fn release_idle(&self, now: Ticks, after: Duration) {
        let mut state = self.state.lock();
        state.forget_admissions();
        if state.rings.has_protobuf() && !state.anybody_speaks(Format::Protobuf) {
            state.rings.end_protobuf();
            state.slots.iter_mut().for_each(|slots| slots.end_protobuf());
        }
        if now.since(state.last_used) >= after {
            state.clear_rings();
        }
    }

    /// Whether this is the epoch of its log, as far as it is known.
    pub fn may_be_of(&self, epoch: &str) -> bool {
        match &self.state.lock().phase {
            Phase::Live { epoch: known } => **known == *epoch,
            Phase::Loading => true,
            Phase::Void | Phase::Retired => false,
        }
    }

    /// The log was read: if it is another one now, every cursor into it is void.
    pub fn check_epoch(&self, seen: &Arc<str>, flusher: &Flusher) {
        let mut state = self.state.lock();
        let void = match &state.phase {
            Phase::Live { epoch } => epoch != seen,
            // What waits here may be of the log before. Whoever is on the way in asks again, and loses nothing.
            Phase::Loading => !state.early.is_empty(),
            Phase::Void | Phase::Retired => false,
        };
        if void {
            state.phase = Phase::Void;
            state.mark_all(flusher);
        }
    }
}

impl TopicState {
    /// Whether a subscriber reads this format, or one that was put out has not been told yet.
    fn anybody_speaks(&self, format: Format) -> bool {
        !self.expelled.is_empty() || self.seats.iter().any(|seat| seat.conn.format == format)
    }

    fn clear_rings(&mut self) {
        self.rings.clear();
        self.slots.iter_mut().for_each(|slots| slots.forget_recent());
    }

    /// Tells every subscriber that there is news.
    pub fn mark_all(&mut self, flusher: &Flusher) {
        if self.told {
            return;
        }
        self.told = true;
        flusher.mark_all(self.seats.len(), self.seats.iter().map(|seat| (&seat.conn, seat.index)));
    }

    pub fn push_cast(&mut self, channel: Channel, line: &[u8], now: Ticks, flusher: &Flusher) {
        self.rings.push_cast(channel, line);
        self.last_used = now;
        self.mark_all(flusher);
    }

    /// `true` for the one who has to see to it that a hole is closed.
    fn wants_repair(&mut self) -> bool {
        let repair = !self.early.is_empty() && !self.repairing;
        self.repairing |= repair;
        repair
    }

    /// Sends and numbers every event that is next in line.
    fn drain_early(&mut self, channel: Channel, flusher: &Flusher) {
        let mut any = false;
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.rings.next_event() {
                break;
            }
            let (offset, (event, effects)) = entry.remove_entry();
            if offset < self.rings.next_event() {
                continue;
            }
            any = true;
            self.rings.push_event(channel, &event.payload);
            for effect in effects {
                self.take_effect(channel, offset, effect, flusher);
            }
        }
        if any {
            self.last_used = Ticks::now();
            self.mark_all(flusher);
        }
    }
}
