//! What the rules look up: commands by operation id, events by number and by operation id, connections by number.

use foldhash::{HashMap, HashMapExt};
use studyhall_protocol::Channel;
use uuid::Uuid;

use super::super::history::{Ack, FinalLog, History, Invoke, Logged, What};

/// What became of a command.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// Nobody knows.
    Unknown,
    /// Not done, for this reason.
    Refused(&'a str),
    /// Done; when that was known, and the first answer.
    Done(u64, &'a Ack),
}

/// A command.
pub struct Command<'a> {
    /// When it was first sent.
    pub at: u64,
    /// What it was.
    pub invoke: &'a Invoke,
    /// What became of it.
    pub outcome: Outcome<'a>,
}

/// A connection.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// Whose program.
    pub client: u32,
    /// Whose sign-in.
    pub person: Uuid,
}

/// A history, and ways into it.
pub struct Index<'a> {
    /// The history.
    pub history: &'a History,
    /// Commands by operation id.
    pub commands: HashMap<Uuid, Command<'a>>,
    /// Operation ids in the order in which they were first sent.
    pub sent: Vec<Uuid>,
    /// Where an operation id is in the logs; ascending in each channel.
    pub effects: HashMap<Uuid, Vec<(Channel, &'a Logged)>>,
    /// Connections by number.
    pub connections: HashMap<u32, Connection>,
}

impl<'a> Index<'a> {
    /// One pass over everything.
    pub fn new(history: &'a History) -> Self {
        let mut index = Self {
            history,
            commands: HashMap::new(),
            sent: Vec::new(),
            effects: HashMap::new(),
            connections: HashMap::new(),
        };
        for record in &history.records {
            match &record.what {
                What::Invoke(invoke) => {
                    let command = Command { at: record.at, invoke, outcome: Outcome::Unknown };
                    index.commands.insert(invoke.op, command);
                    index.sent.push(invoke.op);
                }
                What::Ok(ack) => {
                    if let Some(command) = index.commands.get_mut(&ack.op)
                        && !matches!(command.outcome, Outcome::Done(..))
                    {
                        command.outcome = Outcome::Done(record.at, ack);
                    }
                }
                What::Refused { op, code } => {
                    if let Some(command) = index.commands.get_mut(op)
                        && matches!(command.outcome, Outcome::Unknown)
                    {
                        command.outcome = Outcome::Refused(code);
                    }
                }
                What::Connected { conn, client, person, .. } => {
                    index.connections.insert(*conn, Connection { client: *client, person: *person });
                }
                _ => {}
            }
        }
        for (channel, log) in &history.finals.logs {
            for event in &log.events {
                if let Some(op) = event.record.op {
                    index.effects.entry(op).or_default().push((*channel, event));
                }
            }
        }
        index
    }

    /// The log of a channel, if it was read.
    pub fn log(&self, channel: Channel) -> Option<&'a FinalLog> {
        self.history.finals.logs.get(&channel)
    }

    /// An event by its number.
    pub fn event(&self, channel: Channel, offset: u64) -> Option<&'a Logged> {
        let events = &self.log(channel)?.events;
        // Where it is when nothing is missing.
        let first = events.first()?.offset;
        let guess = events.get(usize::try_from(offset.checked_sub(first)?).ok()?);
        let found = guess.filter(|event| event.offset == offset);
        found.or_else(|| events.iter().find(|event| event.offset == offset))
    }

    /// The number of the last event; 0 when there is none.
    pub fn head(&self, channel: Channel) -> u64 {
        self.log(channel).and_then(|log| log.events.last()).map_or(0, |event| event.offset)
    }

    /// Where a command is in the logs.
    pub fn effects(&self, op: Uuid) -> &[(Channel, &'a Logged)] {
        self.effects.get(&op).map_or(&[], Vec::as_slice)
    }

    /// What a command was, for people.
    pub fn name(&self, op: Uuid) -> String {
        let command = self.commands.get(&op).map_or("a command that nobody sent", |command| command.invoke.command);
        format!("{command} (op {op})")
    }
}
