//! The last joins and leaves of a place, each with whom it is for.
//!
//! Who sees a person is decided when they come or go, under the lock of the place, and kept with the move: a reader that
//! lags gets what was true then, so that every join it sees has its leave and no other.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use studyhall_protocol::channel::Channel;
use studyhall_protocol::encode::{ClientInfo, Move};
use studyhall_protocol::format::Format;
use studyhall_protocol::settings::PresenceVisibility;
use uuid::Uuid;

use super::backend::{Grant, Standing};
use super::gather::Batch;
use super::limits::MOVES_BYTES_PER_CHANNEL;
use super::people::encode_info;

/// Who sees a person in a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sight(u8);

impl Sight {
    /// Nobody.
    pub const NOBODY: Sight = Sight(0);
    /// The members.
    pub const MEMBERS: Sight = Sight(1);
    /// Guests.
    pub const GUESTS: Sight = Sight(2);
    /// The person, as long as they are there.
    pub const SELF: Sight = Sight(4);

    /// Who sees somebody of this standing, besides themselves.
    pub fn of(standing: &Standing) -> Self {
        match standing.audience {
            _ if standing.invisible => Sight::NOBODY,
            PresenceVisibility::Everyone => Sight::MEMBERS.and(Sight::GUESTS),
            PresenceVisibility::Following => Sight::MEMBERS,
            PresenceVisibility::Nobody => Sight::NOBODY,
        }
    }

    /// As it is told to other nodes.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// From what another node says. Who is there always sees themselves.
    pub fn from_bits(bits: u8) -> Self {
        Sight(bits & Sight::MEMBERS.and(Sight::GUESTS).0)
    }

    /// These and those.
    pub const fn and(self, other: Sight) -> Self {
        Sight(self.0 | other.0)
    }

    /// These of those.
    pub fn within(self, other: Sight) -> Self {
        Sight(self.0 & other.0)
    }

    /// These, without those.
    pub fn without(self, other: Sight) -> Self {
        Sight(self.0 & !other.0)
    }

    /// Whether somebody with this grant is among them.
    pub fn has(self, grant: Grant) -> bool {
        let bit = match grant {
            Grant::Member => Sight::MEMBERS,
            Grant::Guest => Sight::GUESTS,
        };
        self.0 & bit.0 != 0
    }

    fn has_self(self) -> bool {
        self.0 & Sight::SELF.0 != 0
    }
}

/// Whom a join or a leave is for.
#[derive(Debug, Clone)]
pub(super) struct For {
    pub sight: Sight,
    /// Nobody but this one.
    pub only: Option<Uuid>,
    /// Not these, whom a block parts from the person.
    pub except: Box<[Uuid]>,
}

#[derive(Debug)]
struct Moved {
    about: Uuid,
    to: For,
    json: Box<[u8]>,
    /// If somebody read it when it happened.
    protobuf: Box<[u8]>,
}

impl Moved {
    fn is_for(&self, viewer: Uuid, grant: Grant) -> bool {
        let For { sight, only, except } = &self.to;
        if viewer == self.about {
            return sight.has_self();
        }
        sight.has(grant) && only.is_none_or(|only| only == viewer) && !except.contains(&viewer)
    }
}

/// The last joins and leaves, numbered without holes.
#[derive(Debug, Default)]
pub(super) struct Moves {
    last: VecDeque<Moved>,
    /// How many there were before these.
    dropped: u64,
    bytes: usize,
}

impl Moves {
    /// The number of the oldest one.
    pub(super) fn first(&self) -> NonZeroU64 {
        NonZeroU64::MIN.saturating_add(self.dropped)
    }

    /// The number that the next one gets.
    pub(super) fn next(&self) -> NonZeroU64 {
        self.first().saturating_add(self.last.len() as u64)
    }

    /// Bytes taken from the heap.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes + self.last.capacity() * size_of::<Moved>()
    }

    /// Drops all and gives the memory back. Numbers go on where they were.
    pub(super) fn clear(&mut self) {
        *self = Self { dropped: self.dropped + self.last.len() as u64, ..Self::default() };
    }

    pub(super) fn push(&mut self, channel: Channel, kind: Move, info: &ClientInfo, to: For, protobuf: bool) {
        let encode = |format| encode_info(format, channel, kind, info).into_boxed_slice();
        let moved = Moved {
            about: info.user,
            to,
            json: encode(Format::Json),
            protobuf: if protobuf { encode(Format::Protobuf) } else { Box::default() },
        };
        self.bytes += moved.bytes();
        self.last.push_back(moved);
        while self.bytes > MOVES_BYTES_PER_CHANNEL && self.last.len() > 1 {
            if let Some(oldest) = self.last.pop_front() {
                self.bytes -= oldest.bytes();
                self.dropped += 1;
            }
        }
    }

    /// Copies those from number `from` on that are for this reader, as many as there is room for, and returns the number
    /// after the last one that it has or need not have.
    pub(super) fn copy(&self, from: NonZeroU64, (viewer, grant): (Uuid, Grant), batch: &mut Batch<'_>) -> NonZeroU64 {
        let skipped = from.get().saturating_sub(self.first().get()) as usize;
        let mut next = from;
        for moved in self.last.iter().skip(skipped) {
            let message = match batch.format {
                Format::Json => &moved.json,
                Format::Protobuf => &moved.protobuf,
            };
            if moved.is_for(viewer, grant) && !batch.push(message) {
                break;
            }
            next = next.saturating_add(1);
        }
        next
    }
}

impl Moved {
    fn bytes(&self) -> usize {
        self.json.len() + self.protobuf.len()
    }
}
