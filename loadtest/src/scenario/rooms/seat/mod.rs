//! What a receiver of drags checks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use studyhall_protocol::Channel;
use studyhall_protocol::client::{Pub, Push, Reply, ServerLine};
use studyhall_protocol::live::Drag;
use uuid::Uuid;

use crate::report::Latency;

#[cfg(test)]
mod tests;

/// How many sequence numbers one column of the grid holds; a power of two, so that fractions are exact.
const PER_COLUMN: f64 = 1024.0;
/// When value `sequence` of publisher `index` is due.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// When the first is due.
    pub start: Instant,
    /// Between two sends of anybody.
    pub step: f64,
    /// How many take turns.
    pub publishers: usize,
}

impl Schedule {
    /// When that is.
    pub fn due(&self, index: usize, sequence: u64) -> Instant {
        self.start + Duration::from_secs_f64((sequence as f64 * self.publishers as f64 + index as f64) * self.step)
    }
}

/// What all receivers found.
#[derive(Default)]
pub struct Found {
    pub ready: Cell<usize>,
    pub delivered: Cell<u64>,
    pub replies: Cell<u64>,
    pub refused: Cell<u64>,
    pub duplicates: Cell<u64>,
    pub reordered: Cell<u64>,
    pub foreign: Cell<u64>,
    pub conflated: Cell<u64>,
    pub closed: Cell<u64>,
    pub first_error: RefCell<Option<String>>,
    pub latency: RefCell<Option<Latency>>,
    pub schedule: Cell<Option<Schedule>>,
    pub measure_from: Cell<Option<Instant>>,
}

/// Counts.
pub fn add(cell: &Cell<u64>, count: u64) {
    cell.set(cell.get() + count);
}

impl Found {
    /// Keeps the first of them.
    pub fn complain(&self, text: String) {
        self.first_error.borrow_mut().get_or_insert(text);
    }
}

/// Whose widget it is: room, publisher in the room, publisher overall.
pub type Widgets = HashMap<Uuid, (usize, usize, usize)>;

/// One receiver's view.
pub struct Seat {
    pub room: usize,
    pub channel: Channel,
    /// The next sequence number of each publisher of the room.
    pub next: Rc<RefCell<Vec<u64>>>,
}

impl Seat {
    /// Takes one line from the server.
    pub fn line(&self, line: ServerLine<'_>, at: Instant, found: &Found, widgets: &Widgets) {
        match line {
            ServerLine::Reply { result: Ok(Reply::Subscribe(_)), .. } => found.ready.set(found.ready.get() + 1),
            ServerLine::Reply { result: Ok(Reply::Done), .. } => add(&found.replies, 1),
            ServerLine::Reply { result: Err(error), .. } => {
                add(&found.refused, 1);
                found.complain(error.to_string());
            }
            ServerLine::Push { channel, .. } if channel != self.channel => add(&found.foreign, 1),
            ServerLine::Push { push: Push::Pub(publication), .. } => self.publication(&publication, at, found, widgets),
            ServerLine::Push { push: Push::Unsubscribe(ended), .. } => {
                add(&found.closed, 1);
                found.complain(format!("unsubscribed: {} {}", ended.code, ended.reason));
            }
            ServerLine::Ping | ServerLine::Reply { .. } | ServerLine::Push { .. } => {}
        }
    }

    fn publication(&self, publication: &Pub<'_>, at: Instant, found: &Found, widgets: &Widgets) {
        let Some(said) = publication.read().filter(|said| said.kind == "drag") else {
            return;
        };
        let widget = said.key.and_then(|key| key.parse().ok()).and_then(|key: Uuid| widgets.get(&key));
        let Some(&(_, local, overall)) = widget.filter(|(room, ..)| *room == self.room) else {
            return add(&found.foreign, 1);
        };
        // A cleared slot has no value.
        let Some(drag) = said.data.and_then(|data| serde_json::from_str::<Drag>(data.get()).ok()) else {
            return;
        };
        let sequence = (drag.grid_x * PER_COLUMN).round() as u64;
        add(&found.delivered, 1);
        let next = &mut self.next.borrow_mut()[local];
        match sequence {
            _ if sequence + 1 == *next => return add(&found.duplicates, 1),
            _ if sequence < *next => return add(&found.reordered, 1),
            _ => add(&found.conflated, sequence - *next),
        }
        *next = sequence + 1;
        if let (Some(schedule), Some(from)) = (found.schedule.get(), found.measure_from.get()) {
            let due = schedule.due(overall, sequence);
            if due >= from
                && let Some(latency) = &mut *found.latency.borrow_mut()
            {
                latency.record(at.saturating_duration_since(due));
            }
        }
    }
}

/// Values after the last one that each receiver saw of each publisher. `sent` is by publisher and then by room.
pub fn missing<'a>(
    seen: impl Iterator<Item = &'a Rc<RefCell<Vec<u64>>>>,
    people: usize,
    sent: &[u64],
    rooms: usize,
) -> u64 {
    let lost = seen.enumerate().map(|(index, next)| {
        let room = index / people;
        let sent = |local: usize| sent.get(local * rooms + room).copied().unwrap_or(0);
        next.borrow().iter().enumerate().map(|(local, next)| sent(local).saturating_sub(*next)).sum::<u64>()
    });
    lost.sum()
}

/// The value that carries a sequence number.
pub fn value(widget: Uuid, drag: Uuid, index: usize, sequence: u64) -> serde_json::Value {
    json!({"type": "drag", "key": widget, "data": {"drag_id": drag, "grid_x": sequence as f64 / PER_COLUMN, "grid_y": index}})
}
