//! What events do to the people of a channel: who has to leave, and who may not come in any more.

use std::collections::HashSet;

use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::Unsubscribed;
use uuid::Uuid;

use super::backend::{Effect, Grant};
use super::conn::ConnId;
use super::flush::Flusher;
use super::limits::REVOKED_MAX;
use super::newcomer::Newcomer;
use super::seats::Seat;
use super::topic::TopicState;

/// Who lost the right to be here, and with which event.
#[derive(Debug)]
pub(super) struct Revoked {
    who: Who,
    offset: u64,
}

/// A subscription that was ended here and has not been told yet.
#[derive(Debug)]
pub(super) struct Expelled {
    pub conn: ConnId,
    pub why: Unsubscribed,
    /// The event that ended it; it and those before it were still meant for them. 0: nothing any more.
    pub offset: u64,
}

#[derive(Debug, Clone, Copy)]
enum Who {
    Person(Uuid),
    Guests,
    Everybody,
    /// The other way round: whoever sits here got the right with the log at that event, and keeps it through all before.
    Admitted(ConnId),
}

impl TopicState {
    /// Whether the newcomer's permission was checked before an event that may have ended it.
    pub(super) fn is_revoked(&self, new: &Newcomer<'_>) -> bool {
        let void = |revoked: &Revoked| match revoked.who {
            Who::Person(user_id) => user_id == new.asked.identity.user_id,
            Who::Guests => new.asked.admission.grant == Grant::Guest,
            Who::Everybody => true,
            Who::Admitted(_) => false,
        };
        let (admitted_at, user_id) = (new.asked.admission.head, new.asked.identity.user_id);
        admitted_at < self.revoked_until
            || self.bars.as_ref().is_some_and(|bars| bars.may_hold(user_id, new.asked.at))
            || self.revoked.iter().any(|revoked| revoked.offset > admitted_at && void(revoked))
    }

    /// The newcomer's right is newer than what is known here of the log: removals on their way are from before it.
    pub(super) fn note_admission(&mut self, new: &Newcomer<'_>) {
        let head = new.asked.admission.head;
        if head >= self.rings.next_event() {
            self.forget_admissions();
            self.revoke(Revoked { who: Who::Admitted(new.conn.id), offset: head });
        }
    }

    /// Those that the log has caught up with.
    pub(super) fn forget_admissions(&mut self) {
        let next = self.rings.next_event();
        self.revoked.retain(|revoked| !matches!(revoked.who, Who::Admitted(_)) || revoked.offset >= next);
        if self.revoked.is_empty() {
            self.revoked = Vec::new();
        }
    }

    fn revoke(&mut self, revoked: Revoked) {
        self.revoked.push(revoked);
        if self.revoked.len() > REVOKED_MAX {
            let mut forgotten = self.revoked.drain(..REVOKED_MAX / 2);
            let forgotten = forgotten.rfind(|revoked| !matches!(revoked.who, Who::Admitted(_)));
            self.revoked_until = forgotten.map_or(self.revoked_until, |revoked| revoked.offset);
        }
    }

    /// Does what an event does besides being sent. Whoever calls it marks the subscribers afterwards.
    pub(super) fn take_effect(&mut self, channel: Channel, offset: u64, effect: Effect, flusher: &Flusher) {
        match effect {
            Effect::EndGesture { key, gesture } => self.end_gesture(channel, key, gesture),
            Effect::Remove(user_id, why) => {
                self.revoke(Revoked { who: Who::Person(user_id), offset });
                let theirs = |seat: &Seat| seat.user_id() == user_id;
                self.expel(channel, (offset, why), theirs, flusher);
                // Also who has no seat any more, but is held after a lost connection.
                if !self.seats.iter().any(theirs) {
                    self.forget_people(channel, &HashSet::from([user_id]));
                }
            }
            Effect::RemoveGuests(why) => {
                self.revoke(Revoked { who: Who::Guests, offset });
                self.expel(channel, (offset, why), |seat| seat.grant == Grant::Guest, flusher);
            }
            Effect::RemoveAll(why) => {
                self.revoke(Revoked { who: Who::Everybody, offset });
                self.expel(channel, (offset, why), |_| true, flusher);
                let all = self.people.iter().flat_map(|people| people.ids()).collect();
                self.forget_people(channel, &all);
            }
            // About sockets, rights and other channels, not about this one: the hub has seen to it.
            Effect::EndSessions { .. } | Effect::Bar { .. } | Effect::Recheck { .. } | Effect::Reload(_) => {}
        }
    }

    pub(super) fn expel(
        &mut self,
        channel: Channel,
        (offset, why): (u64, Unsubscribed),
        test: impl Fn(&Seat) -> bool,
        flusher: &Flusher,
    ) {
        let newer = |revoked: &Revoked| match revoked.who {
            Who::Admitted(conn) if offset > 0 && revoked.offset >= offset => Some(conn),
            _ => None,
        };
        let newer: Vec<ConnId> = self.revoked.iter().filter_map(newer).collect();
        let mut gone = HashSet::new();
        for seat in self.seats.take_matching(|seat| test(seat) && !newer.contains(&seat.conn.id)) {
            self.expelled.push(Expelled { conn: seat.conn.id, why, offset });
            flusher.mark(&seat.conn, seat.index);
            gone.insert(seat.user_id());
        }
        // Who was let in again has a seat that outlasts this.
        self.seats.iter().for_each(|seat| {
            gone.remove(&seat.user_id());
        });
        self.forget_people(channel, &gone);
    }

    /// Clears the slots of people who were put out, and notes their leaves. Whoever stays is marked once,
    /// by [`TopicState::drain_early`].
    fn forget_people(&mut self, channel: Channel, gone: &HashSet<Uuid>) {
        if let Some(slots) = &mut self.slots {
            // What they published last is not to be seen after the event that put them out.
            slots.forget_recent();
            for key in slots.of_authors(gone) {
                self.clear_slot(channel, key);
            }
        }
        for user_id in gone {
            if self.people.is_some() {
                self.change_person(channel, *user_id, |people| people.expel(*user_id));
            }
        }
    }
}
