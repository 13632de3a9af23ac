//! What all clients of a run share.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::RawValue;
use studyhall_protocol::{Channel, Command};
use tokio::sync::watch;
use uuid::Uuid;

use super::api::{Api, Sent};
use super::history::{Ack, Recorder, What, digest};
use super::world::World;

/// Acknowledged commands that may be repeated.
const DONE: usize = 200;

/// What clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Whatever comes to their mind.
    Work,
    /// Nothing but be connected and subscribed.
    Settle,
    /// Say goodbye.
    End,
}

/// Somebody who was signed up for this run.
pub struct Somebody {
    /// Who.
    pub id: Uuid,
    /// Their sign-in.
    pub token: String,
}

/// A command that somebody wants to be done.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Its operation id.
    pub op: Uuid,
    /// Whose it is.
    pub person: usize,
    /// What.
    pub command: Command,
}

/// The how-manieth time a command is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The first.
    First,
    /// Again, because nobody knows. What is refused now may still be done by the first attempt.
    Again,
    /// Again, when no attempt can be under way any more.
    Last,
    /// Again, though it was acknowledged.
    Repeat,
}

/// How a client stands.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Something was asked and is not answered yet.
    pub waiting: bool,
    /// The number of the last event, by subscription.
    pub cursors: HashMap<Channel, u64>,
    /// Who is shown, by room.
    pub rooms: HashMap<Channel, BTreeSet<Uuid>>,
}

/// What all clients share.
pub struct Shared {
    /// The deployment.
    pub api: Api,
    /// Takes the history.
    pub recorder: Recorder,
    /// The people.
    pub people: Vec<Somebody>,
    /// What there is.
    pub world: Mutex<World>,
    /// Commands that are done or not.
    pub unresolved: Mutex<Vec<Errand>>,
    /// Some that were acknowledged, the last ones.
    pub done: Mutex<VecDeque<Errand>>,
    /// By number of the client.
    pub statuses: Mutex<Vec<Status>>,
    /// What clients are to do.
    pub phase: watch::Sender<Phase>,
    /// Commands a second and client.
    pub rate: f64,
    /// Of connections and loads.
    numbers: AtomicU32,
}

impl Shared {
    /// Nothing has happened.
    pub fn new(api: Api, people: Vec<Somebody>, clients: usize, rate: f64) -> Self {
        let world = World::of(people.iter().map(|person| person.id).collect());
        Self {
            api,
            recorder: Recorder::default(),
            people,
            world: Mutex::new(world),
            unresolved: Mutex::default(),
            done: Mutex::default(),
            statuses: Mutex::new(vec![Status::default(); clients]),
            phase: watch::Sender::new(Phase::Work),
            rate,
            numbers: AtomicU32::new(1),
        }
    }

    /// A number that nothing else has.
    pub fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A command is about to be sent for the first time.
    pub fn invoke(&self, errand: &Errand, conn: Option<u32>) {
        let Errand { op, person, command } = errand;
        let (op, person, command) = (*op, self.people[*person].id, command.name());
        self.recorder.record(What::Invoke(super::history::Invoke { op, person, command, conn }));
    }

    /// Sends a command by REST; a first attempt must have been [`Shared::invoke`]d.
    pub async fn by_rest(&self, url: usize, errand: Errand, attempt: Attempt) {
        let token = &self.people[errand.person].token;
        let sent = self.api.command(url, token, errand.op, &errand.command).await;
        self.answered(errand, sent, (url, None), attempt);
    }

    /// An answer came, or none; `from`: the address, and the connection.
    pub fn answered(&self, errand: Errand, sent: Sent, from: (usize, Option<u32>), attempt: Attempt) {
        let Errand { op, person, command } = &errand;
        match sent {
            Sent::Done(answer) => {
                let content = serde_json::from_str(answer.data.get()).map_or(0, |data: Value| digest(&data));
                let data = keeps_data(command).then(|| answer.data.get().into());
                let (url, conn) = from;
                let ack = Ack { op: *op, url, conn, positions: answer.positions, content, data };
                self.recorder.record(What::Ok(Box::new(ack)));
                if attempt != Attempt::Repeat {
                    self.world.lock().learn(*person, command, answer.data.get());
                    let mut done = self.done.lock();
                    done.push_back(errand);
                    if done.len() > DONE {
                        done.pop_front();
                    }
                }
            }
            Sent::Refused(code) if attempt == Attempt::Again => {
                self.unknown(errand, &format!("refused with {code}, but an earlier attempt may be under way"));
            }
            Sent::Refused(code) => {
                if code == "not_found" {
                    self.world.lock().forget(command);
                }
                self.recorder.record(What::Refused { op: *op, code: code.into() });
            }
            Sent::TooMany(_) if attempt == Attempt::First => {
                self.recorder.record(What::Refused { op: *op, code: "too_many_requests".into() });
            }
            Sent::TooMany(_) | Sent::Unknown(_) if attempt == Attempt::Repeat => {}
            Sent::TooMany(_) => self.unresolved.lock().push(errand),
            Sent::Unknown(why) => self.unknown(errand, &why),
        }
    }

    /// Nobody knows what became of it.
    pub fn unknown(&self, errand: Errand, why: &str) {
        self.recorder.record(What::Unknown { op: errand.op, why: why.into() });
        self.unresolved.lock().push(errand);
    }

    /// A digest and JSON text of a publication: what it says, without the number.
    pub fn content(data: &RawValue) -> u64 {
        serde_json::from_str(data.get()).map_or(0, |data: Value| digest(&data))
    }
}

/// Whether it may have nothing to do, so that its answer must be compared with state.
fn keeps_data(command: &Command) -> bool {
    matches!(
        command,
        Command::UserFollow(_)
            | Command::UserUnfollow(_)
            | Command::PostLike(_)
            | Command::PostUnlike(_)
            | Command::TaskMove(_)
            | Command::WidgetMove(_)
    )
}
