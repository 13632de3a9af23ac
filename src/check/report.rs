//! What a person reads at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use studyhall_protocol::Channel;

use super::history::{Ending, History, Record, What};
use super::rules::{Findings, Rule};
use super::run::{self, Settings};

/// The verdict, and what it rests on.
pub struct Report {
    settings: Settings,
    name: String,
    /// What came out.
    pub findings: Findings,
    /// What was done.
    pub figures: Figures,
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Commands that were sent.
    pub commands: usize,
    /// Of those by `rpc`.
    pub by_rpc: usize,
    /// Commands that were done.
    pub done: usize,
    /// Commands that were refused.
    pub refused: usize,
    /// Commands that somebody did not know the outcome of for a while.
    pub unknown: usize,
    /// Of those: done after all.
    pub unknown_done: usize,
    /// All acknowledgements, of repeated commands too.
    pub acks: usize,
    /// Why commands were refused or unknown, and how often.
    pub reasons: BTreeMap<String, usize>,
    /// Connections.
    pub connections: usize,
    /// Of those: broken off.
    pub lost: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Of those: went on from where they were.
    pub resumed: usize,
    /// Times that state was loaded.
    pub loads: usize,
    /// Events that came.
    pub events: usize,
    /// Events in all logs.
    pub logged: usize,
    /// Joins and leaves that came.
    pub moves: usize,
    /// By name: how often, the longest pause between acknowledgements anywhere, and at addresses that were not hit; in
    /// microseconds.
    pub faults: BTreeMap<String, (usize, u64, Option<u64>)>,
    /// The longest pause between acknowledgements without a fault, in microseconds.
    pub pause: u64,
    /// From an acknowledgement to each subscriber: the middle one, the 99th of a hundred, the longest; in microseconds.
    pub lag: [u64; 3],
    /// From the moment when all was mended until everybody was complete, in microseconds.
    pub converged: Option<u64>,
}

impl Report {
    /// Counts what was done.
    pub fn new(settings: &Settings, name: String, history: &History, findings: Findings) -> Self {
        Self { settings: settings.clone(), name, findings, figures: Figures::of(history) }
    }
}

impl Figures {
    fn of(history: &History) -> Self {
        let mut figures = Self::default();
        let (mut done, mut refused, mut unknown) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut healed = None;
        for Record { at, what } in &history.records {
            match what {
                What::Invoke(invoke) => {
                    figures.commands += 1;
                    figures.by_rpc += usize::from(invoke.conn.is_some());
                }
                What::Ok(ack) => {
                    figures.acks += 1;
                    done.insert(ack.op);
                }
                What::Refused { op, code } => {
                    refused.insert(*op);
                    *figures.reasons.entry(format!("refused: {code}")).or_default() += 1;
                }
                What::Unknown { op, why } => {
                    unknown.insert(*op);
                    *figures.reasons.entry(format!("unknown: {why}")).or_default() += 1;
                }
                What::Connected { .. } => figures.connections += 1,
                What::Closed { how, .. } => figures.lost += usize::from(*how != Ending::Clean),
                What::Subscribed(granted) => {
                    figures.subscriptions += 1;
                    figures.resumed += usize::from(granted.recovered);
                }
                What::Loaded { .. } => figures.loads += 1,
                What::Event { .. } => figures.events += 1,
                What::Joined { .. } | What::Left { .. } => figures.moves += 1,
                What::Healed => healed = Some(*at),
                What::Settled => figures.converged = healed.map(|healed| last_event(history, healed) - healed),
                _ => {}
            }
        }
        figures.unknown_done = unknown.intersection(&done).count();
        (figures.done, figures.refused, figures.unknown) =
            (done.len(), refused.difference(&done).count(), unknown.len());
        figures.logged = history.finals.logs.values().map(|log| log.events.len()).sum();
        figures.lag = lag(history);
        figures.pauses(history);
        figures
    }

    /// Longest times without an acknowledgement, by the faults that fell into them.
    fn pauses(&mut self, history: &History) {
        struct Gap {
            url: usize,
            from: u64,
            until: u64,
        }
        let (mut last, mut anywhere) = (HashMap::new(), None);
        let (mut gaps, mut all) = (Vec::new(), Vec::new());
        // Acknowledgements of the time before there was a first connection say nothing.
        let work = history.records.iter().skip_while(|record| !matches!(record.what, What::Connected { .. }));
        for Record { at, what } in work.take_while(|record| !matches!(record.what, What::Healed)) {
            if let What::Ok(ack) = what {
                let from = last.insert(ack.url, *at);
                gaps.extend(from.map(|from| Gap { url: ack.url, from, until: *at }));
                let from = anywhere.replace(*at);
                all.extend(from.map(|from| (from, *at)));
            }
        }
        let spans = fault_spans(&history.records);
        for (name, url, from, until) in &spans {
            let overlaps = |start: u64, end: u64| start < until + AFTER && end > *from;
            let longest =
                all.iter().filter(|(start, end)| overlaps(*start, *end)).map(|(start, end)| end - start).max();
            // An address that was hit itself a moment ago says nothing about this fault.
            let own = |gap: &&Gap| {
                let hit = |span: &&(&str, Option<usize>, u64, u64)| span.1 == Some(gap.url);
                spans.iter().filter(hit).any(|(_, _, from, until)| gap.from < until + AFTER && gap.until > *from)
            };
            let others = gaps.iter().filter(|gap| overlaps(gap.from, gap.until) && !own(gap));
            let elsewhere = url.and_then(|_| others.map(|gap| gap.until - gap.from).max());
            let entry = self.faults.entry(name.to_string()).or_default();
            entry.0 += 1;
            entry.1 = entry.1.max(longest.unwrap_or_default());
            entry.2 = entry.2.max(elsewhere);
        }
        let calm = all
            .iter()
            .filter(|(start, end)| !spans.iter().any(|(_, _, from, until)| *start < until + AFTER && *end > *from));
        self.pause = calm.map(|(start, end)| end - start).max().unwrap_or_default();
    }
}

/// What comes so long after a fault may still be its doing.
const AFTER: u64 = 2_000_000;

/// Name, address, from, until.
fn fault_spans(records: &[Record]) -> Vec<(&str, Option<usize>, u64, u64)> {
    let (mut open, mut spans) = (HashMap::new(), Vec::new());
    for Record { at, what } in records {
        match what {
            What::Fault { name, on: true, url } => _ = open.insert(&**name, (*url, *at)),
            What::Fault { name, on: false, .. } => {
                spans.extend(open.remove(&**name).map(|(url, from)| (&**name, url, from, *at)));
            }
            _ => {}
        }
    }
    spans
}

/// When the last event came between `healed` and the end of settling.
fn last_event(history: &History, healed: u64) -> u64 {
    let after = history.records.iter().skip_while(|record| record.at < healed);
    let settling = after.take_while(|record| !matches!(record.what, What::Settled));
    settling.filter(|record| matches!(record.what, What::Event { .. })).last().map_or(healed, |record| record.at)
}

/// From the first acknowledgement of an event to each arrival after it, over subscriptions that were open already.
fn lag(history: &History) -> [u64; 3] {
    let mut known: HashMap<(Channel, u64), u64> = HashMap::new();
    let mut since: HashMap<(u32, Channel), u64> = HashMap::new();
    let mut lags = Vec::new();
    for Record { at, what } in &history.records {
        match what {
            What::Subscribed(granted) => _ = since.insert((granted.conn, granted.position.channel), *at),
            What::Ok(ack) => ack.positions.iter().for_each(|position| {
                known.entry((position.channel, position.offset)).or_insert(*at);
            }),
            What::Event { conn, channel, offset, .. } => {
                let acknowledged = known.get(&(*channel, *offset)).copied();
                let live =
                    since.get(&(*conn, *channel)).is_some_and(|since| acknowledged.is_none_or(|ack| ack > *since));
                // What came before its acknowledgement did not wait.
                lags.extend(live.then(|| acknowledged.map_or(0, |acknowledged| at - acknowledged)));
            }
            _ => {}
        }
    }
    lags.sort_unstable();
    let at = |part: usize| lags.get((lags.len() * part / 100).min(lags.len().saturating_sub(1))).copied().unwrap_or(0);
    [at(50), at(99), at(100)]
}

fn ms(micros: u64) -> String {
    if micros < 10_000 { format!("{:.1} ms", micros as f64 / 1e3) } else { format!("{} ms", micros / 1_000) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, figures, findings, .. } = self;
        let devices = run::devices(settings.people);
        writeln!(f, "\nwhat was done")?;
        writeln!(f, "  {} people on {devices} devices for {} s", settings.people, settings.seconds)?;
        let Figures { commands, by_rpc, done, refused, unknown, unknown_done, acks, .. } = figures;
        writeln!(f, "  commands    {commands}: {by_rpc} by rpc, {} by REST", commands - by_rpc)?;
        writeln!(
            f,
            "  answers     {done} done, {refused} refused; {} were sent again and answered the same",
            acks - done
        )?;
        writeln!(f, "  unknown     {unknown} for a while; of those {unknown_done} turned out to be done")?;
        for (reason, count) in &figures.reasons {
            writeln!(f, "              {count:>6} × {reason}")?;
        }
        let Figures { connections, lost, subscriptions, resumed, loads, events, logged, moves, .. } = figures;
        writeln!(
            f,
            "  connections {connections}, {lost} of them lost; {subscriptions} subscriptions, {resumed} resumed"
        )?;
        writeln!(
            f,
            "  events      {logged} in the logs, {events} came to subscribers; {moves} joins and leaves; {loads} loads"
        )?;
        let [middle, most, longest] = figures.lag.map(ms);
        writeln!(f, "  lag         from acknowledgement to subscriber: p50 {middle}, p99 {most}, longest {longest}")?;
        if let Some(converged) = figures.converged {
            writeln!(f, "  in the end  everybody complete {} after the last fault was taken back", ms(converged))?;
        }
        writeln!(f, "  pauses      longest time without an acknowledgement: {} without a fault", ms(figures.pause))?;
        for (name, (count, longest, elsewhere)) in &figures.faults {
            let elsewhere = elsewhere.map(|pause| format!(", {} at the other addresses", ms(pause)));
            writeln!(f, "              {} around {name} (× {count}){}", ms(*longest), elsewhere.unwrap_or_default())?;
        }
        writeln!(f, "\nrules")?;
        for rule in Rule::ALL {
            let (count, examples) = findings.of(*rule);
            if count == 0 {
                writeln!(f, "  ok    {:<26} {}", rule.name(), rule.meaning())?;
                continue;
            }
            writeln!(f, "  FAIL  {:<26} {} Broken {count} ×:", rule.name(), rule.meaning())?;
            examples.iter().try_for_each(|example| writeln!(f, "          · {example}"))?;
        }
        let broken = findings.broken().len();
        let verdict = match broken {
            0 => "no rule was broken".to_owned(),
            1 => "1 rule was broken".to_owned(),
            _ => format!("{broken} rules were broken"),
        };
        writeln!(f, "\nverdict: {verdict}")?;
        if settings.keep {
            writeln!(f, "kept:    the rooms, lists and posts of {}-0 to -{}", self.name, settings.people - 1)?;
        } else {
            let last = settings.people - 1;
            writeln!(f, "left:    the accounts {0}-0 to {0}-{last}; accounts cannot be deleted by REST", self.name)?;
        }
        write!(f, "seed:    {}", settings.seed)
    }
}
