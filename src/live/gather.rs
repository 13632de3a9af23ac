//! The gather step: what the cursors of a connection point at, copied into one batch.

use std::sync::Arc;

use studyhall_protocol::encode;
use studyhall_protocol::error::{Disconnect, Unsubscribed};
use studyhall_protocol::format::Format;

use super::conn::{Conn, Out};
use super::limits::BATCH_BYTES;
use super::pages::LogPages;
use super::people::Viewer;
use super::ring::Ring;
use super::rings::Encoded;
use super::seats::Seat;
use super::subscription::Subscription;
use super::topic::{Phase, Topic, TopicState};
use super::ws::HEADER_MAX;

/// What a gather step came to.
#[derive(Debug, Clone, Copy)]
pub struct Gathered {
    /// The batch holds whole frames.
    pub raw: bool,
    /// A ping is in it.
    pub ping: bool,
    /// There is more to send than fitted.
    pub more: bool,
}

/// What is being gathered for one write.
pub struct Batch<'a> {
    /// Of the connection.
    pub format: Format,
    /// Room for a frame header, then messages.
    pub bytes: &'a mut Vec<u8>,
    /// Where the pushes begin, behind ping and replies.
    pub begin: usize,
    /// The socket did not take all of the last batch: of every slot the newest value only.
    pub is_late: bool,
}

impl Batch<'_> {
    fn room(&self) -> usize {
        (HEADER_MAX + BATCH_BYTES).saturating_sub(self.bytes.len())
    }

    /// Nothing was pushed yet: a message longer than the room goes all the same, or it would never go.
    fn is_empty(&self) -> bool {
        self.bytes.len() <= self.begin
    }

    fn copy(&mut self, messages: &Ring, from: u64, before: u64) -> u64 {
        messages.copy(from, before, self.room(), self.is_empty(), self.bytes)
    }

    /// `false` when there is no room for it.
    pub(super) fn push(&mut self, message: &[u8]) -> bool {
        if message.len() > self.room() && !self.is_empty() {
            return false;
        }
        self.bytes.extend_from_slice(message);
        true
    }
}

/// What one subscription came to.
enum Outcome {
    /// Nothing is left.
    Done,
    /// The batch is full.
    Full,
    /// Events before this one are not in the ring: they have to come from the log. What lies beyond is
    /// not taken from there, for it may lie beyond a removal that this node has not applied yet.
    Behind {
        /// The ring begins here.
        before: u64,
        /// The log that the cursor is in.
        epoch: Arc<str>,
    },
    /// The subscription was ended.
    Ended(Unsubscribed),
    /// The cursor means nothing any more.
    Void,
}

/// Goes round the subscriptions with news, beginning where the last batch ended.
pub(super) fn subscriptions(conn: &Arc<Conn>, out: &mut Out, batch: &mut Batch<'_>, pages: &LogPages) -> bool {
    let words = out.subscriptions.len().div_ceil(64);
    let (first_word, first_bit) = (out.turn / 64, out.turn % 64);
    // The word in which it begins comes twice: its upper bits first, its lower bits last.
    for step in 0..=words {
        let word = (first_word + step) % words.max(1);
        let mut bits = conn.take_news(word);
        if step == 0 {
            let earlier = bits & ((1 << first_bit) - 1);
            conn.mark_word(word, earlier);
            bits &= !earlier;
        }
        while bits != 0 {
            let index = word * 64 + bits.trailing_zeros() as usize;
            let before = batch.bytes.len();
            if one(conn, out, index, batch, pages) {
                bits &= bits - 1;
                continue;
            }
            // Full: this one and the rest of the word keep their news. Who found no room at all goes first
            // in the next batch, who filled this one goes last.
            conn.mark_word(word, bits);
            let turn = if batch.bytes.len() == before { index } else { index + 1 };
            out.turn = if turn < out.subscriptions.len() { turn } else { 0 };
            return true;
        }
    }
    false
}

/// One subscription. `false` when the batch is full.
fn one(conn: &Arc<Conn>, out: &mut Out, index: usize, batch: &mut Batch<'_>, pages: &LogPages) -> bool {
    let Some(subscription) = out.subscriptions.get_mut(index).and_then(Option::as_mut) else {
        return true;
    };
    let topic = subscription.topic.clone();
    loop {
        let (before, epoch) = match topic.gather(conn, subscription, batch) {
            Outcome::Done => return true,
            Outcome::Full => return false,
            Outcome::Ended(why) => {
                encode::push_unsubscribe(batch.bytes, batch.format, topic.channel, why);
                out.subscriptions[index] = None;
                return true;
            }
            Outcome::Void => {
                conn.close(Disconnect::INSUFFICIENT_STATE);
                return true;
            }
            Outcome::Behind { before, epoch } => (before, epoch),
        };
        let next = subscription.next_event;
        let Some(page) = pages.get_or_wait(topic.channel, next, &epoch, conn, index as u16) else {
            return true;
        };
        if subscription.next_event < page.floor || subscription.next_event < page.messages.first() {
            conn.close(Disconnect::INSUFFICIENT_STATE);
            return true;
        }
        let next = batch.copy(&page.messages, subscription.next_event, before);
        if next == subscription.next_event {
            return false;
        }
        subscription.next_event = next;
    }
}

impl Topic {
    /// Copies what this subscription has not sent yet: events, then broadcasts, slots, joins and leaves.
    fn gather(&self, conn: &Conn, subscription: &mut Subscription, batch: &mut Batch<'_>) -> Outcome {
        let mut state = self.state.lock();
        state.told = false;
        if !state.seats.holds(subscription.place, conn.id) {
            return state.gather_last(conn, subscription, batch);
        }
        let Phase::Live { epoch } = &state.phase else {
            return Outcome::Void;
        };
        let Some(Encoded { events, .. }) = state.rings.of(batch.format) else {
            return Outcome::Void;
        };
        if subscription.next_event < events.first() {
            return Outcome::Behind { before: events.first(), epoch: epoch.clone() };
        }
        let next = batch.copy(events, subscription.next_event, u64::MAX);
        subscription.next_event = next.max(subscription.next_event);
        if subscription.next_event < events.next() {
            return Outcome::Full;
        }
        if state.gather_unnumbered(self, subscription, batch) { Outcome::Done } else { Outcome::Full }
    }
}

impl TopicState {
    /// For a subscription that was ended here: what came up to the event that ended it, as far as the ring has it, and
    /// then the end.
    fn gather_last(&mut self, conn: &Conn, subscription: &mut Subscription, batch: &mut Batch<'_>) -> Outcome {
        let Some(note) = self.expelled.iter().position(|expelled| expelled.conn == conn.id) else {
            return Outcome::Done;
        };
        let end = (self.expelled[note].offset + 1).min(self.rings.next_event());
        if let Some(Encoded { events, .. }) = self.rings.of(batch.format)
            && (events.first()..end).contains(&subscription.next_event)
        {
            let next = batch.copy(events, subscription.next_event, end);
            subscription.next_event = next;
            if next < end {
                return Outcome::Full;
            }
        }
        Outcome::Ended(self.expelled.swap_remove(note).why)
    }

    /// `false` when the batch is full.
    fn gather_unnumbered(&mut self, topic: &Topic, subscription: &mut Subscription, batch: &mut Batch<'_>) -> bool {
        if let Some(Encoded { casts, .. }) = self.rings.of(batch.format) {
            // Behind the ring of broadcasts: what is gone is skipped.
            let from = subscription.next_cast.max(casts.first());
            subscription.next_cast = batch.copy(casts, from, u64::MAX);
            if subscription.next_cast < casts.next() {
                return false;
            }
        }
        self.gather_slots(topic, subscription, batch)
            && self.gather_shown(topic.channel, subscription, batch)
            && self.gather_moves(topic, subscription, batch)
    }

    fn gather_moves(&self, topic: &Topic, subscription: &mut Subscription, batch: &mut Batch<'_>) -> bool {
        let (Some(next_move), Some(moves), Some(seat)) =
            (subscription.next_move, self.rings.moves(), self.seats.get(subscription.place))
        else {
            return true;
        };
        if next_move < moves.first() {
            // Too many came and went: the whole picture instead.
            let pushed = self.push_snapshot(topic, seat, batch);
            subscription.next_move = pushed.then(|| moves.next()).or(subscription.next_move);
            return pushed;
        }
        let next = moves.copy(next_move, (seat.user_id(), seat.grant), batch);
        subscription.next_move = Some(next);
        next == moves.next()
    }

    fn gather_slots(&mut self, topic: &Topic, subscription: &mut Subscription, batch: &mut Batch<'_>) -> bool {
        let Some(slots) = &mut self.slots else { return true };
        let (seen, newest) = (subscription.slots_seen, slots.version());
        if seen == newest {
            return true;
        }
        if !batch.is_late
            && let Some(recent) = slots.recent(seen, batch.format)
        {
            subscription.slots_seen = batch.copy(recent, seen + 1, u64::MAX) - 1;
            return subscription.slots_seen == newest;
        }
        if slots.forgot_since(seen) {
            let Some(seat) = self.seats.get(subscription.place) else { return true };
            let pushed = self.push_snapshot(topic, seat, batch);
            subscription.slots_seen = if pushed { newest } else { seen };
            return pushed;
        }
        for (version, slot) in slots.since(seen) {
            if !batch.push(slot.message(batch.format, topic.channel)) {
                return false;
            }
            subscription.slots_seen = version;
        }
        // The newest change may have been removed without a trace.
        subscription.slots_seen = newest;
        true
    }

    /// `{"type":"slots","data":{"people":[…],"slots":[…]}}`: replaces all that was known of both.
    fn push_snapshot(&self, topic: &Topic, seat: &Seat, batch: &mut Batch<'_>) -> bool {
        let mut data = Vec::from(br#"{"type":"slots","data":"#.as_slice());
        let viewer = Viewer { user_id: seat.user_id(), grant: seat.grant };
        data.extend_from_slice(&self.snapshot(topic.channel, viewer, seat.sees));
        data.push(b'}');
        let mut message = Vec::with_capacity(data.len() + 128);
        encode::push_unnumbered(&mut message, batch.format, topic.channel, &data);
        batch.push(&message)
    }
}
