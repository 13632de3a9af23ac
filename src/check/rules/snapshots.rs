//! What was loaded is what the log adds up to at that position. One pass over each log.

use foldhash::HashMap;
use studyhall_protocol::Channel;

use super::super::history::What;
use super::super::state::{Snapshot, State};
use super::index::Index;
use super::{Findings, Rule, seconds};

/// Something that was shown: during the run, or at the end by an address.
struct Shown<'a> {
    snapshot: &'a Snapshot,
    by: By,
}

enum By {
    Load(u64),
    End(usize),
}

pub fn check(index: &Index<'_>, findings: &mut Findings) {
    let mut shown: HashMap<Channel, Vec<Shown<'_>>> = HashMap::default();
    for record in &index.history.records {
        if let What::Loaded { snapshots, .. } = &record.what {
            for snapshot in snapshots {
                let by = By::Load(record.at);
                shown.entry(snapshot.position.channel).or_default().push(Shown { snapshot, by });
            }
        }
    }
    for (url, snapshot) in &index.history.finals.states {
        shown.entry(snapshot.position.channel).or_default().push(Shown { snapshot, by: By::End(*url) });
    }
    for (channel, mut all) in shown {
        all.sort_by_key(|shown| shown.snapshot.position.offset);
        fold(index, channel, &all, findings);
    }
}

fn fold(index: &Index<'_>, channel: Channel, all: &[Shown<'_>], findings: &mut Findings) {
    let Some(log) = index.log(channel) else { return };
    let (base, mut state) = log.base.clone().unwrap_or((0, State::empty(channel)));
    let mut events = log.events.iter().skip_while(|event| event.offset <= base).peekable();
    for Shown { snapshot, by } in all {
        let offset = snapshot.position.offset;
        while let Some(event) = events.next_if(|event| event.offset <= offset) {
            if !state.apply(&event.record.event) {
                findings.add(Rule::StateNotFoldOfLog, || {
                    format!("{channel}: event {}, {}, belongs elsewhere", event.offset, event.record.event.name())
                });
            }
        }
        let wrong = snapshot.state.differs(&state);
        match by {
            By::Load(at) => {
                if let Some(wrong) = wrong {
                    findings.add(Rule::TornSnapshot, || {
                        format!("{channel}: what was loaded at {} as of event {offset}: {wrong}", seconds(*at))
                    });
                }
            }
            By::End(url) => {
                let head = index.head(channel);
                let behind = (offset != head).then(|| format!("it says event {offset}, the log ends at {head}"));
                if let Some(wrong) = wrong.or(behind) {
                    findings.add(Rule::StateNotFoldOfLog, || {
                        format!("{channel}: what address {url} shows at the end: {wrong}")
                    });
                }
            }
        }
    }
}
