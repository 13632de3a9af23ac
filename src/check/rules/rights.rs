//! Who was put out of a room changes nothing in it and sees nothing of it.

use foldhash::HashMap;
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::super::history::What;
use super::super::state::View;
use super::index::Index;
use super::{Findings, Rule, seconds};

/// Somebody was let in or put out.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// The number of that event.
    offset: u64,
    inside: bool,
    /// When the command was first sent.
    sent: u64,
}

type Changes = HashMap<(Channel, Uuid), Vec<Change>>;

pub fn check(index: &Index<'_>, findings: &mut Findings) {
    let changes = changes(index);
    for (channel, log) in &index.history.finals.logs {
        for event in &log.events {
            let Some(actor) = event.record.actor else { continue };
            if let Some(removal) = put_out(&changes, (*channel, actor), event.offset) {
                findings.add(Rule::WriteAfterRevocation, || {
                    let (name, offset) = (event.record.event.name(), event.offset);
                    format!("{channel}: {name} {offset} is by {actor}, who was put out by event {}", removal.offset)
                });
            }
        }
    }
    for record in &index.history.records {
        match &record.what {
            What::Event { conn, channel, offset, .. } => {
                let Some(connection) = index.connections.get(conn) else { continue };
                let person = connection.person;
                let Some(removal) = put_out(&changes, (*channel, person), *offset) else { continue };
                // Who is let in again may read what happened meanwhile, and that they are in.
                let again = changes.get(&(*channel, person)).into_iter().flatten();
                let again = again.filter(|change| change.inside && change.offset >= *offset);
                if !again.into_iter().any(|change| change.sent <= record.at) {
                    findings.add(Rule::ReadAfterRevocation, || {
                        let (when, removed) = (seconds(record.at), removal.offset);
                        format!(
                            "{channel}: event {offset} came at {when} to {person}, who was put out by event {removed}"
                        )
                    });
                }
            }
            What::Loaded { person, snapshots, .. } => {
                for snapshot in snapshots.iter().filter(|snapshot| matches!(snapshot.state, View::Room(_))) {
                    let (channel, offset) = (snapshot.position.channel, snapshot.position.offset);
                    if let Some(removal) = put_out(&changes, (channel, *person), offset + 1) {
                        findings.add(Rule::ReadAfterRevocation, || {
                            let removed = removal.offset;
                            format!("{channel}: {person} was shown the room as of event {offset} and was put out by event {removed}")
                        });
                    }
                }
            }
            _ => {}
        }
    }
}

fn changes(index: &Index<'_>) -> Changes {
    let mut changes = Changes::default();
    for (channel, log) in &index.history.finals.logs {
        for event in &log.events {
            let (person, inside) = match &event.record.event {
                Event::MemberAdded(member) => (member.user_id, true),
                Event::MemberRemoved(member) => (member.user_id, false),
                _ => continue,
            };
            let command = event.record.op.and_then(|op| index.commands.get(&op));
            let change = Change { offset: event.offset, inside, sent: command.map_or(0, |command| command.at) };
            changes.entry((*channel, person)).or_default().push(change);
        }
    }
    changes
}

/// The removal that stands when event `offset` happens, if one does.
fn put_out(changes: &Changes, key: (Channel, Uuid), offset: u64) -> Option<Change> {
    let changes = changes.get(&key)?;
    let before = changes.partition_point(|change| change.offset < offset);
    changes[..before].last().copied().filter(|change| !change.inside)
}
