//! What a profile shows of its person: one slot, made of what this node and the others say of them.
//!
//! It has no place among the other slots: what it holds is not published but follows from who is connected, and not
//! every subscriber may see it.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode;
use studyhall_protocol::presence::{Presence, Status};
use uuid::Uuid;

use super::flush::Flusher;
use super::gather::Batch;
use super::roster::Entry;
use super::subscription::Subscription;
use super::time::wall;
use super::topic::{Topic, TopicState};

/// What one node says of a person who is there: the truth, and whether it may be shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// All devices of that node together.
    pub status: Status,
    /// Looks offline to everybody else.
    pub invisible: bool,
    /// As written last on that node.
    pub activity: Option<Box<str>>,
    /// When that was, in microseconds since 1970: of several nodes the last word counts.
    pub activity_at: i64,
    /// The last change that could be seen.
    pub seen_at: Option<DateTime<Utc>>,
}

impl Sighting {
    /// What two nodes say together. Who is invisible on one is so on all: a node that has not heard of it yet must not
    /// give them away.
    fn and(self, other: Sighting) -> Sighting {
        // Every node comes to the same, also of two words of the same moment.
        let word = |sighting: &Sighting| (sighting.activity_at, sighting.activity.clone());
        let last = if word(&self) >= word(&other) { &self } else { &other };
        Sighting {
            status: self.status.max(other.status),
            invisible: self.invisible || other.invisible,
            activity: last.activity.clone(),
            activity_at: last.activity_at,
            seen_at: self.seen_at.max(other.seen_at),
        }
    }

    /// What several nodes say together.
    pub(super) fn together(all: impl IntoIterator<Item = Sighting>) -> Option<Sighting> {
        all.into_iter().reduce(Sighting::and)
    }

    /// Out of the roster; what cannot be read says nothing.
    pub(super) fn read(entries: &[Entry]) -> Option<Sighting> {
        Self::together(entries.iter().filter_map(|entry| serde_json::from_slice(&entry.said).ok()))
    }

    /// For the roster.
    pub(super) fn entry(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into_boxed_slice().into()
    }

    /// As the person sees it, or as others who may.
    fn view(sighting: Option<&Sighting>, user_id: Uuid, seen_at: Option<DateTime<Utc>>, own: bool) -> Presence {
        let last_seen_at = sighting.and_then(|sighting| sighting.seen_at).max(seen_at);
        match sighting.filter(|sighting| own || !sighting.invisible) {
            Some(Sighting { status, activity, .. }) => {
                Presence { user_id, status: *status, activity: activity.as_deref().map(str::to_owned), last_seen_at }
            }
            None => Presence { user_id, status: Status::Offline, activity: None, last_seen_at },
        }
    }

    /// What others see of somebody of whom this is known.
    pub(super) fn public(sighting: Option<&Sighting>, user_id: Uuid, seen_at: Option<DateTime<Utc>>) -> Presence {
        Self::view(sighting, user_id, seen_at, false)
    }

    /// What the person sees.
    pub(super) fn own(sighting: Option<&Sighting>, user_id: Uuid) -> Presence {
        Self::view(sighting, user_id, None, true)
    }

    /// When somebody was seen last who is gone now.
    pub(super) fn left_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.invisible { self.seen_at } else { Some(now) }
    }
}

/// The slot of one profile.
#[derive(Debug, Default)]
pub(super) struct Shown {
    here: Option<Sighting>,
    elsewhere: Option<Box<Sighting>>,
    /// When the person was seen last, as far as it is not in the sightings.
    seen_at: Option<DateTime<Utc>>,
    /// Of what others see, and of what the person sees; never 0 once anything is known. Two, because others must not
    /// even notice that somebody invisible does something.
    versions: [u32; 2],
}

/// The slot as it travels.
#[derive(Serialize)]
struct Slot<'a> {
    r#type: &'static str,
    key: Uuid,
    actor: Uuid,
    data: Option<&'a Presence>,
}

impl Shown {
    fn together(&self) -> Option<Sighting> {
        Sighting::together(self.here.iter().chain(self.elsewhere.as_deref()).cloned())
    }

    /// Changes what is known; whether others see that, and whether the person does.
    fn change(&mut self, now: DateTime<Utc>, change: impl FnOnce(&mut Self)) -> [bool; 2] {
        let (before, seen_before) = (self.together(), self.seen_at);
        change(self);
        let after = self.together();
        if let (Some(before), None) = (&before, &after) {
            self.seen_at = self.seen_at.max(before.left_at(now));
        }
        [false, true].map(|own| {
            let view = |sighting: &Option<Sighting>, at| {
                let view = Sighting::view(sighting.as_ref(), Uuid::nil(), at, own);
                // Another node has seen them as well: that is no news of somebody who is here.
                let last_seen_at = view.last_seen_at.filter(|_| view.status == Status::Offline);
                Presence { last_seen_at, ..view }
            };
            let version = &mut self.versions[usize::from(own)];
            let changed = *version == 0 || view(&before, seen_before) != view(&after, self.seen_at);
            *version = if changed { version.wrapping_add(1).max(1) } else { *version };
            changed
        })
    }

    fn version(&self, user_id: Uuid, viewer: Uuid) -> u32 {
        self.versions[usize::from(user_id == viewer)]
    }

    fn view(&self, user_id: Uuid, viewer: Uuid) -> Presence {
        Sighting::view(self.together().as_ref(), user_id, self.seen_at, viewer == user_id)
    }
}

fn slot(user_id: Uuid, data: Option<&Presence>) -> Vec<u8> {
    serde_json::to_vec(&Slot { r#type: "presence", key: user_id, actor: user_id, data }).unwrap_or_default()
}

impl Topic {
    /// What this node says of the person. `seen_at` when they are gone.
    pub(super) fn show_here(&self, sighting: Option<Sighting>, seen_at: Option<DateTime<Utc>>, flusher: &Flusher) {
        let now = seen_at.unwrap_or_else(wall);
        self.state.lock().change_shown(self.channel, now, flusher, |shown| {
            shown.here = sighting;
            shown.seen_at = shown.seen_at.max(seen_at);
        });
    }

    /// What is known of the person on all nodes; `None` unless this topic listens to the others.
    pub(super) fn sighting(&self) -> Option<(Option<Sighting>, Option<DateTime<Utc>>)> {
        let state = self.state.lock();
        let shown = state.shown.as_ref().filter(|_| state.attended)?;
        Some((shown.together(), shown.seen_at))
    }

    /// This viewer may see the person's presence now, or may not any more.
    pub(super) fn set_sees(&self, viewer: Uuid, sees: bool, flusher: &Flusher) {
        let mut state = self.state.lock();
        for seat in state.seats.iter_mut().filter(|seat| seat.user_id() == viewer && seat.sees != sees) {
            seat.sees = sees;
            flusher.mark(&seat.conn, seat.index);
        }
    }
}

impl TopicState {
    fn change_shown(
        &mut self,
        channel: Channel,
        now: DateTime<Utc>,
        flusher: &Flusher,
        change: impl FnOnce(&mut Shown),
    ) {
        let changed = self.shown.get_or_insert_default().change(now, change);
        for seat in self.seats.iter().filter(|seat| seat.sees && changed[usize::from(seat.user_id() == channel.id())]) {
            flusher.mark(&seat.conn, seat.index);
        }
    }

    /// What the other nodes say of the person.
    pub(super) fn show_elsewhere(&mut self, channel: Channel, entries: &[Entry], flusher: &Flusher) {
        let sighting = Sighting::read(entries).map(Box::new);
        self.change_shown(channel, wall(), flusher, |shown| shown.elsewhere = sighting);
    }

    /// When the person was seen last, according to the store.
    pub(super) fn show_stored(&mut self, channel: Channel, seen_at: Option<DateTime<Utc>>, flusher: &Flusher) {
        self.change_shown(channel, wall(), flusher, |shown| shown.seen_at = shown.seen_at.max(seen_at));
    }

    /// The version of what this viewer sees.
    pub(super) fn shown_version(&self, channel: Channel, viewer: Uuid) -> u32 {
        self.shown.as_ref().map_or(0, |shown| shown.version(channel.id(), viewer))
    }

    /// The slot's value for somebody who may see it.
    pub(super) fn shown_to(&self, channel: Channel, viewer: Uuid) -> Option<Vec<u8>> {
        let shown = self.shown.as_ref()?;
        Some(slot(channel.id(), Some(&shown.view(channel.id(), viewer))))
    }

    /// What this subscriber has to learn of the person: the newest value, or that it is none of their business any
    /// more. `false` when the batch is full.
    pub(super) fn gather_shown(
        &self,
        channel: Channel,
        subscription: &mut Subscription,
        batch: &mut Batch<'_>,
    ) -> bool {
        let Some(shown) = &self.shown else { return true };
        let Some(seat) = self.seats.get(subscription.place) else { return true };
        let version = if seat.sees { shown.version(channel.id(), seat.user_id()) } else { 0 };
        if subscription.shown == version {
            return true;
        }
        let view = seat.sees.then(|| shown.view(channel.id(), seat.user_id()));
        let mut message = Vec::with_capacity(384);
        encode::push_unnumbered(&mut message, batch.format, channel, &slot(channel.id(), view.as_ref()));
        let pushed = batch.push(&message);
        if pushed {
            subscription.shown = version;
        }
        pushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(status: Status, activity: &str, activity_at: i64) -> Sighting {
        Sighting { status, activity: Some(activity.into()), activity_at, ..Sighting::default() }
    }

    #[test]
    fn nodes_together() {
        let both = Sighting::together([sighting(Status::Idle, "new", 2), sighting(Status::Online, "old", 1)]).unwrap();
        assert_eq!((both.status, both.activity.as_deref()), (Status::Online, Some("new")));
        let hidden = Sighting { invisible: true, ..sighting(Status::Online, "secret", 3) };
        let both = Sighting::together([both, hidden]).unwrap();
        let (id, at) = (Uuid::from_u128(1), DateTime::from_timestamp(5, 0));
        let public = Sighting::public(Some(&both), id, at);
        assert_eq!((public.status, public.activity, public.last_seen_at), (Status::Offline, None, at));
        assert_eq!(Sighting::own(Some(&both), id).status, Status::Online);
        let entries = [both.entry(), Bytes::from_static(b"{")].map(|said| Entry { node: Uuid::nil(), said });
        assert_eq!(Sighting::read(&entries), Some(both));
    }

    #[test]
    fn leaving_is_seen_unless_one_is_invisible() {
        let mut shown = Shown::default();
        let now = wall();
        assert_eq!(shown.change(now, |shown| shown.here = Some(sighting(Status::Online, "a", 1))), [true, true]);
        assert_eq!(shown.change(now, |shown| shown.seen_at = None), [false, false]);
        assert_eq!(shown.change(now, |shown| shown.here = None), [true, true]);
        assert_eq!(shown.seen_at, Some(now));
        let hidden = Sighting { invisible: true, seen_at: Some(now), ..sighting(Status::Online, "b", 2) };
        let idle = Sighting { status: Status::Idle, ..hidden.clone() };
        assert_eq!(shown.change(now, |shown| shown.here = Some(hidden)), [false, true]);
        assert_eq!(shown.change(now, |shown| shown.elsewhere = Some(Box::new(idle))), [false, false]);
        let later = now + chrono::TimeDelta::seconds(9);
        assert_eq!(shown.change(later, |shown| (shown.here, shown.elsewhere) = (None, None)), [false, true]);
        assert_eq!(shown.seen_at, Some(now));
    }
}
