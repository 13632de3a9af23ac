//! The subscribers of one channel.

use std::sync::Arc;

use uuid::Uuid;

use super::backend::Grant;
use super::conn::{Conn, ConnId};

/// The subscribers: places in a list, so that leaving needs no search.
#[derive(Debug, Default)]
pub(super) struct Seats {
    seats: Vec<Option<Seat>>,
    free: Vec<u32>,
}

/// There are many more of these than of anything else: whose it is, the connection knows.
#[derive(Debug)]
pub(super) struct Seat {
    pub conn: Arc<Conn>,
    /// The subscription's index in the connection.
    pub index: u16,
    pub grant: Grant,
    /// Whether they may see the presence of the one whose profile it is.
    pub sees: bool,
}

impl Seat {
    /// Whose seat it is. Nobody takes one before it is known who they are.
    pub(super) fn user_id(&self) -> Uuid {
        self.conn.user_id.get().copied().unwrap_or_default()
    }
}

impl Seats {
    pub(super) fn take(&mut self, seat: Seat) -> u32 {
        if let Some(place) = self.free.pop() {
            self.seats[place as usize] = Some(seat);
            return place;
        }
        // There are many channels, most with a few seats: no more room than will soon be taken.
        if self.seats.len() == self.seats.capacity() {
            self.seats.reserve_exact(self.seats.len() / 4 + 1);
        }
        self.seats.push(Some(seat));
        self.seats.len() as u32 - 1
    }

    pub(super) fn leave(&mut self, place: u32, conn: ConnId) -> Option<Seat> {
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

    pub(super) fn get(&self, place: u32) -> Option<&Seat> {
        self.seats.get(place as usize)?.as_ref()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len() - self.free.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.seats.iter_mut().flatten()
    }

    /// Takes away the seats that pass.
    pub(super) fn take_matching(&mut self, test: impl Fn(&Seat) -> bool) -> Vec<Seat> {
        let mut taken = Vec::new();
        for (place, seat) in self.seats.iter_mut().enumerate() {
            if let Some(left) = seat.take_if(|seat| test(seat)) {
                self.free.push(place as u32);
                taken.push(left);
            }
        }
        taken
    }
}
