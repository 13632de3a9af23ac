//! Those who watch: what each of them was shown last, and how long it took.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Deserialize;
use studyhall_protocol::Channel;
use studyhall_protocol::client::{self, Push, Reply, Said, ServerLine, Wishes};
use studyhall_protocol::presence::{Presence, Status};
use uuid::Uuid;

use super::PresenceArgs;
use crate::client::{Options, open};
use crate::report::Latency;
use crate::scenario::settle;
use crate::setup::{Account, Api};

/// What somebody did that others are to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Came.
    Arrival,
    /// Went, with a goodbye.
    Departure,
    /// Fell idle, or woke up.
    Status,
}

impl Change {
    /// The word in figures.
    pub fn name(self) -> &'static str {
        match self {
            Change::Arrival => "arrival",
            Change::Departure => "departure",
            Change::Status => "status",
        }
    }
}

/// What a person is, since when by the schedule, and by what.
#[derive(Debug, Clone, Copy)]
pub struct Truth {
    /// What everybody is to see.
    pub status: Status,
    /// When it was due, and what it was; `None` for what was so from the beginning.
    pub since: Option<(Change, Instant)>,
}

/// What all watchers saw.
#[derive(Default)]
pub struct Seen {
    /// Profiles subscribed to.
    pub subscribed: Cell<usize>,
    /// Refused subscriptions.
    pub refused: Cell<u64>,
    /// Connections that ended before their time.
    pub closed: Cell<u64>,
    /// Pills that showed a change.
    pub pills: Cell<u64>,
    /// By kind of change.
    pub latency: RefCell<Vec<(Change, Latency)>>,
    /// What each person is.
    pub truth: RefCell<HashMap<Uuid, Truth>>,
    /// What each watcher was shown last of each person.
    pub last: RefCell<HashMap<(usize, Uuid), Status>>,
    /// The first complaint.
    pub first_error: RefCell<Option<String>>,
}

impl Seen {
    /// Keeps the first of them.
    pub fn complain(&self, text: String) {
        self.first_error.borrow_mut().get_or_insert(text);
    }

    fn line(&self, watcher: usize, line: &ServerLine<'_>, at: Instant) {
        match line {
            ServerLine::Reply { result: Ok(Reply::Subscribe(seat)), .. } => {
                self.subscribed.set(self.subscribed.get() + 1);
                let data = seat.data.map(client_slots).unwrap_or_default();
                for pill in data {
                    self.show(watcher, &pill);
                }
            }
            ServerLine::Reply { result: Err(error), .. } => {
                self.refused.set(self.refused.get() + 1);
                self.complain(error.to_string());
            }
            ServerLine::Push { push: Push::Pub(publication), .. } if publication.offset.is_none() => {
                let data = publication.read().and_then(|said| said.data);
                if let Some(Ok(pill)) = data.map(|data| serde_json::from_str::<Presence>(data.get())) {
                    self.pill(watcher, &pill, at);
                }
            }
            ServerLine::Ping | ServerLine::Reply { .. } | ServerLine::Push { .. } => {}
        }
    }

    fn show(&self, watcher: usize, pill: &Presence) -> Option<Status> {
        self.last.borrow_mut().insert((watcher, pill.user_id), pill.status)
    }

    /// A pill counts when it shows what is true now and what this watcher did not know.
    pub fn pill(&self, watcher: usize, pill: &Presence, at: Instant) {
        let before = self.show(watcher, pill);
        let truth = self.truth.borrow().get(&pill.user_id).copied();
        let Some(Truth { status, since: Some((change, due)) }) = truth else { return };
        if status != pill.status || before == Some(status) {
            return;
        }
        self.pills.set(self.pills.get() + 1);
        let mut latency = self.latency.borrow_mut();
        if let Some((_, known)) = latency.iter_mut().find(|(kind, _)| *kind == change) {
            known.record(at.saturating_duration_since(due));
        } else {
            let mut first = Latency::new();
            first.record(at.saturating_duration_since(due));
            latency.push((change, first));
        }
    }

    /// How many of these pairs show something else than what is so. Who was never shown counts as offline.
    pub fn wrong(&self, pairs: &[(usize, Uuid)]) -> u64 {
        let (truth, last) = (self.truth.borrow(), self.last.borrow());
        let right = |pair: &&(usize, Uuid)| {
            let shown = last.get(*pair).copied().unwrap_or_default();
            truth.get(&pair.1).is_some_and(|truth| truth.status == shown)
        };
        pairs.iter().filter(|pair| !right(pair)).count() as u64
    }
}

fn client_slots(data: &serde_json::value::RawValue) -> Vec<Presence> {
    #[derive(Deserialize)]
    struct Slots<'a> {
        #[serde(borrow, default)]
        slots: Vec<Said<'a>>,
    }
    let slots = serde_json::from_str::<Slots<'_>>(data.get()).map(|data| data.slots).unwrap_or_default();
    let pills = slots.iter().filter(|said| said.kind == "presence").filter_map(|said| said.data);
    pills.filter_map(|data| serde_json::from_str(data.get()).ok()).collect()
}

/// One watcher after the other, each with all its profiles in one frame: how long until the last reply.
pub async fn watch(
    api: &Api,
    args: &PresenceArgs,
    people: &[Account],
    watchers: &[Account],
    seen: &Rc<Seen>,
) -> Result<Latency> {
    let mut times = Latency::new();
    for (number, watcher) in watchers.iter().enumerate() {
        let (sender, mut receiver) = open(&api.host, Options::default()).await?;
        let mut lines = vec![client::connect(1, &watcher.token)];
        for (id, person) in watched(args, people, number).enumerate() {
            lines.push(client::subscribe(id as u32 + 2, Channel::Profile(person.id), Wishes::default()));
        }
        let asked = Instant::now();
        sender.send(&lines.join("\n"))?;
        let own = seen.clone();
        tokio::task::spawn_local(async move {
            // Open for as long as it listens.
            let _sender = sender;
            let line = |line: ServerLine<'_>, at: Instant| {
                own.line(number, &line, at);
                ControlFlow::<()>::Continue(())
            };
            if let Err(error) = receiver.listen(line).await {
                own.closed.set(own.closed.get() + 1);
                own.complain(format!("{error:#}"));
            }
        });
        let expected = (number + 1) * args.profiles;
        let answered = || seen.subscribed.get() + seen.refused.get() as usize >= expected;
        if !settle(Duration::from_secs(30), answered).await {
            bail!("only {} of {expected} subscriptions were answered", seen.subscribed.get());
        }
        times.record(asked.elapsed());
    }
    Ok(times)
}

/// Whom a watcher watches: runs that overlap, as friends of friends do.
pub fn watched<'a>(args: &PresenceArgs, people: &'a [Account], watcher: usize) -> impl Iterator<Item = &'a Account> {
    let first = watcher * args.apart;
    people.iter().cycle().skip(first % people.len()).take(args.profiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Uuid = Uuid::from_u128(7);

    fn pill(status: Status) -> Presence {
        Presence { user_id: WHO, status, activity: None, last_seen_at: None }
    }

    #[test]
    fn only_what_shows_the_truth_anew_counts() {
        let (seen, now) = (Seen::default(), Instant::now());
        seen.truth.borrow_mut().insert(WHO, Truth { status: Status::Idle, since: Some((Change::Status, now)) });
        seen.pill(0, &pill(Status::Online), now);
        assert_eq!((seen.pills.get(), seen.wrong(&[(0, WHO)])), (0, 1));
        seen.pill(0, &pill(Status::Idle), now);
        seen.pill(0, &pill(Status::Idle), now);
        assert_eq!((seen.pills.get(), seen.wrong(&[(0, WHO)])), (1, 0));
    }

    #[test]
    fn whoever_was_never_shown_looks_offline() {
        let seen = Seen::default();
        seen.truth.borrow_mut().insert(WHO, Truth { status: Status::Online, since: None });
        assert_eq!(seen.wrong(&[(0, WHO)]), 1);
        seen.truth.borrow_mut().insert(WHO, Truth { status: Status::Offline, since: None });
        assert_eq!(seen.wrong(&[(0, WHO)]), 0);
    }
}
