//! One person of a day: what their connection waits for, and what it sees.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use serde::Deserialize;
use serde::de::IgnoredAny;
use studyhall_protocol::client::{self, Pub, Push, Reply, Said, ServerLine, Subscribed, Wishes};
use studyhall_protocol::live::Drag;
use studyhall_protocol::presence::{Presence, Status};
use studyhall_protocol::{Answer, Channel};
use uuid::Uuid;

use super::found::{Found, add};
use crate::client::{Options, Sender, open};

/// What a reply is for.
enum Waiting {
    Connect,
    Subscribe(Channel),
    Command(&'static str, Instant),
}

/// The values of one slot, or the broadcasts of one person.
#[derive(Clone, Copy)]
struct Seen {
    /// Another gesture begins anew.
    gesture: Uuid,
    /// The next number.
    next: u64,
}

/// What pointers and broadcasts carry.
#[derive(Deserialize)]
struct Stamp {
    /// When it was due.
    at: u64,
    /// Which of this person.
    n: u64,
}

/// A person.
pub struct Person {
    /// Who.
    pub id: Uuid,
    /// Their place among the accounts.
    pub index: usize,
    /// There while they are here.
    pub sender: RefCell<Option<Sender>>,
    /// In the middle of a gesture.
    pub drags: Cell<bool>,
    /// Pointers that they have published.
    pub published: Cell<u64>,
    /// Broadcasts that they have published.
    pub told: Cell<u64>,
    /// Whether the next like, or tick, takes the last one back.
    pub flips: RefCell<HashMap<Uuid, bool>>,
    commands: Cell<u32>,
    waiting: RefCell<HashMap<u32, Waiting>>,
    /// Of each subscription the next number of its log.
    seats: RefCell<HashMap<Channel, u64>>,
    slots: RefCell<HashMap<(char, Uuid), Seen>>,
    pills: RefCell<HashMap<Uuid, (Status, Option<String>)>>,
    /// Since when they are on their way, and how many replies are missing.
    coming: Cell<Option<(Instant, usize)>>,
    visit: Cell<u64>,
}

impl Person {
    /// Not here yet.
    pub fn new(id: Uuid, index: usize) -> Self {
        Self {
            id,
            index,
            sender: RefCell::default(),
            drags: Cell::default(),
            published: Cell::default(),
            told: Cell::default(),
            flips: RefCell::default(),
            commands: Cell::default(),
            waiting: RefCell::default(),
            seats: RefCell::default(),
            slots: RefCell::default(),
            pills: RefCell::default(),
            coming: Cell::default(),
            visit: Cell::default(),
        }
    }

    /// Whether all that they subscribed to has been answered.
    pub fn is_here(&self) -> bool {
        self.sender.borrow().is_some() && self.coming.get().is_none()
    }

    /// Connects, and listens until they leave.
    pub async fn come(
        self: Rc<Self>,
        host: &str,
        token: &str,
        channels: &[Channel],
        due: Instant,
        found: Rc<Found>,
    ) -> Result<()> {
        self.coming.set(Some((due, channels.len() + 1)));
        let visit = self.visit.get();
        let (sender, mut receiver) = open(host, Options::default()).await?;
        let mut lines = vec![client::connect(self.waits(Waiting::Connect), token)];
        for channel in channels {
            let wishes = Wishes { join_leave: matches!(channel, Channel::Workspace(_)), ..Wishes::default() };
            lines.push(client::subscribe(self.waits(Waiting::Subscribe(*channel)), *channel, wishes));
        }
        sender.send(&lines.join("\n"))?;
        *self.sender.borrow_mut() = Some(sender);
        tokio::task::spawn_local(async move {
            let listening = receiver.listen(|line, at| {
                // The last lines of an earlier visit say nothing about this one.
                if self.visit.get() == visit {
                    self.line(line, at, &found);
                }
                ControlFlow::<()>::Continue(())
            });
            let ended = listening.await;
            if let (Err(error), true) = (ended, self.visit.get() == visit) {
                add(&found.faults.closed, 1);
                found.complain(format!("{error:#}"));
                self.forget();
            }
        });
        Ok(())
    }

    /// Says goodbye.
    pub fn go(&self) {
        if let Some(sender) = self.sender.borrow().as_ref() {
            sender.close();
        }
        self.forget();
    }

    fn forget(&self) {
        self.visit.set(self.visit.get() + 1);
        *self.sender.borrow_mut() = None;
        self.coming.set(None);
        self.commands.set(0);
        self.waiting.borrow_mut().clear();
        self.seats.borrow_mut().clear();
        self.slots.borrow_mut().clear();
        self.pills.borrow_mut().clear();
    }

    fn waits(&self, what: Waiting) -> u32 {
        self.commands.set(self.commands.get() + 1);
        self.waiting.borrow_mut().insert(self.commands.get(), what);
        self.commands.get()
    }

    /// Sends a command whose line is made from its number.
    pub fn send(&self, what: &'static str, due: Instant, line: impl FnOnce(u32) -> String, found: &Found) {
        let id = self.waits(Waiting::Command(what, due));
        if let Some(Err(error)) = self.sender.borrow().as_ref().map(|sender| sender.send(&line(id))) {
            found.complain(format!("sending: {error:#}"));
        }
    }

    /// Replies that have not come.
    pub fn unanswered(&self) -> u64 {
        self.waiting.borrow().len() as u64
    }

    /// Events of logs that others know and this one has not got.
    pub fn behind(&self, found: &Found) -> u64 {
        let heads = found.heads.borrow();
        let behind =
            |(channel, next): (&Channel, &u64)| heads.get(channel).map_or(0, |head| (head + 1).saturating_sub(*next));
        self.seats.borrow().iter().map(behind).sum()
    }

    /// Of these people, all here, how many look other than they are.
    pub fn wrong_pills<'a>(&self, people: impl Iterator<Item = &'a Uuid>, found: &Found) -> u64 {
        let (pills, truth) = (self.pills.borrow(), found.truth.borrow());
        let right = |person: &Uuid| {
            let said = truth.get(person).cloned().flatten();
            pills.get(person) == Some(&(Status::Online, said))
        };
        people.filter(|person| !right(person)).count() as u64
    }

    fn line(&self, line: ServerLine<'_>, at: Instant, found: &Found) {
        match line {
            ServerLine::Reply { id, result } => {
                let waited = self.waiting.borrow_mut().remove(&id);
                match (waited, result) {
                    (_, Err(error)) => {
                        add(&found.faults.refused, 1);
                        found.complain(error.to_string());
                    }
                    (Some(Waiting::Connect), _) => self.arrived(at, found),
                    (Some(Waiting::Subscribe(channel)), Ok(Reply::Subscribe(seat))) => {
                        self.seats.borrow_mut().insert(channel, seat.offset + 1);
                        self.slots_of(&seat);
                        self.arrived(at, found);
                    }
                    (Some(Waiting::Command(what, due)), Ok(reply)) => {
                        found.record(what, due, at);
                        if let Reply::Rpc(answer) = reply {
                            self.answer(answer.get(), found);
                        }
                    }
                    (Some(Waiting::Subscribe(_)) | None, Ok(_)) => add(&found.faults.foreign, 1),
                }
            }
            ServerLine::Push { channel, push } => {
                if !self.seats.borrow().contains_key(&channel) && self.coming.get().is_none() {
                    return add(&found.faults.foreign, 1);
                }
                match push {
                    Push::Pub(publication) => self.publication(channel, &publication, at, found),
                    Push::Join(_) | Push::Leave(_) => add(&found.delivered, 1),
                    Push::Unsubscribe(ended) => {
                        add(&found.faults.closed, 1);
                        found.complain(format!("unsubscribed: {} {}", ended.code, ended.reason));
                    }
                    Push::Unknown => {}
                }
            }
            ServerLine::Ping => {}
        }
    }

    fn arrived(&self, at: Instant, found: &Found) {
        if let Some((due, missing)) = self.coming.get() {
            self.coming.set((missing > 1).then_some((due, missing - 1)));
            if missing == 1 {
                found.record("connect", due, at);
            }
        }
    }

    fn answer(&self, answer: &str, found: &Found) {
        match serde_json::from_str::<Answer<IgnoredAny>>(answer) {
            Ok(answer) => answer.positions.iter().for_each(|position| found.head(position.channel, position.offset)),
            Err(error) => found.complain(format!("{error} in {answer}")),
        }
    }

    fn slots_of(&self, seat: &Subscribed<'_>) {
        #[derive(Deserialize)]
        struct Slots<'a> {
            #[serde(borrow, default)]
            slots: Vec<Said<'a>>,
        }
        let slots = seat.data.and_then(|data| serde_json::from_str::<Slots<'_>>(data.get()).ok());
        for said in slots.into_iter().flat_map(|slots| slots.slots).filter(|said| said.kind == "presence") {
            if let Some(Ok(pill)) = said.data.map(|data| serde_json::from_str::<Presence>(data.get())) {
                self.pills.borrow_mut().insert(pill.user_id, (pill.status, pill.activity));
            }
        }
    }

    fn publication(&self, channel: Channel, publication: &Pub<'_>, at: Instant, found: &Found) {
        add(&found.delivered, 1);
        let Some(said) = publication.read() else { return };
        if let Some(offset) = publication.offset {
            found.head(channel, offset);
            if let Some(next) = self.seats.borrow_mut().get_mut(&channel) {
                match offset {
                    _ if offset < *next => return add(&found.faults.duplicates, 1),
                    _ => add(&found.faults.gaps, offset - *next),
                }
                *next = offset + 1;
            }
            let operation = said.op.and_then(|op| found.operations.borrow().get(&op).copied());
            if let Some((what, due)) = operation {
                found.record(what, due, at);
            }
            return;
        }
        let (Some(actor), Some(data)) = (said.actor, said.data) else { return };
        match said.kind.as_ref() {
            "presence" => self.pill(data.get(), at, found),
            "drag" => {
                let widget = said.key.as_deref().and_then(|key| key.parse().ok());
                if let (Some(widget), Ok(drag)) = (widget, serde_json::from_str::<Drag>(data.get())) {
                    self.value(('d', widget), drag.drag_id, drag.grid_y as u64, &found.conflated, found);
                    found.record("drag_seen", found.moment((drag.grid_x * 1e6).round() as u64), at);
                }
            }
            kind => {
                let pointer = kind == "pointer";
                if let Ok(stamp) = serde_json::from_str::<Stamp>(data.get()) {
                    let missed = if pointer { &found.conflated } else { &found.skipped };
                    self.value((if pointer { 'p' } else { 'b' }, actor), Uuid::nil(), stamp.n, missed, found);
                    found.record(if pointer { "pointer_seen" } else { "broadcast_seen" }, found.moment(stamp.at), at);
                }
            }
        }
    }

    /// A numbered value: never older than the one before. The first of a person or gesture may have any number.
    fn value(&self, slot: (char, Uuid), gesture: Uuid, number: u64, missed: &Cell<u64>, found: &Found) {
        let mut slots = self.slots.borrow_mut();
        let seen = slots.entry(slot).or_insert(Seen { gesture, next: number });
        if seen.gesture != gesture {
            *seen = Seen { gesture, next: number };
        }
        match number {
            _ if number + 1 == seen.next => return add(&found.faults.duplicates, 1),
            _ if number < seen.next => return add(&found.faults.reordered, 1),
            _ => add(missed, number - seen.next),
        }
        seen.next = number + 1;
    }

    fn pill(&self, data: &str, at: Instant, found: &Found) {
        let Ok(pill) = serde_json::from_str::<Presence>(data) else { return };
        if let Some(due) = pill.activity.as_ref().and_then(|said| said.parse().ok()) {
            let newest = found.truth.borrow().get(&pill.user_id).cloned().flatten();
            let known = self.pills.borrow().get(&pill.user_id).and_then(|(_, said)| said.clone());
            if newest == pill.activity && known != pill.activity {
                found.record("status_seen", found.moment(due), at);
            }
        }
        self.pills.borrow_mut().insert(pill.user_id, (pill.status, pill.activity));
    }
}
