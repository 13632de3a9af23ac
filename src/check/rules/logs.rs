//! Rules about the logs and the answers of commands.

use foldhash::{HashMap, HashSet, HashSetExt};
use serde::Deserialize;
use serde_json::Value;
use studyhall_protocol::posts::PostLikes;
use studyhall_protocol::social::FollowRef;
use studyhall_protocol::tasks::TaskMoved;
use studyhall_protocol::widgets::WidgetMoved;
use studyhall_protocol::{Channel, Event, Position};
use uuid::Uuid;

use super::super::history::{Ack, What, digest};
use super::super::state::State;
use super::index::{Command, Index, Outcome};
use super::{Findings, Rule, seconds};

pub fn check(index: &Index<'_>, findings: &mut Findings) {
    holes(index, findings);
    copies(index, findings);
    effects(index, findings);
    let mut unchanged = Vec::new();
    for op in &index.sent {
        let Some(command) = index.commands.get(op) else { continue };
        match command.outcome {
            Outcome::Unknown => findings.add(Rule::Unresolved, || {
                format!("{}, sent at {}, was never answered for certain", index.name(*op), seconds(command.at))
            }),
            Outcome::Refused(code) => refused(index, *op, code, findings),
            Outcome::Done(at, ack) => acknowledged(index, command, at, ack, &mut unchanged, findings),
        }
    }
    repeated_answers(index, findings);
    hold_unchanged(index, unchanged, findings);
}

fn holes(index: &Index<'_>, findings: &mut Findings) {
    for (channel, log) in &index.history.finals.logs {
        let mut due = 1;
        for event in &log.events {
            if event.offset != due {
                let offset = event.offset;
                findings.add(Rule::LogHole, || format!("{channel}: event {offset} stands where {due} was due"));
            }
            due = event.offset + 1;
        }
    }
}

fn copies(index: &Index<'_>, findings: &mut Findings) {
    for (url, channel, copy) in &index.history.finals.copies {
        let Some(log) = index.log(*channel) else { continue };
        let same = log.events.len() == copy.len()
            && log.events.iter().zip(copy).all(|(event, copy)| (event.offset, event.content) == *copy);
        if !same {
            let first = log.events.iter().zip(copy).position(|(event, copy)| (event.offset, event.content) != *copy);
            let (lengths, at) = ((log.events.len(), copy.len()), first.map_or("the end".into(), |at| at.to_string()));
            findings.add(Rule::LogsDiffer, || {
                format!("{channel}: {} events by address 0, {} by address {url}; first at {at}", lengths.0, lengths.1)
            });
        }
    }
}

/// What the logs have of each operation id.
fn effects(index: &Index<'_>, findings: &mut Findings) {
    for (op, effects) in &index.effects {
        if !index.commands.contains_key(op) {
            findings.add(Rule::Phantom, || {
                let (channel, event) = effects[0];
                format!("{channel} has {} {} by op {op}, which nobody sent", event.offset, event.record.event.name())
            });
            continue;
        }
        let mut seen = HashSet::new();
        for (channel, event) in effects {
            if !seen.insert((*channel, event.record.event.name())) {
                findings.add(Rule::DuplicateEffect, || {
                    let (name, offset) = (event.record.event.name(), event.offset);
                    format!("{channel}: {name} {offset} is a second effect of {}", index.name(*op))
                });
            }
        }
    }
    for (channel, log) in &index.history.finals.logs {
        let nameless = log.events.iter().filter(|event| event.record.op.is_none());
        // Sums of likes have no author; everything else has an operation id, and be it the server's own.
        for event in nameless.filter(|event| !matches!(event.record.event, Event::PostLikesChanged(_))) {
            let (name, offset) = (event.record.event.name(), event.offset);
            findings.add(Rule::Phantom, || format!("{channel}: {name} {offset} has no operation id"));
        }
    }
}

fn refused(index: &Index<'_>, op: Uuid, code: &str, findings: &mut Findings) {
    if let Some((channel, event)) = index.effects(op).first() {
        findings.add(Rule::RefusedButApplied, || {
            format!("{} was refused with {code} and is event {} of {channel}", index.name(op), event.offset)
        });
    }
    if code == "op_reused" {
        findings.add(Rule::AckDisagrees, || format!("{} was taken for the retry of another command", index.name(op)));
    }
}

fn acknowledged<'a>(
    index: &Index<'a>,
    command: &Command<'a>,
    at: u64,
    ack: &'a Ack,
    unchanged: &mut Vec<Unchanged>,
    findings: &mut Findings,
) {
    let op = ack.op;
    let effects = index.effects(op);
    let beyond = ack.positions.iter().find(|position| position.offset > index.head(position.channel));
    if let Some(position) = beyond.filter(|position| index.log(position.channel).is_some()) {
        findings.add(Rule::LostAck, || {
            let (channel, offset, head) = (position.channel, position.offset, index.head(position.channel));
            let when = seconds(at);
            format!(
                "{} was acknowledged at {when} as event {offset} of {channel}, which ends at {head}",
                index.name(op)
            )
        });
        return;
    }
    if effects.is_empty() {
        let claims = claims(command, ack);
        if claims.is_empty() {
            findings
                .add(Rule::LostAck, || format!("{}, acknowledged at {}, is in no log", index.name(op), seconds(at)));
        }
        unchanged.extend(claims);
        return;
    }
    if let Some((channel, event)) = effects.iter().find(|(_, event)| event.record.actor != Some(command.invoke.person))
    {
        findings.add(Rule::AckDisagrees, || {
            let (actor, offset) = (event.record.actor, event.offset);
            format!("{}: event {offset} of {channel} is said to be of {actor:?}", index.name(op))
        });
    }
    for position in &ack.positions {
        if let Some(problem) = misplaced(index, effects, ack, position) {
            findings.add(Rule::AckDisagrees, || format!("{}: {problem}", index.name(op)));
        }
    }
    let likes = matches!(command.invoke.command, "post.like" | "post.unlike");
    if !likes && !effects.iter().any(|(_, event)| content_of_data(event) == ack.content) {
        findings.add(Rule::AckDisagrees, || {
            let (channel, event) = effects[0];
            format!("{}: its answer shows other data than its event {} of {channel}", index.name(op), event.offset)
        });
    }
}

/// What is wrong with one position of an answer.
fn misplaced(
    index: &Index<'_>,
    effects: &[(Channel, &super::super::history::Logged)],
    ack: &Ack,
    position: &Position,
) -> Option<String> {
    let Position { channel, offset, .. } = position;
    let log = index.log(*channel)?;
    if position.epoch != log.epoch {
        return Some(format!("its answer says epoch {} of {channel}, which is in {}", position.epoch, log.epoch));
    }
    let mine = effects.iter().filter(|(at, _)| at == channel).map(|(_, event)| event.offset).max();
    if let Some(last) = mine {
        return (last != *offset).then(|| format!("its answer says event {offset} of {channel}; it is event {last}"));
    }
    // A like among many: the event that sums them up has the count that was answered.
    let event = index.event(*channel, *offset)?;
    let answered: Option<PostLikes> = ack.data.as_ref().and_then(|data| serde_json::from_str(data).ok());
    match (&event.record.event, answered) {
        (Event::PostLikesChanged(changed), Some(likes)) => {
            let counted = changed.posts.iter().find(|count| count.post_id == likes.post_id);
            let same = counted.is_some_and(|count| count.like_count == likes.like_count);
            (!same).then(|| format!("its answer says {} likes; event {offset} of {channel} does not", likes.like_count))
        }
        _ => Some(format!("its answer says event {offset} of {channel}, which is another command's")),
    }
}

/// The digest of an event's `data`, as answers have it.
fn content_of_data(event: &super::super::history::Logged) -> u64 {
    #[derive(Deserialize)]
    struct Said {
        data: Value,
    }
    let said = serde_json::to_value(&event.record).and_then(serde_json::from_value::<Said>);
    said.map_or(0, |said| digest(&said.data))
}

/// Every answer to one operation id has the same positions and data.
fn repeated_answers(index: &Index<'_>, findings: &mut Findings) {
    for record in &index.history.records {
        if let What::Refused { op, code } = &record.what
            && index
                .commands
                .get(op)
                .is_some_and(|command| matches!(command.outcome, Outcome::Done(at, _) if at < record.at))
        {
            findings.add(Rule::AckDisagrees, || format!("{} was done, and refused later with {code}", index.name(*op)));
        }
        let What::Ok(again) = &record.what else { continue };
        if let Some(Command { outcome: Outcome::Done(_, first), .. }) = index.commands.get(&again.op)
            && (first.positions != again.positions || first.content != again.content)
        {
            findings.add(Rule::AckDisagrees, || {
                let (before, now) = (&first.positions, &again.positions);
                format!("{} was answered with {before:?} and later with {now:?}", index.name(again.op))
            });
        }
    }
}

/// What an answer that changed nothing says of the state at its position.
struct Unchanged {
    op: Uuid,
    channel: Channel,
    offset: u64,
    claim: Claim,
}

enum Claim {
    Follows(Uuid, bool),
    Likes(Uuid, bool),
    Task(Box<TaskMoved>),
    Widget(Box<WidgetMoved>),
}

/// Commands that may find everything as they want it; for all others there are none.
fn claims(command: &Command<'_>, ack: &Ack) -> Vec<Unchanged> {
    let Some(data) = ack.data.as_deref() else { return Vec::new() };
    let (name, mine) = (command.invoke.command, Channel::User(command.invoke.person));
    let (channel, claim) = match name {
        "user.follow" | "user.unfollow" => {
            let Ok(follow) = serde_json::from_str::<FollowRef>(data) else { return Vec::new() };
            (mine, Claim::Follows(follow.followee_id, name == "user.follow"))
        }
        "post.like" | "post.unlike" => {
            let Ok(likes) = serde_json::from_str::<PostLikes>(data) else { return Vec::new() };
            (mine, Claim::Likes(likes.post_id, name == "post.like"))
        }
        "task.move" => {
            let Ok(moved) = serde_json::from_str::<TaskMoved>(data) else { return Vec::new() };
            (mine, Claim::Task(Box::new(moved)))
        }
        "widget.move" => {
            let Ok(moved) = serde_json::from_str::<WidgetMoved>(data) else { return Vec::new() };
            (Channel::Workspace(moved.widget.workspace_id), Claim::Widget(Box::new(moved)))
        }
        _ => return Vec::new(),
    };
    let positions = ack.positions.iter().filter(|position| position.channel == channel);
    positions.map(|at| Unchanged { op: ack.op, channel, offset: at.offset, claim: clone(&claim) }).collect()
}

fn clone(claim: &Claim) -> Claim {
    match claim {
        Claim::Follows(id, is) => Claim::Follows(*id, *is),
        Claim::Likes(id, is) => Claim::Likes(*id, *is),
        Claim::Task(moved) => Claim::Task(moved.clone()),
        Claim::Widget(moved) => Claim::Widget(moved.clone()),
    }
}

/// "Nothing to do" is an answer only if it was so: one pass over each log.
fn hold_unchanged(index: &Index<'_>, unchanged: Vec<Unchanged>, findings: &mut Findings) {
    let mut by_channel: HashMap<Channel, Vec<Unchanged>> = HashMap::default();
    unchanged.into_iter().for_each(|one| by_channel.entry(one.channel).or_default().push(one));
    for (channel, mut all) in by_channel {
        all.sort_by_key(|one| one.offset);
        let Some(log) = index.log(channel) else { continue };
        let (base, mut state) = log.base.clone().unwrap_or((0, State::empty(channel)));
        let mut events = log.events.iter().skip_while(|event| event.offset <= base).peekable();
        for one in all {
            while let Some(event) = events.next_if(|event| event.offset <= one.offset) {
                state.apply(&event.record.event);
            }
            if !one.claim.holds(&state) {
                findings.add(Rule::LostAck, || {
                    format!(
                        "{} is in no log, though it was acknowledged, and at {} of {channel} there was something to do",
                        index.name(one.op),
                        one.offset
                    )
                });
            }
        }
    }
}

impl Claim {
    fn holds(&self, state: &State) -> bool {
        match (self, state) {
            (Claim::Follows(whom, is), State::User(state)) => state.following.contains(whom) == *is,
            (Claim::Likes(post, is), State::User(state)) => state.liked.contains(post) == *is,
            (Claim::Task(moved), State::User(state)) => state.tasks.get(&moved.task.id) == Some(&moved.task),
            (Claim::Widget(moved), State::Workspace(state)) => {
                state.widgets.get(&moved.widget.id) == Some(&moved.widget)
            }
            _ => false,
        }
    }
}
