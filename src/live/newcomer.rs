//! Who comes into a channel: what was asked about them, what they find, why they may find nothing.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use super::backend::{Admission, Identity};
use super::conn::Conn;
use super::standing::Known;

/// A subscriber who takes a seat.
#[derive(Debug)]
pub struct Newcomer<'a> {
    /// The connection.
    pub conn: &'a Arc<Conn>,
    /// The subscription's index in it.
    pub index: u16,
    /// What was asked about them.
    pub asked: &'a Asked<'a>,
}

/// Who somebody is, and the answers to what was asked about them.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Who it is.
    pub identity: &'a Identity,
    /// What others may see of them.
    pub standing: &'a Arc<Known>,
    /// What they may do, and where the log was then.
    pub admission: &'a Admission,
    /// When that was asked for.
    pub at: Instant,
}

/// What a newcomer finds.
#[derive(Debug)]
pub struct Seated {
    /// The seat.
    pub place: u32,
    /// The next broadcast.
    pub next_cast: u64,
    /// The next join or leave.
    pub next_move: NonZeroU64,
    /// The version of the slots in `data`.
    pub slots_seen: u64,
    /// The version of the person's presence in `data`.
    pub shown: u32,
    /// `{"num_users":…,"people":[…],"slots":[…]}`
    pub data: Vec<u8>,
    /// Somebody came into the place and has to be watched.
    pub timed: bool,
    /// There is a hole behind the head: read the log.
    pub repair: bool,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSeat {
    /// The topic left the hub: get the new one.
    Retired,
    /// The permission was revoked since it was checked.
    Revoked,
}
