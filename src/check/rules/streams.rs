//! Rules about what subscribers get.

use foldhash::HashMap;
use studyhall_protocol::Channel;

use super::super::history::{Subscribed, What};
use super::index::Index;
use super::{Findings, Rule, seconds};

/// Where every subscription and every client stands.
#[derive(Default)]
struct Readers {
    /// Open subscriptions, by connection and channel: the last number.
    open: HashMap<(u32, Channel), u64>,
    /// The channels of a connection.
    channels: HashMap<u32, Vec<Channel>>,
    /// What each client knows of a channel, by events or by what it loaded.
    known: HashMap<(u32, Channel), u64>,
}

pub fn check(index: &Index<'_>, findings: &mut Findings) {
    let mut readers = Readers::default();
    for record in &index.history.records {
        match &record.what {
            What::Subscribed(granted) => readers.subscribed(index, granted, record.at, findings),
            What::Event { conn, channel, offset, content } => {
                readers.event(index, (*conn, *channel), (*offset, *content), record.at, findings);
            }
            What::Loaded { client, snapshots, .. } => {
                for snapshot in snapshots {
                    raise(&mut readers.known, (*client, snapshot.position.channel), snapshot.position.offset);
                }
            }
            What::Resync { conn, channel, offset, epoch } => {
                let same = index.log(*channel).is_some_and(|log| log.epoch == **epoch);
                if same && *offset <= index.head(*channel) {
                    findings.add(Rule::SpuriousResync, || {
                        let when = seconds(record.at);
                        format!("{channel}: at {when} connection {conn} was told to load again, though {offset} is in the log")
                    });
                }
            }
            What::Unsubscribed { conn, channel, .. } => _ = readers.open.remove(&(*conn, *channel)),
            What::Closed { conn, .. } => {
                for channel in readers.channels.remove(conn).unwrap_or_default() {
                    readers.open.remove(&(*conn, channel));
                }
            }
            What::Settled => readers.settled(index, findings),
            _ => {}
        }
    }
}

fn raise(known: &mut HashMap<(u32, Channel), u64>, key: (u32, Channel), offset: u64) {
    let last = known.entry(key).or_default();
    *last = offset.max(*last);
}

impl Readers {
    fn subscribed(&mut self, index: &Index<'_>, granted: &Subscribed, at: u64, findings: &mut Findings) {
        let Subscribed { conn, position, since, recovered, .. } = granted;
        let channel = position.channel;
        let client = index.connections.get(conn).map_or(0, |connection| connection.client);
        let begin = match since {
            Some(since) => {
                let known = self.known.get(&(client, channel)).copied().unwrap_or_default();
                if *since > known {
                    findings.add(Rule::HarnessSkip, || {
                        format!("{channel}: at {} client {client} resumed from {since} and knew {known}", seconds(at))
                    });
                }
                let same = index.log(channel).is_some_and(|log| log.epoch == position.epoch);
                if !recovered && same && *since <= index.head(channel) {
                    findings.add(Rule::SpuriousResync, || {
                        let when = seconds(at);
                        format!(
                            "{channel}: at {when} connection {conn} could not resume from {since}, which is in the log"
                        )
                    });
                }
                if *recovered { *since } else { position.offset }
            }
            None => position.offset,
        };
        self.open.insert((*conn, channel), begin);
        self.channels.entry(*conn).or_default().push(channel);
        raise(&mut self.known, (client, channel), begin);
    }

    fn event(
        &mut self,
        index: &Index<'_>,
        (conn, channel): (u32, Channel),
        (offset, content): (u64, u64),
        at: u64,
        findings: &mut Findings,
    ) {
        let when = seconds(at);
        let Some(last) = self.open.get_mut(&(conn, channel)) else {
            findings.add(Rule::EventWithoutSubscription, || {
                format!("{channel}: event {offset} came at {when} to connection {conn}, which is not subscribed")
            });
            return;
        };
        let due = *last + 1;
        if offset < due {
            findings.add(Rule::DuplicateOrReorder, || {
                format!("{channel}: event {offset} came at {when} to connection {conn}, where {due} was due")
            });
        } else if offset > due {
            findings.add(Rule::Gap, || {
                format!(
                    "{channel}: event {offset} came at {when} to connection {conn}, which missed {due} to {}",
                    offset - 1
                )
            });
        }
        *last = offset.max(*last);
        match index.event(channel, offset) {
            Some(event) if event.content == content => {}
            Some(event) => findings.add(Rule::Divergence, || {
                let name = event.record.event.name();
                format!("{channel}: connection {conn} got another event {offset} than the log has, which is {name}")
            }),
            None => findings.add(Rule::Divergence, || {
                format!("{channel}: connection {conn} got an event {offset} at {when}, which no log has")
            }),
        }
        if let Some(connection) = index.connections.get(&conn) {
            raise(&mut self.known, (connection.client, channel), offset);
        }
    }

    fn settled(&self, index: &Index<'_>, findings: &mut Findings) {
        for ((conn, channel), last) in &self.open {
            let head = index.head(*channel);
            if *last < head {
                findings
                    .add(Rule::NotConverged, || format!("{channel}: connection {conn} has come to {last} of {head}"));
            }
        }
    }
}
