//! What is written down during a run. Every record has the microseconds since its beginning, and their order is the
//! order in which things happened: one lock hands out both.

use std::collections::HashMap;
use std::io::Write;
use std::time::Instant;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use studyhall_protocol::{Channel, EventRecord, Position};
use uuid::Uuid;

use super::state::{Snapshot, State};

/// Something that happened, and when.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// Microseconds since the run began.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With a goodbye from us.
    Clean,
    /// Broken off, by us or by what is between us.
    Lost,
    /// By the server, with a code.
    Told(u16),
}

/// A command, before its first byte is sent. Sending it again with the same operation id is no new one.
#[derive(Debug, Clone, Serialize)]
pub struct Invoke {
    /// The operation id.
    pub op: Uuid,
    /// Who.
    pub person: Uuid,
    /// Its name in the table of commands.
    pub command: &'static str,
    /// The connection, if it goes by `rpc`; REST otherwise.
    pub conn: Option<u32>,
}

/// A command was acknowledged.
#[derive(Debug, Clone, Serialize)]
pub struct Ack {
    /// The operation id.
    pub op: Uuid,
    /// Which of the addresses said so.
    pub url: usize,
    /// The connection that said so; REST otherwise.
    pub conn: Option<u32>,
    /// Where the answer says that its events are.
    pub positions: Vec<Position>,
    /// Digest of the answer's `data`.
    pub content: u64,
    /// The `data` itself, of commands that may have nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<str>>,
}

/// A subscription was granted.
#[derive(Debug, Clone, Serialize)]
pub struct Subscribed {
    /// On which connection.
    pub conn: u32,
    /// Of which channel, from where on.
    pub position: Position,
    /// The position that was asked for.
    pub since: Option<u64>,
    /// All after that position follows.
    pub recovered: bool,
    /// Who is in the room.
    pub people: Option<Vec<Uuid>>,
}

/// What can happen.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named alike everywhere: which connection, which channel, which number")]
pub enum What {
    /// A command is about to be sent.
    Invoke(Invoke),
    /// It was done.
    Ok(Box<Ack>),
    /// It was not done and never will be.
    Refused { op: Uuid, code: Box<str> },
    /// Done or not.
    Unknown { op: Uuid, why: Box<str> },
    /// A connection is open.
    Connected { conn: u32, client: u32, person: Uuid, url: usize },
    /// And closed.
    Closed { conn: u32, how: Ending },
    /// A subscription is about to be asked for.
    Subscribing { conn: u32, channel: Channel },
    /// It was refused.
    Declined { conn: u32, channel: Channel, code: u32 },
    /// It was granted.
    Subscribed(Box<Subscribed>),
    /// The position that was asked for cannot be resumed from.
    Resync { conn: u32, channel: Channel, offset: u64, epoch: Box<str> },
    /// An event came; `content` is its digest.
    Event { conn: u32, channel: Channel, offset: u64, content: u64 },
    /// Who is in the room, said anew.
    Shown { conn: u32, channel: Channel, people: Vec<Uuid> },
    /// Somebody came into the room.
    Joined { conn: u32, channel: Channel, person: Uuid },
    /// Somebody left it.
    Left { conn: u32, channel: Channel, person: Uuid },
    /// We are about to end a subscription.
    Unsubscribing { conn: u32, channel: Channel },
    /// It has ended; 0: as we asked for.
    Unsubscribed { conn: u32, channel: Channel, code: u32 },
    /// State is about to be loaded.
    Load { load: u32 },
    /// It came.
    Loaded { load: u32, client: u32, person: Uuid, snapshots: Vec<Snapshot> },
    /// A fault begins or ends; `url` is the address that it hits, if it hits one.
    Fault { name: Box<str>, on: bool, url: Option<usize> },
    /// All faults are off and every address is ready.
    Healed,
    /// Everybody had their time to catch up.
    Settled,
}

/// An event of a log as it was read at the end.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its number.
    pub offset: u64,
    /// What happened.
    pub record: EventRecord,
    /// Its digest, as in [`What::Event`].
    pub content: u64,
}

/// A log as it was read at the end from the first address.
#[derive(Debug, Clone, Default)]
pub struct FinalLog {
    /// Which life of it.
    pub epoch: String,
    /// All of it.
    pub events: Vec<Logged>,
    /// State before the first event, and its position; none: nothing.
    pub base: Option<(u64, State)>,
}

/// Number and digest of each event of a log.
pub type Digests = Vec<(u64, u64)>;

/// What was read after everybody had settled.
#[derive(Debug, Clone, Default)]
pub struct Finals {
    /// The logs.
    pub logs: HashMap<Channel, FinalLog>,
    /// The same from the other addresses: number and digest of each event.
    pub copies: Vec<(usize, Channel, Digests)>,
    /// State, from every address.
    pub states: Vec<(usize, Snapshot)>,
}

/// All that is known of a run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// In the order of their times.
    pub records: Vec<Record>,
    /// What was read at the end.
    pub finals: Finals,
}

/// Takes records from all clients.
pub struct Recorder {
    began: Instant,
    records: Mutex<Vec<Record>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { began: Instant::now(), records: Mutex::new(Vec::new()) }
    }
}

impl Recorder {
    /// Writes it down.
    pub fn record(&self, what: What) {
        let mut records = self.records.lock();
        // Under the lock: the order of the records is that of their times.
        let at = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        records.push(Record { at, what });
    }

    /// A few figures for whoever waits: acknowledged commands, events, faults begun, since record `from`; and how many
    /// records there are.
    pub fn progress(&self, from: usize) -> ([usize; 3], usize) {
        let records = self.records.lock();
        let mut counts = [0; 3];
        for record in records.iter().skip(from) {
            match record.what {
                What::Ok(_) => counts[0] += 1,
                What::Event { .. } => counts[1] += 1,
                What::Fault { on: true, .. } => counts[2] += 1,
                _ => {}
            }
        }
        (counts, records.len())
    }

    /// All so far.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.records.lock())
    }
}

impl History {
    /// One JSON object per line: the records, then the logs.
    pub fn write(&self, mut out: impl Write) -> std::io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            what: &'static str,
            channel: Channel,
            epoch: &'a str,
            offset: u64,
            content: u64,
            #[serde(flatten)]
            record: &'a EventRecord,
        }
        for record in &self.records {
            serde_json::to_writer(&mut out, record)?;
            out.write_all(b"\n")?;
        }
        for (channel, log) in &self.finals.logs {
            for Logged { offset, record, content } in &log.events {
                let (channel, epoch) = (*channel, log.epoch.as_str());
                let line = Line { what: "log", channel, epoch, offset: *offset, content: *content, record };
                serde_json::to_writer(&mut out, &line)?;
                out.write_all(b"\n")?;
            }
        }
        out.flush()
    }
}

/// A digest of JSON that does not depend on the order of keys.
pub fn digest(value: &Value) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    match value {
        Value::Object(fields) => {
            let sum = fields.iter().fold(0_u64, |sum, (key, field)| {
                let mut hasher = DefaultHasher::new();
                (key, digest(field)).hash(&mut hasher);
                sum.wrapping_add(hasher.finish())
            });
            (5_u8, fields.len(), sum).hash(&mut hasher);
        }
        Value::Array(items) => (4_u8, items.iter().map(digest).collect::<Vec<_>>()).hash(&mut hasher),
        Value::String(text) => (3_u8, text).hash(&mut hasher),
        Value::Number(number) => (2_u8, number.to_string()).hash(&mut hasher),
        Value::Bool(value) => (1_u8, value).hash(&mut hasher),
        Value::Null => 0_u8.hash(&mut hasher),
    }
    hasher.finish()
}
