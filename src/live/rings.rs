//! The rings of one channel, in each format that somebody reads.
//!
//! JSON is always there: it is what the slots and the log are made of, and it counts the messages. Protobuf begins with
//! the first subscriber who speaks it, where JSON is at that moment; whoever is behind that reads the log, as behind
//! any ring. So each message is encoded once per format, and a format that nobody reads costs nothing.

use std::num::NonZeroU64;

use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{self, ClientInfo, Move, data_of};
use studyhall_protocol::format::Format;

use super::limits::RING_BYTES_PER_CHANNEL;
use super::moves::{For, Moves};
use super::ring::Ring;

/// The last messages in one format.
#[derive(Debug)]
pub struct Encoded {
    /// Numbered events; a message's number is its offset.
    pub events: Ring,
    /// Broadcasts.
    pub casts: Ring,
}

/// The last messages in every format.
#[derive(Debug)]
pub struct Rings {
    json: Encoded,
    protobuf: Option<Box<Encoded>>,
    /// Joins and leaves: not everybody gets the same.
    moves: Option<Box<Moves>>,
}

impl Encoded {
    fn starting_at(event: u64, cast: u64) -> Self {
        Self { events: Ring::starting_at(event), casts: Ring::starting_at(cast) }
    }

    fn clear(&mut self) {
        self.events.clear();
        self.casts.clear();
    }

    fn held_bytes(&self) -> usize {
        self.events.held_bytes() + self.casts.held_bytes()
    }
}

impl Rings {
    /// Empty ones. Allocates nothing.
    pub fn new() -> Self {
        Self { json: Encoded::starting_at(1, 1), protobuf: None, moves: None }
    }

    /// What is there in a format; `None` when nobody reads it.
    pub fn of(&self, format: Format) -> Option<&Encoded> {
        match format {
            Format::Json => Some(&self.json),
            Format::Protobuf => self.protobuf.as_deref(),
        }
    }

    /// Somebody reads this format from now on.
    pub fn begin(&mut self, format: Format) {
        if format == Format::Protobuf && self.protobuf.is_none() {
            let Encoded { events, casts } = &self.json;
            self.protobuf = Some(Box::new(Encoded::starting_at(events.next(), casts.next())));
        }
    }

    /// Nobody speaks protobuf any more.
    pub fn end_protobuf(&mut self) {
        self.protobuf = None;
    }

    /// Whether messages are encoded in protobuf as well.
    pub fn has_protobuf(&self) -> bool {
        self.protobuf.is_some()
    }

    /// The number of the next event.
    pub fn next_event(&self) -> u64 {
        self.json.events.next()
    }

    /// The number of the next broadcast.
    pub fn next_cast(&self) -> u64 {
        self.json.casts.next()
    }

    /// The number of the next join or leave.
    pub fn next_move(&self) -> NonZeroU64 {
        self.moves.as_ref().map_or(NonZeroU64::MIN, |moves| moves.next())
    }

    /// The last joins and leaves; `None` where there never were any.
    pub(super) fn moves(&self) -> Option<&Moves> {
        self.moves.as_deref()
    }

    /// Adds the next event.
    pub fn push_event(&mut self, channel: Channel, payload: &[u8]) {
        let offset = self.next_event();
        let mut message = Vec::with_capacity(payload.len() + 128);
        encode::push_event(&mut message, Format::Json, channel, offset, payload);
        self.json.events.push(&message, RING_BYTES_PER_CHANNEL);
        if let Some(protobuf) = &mut self.protobuf {
            message.clear();
            encode::push_event(&mut message, Format::Protobuf, channel, offset, payload);
            protobuf.events.push(&message, RING_BYTES_PER_CHANNEL);
        }
    }

    /// Adds a broadcast, given as it is in JSON.
    pub fn push_cast(&mut self, channel: Channel, line: &[u8]) {
        self.json.casts.push(line, RING_BYTES_PER_CHANNEL);
        if let Some(protobuf) = &mut self.protobuf {
            let mut message = Vec::with_capacity(line.len());
            encode::push_unnumbered(&mut message, Format::Protobuf, channel, data_of(channel, line));
            protobuf.casts.push(&message, RING_BYTES_PER_CHANNEL);
        }
    }

    /// Adds a join or a leave.
    pub(super) fn push_move(&mut self, channel: Channel, kind: Move, info: &ClientInfo, to: For) {
        let protobuf = self.has_protobuf();
        self.moves.get_or_insert_default().push(channel, kind, info, to, protobuf);
    }

    /// Forgets the events; the next one has this number.
    pub fn restart_events(&mut self, first: u64) {
        self.json.events = Ring::starting_at(first);
        if let Some(protobuf) = &mut self.protobuf {
            protobuf.events = Ring::starting_at(first);
        }
    }

    /// Gives the memory back. Numbers go on where they were.
    pub fn clear(&mut self) {
        self.json.clear();
        if let Some(moves) = &mut self.moves {
            moves.clear();
        }
        if let Some(protobuf) = &mut self.protobuf {
            protobuf.clear();
        }
    }

    /// Bytes taken from the heap for messages.
    pub fn held_bytes(&self) -> usize {
        let moves = self.moves.as_ref().map_or(0, |moves| moves.held_bytes());
        self.json.held_bytes() + moves + self.protobuf.as_ref().map_or(0, |protobuf| protobuf.held_bytes())
    }
}
