//! Those who look on while commands are given: what each of them receives is counted, and a command has arrived when
//! the last of them has its event.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use studyhall_protocol::Channel;
use studyhall_protocol::client::{self, Push, Reply, ServerLine, Wishes};
use uuid::Uuid;

use super::record::Record;
use crate::client::{Options, Sender, open};
use crate::report::Latency;

/// A command of the current stretch.
struct Awaited {
    scheduled: Instant,
    /// Who has not received its event.
    left: usize,
}

/// What all of them have found. The numbers of each channel must be consecutive for each of them.
#[derive(Default)]
pub struct Witnesses {
    /// Subscriptions that are there.
    pub ready: Cell<usize>,
    closed: Cell<u64>,
    refused: Cell<u64>,
    gaps: Cell<u64>,
    repeated: Cell<u64>,
    received: Cell<u64>,
    /// By operation.
    awaited: RefCell<HashMap<Uuid, Awaited>>,
    arrived: Cell<usize>,
    last: RefCell<Option<Latency>>,
    first_error: RefCell<Option<String>>,
}

fn add(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

impl Witnesses {
    /// Connects one more, who subscribes to all of these.
    pub async fn open(self: &Rc<Self>, host: &str, token: &str, seats: &[Channel]) -> Result<Sender> {
        let (sender, mut receiver) = open(host, Options::default()).await?;
        let subscribes = seats.iter().zip(2..).map(|(seat, id)| client::subscribe(id, *seat, Wishes::default()));
        let lines: Vec<String> = std::iter::once(client::connect(1, token)).chain(subscribes).collect();
        sender.send(&lines.join("\n"))?;
        let (all, seats) = (self.clone(), seats.to_vec());
        tokio::task::spawn_local(async move {
            let mut next = HashMap::with_capacity(seats.len());
            let ended = receiver.listen(|line, at| {
                all.line(line, at, &seats, &mut next);
                ControlFlow::<anyhow::Error>::Continue(())
            });
            let error = ended.await.unwrap_or_else(|error| error);
            add(&all.closed);
            all.first_error.borrow_mut().get_or_insert(format!("{error:#}"));
        });
        Ok(sender)
    }

    /// Begins a stretch: these operations, due then, have to arrive at so many each.
    pub fn await_all(&self, operations: impl Iterator<Item = (Uuid, Instant)>, left: usize) {
        *self.awaited.borrow_mut() = operations.map(|(op, scheduled)| (op, Awaited { scheduled, left })).collect();
        self.arrived.set(0);
        self.received.set(0);
        *self.last.borrow_mut() = Some(Latency::new());
    }

    /// Operations of this stretch that everybody has.
    pub fn arrived(&self) -> usize {
        self.arrived.get()
    }

    /// Events of this stretch, for each who has received it.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Operations of this stretch that somebody has not.
    pub fn missing(&self) -> u64 {
        (self.awaited.borrow().len() - self.arrived.get()) as u64
    }

    /// Ends a stretch: from the scheduled time of each operation to the last receipt.
    pub fn take_latency(&self) -> Option<Latency> {
        self.last.borrow_mut().take()
    }

    /// What must not have happened.
    pub fn report(&self, record: &mut Record) {
        for (name, count) in
            [("refused", &self.refused), ("lost", &self.gaps), ("duplicates", &self.repeated), ("closed", &self.closed)]
        {
            record.count(name, count.get(), true);
        }
        record.error(self.first_error.borrow().clone());
    }

    /// `seats`: the channel of each subscribe command, which has the number of its place and two more; `next`: the
    /// number that each channel's next event has.
    fn line(&self, line: ServerLine<'_>, at: Instant, seats: &[Channel], next: &mut HashMap<Channel, u64>) {
        match line {
            ServerLine::Reply { id, result: Ok(Reply::Subscribe(seat)) } => {
                let channel = (id as usize).checked_sub(2).and_then(|place| seats.get(place));
                next.extend(channel.map(|channel| (*channel, seat.offset + 1)));
                self.ready.set(self.ready.get() + 1);
            }
            ServerLine::Reply { result: Err(error), .. } => {
                add(&self.refused);
                self.first_error.borrow_mut().get_or_insert(error.to_string());
            }
            ServerLine::Push { channel, push: Push::Pub(publication) } => {
                let Some(offset) = publication.offset else { return };
                add(&self.received);
                let expected = next.entry(channel).or_insert(offset);
                match offset {
                    offset if offset < *expected => return add(&self.repeated),
                    offset if offset > *expected => add(&self.gaps),
                    _ => {}
                }
                *expected = offset + 1;
                self.event(publication.read().and_then(|said| said.op), at);
            }
            ServerLine::Ping | ServerLine::Reply { .. } | ServerLine::Push { .. } => {}
        }
    }

    fn event(&self, op: Option<Uuid>, at: Instant) {
        let mut awaited = self.awaited.borrow_mut();
        let Some(awaited) = op.and_then(|op| awaited.get_mut(&op)) else { return };
        awaited.left = awaited.left.saturating_sub(1);
        if awaited.left == 0 {
            self.arrived.set(self.arrived.get() + 1);
            if let Some(last) = &mut *self.last.borrow_mut() {
                last.record(at.saturating_duration_since(awaited.scheduled));
            }
        }
    }
}
