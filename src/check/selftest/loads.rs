//! Changes for the rules about what is loaded.

use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use super::super::history::{History, What};
use super::super::state::{Snapshot, View};
use super::generate::{EPOCH, fold, view};
use super::mutate::{find, insert};

/// Loaded state, and what it shows.
fn loaded(history: &History, random: &mut StdRng, least: u64) -> Option<usize> {
    let late = |what: &What| matches!(what, What::Loaded { snapshots, .. } if snapshots[0].position.offset >= least);
    find(history, random, late)
}

pub fn torn(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = loaded(history, random, 1) else { return false };
    let What::Loaded { snapshots, .. } = &history.records[at].what else { return false };
    let position = snapshots[0].position.clone();
    // The state of one event less.
    let mut older = (0..position.offset).rev().map(|offset| view(&fold(history, position.channel, offset)));
    let Some(state) = older.find(|state| *state != snapshots[0].state) else { return false };
    let What::Loaded { snapshots, .. } = &mut history.records[at].what else { return false };
    snapshots[0].state = state;
    true
}

/// Loads again, in that moment, what was the state of one event less.
fn load_older(history: &mut History, at: usize, channel: Channel, offset: u64) -> bool {
    let snapshot = Snapshot {
        position: Position { channel, offset: offset - 1, epoch: EPOCH.into() },
        state: view(&fold(history, channel, offset - 1)),
    };
    insert(history, at, What::Load { load: 999_999 });
    let person = Uuid::nil();
    insert(history, at + 1, What::Loaded { load: 999_999, client: 999, person, snapshots: vec![snapshot] })
}

pub fn stale(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = find(history, random, |what| matches!(what, What::Ok(_))) else { return false };
    let What::Ok(ack) = &history.records[at].what else { return false };
    let (channel, offset) = (ack.positions[0].channel, ack.positions[0].offset);
    load_older(history, at, channel, offset)
}

pub fn back(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = loaded(history, random, 1) else { return false };
    let What::Loaded { snapshots, .. } = &history.records[at].what else { return false };
    let (channel, offset) = (snapshots[0].position.channel, snapshots[0].position.offset);
    load_older(history, at, channel, offset)
}

pub fn state(history: &mut History, random: &mut StdRng) -> bool {
    let full = |snapshot: &Snapshot| match &snapshot.state {
        View::Room(room) => !room.members.is_empty(),
        View::Home(home) => !home.task_lists.is_empty(),
        _ => false,
    };
    let Some((_, snapshot)) = history.finals.states.iter_mut().filter(|(_, snapshot)| full(snapshot)).choose(random)
    else {
        return false;
    };
    match &mut snapshot.state {
        View::Room(room) => room.members.pop_first().is_some(),
        View::Home(home) => home.task_lists.pop_first().is_some(),
        _ => false,
    }
}
