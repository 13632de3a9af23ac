//! Rules about who is shown in a room.
//!
//! A person is there while any connection of theirs has the room subscribed, and for a while after: 1.5 seconds when the
//! last of them said goodbye and nothing was broken, 30 seconds otherwise. Who has been there for five seconds, with nothing
//! broken, is shown. What answers of the deployment took at most is added to each: a machine that has too much to do is late
//! with everything, and so are we if it is the same one.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt, HashSet};
use studyhall_protocol::Channel;
use uuid::Uuid;

use super::super::history::{Ending, Subscribed, What};
use super::index::{Index, Outcome};
use super::{Findings, Rule, seconds};

const SECOND: u64 = 1_000_000;
/// What our own clocks may add.
const SLACK: u64 = SECOND;
/// After a goodbye.
const CLEAN: u64 = 3 * SECOND / 2;
/// After anything else.
const LOST: u64 = 30 * SECOND;
/// Until somebody is shown.
const SOON: u64 = 5 * SECOND;
/// A fault has consequences for so long.
const AFTERMATH: u64 = 15 * SECOND;

/// From, until.
type Span = (u64, u64);

/// From, until, and whether it ended with a goodbye.
type Stay = (u64, u64, bool);

/// Spans in which somebody is there, or is shown to be.
#[derive(Default)]
struct Rooms {
    /// By room and person.
    there: HashMap<(Channel, Uuid), Vec<Stay>>,
    /// Subscriptions that have begun, by connection and room.
    begun: BTreeMap<(u32, Channel), u64>,
    /// What connections are shown now, and since when.
    watching: BTreeMap<(u32, Channel), Watch>,
    /// What they were shown.
    watched: Vec<(u32, Channel, Watch, u64)>,
}

/// What one subscription shows.
#[derive(Default)]
struct Watch {
    since: u64,
    now: HashMap<Uuid, u64>,
    before: HashMap<Uuid, Vec<Span>>,
}

pub fn check(index: &Index<'_>, findings: &mut Findings) {
    let mut rooms = Rooms::default();
    let mut end = 0;
    for record in &index.history.records {
        end = record.at;
        rooms.see(index, record.at, &record.what, findings);
    }
    let left: Vec<(u32, Channel)> = rooms.begun.keys().chain(rooms.watching.keys()).copied().collect();
    left.into_iter().for_each(|(conn, channel)| rooms.over(index, (conn, channel), end, false));
    let faults = faults(index, end);
    let slack = SLACK + longest_answer(index);
    ghosts(&rooms, &faults, slack, findings);
    missing(index, &rooms, (&faults, slack), findings);
}

/// How long the slowest command took of those that were answered at once.
fn longest_answer(index: &Index<'_>) -> u64 {
    let unknown = index.history.records.iter().filter_map(|record| match &record.what {
        What::Unknown { op, .. } => Some(*op),
        _ => None,
    });
    let unknown: HashSet<Uuid> = unknown.collect();
    let answered = index.commands.values().filter(|command| !unknown.contains(&command.invoke.op));
    let took = answered.filter_map(|command| match command.outcome {
        Outcome::Done(at, _) => Some(at - command.at),
        _ => None,
    });
    took.max().unwrap_or_default()
}

impl Rooms {
    fn see(&mut self, index: &Index<'_>, at: u64, what: &What, findings: &mut Findings) {
        match what {
            What::Subscribing { conn, channel: channel @ Channel::Workspace(_) } => {
                self.begun.insert((*conn, *channel), at);
            }
            What::Declined { conn, channel, .. } => _ = self.begun.remove(&(*conn, *channel)),
            What::Subscribed(granted) => {
                let Subscribed { conn, position, people: Some(people), .. } = &**granted else { return };
                let watch = Watch { since: at, now: people.iter().map(|id| (*id, at)).collect(), ..Watch::default() };
                self.watching.insert((*conn, position.channel), watch);
            }
            What::Shown { conn, channel, people } => {
                let Some(watch) = self.watching.get_mut(&(*conn, *channel)) else { return };
                let gone: Vec<Uuid> = watch.now.keys().filter(|id| !people.contains(id)).copied().collect();
                gone.into_iter().for_each(|id| watch.leave(id, at));
                people.iter().for_each(|id| _ = watch.now.entry(*id).or_insert(at));
            }
            What::Joined { conn, channel, person } => {
                let Some(watch) = self.watching.get_mut(&(*conn, *channel)) else { return };
                // Whoever comes is listed in the reply, and told of their own coming as everybody is.
                let me = index.connections.get(conn).is_some_and(|connection| connection.person == *person);
                if watch.now.insert(*person, at).is_some() && !me {
                    findings.add(Rule::PresenceAlternation, || {
                        format!(
                            "{channel}: at {} connection {conn} was told that {person} came, who was there",
                            seconds(at)
                        )
                    });
                }
            }
            What::Left { conn, channel, person } => {
                let Some(watch) = self.watching.get_mut(&(*conn, *channel)) else { return };
                if !watch.now.contains_key(person) {
                    findings.add(Rule::PresenceAlternation, || {
                        format!(
                            "{channel}: at {} connection {conn} was told that {person} left, who was not there",
                            seconds(at)
                        )
                    });
                }
                watch.leave(*person, at);
            }
            What::Unsubscribing { conn, channel } => self.over(index, (*conn, *channel), at, true),
            // As we asked for: it ended for us when we asked, and may have begun anew since.
            What::Unsubscribed { code: 0, .. } => {}
            // Put out: that leaves no trace, as a goodbye.
            What::Unsubscribed { conn, channel, .. } => self.over(index, (*conn, *channel), at, true),
            What::Closed { conn, how } => {
                let range = (*conn, Channel::User(Uuid::nil()))..=(*conn, Channel::Workspace(Uuid::max()));
                let open = self.begun.range(range.clone()).map(|(key, _)| *key);
                let open: Vec<_> = open.chain(self.watching.range(range).map(|(key, _)| *key)).collect();
                open.into_iter().for_each(|key| self.over(index, key, at, *how == Ending::Clean));
            }
            _ => {}
        }
    }

    fn over(&mut self, index: &Index<'_>, key: (u32, Channel), at: u64, clean: bool) {
        if let (Some(began), Some(connection)) = (self.begun.remove(&key), index.connections.get(&key.0)) {
            self.there.entry((key.1, connection.person)).or_default().push((began, at, clean));
        }
        if let Some(mut watch) = self.watching.remove(&key) {
            let people: Vec<Uuid> = watch.now.keys().copied().collect();
            people.into_iter().for_each(|person| watch.leave(person, at));
            self.watched.push((key.0, key.1, watch, at));
        }
    }
}

impl Watch {
    fn leave(&mut self, person: Uuid, at: u64) {
        if let Some(since) = self.now.remove(&person) {
            self.before.entry(person).or_default().push((since, at));
        }
    }
}

/// When something was broken, or still had consequences of that.
fn faults(index: &Index<'_>, end: u64) -> Vec<Span> {
    let mut open: HashMap<&str, u64> = HashMap::new();
    let mut spans = Vec::new();
    for record in &index.history.records {
        match &record.what {
            What::Fault { name, on: true, .. } => _ = open.insert(name, record.at),
            What::Fault { name, on: false, .. } => {
                spans.extend(open.remove(&**name).map(|since| (since, record.at + AFTERMATH)));
            }
            _ => {}
        }
    }
    spans.extend(open.into_values().map(|since| (since, end)));
    merge(spans)
}

fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for (from, until) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => merged.push((from, until)),
        }
    }
    merged
}

/// What is left of `span` without `others`, which are in order and apart.
fn without(span: Span, others: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    let mut from = span.0;
    let first = others.partition_point(|other| other.1 <= span.0);
    for other in others[first..].iter().take_while(|other| other.0 < span.1) {
        if other.0 > from {
            left.push((from, other.0));
        }
        from = from.max(other.1);
    }
    if from < span.1 {
        left.push((from, span.1));
    }
    left
}

fn ghosts(rooms: &Rooms, faults: &[Span], slack: u64, findings: &mut Findings) {
    let bounded = |(from, until, clean): &Stay| {
        let near = without((until.saturating_sub(SOON), until + CLEAN), faults);
        let calm = near == [(until.saturating_sub(SOON), until + CLEAN)];
        let bound = if *clean && calm { CLEAN } else { LOST };
        (*from, until + bound + slack)
    };
    let may: HashMap<_, Vec<Span>> =
        rooms.there.iter().map(|(key, spans)| (*key, merge(spans.iter().map(bounded).collect()))).collect();
    for (conn, channel, watch, _) in &rooms.watched {
        for (person, shown) in &watch.before {
            let may = may.get(&(*channel, *person)).map_or(&[][..], Vec::as_slice);
            for span in shown {
                if let Some((from, until)) = without(*span, may).first() {
                    findings.add(Rule::PresenceGhost, || {
                        let (from, until) = (seconds(*from), seconds(*until));
                        format!(
                            "{channel}: connection {conn} was shown {person} from {from} to {until}, beyond the bound"
                        )
                    });
                }
            }
        }
    }
}

fn missing(index: &Index<'_>, rooms: &Rooms, (faults, slack): (&[Span], u64), findings: &mut Findings) {
    let mut there: HashMap<Channel, Vec<(Uuid, Vec<Span>)>> = HashMap::new();
    for ((channel, person), spans) in &rooms.there {
        let spans = merge(spans.iter().map(|(from, until, _)| (*from, *until)).collect());
        there.entry(*channel).or_default().push((*person, spans));
    }
    for (conn, channel, watch, end) in &rooms.watched {
        let me = index.connections.get(conn).map(|connection| connection.person);
        for (person, spans) in there.get(channel).into_iter().flatten().filter(|(person, _)| Some(*person) != me) {
            let shown = watch.before.get(person).cloned().map(merge).unwrap_or_default();
            let first = spans.partition_point(|span| span.1 <= watch.since);
            for span in spans[first..].iter().take_while(|span| span.0 < *end) {
                let both = (span.0.max(watch.since), span.1.min(*end));
                let unseen = without(both, &shown).into_iter().flat_map(|span| without(span, faults));
                for (from, until) in unseen.filter(|(from, until)| until - from > SOON + slack) {
                    findings.add(Rule::PresenceMissing, || {
                        let (from, until) = (seconds(from), seconds(until));
                        format!(
                            "{channel}: connection {conn} was not shown {person}, who was there, from {from} to {until}"
                        )
                    });
                }
            }
        }
    }
}
