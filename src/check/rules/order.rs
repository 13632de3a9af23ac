//! Rules about real time: what was known before comes before, in logs and in what is loaded.

use foldhash::{HashMap, HashMapExt};
use studyhall_protocol::Channel;
use uuid::Uuid;

use super::super::history::What;
use super::index::{Index, Outcome};
use super::{Findings, Rule, seconds};

/// How far each channel's log was known to reach.
#[derive(Default)]
struct Known {
    /// By an acknowledgement or an event.
    told: HashMap<Channel, u64>,
    /// By state that was loaded.
    loaded: HashMap<Channel, u64>,
}

pub fn check(index: &Index<'_>, findings: &mut Findings) {
    let mut channels_of_loads: HashMap<u32, Vec<Channel>> = HashMap::new();
    for record in &index.history.records {
        if let What::Loaded { load, snapshots, .. } = &record.what {
            channels_of_loads.insert(*load, snapshots.iter().map(|snapshot| snapshot.position.channel).collect());
        }
    }
    let mut known = Known::default();
    let mut before: HashMap<u32, Vec<(u64, u64)>> = HashMap::new();
    for record in &index.history.records {
        match &record.what {
            What::Ok(ack) => ack.positions.iter().for_each(|at| raise(&mut known.told, at.channel, at.offset)),
            What::Event { channel, offset, .. } => raise(&mut known.told, *channel, *offset),
            What::Invoke(invoke) => sent(index, invoke.op, record.at, &known, findings),
            What::Load { load } => {
                let channels = channels_of_loads.get(load).into_iter().flatten();
                let floors = channels.map(|channel| (floor(&known.told, *channel), floor(&known.loaded, *channel)));
                before.insert(*load, floors.collect());
            }
            What::Loaded { load, snapshots, .. } => {
                let floors = before.remove(load).unwrap_or_default();
                for (snapshot, (told, loaded)) in snapshots.iter().zip(floors) {
                    let (channel, offset) = (snapshot.position.channel, snapshot.position.offset);
                    let when = seconds(record.at);
                    if offset < told {
                        findings.add(Rule::StaleSnapshot, || {
                            format!("{channel}: what came at {when} shows event {offset}; before it was asked for, event {told} was known")
                        });
                    }
                    if offset < loaded {
                        findings.add(Rule::SnapshotWentBack, || {
                            format!(
                                "{channel}: what came at {when} shows event {offset}; event {loaded} was shown before"
                            )
                        });
                    }
                    raise(&mut known.loaded, channel, offset);
                }
            }
            _ => {}
        }
    }
    pipelines(index, findings);
}

fn raise(known: &mut HashMap<Channel, u64>, channel: Channel, offset: u64) {
    let floor = known.entry(channel).or_default();
    *floor = offset.max(*floor);
}

fn floor(known: &HashMap<Channel, u64>, channel: Channel) -> u64 {
    known.get(&channel).copied().unwrap_or_default()
}

/// A command is sent now: all its events come after what is known now.
fn sent(index: &Index<'_>, op: Uuid, at: u64, known: &Known, findings: &mut Findings) {
    for (channel, event) in index.effects(op) {
        let floor = floor(&known.told, *channel).max(floor(&known.loaded, *channel));
        if event.offset <= floor {
            findings.add(Rule::RealTimeInversion, || {
                let (when, offset) = (seconds(at), event.offset);
                format!(
                    "{}, sent at {when}, is event {offset} of {channel}; event {floor} was known before",
                    index.name(op)
                )
            });
        }
    }
}

/// Commands that were sent and answered on the same connection.
fn pipelines(index: &Index<'_>, findings: &mut Findings) {
    let mut last: HashMap<(u32, Channel), (u64, Uuid)> = HashMap::new();
    for op in &index.sent {
        let Some(command) = index.commands.get(op) else { continue };
        let Outcome::Done(_, ack) = command.outcome else { continue };
        let Some(conn) = command.invoke.conn.filter(|conn| ack.conn == Some(*conn)) else { continue };
        for (channel, event) in index.effects(*op) {
            let (offset, by) = last.entry((conn, *channel)).or_insert((0, *op));
            if event.offset < *offset {
                let (before, offset) = (index.name(*by), *offset);
                findings.add(Rule::PipelineOrder, || {
                    let (after, at) = (index.name(*op), event.offset);
                    format!("{channel}: {after} is event {at}, though {before}, event {offset}, was sent before it on connection {conn}")
                });
            }
            if event.offset >= *offset {
                (*offset, *by) = (event.offset, *op);
            }
        }
    }
}
