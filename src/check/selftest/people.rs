//! Changes for the rules about who was put out and who is shown.

use rand::RngExt;
use rand::rngs::StdRng;
use studyhall_protocol::{Channel, Event, Position};
use uuid::Uuid;

use super::super::history::{History, What};
use super::super::state::Snapshot;
use super::generate::{EPOCH, fold, view};
use super::mutate::{find, insert};

/// A room that somebody was put out of: by which event, who, and the first event after it that they had no right to.
fn removal(history: &History) -> Option<(Channel, u64, Uuid, u64)> {
    let mut channels: Vec<_> = history.finals.logs.iter().collect();
    channels.sort_unstable_by_key(|(channel, _)| **channel);
    channels.into_iter().find_map(|(channel, log)| {
        log.events.windows(2).find_map(|pair| match (&pair[0].record.event, &pair[1].record.event) {
            (Event::MemberRemoved(_), Event::MemberAdded(_)) => None,
            (Event::MemberRemoved(gone), _) => Some((*channel, pair[0].offset, gone.user_id, pair[1].offset)),
            _ => None,
        })
    })
}

pub fn late_write(history: &mut History, _: &mut StdRng) -> bool {
    let Some((channel, _, person, after)) = removal(history) else { return false };
    let log = history.finals.logs.get_mut(&channel);
    let event = log.and_then(|log| log.events.iter_mut().find(|event| event.offset == after));
    event.map(|event| event.record.actor = Some(person)).is_some()
}

/// The record with which the removal was told to somebody.
fn told(history: &History, channel: Channel, removed: u64) -> Option<usize> {
    let is =
        |what: &What| matches!(what, What::Event { channel: c, offset, .. } if (*c, *offset) == (channel, removed));
    history.records.iter().position(|record| is(&record.what))
}

pub fn late_read(history: &mut History, _: &mut StdRng) -> bool {
    let Some((channel, removed, person, after)) = removal(history) else { return false };
    let Some(at) = told(history, channel, removed) else { return false };
    let conn = 1_000_000;
    let content = history.finals.logs[&channel].events.iter().find(|event| event.offset == after);
    let content = content.map_or(0, |event| event.content);
    insert(history, at, What::Event { conn, channel, offset: after, content });
    insert(history, at, What::Connected { conn, client: 99, person, url: 0 })
}

pub fn late_load(history: &mut History, _: &mut StdRng) -> bool {
    let Some((channel, removed, person, _)) = removal(history) else { return false };
    let Some(at) = told(history, channel, removed) else { return false };
    let position = Position { channel, offset: removed, epoch: EPOCH.into() };
    let snapshots = vec![Snapshot { position, state: view(&fold(history, channel, removed)) }];
    insert(history, at, What::Loaded { load: 999_999, client: 99, person, snapshots })
}

pub fn comes_twice(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = find(history, random, |what| matches!(what, What::Joined { .. })) else { return false };
    let what = history.records[at].what.clone();
    insert(history, at, what)
}

pub fn leaves_twice(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = find(history, random, |what| matches!(what, What::Left { .. })) else { return false };
    let what = history.records[at].what.clone();
    insert(history, at, what)
}

/// A connection that has a room open when all have settled, and the room.
fn watcher(history: &History) -> Option<(usize, u32, Channel)> {
    let settled = history.records.iter().position(|record| matches!(record.what, What::Settled))?;
    history.records[..settled].iter().rev().find_map(|record| match &record.what {
        What::Subscribed(granted) if granted.people.is_some() => {
            Some((settled, granted.conn, granted.position.channel))
        }
        _ => None,
    })
}

pub fn ghost(history: &mut History, random: &mut StdRng) -> bool {
    let Some((settled, conn, channel)) = watcher(history) else { return false };
    let person = Uuid::from_u128(random.random());
    insert(history, settled, What::Joined { conn, channel, person })
}

pub fn missing(history: &mut History, _: &mut StdRng) -> bool {
    let Some((settled, conn, channel)) = watcher(history) else { return false };
    // The owner of both rooms is always there; who watches is not compared with themselves.
    let owner = history.records.iter().find_map(|record| match &record.what {
        What::Connected { conn: other, person, .. } if *other != conn => Some(*person),
        _ => None,
    });
    let me = history.records.iter().find_map(|record| match &record.what {
        What::Connected { conn: other, person, .. } if *other == conn => Some(*person),
        _ => None,
    });
    let others = history.records.iter().filter_map(|record| match &record.what {
        What::Connected { person, .. } if Some(*person) != me => Some(*person),
        _ => None,
    });
    // The third person may be outside, the first two never are.
    let inside = others.take(3).next().or(owner);
    inside.is_some_and(|person| insert(history, settled, What::Left { conn, channel, person }))
}
