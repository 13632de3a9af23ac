//! One change for every rule, each of which a right checker must notice.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use studyhall_protocol::Channel;
use uuid::Uuid;

use super::super::history::{Ending, History, Invoke, Record, What};
use super::super::rules::Rule;
use super::generate::EPOCH;
use super::loads::{back, stale, state, torn};
use super::people::{comes_twice, ghost, late_load, late_read, late_write, leaves_twice, missing};

/// What it is called, which rules may notice it, and how it is done; whether there was anything to change.
pub struct Mutation {
    /// For people.
    pub name: &'static str,
    /// One of them has to be broken by it.
    pub rules: &'static [Rule],
    /// Makes the change.
    pub make: fn(&mut History, &mut StdRng) -> bool,
}

macro_rules! mutations {
    ($($name:literal => [$($rule:ident),+] $make:ident;)*) => {
        /// All of them.
        pub const MUTATIONS: &[Mutation] =
            &[$(Mutation { name: $name, rules: &[$(Rule::$rule),+], make: $make }),*];
    };
}

mutations! {
    "an event is missing in the middle of a log" => [LogHole] hole;
    "another address has another log" => [LogsDiffer] copy;
    "a command is done twice" => [DuplicateEffect] twice;
    "an event that nobody asked for" => [Phantom] phantom;
    "a refused command is in the log" => [RefusedButApplied] refused;
    "an answer names the wrong number" => [AckDisagrees] wrong_number;
    "an answer shows other data" => [AckDisagrees] wrong_data;
    "a retry gets another answer" => [AckDisagrees] other_answer;
    "the end of a log is lost" => [LostAck] lost_tail;
    "an acknowledged command is in no log" => [LostAck] lost_effect;
    "a command is never answered" => [Unresolved] unresolved;
    "what was sent later stands earlier" => [RealTimeInversion] inversion;
    "two commands of a pipeline change places" => [PipelineOrder] pipeline;
    "an event after the subscription" => [EventWithoutSubscription] unsubscribed;
    "an event comes twice" => [DuplicateOrReorder] again;
    "two events change places" => [DuplicateOrReorder] reordered;
    "an event does not come" => [Gap] gap;
    "a subscriber gets another event" => [Divergence] divergence;
    "a subscriber does not come to the end" => [NotConverged] behind;
    "a good position is refused" => [SpuriousResync] resync;
    "a client resumes from beyond what it saw" => [HarnessSkip] skip;
    "loaded state mixes two positions" => [TornSnapshot] torn;
    "loaded state is older than an acknowledgement" => [StaleSnapshot] stale;
    "loaded state is older than loaded before" => [SnapshotWentBack] back;
    "state at the end is not that of the log" => [StateNotFoldOfLog] state;
    "somebody writes after they were put out" => [WriteAfterRevocation] late_write;
    "somebody reads after they were put out" => [ReadAfterRevocation] late_read;
    "somebody loads after they were put out" => [ReadAfterRevocation] late_load;
    "somebody comes twice" => [PresenceAlternation] comes_twice;
    "somebody leaves twice" => [PresenceAlternation] leaves_twice;
    "somebody is shown who has gone" => [PresenceGhost] ghost;
    "somebody is not shown who is there" => [PresenceMissing] missing;
    "nothing was broken" => [Vacuous] no_faults;
    "hardly anything was done" => [Vacuous] idle;
}

/// A log with at least so many events.
fn log(history: &History, random: &mut StdRng, least: usize) -> Option<Channel> {
    let logs = history.finals.logs.iter().filter(|(_, log)| log.events.len() >= least);
    let mut channels: Vec<Channel> = logs.map(|(channel, _)| *channel).collect();
    // Maps have no order, and a seed is to mean the same every time.
    channels.sort_unstable();
    channels.into_iter().choose(random)
}

/// The number of a record for which it is so.
pub(super) fn find(history: &History, random: &mut StdRng, is: impl Fn(&What) -> bool) -> Option<usize> {
    history.records.iter().enumerate().filter(|(_, record)| is(&record.what)).map(|(at, _)| at).choose(random)
}

pub(super) fn insert(history: &mut History, at: usize, what: What) -> bool {
    let moment = history.records[at].at;
    history.records.insert(at + 1, Record { at: moment, what });
    true
}

fn hole(history: &mut History, random: &mut StdRng) -> bool {
    let Some(channel) = log(history, random, 3) else { return false };
    let Some(log) = history.finals.logs.get_mut(&channel) else { return false };
    let at = random.random_range(1..log.events.len() - 1);
    log.events.remove(at);
    true
}

fn copy(history: &mut History, random: &mut StdRng) -> bool {
    let all = history.finals.copies.iter_mut().filter(|(_, _, events)| !events.is_empty());
    let Some((_, _, events)) = all.choose(random) else { return false };
    let at = random.random_range(0..events.len());
    events[at].1 ^= 1;
    true
}

fn twice(history: &mut History, random: &mut StdRng) -> bool {
    let Some(channel) = log(history, random, 3) else { return false };
    let Some(log) = history.finals.logs.get_mut(&channel) else { return false };
    let Some(event) = log.events.iter().filter(|event| event.record.op.is_some()).choose(random) else { return false };
    let mut event = event.clone();
    event.offset = log.events.len() as u64 + 1;
    log.events.push(event);
    true
}

fn phantom(history: &mut History, random: &mut StdRng) -> bool {
    let Some(channel) = log(history, random, 3) else { return false };
    let Some(log) = history.finals.logs.get_mut(&channel) else { return false };
    let Some(event) = log.events.iter_mut().filter(|event| event.record.op.is_some()).choose(random) else {
        return false;
    };
    event.record.op = Some(Uuid::from_u128(random.random()));
    true
}

fn refused(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = find(history, random, |what| matches!(what, What::Ok(_))) else { return false };
    let What::Ok(ack) = &history.records[at].what else { return false };
    let op = ack.op;
    history.records.retain(|record| !matches!(&record.what, What::Ok(ack) if ack.op == op));
    let at = history.records.len() - 1;
    insert(history, at, What::Refused { op, code: "not_found".into() })
}

fn ack(history: &mut History, random: &mut StdRng, change: impl Fn(&mut super::super::history::Ack)) -> bool {
    let Some(at) = find(history, random, |what| matches!(what, What::Ok(_))) else { return false };
    let What::Ok(ack) = &mut history.records[at].what else { return false };
    change(ack);
    true
}

fn wrong_number(history: &mut History, random: &mut StdRng) -> bool {
    let many = |what: &What| matches!(what, What::Ok(ack) if ack.positions[0].offset > 1);
    let Some(at) = find(history, random, many) else { return false };
    let What::Ok(ack) = &mut history.records[at].what else { return false };
    ack.positions[0].offset -= 1;
    true
}

fn wrong_data(history: &mut History, random: &mut StdRng) -> bool {
    ack(history, random, |ack| ack.content ^= 1)
}

fn other_answer(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = find(history, random, |what| matches!(what, What::Ok(_))) else { return false };
    let What::Ok(mut again) = history.records[at].what.clone() else { return false };
    again.positions[0].offset += 1;
    let last = history.records.len() - 1;
    insert(history, last, What::Ok(again))
}

fn lost_tail(history: &mut History, random: &mut StdRng) -> bool {
    let Some(channel) = log(history, random, 2) else { return false };
    // What has no author was acknowledged to nobody.
    let Some(log) = history.finals.logs.get_mut(&channel) else { return false };
    while let Some(event) = log.events.pop() {
        if event.record.op.is_some() {
            return true;
        }
    }
    false
}

fn lost_effect(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = find(history, random, |what| matches!(what, What::Ok(_))) else { return false };
    let What::Ok(ack) = history.records[at].what.clone() else { return false };
    // Somebody else's event stands there.
    let other = Uuid::from_u128(random.random());
    for log in history.finals.logs.values_mut() {
        log.events
            .iter_mut()
            .filter(|event| event.record.op == Some(ack.op))
            .for_each(|event| event.record.op = Some(other));
    }
    true
}

fn unresolved(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = find(history, random, |what| matches!(what, What::Ok(_))) else { return false };
    let What::Ok(ack) = history.records[at].what.clone() else { return false };
    history.records.retain(|record| !matches!(&record.what, What::Ok(other) if other.op == ack.op));
    true
}

/// Two events of a log change places, and with them the answers; subscribers see it as it then is.
fn swap(history: &mut History, channel: Channel, a: u64, b: u64) {
    let place = |offset: u64| {
        if offset == a {
            b
        } else if offset == b {
            a
        } else {
            offset
        }
    };
    if let Some(log) = history.finals.logs.get_mut(&channel) {
        log.events.iter_mut().for_each(|event| event.offset = place(event.offset));
        log.events.sort_by_key(|event| event.offset);
    }
    for record in &mut history.records {
        if let What::Ok(ack) = &mut record.what {
            let here = ack.positions.iter_mut().filter(|position| position.channel == channel);
            here.for_each(|position| position.offset = place(position.offset));
        }
    }
}

fn inversion(history: &mut History, random: &mut StdRng) -> bool {
    // The first of these was answered before the second was sent.
    let mut last: Option<(Channel, u64)> = None;
    let mut pairs = Vec::new();
    for record in &history.records {
        match &record.what {
            What::Ok(ack) => last = ack.positions.last().map(|position| (position.channel, position.offset)),
            What::Invoke(invoke) => {
                let events = |channel: &Channel| history.finals.logs.get(channel).map(|log| &log.events);
                let Some((channel, before)) = last else { continue };
                let after = events(&channel).into_iter().flatten().find(|event| event.record.op == Some(invoke.op));
                pairs.extend(after.map(|after| (channel, before, after.offset)));
            }
            _ => {}
        }
    }
    let Some((channel, before, after)) = pairs.into_iter().choose(random) else { return false };
    swap(history, channel, before, after);
    true
}

fn pipeline(history: &mut History, random: &mut StdRng) -> bool {
    // Two commands on one channel are said to have been sent on one connection, the later one first.
    let Some(channel) = log(history, random, 6) else { return false };
    let ops: Vec<Uuid> = history.finals.logs[&channel].events.iter().filter_map(|event| event.record.op).collect();
    let Some(at) = (0..ops.len().saturating_sub(1)).choose(random) else { return false };
    let (first, second) = (ops[at], ops[at + 1]);
    let position = |history: &History, op: Uuid| {
        history.records.iter().position(|record| matches!(&record.what, What::Invoke(invoke) if invoke.op == op))
    };
    let (Some(a), Some(b)) = (position(history, first), position(history, second)) else { return false };
    let whats = (history.records[a].what.clone(), history.records[b].what.clone());
    (history.records[a].what, history.records[b].what) = (whats.1, whats.0);
    let mine = |op: Uuid| op == first || op == second;
    let mut answers = Vec::new();
    for record in &mut history.records {
        match &mut record.what {
            What::Invoke(Invoke { op, conn, .. }) if mine(*op) => *conn = Some(1_000_000),
            What::Ok(ack) if mine(ack.op) => {
                ack.conn = Some(1_000_000);
                answers.push(What::Ok(ack.clone()));
            }
            _ => {}
        }
    }
    // Both were under way when the first answer came: at the end, when everything was.
    history.records.retain(|record| !matches!(&record.what, What::Ok(ack) if mine(ack.op)));
    let last = history.records.len() - 1;
    answers.into_iter().all(|answer| insert(history, last, answer))
}

fn event(history: &History, random: &mut StdRng) -> Option<usize> {
    find(history, random, |what| matches!(what, What::Event { .. }))
}

fn unsubscribed(history: &mut History, random: &mut StdRng) -> bool {
    let closed = |what: &What| matches!(what, What::Closed { how: Ending::Clean, .. });
    let Some(at) = find(history, random, closed) else { return false };
    let What::Closed { conn, .. } = history.records[at].what else { return false };
    let Some(channel) = log(history, random, 1) else { return false };
    let content = history.finals.logs[&channel].events[0].content;
    insert(history, at, What::Event { conn, channel, offset: 1, content })
}

fn again(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = event(history, random) else { return false };
    let what = history.records[at].what.clone();
    insert(history, at, what)
}

fn reordered(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = event(history, random) else { return false };
    let What::Event { conn, channel, .. } = history.records[at].what else { return false };
    let same =
        |record: &Record| matches!(record.what, What::Event { conn: c, channel: ch, .. } if (c, ch) == (conn, channel));
    let Some(next) = history.records[at + 1..].iter().position(same) else { return reordered(history, random) };
    let whats = (history.records[at].what.clone(), history.records[at + 1 + next].what.clone());
    (history.records[at].what, history.records[at + 1 + next].what) = (whats.1, whats.0);
    true
}

fn gap(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = event(history, random) else { return false };
    let What::Event { conn, channel, .. } = history.records[at].what else { return false };
    let same =
        |record: &Record| matches!(record.what, What::Event { conn: c, channel: ch, .. } if (c, ch) == (conn, channel));
    if !history.records[at + 1..].iter().any(same) {
        return gap(history, random);
    }
    history.records.remove(at);
    true
}

fn divergence(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = event(history, random) else { return false };
    let What::Event { content, .. } = &mut history.records[at].what else { return false };
    *content ^= 1;
    true
}

fn behind(history: &mut History, _: &mut StdRng) -> bool {
    let Some(settled) = history.records.iter().position(|record| matches!(record.what, What::Settled)) else {
        return false;
    };
    // The last event of a log, over a connection that is open to the end.
    let open = |at: usize, conn: u32| {
        let closed = |record: &Record| matches!(record.what, What::Closed { conn: other, .. } if other == conn);
        !history.records[at..settled].iter().any(closed)
    };
    let last = history.records[..settled].iter().enumerate().rposition(|(at, record)| match record.what {
        What::Event { conn, channel, offset, .. } => {
            history.finals.logs[&channel].events.len() as u64 == offset && open(at, conn)
        }
        _ => false,
    });
    last.map(|last| history.records.remove(last)).is_some()
}

fn resync(history: &mut History, random: &mut StdRng) -> bool {
    let Some(at) = event(history, random) else { return false };
    let What::Event { conn, channel, offset, .. } = history.records[at].what else { return false };
    insert(history, at, What::Resync { conn, channel, offset, epoch: EPOCH.into() })
}

fn skip(history: &mut History, random: &mut StdRng) -> bool {
    let resumed = |what: &What| matches!(what, What::Subscribed(granted) if granted.recovered);
    let Some(at) = find(history, random, resumed) else { return false };
    let What::Subscribed(granted) = &mut history.records[at].what else { return false };
    granted.since = granted.since.map(|since| since + 3);
    true
}

fn no_faults(history: &mut History, _: &mut StdRng) -> bool {
    history.records.retain(|record| !matches!(record.what, What::Fault { .. }));
    true
}

fn idle(history: &mut History, _: &mut StdRng) -> bool {
    history.records.retain(|record| !matches!(record.what, What::Ok(_)));
    true
}
