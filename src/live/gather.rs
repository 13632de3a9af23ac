//! The gather step: what the cursors of a connection point at, copied into one batch.

use std::sync::Arc;

use studyhall_protocol::encode;
use studyhall_protocol::error::{Disconnect, Unsubscribed};

use super::conn::{Conn, Out};
use super::flush::Flusher;
use super::limits::BATCH_BYTES;
use super::pages::LogPages;
use super::subscription::Subscription;
use super::topic::{Phase, Topic, TopicState};
use super::ws::HEADER_MAX;

/// What a gather step came to.
#[derive(Debug, Clone, Copy)]
pub struct Gathered {
    /// The batch holds whole frames.
    pub raw: bool,
    /// There is more to send than fitted.
    pub more: bool,
}

/// What one subscription came to.
enum Outcome {
    /// Nothing is left.
    Done,
    /// The batch is full.
    Full,
    /// Events before this one are not in the ring: they have to come from the log. What lies beyond is
    /// not taken from there, for it may lie beyond a removal that this node has not applied yet.
    Behind(u64),
    /// The subscription was ended.
    Ended(Unsubscribed),
    /// The cursor means nothing any more.
    Void,
}

/// Goes round the subscriptions with news, beginning where the last batch ended.
pub(super) fn subscriptions(
    conn: &Arc<Conn>,
    out: &mut Out,
    batch: &mut Vec<u8>,
    flusher: &Flusher,
    pages: &LogPages,
) -> bool {
    let words = out.subscriptions.len().div_ceil(64);
    for step in 0..words {
        let word = (out.turn + step) % words;
        let mut bits = conn.take_news(word);
        while bits != 0 {
            let bit = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            let index = word * 64 + bit;
            if one(conn, out, index, batch, flusher, pages) {
                continue;
            }
            // Full: this one and the rest of the word keep their news; the next word goes first.
            conn.mark(index as u16);
            while bits != 0 {
                conn.mark((word * 64 + bits.trailing_zeros() as usize) as u16);
                bits &= bits - 1;
            }
            out.turn = (word + 1) % words;
            return true;
        }
    }
    false
}

/// One subscription. `false` when the batch is full.
fn one(
    conn: &Arc<Conn>,
    out: &mut Out,
    index: usize,
    batch: &mut Vec<u8>,
    flusher: &Flusher,
    pages: &LogPages,
) -> bool {
    let Some(subscription) = out.subscriptions.get_mut(index).and_then(Option::as_mut) else { return true };
    let topic = subscription.topic.clone();
    loop {
        let before = match topic.gather(conn, subscription, batch) {
            Outcome::Done => return true,
            Outcome::Full => return false,
            Outcome::Ended(why) => {
                encode::push_unsubscribe(batch, topic.channel, why);
                batch.push(b'\n');
                out.subscriptions[index] = None;
                return true;
            }
            Outcome::Void => {
                conn.close(Disconnect::INSUFFICIENT_STATE);
                return true;
            }
            Outcome::Behind(before) => before,
        };
        let Some(page) = pages.get(topic.channel, subscription.next_event) else {
            pages.wait(topic.channel, subscription.next_event, conn, index as u16, flusher);
            return true;
        };
        if subscription.next_event < page.floor || subscription.next_event < page.lines.first() {
            conn.close(Disconnect::INSUFFICIENT_STATE);
            return true;
        }
        let next = page.lines.copy(subscription.next_event, before, room(batch), is_empty(batch), batch);
        if next == subscription.next_event {
            return false;
        }
        subscription.next_event = next;
    }
}

fn room(batch: &[u8]) -> usize {
    (HEADER_MAX + BATCH_BYTES).saturating_sub(batch.len())
}

fn is_empty(batch: &[u8]) -> bool {
    batch.len() <= HEADER_MAX
}

impl Topic {
    /// Copies what this subscription has not sent yet: events, then broadcasts, slots, joins and leaves.
    fn gather(&self, conn: &Conn, subscription: &mut Subscription, batch: &mut Vec<u8>) -> Outcome {
        let mut state = self.state.lock();
        if !state.seats.holds(subscription.place, conn.id) {
            return state.gather_last(conn, subscription, batch);
        }
        if !matches!(state.phase, Phase::Live { .. }) {
            return Outcome::Void;
        }
        if subscription.next_event < state.events.first() {
            return Outcome::Behind(state.events.first());
        }
        let next = state.events.copy(subscription.next_event, u64::MAX, room(batch), is_empty(batch), batch);
        subscription.next_event = next.max(subscription.next_event);
        if subscription.next_event < state.events.next() {
            return Outcome::Full;
        }
        if state.gather_unnumbered(self, subscription, batch) { Outcome::Done } else { Outcome::Full }
    }
}

impl TopicState {
    /// For a subscription that was ended here: what came up to the event that ended it, as far as the ring has it, and
    /// then the end.
    fn gather_last(&mut self, conn: &Conn, subscription: &mut Subscription, batch: &mut Vec<u8>) -> Outcome {
        let Some(note) = self.expelled.iter().position(|expelled| expelled.conn == conn.id) else {
            return Outcome::Done;
        };
        let end = (self.expelled[note].offset + 1).min(self.events.next());
        if subscription.next_event >= self.events.first() && subscription.next_event < end {
            let next = self.events.copy(subscription.next_event, end, room(batch), is_empty(batch), batch);
            subscription.next_event = next;
            if next < end {
                return Outcome::Full;
            }
        }
        Outcome::Ended(self.expelled.swap_remove(note).why)
    }

    /// `false` when the batch is full.
    fn gather_unnumbered(&self, topic: &Topic, subscription: &mut Subscription, batch: &mut Vec<u8>) -> bool {
        // Behind the ring of broadcasts: what is gone is skipped.
        let from = subscription.next_cast.max(self.casts.first());
        subscription.next_cast = self.casts.copy(from, u64::MAX, room(batch), is_empty(batch), batch);
        if subscription.next_cast < self.casts.next() {
            return false;
        }
        if !self.gather_slots(topic, subscription, batch) {
            return false;
        }
        let Some(next_move) = subscription.next_move else { return true };
        if next_move < self.moves.first() {
            // Too many came and went: the whole picture instead.
            self.push_snapshot(topic, batch);
            subscription.next_move = Some(self.moves.next());
            return true;
        }
        let next = self.moves.copy(next_move, u64::MAX, room(batch), is_empty(batch), batch);
        subscription.next_move = Some(next);
        next == self.moves.next()
    }

    fn gather_slots(&self, topic: &Topic, subscription: &mut Subscription, batch: &mut Vec<u8>) -> bool {
        let Some(slots) = &self.slots else { return true };
        if slots.forgot_since(subscription.slots_seen) {
            self.push_snapshot(topic, batch);
            subscription.slots_seen = slots.version();
            return true;
        }
        for (version, line) in slots.since(subscription.slots_seen) {
            if line.len() >= room(batch) && !is_empty(batch) {
                return false;
            }
            batch.extend_from_slice(line);
            batch.push(b'\n');
            subscription.slots_seen = version;
        }
        true
    }

    /// `{"type":"slots","data":{"people":[…],"slots":[…]}}`: replaces all that was known of both.
    fn push_snapshot(&self, topic: &Topic, batch: &mut Vec<u8>) {
        let mut data = Vec::from(br#"{"type":"slots","data":"#.as_slice());
        data.extend_from_slice(&self.snapshot(topic.channel));
        data.push(b'}');
        encode::push_unnumbered(batch, topic.channel, &data);
        batch.push(b'\n');
    }
}
