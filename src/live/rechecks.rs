//! Who may see whose presence, asked again when an event says that it has changed.
//!
//! As with standings one task asks, one question at a time, so that the last answer is the last word.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use tokio::sync::Notify;
use uuid::Uuid;

use super::hub::Hub;
use super::limits::{ASKED_AT_ONCE, LOG_RETRY, RECHECKS_MAX};

/// Changes that were seen, and pairs to ask for.
#[derive(Debug, Default)]
pub(super) struct Rechecks {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The last changes, and how many there were before them.
    recent: VecDeque<Recheck>,
    before: u64,
    /// Viewer and author.
    pairs: HashSet<(Uuid, Uuid)>,
}

#[derive(Debug, Clone, Copy)]
struct Recheck {
    author: Option<Uuid>,
    viewer: Option<Uuid>,
}

/// How many changes there had been when a right was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(u64);

impl Rechecks {
    /// Before a right is asked for.
    pub(super) fn ticket(&self) -> Ticket {
        let state = self.state.lock();
        Ticket(state.before + state.recent.len() as u64)
    }

    fn note(&self, recheck: Recheck) {
        let mut state = self.state.lock();
        if state.recent.len() == RECHECKS_MAX {
            state.recent.pop_front();
            state.before += 1;
        }
        state.recent.push_back(recheck);
    }

    fn ask(&self, pairs: impl IntoIterator<Item = (Uuid, Uuid)>) {
        self.state.lock().pairs.extend(pairs);
        self.asked.notify_one();
    }

    fn take(&self) -> Vec<(Uuid, Uuid)> {
        let mut state = self.state.lock();
        let some: Vec<_> = state.pairs.iter().copied().take(ASKED_AT_ONCE).collect();
        for pair in &some {
            state.pairs.remove(pair);
        }
        some
    }

    /// A seat was taken with a right that was asked for behind `ticket`: asks again if it may have changed since.
    pub(super) fn confirm(&self, ticket: Ticket, viewer: Uuid, author: Uuid) {
        let state = self.state.lock();
        let stale = ticket.0 < state.before
            || state.recent.iter().skip((ticket.0 - state.before) as usize).any(|recheck| {
                recheck.author.is_none_or(|changed| changed == author)
                    && recheck.viewer.is_none_or(|changed| changed == viewer)
            });
        drop(state);
        if stale {
            self.ask([(viewer, author)]);
        }
    }
}

impl Hub {
    /// An event says that rights have changed: asks for those that are in use here.
    pub(super) fn recheck(&self, author: Option<Uuid>, viewer: Option<Uuid>) {
        // First noted, then looked who is there: whoever takes a seat does it the other way round.
        self.rechecks.note(Recheck { author, viewer });
        let pairs: Vec<(Uuid, Uuid)> = match (author, viewer) {
            (Some(author), _) => {
                let viewers = self.viewers_of(author).into_iter();
                viewers
                    .filter(|other| viewer.is_none_or(|viewer| viewer == *other))
                    .map(|viewer| (viewer, author))
                    .collect()
            }
            (None, Some(viewer)) => self.watched_by(viewer).into_iter().map(|author| (viewer, author)).collect(),
            (None, None) => return,
        };
        if !pairs.is_empty() {
            self.rechecks.ask(pairs);
        }
    }

    fn viewers_of(&self, author: Uuid) -> Vec<Uuid> {
        let topic = self.topics.get(&Channel::Profile(author)).map(|topic| topic.clone());
        topic.map_or_else(Vec::new, |topic| topic.state.lock().seats.iter().map(|seat| seat.user_id()).collect())
    }

    fn watched_by(&self, viewer: Uuid) -> Vec<Uuid> {
        let mut authors = Vec::new();
        for conn in self.conns_of(viewer) {
            let out = conn.out.lock();
            let channels = out.subscriptions.iter().flatten().map(|subscription| subscription.topic.channel);
            authors
                .extend(channels.filter(|channel| matches!(channel, Channel::Profile(_))).map(|channel| channel.id()));
        }
        authors
    }

    pub(super) async fn ask_rechecks(self: Arc<Self>) {
        loop {
            self.rechecks.asked.notified().await;
            loop {
                let pairs = self.rechecks.take();
                if pairs.is_empty() {
                    break;
                }
                match self.backend.sees(pairs.clone()).await {
                    Ok(answers) => {
                        for ((viewer, author), sees) in pairs.into_iter().zip(answers) {
                            if let Some(topic) = self.topics.get(&Channel::Profile(author)) {
                                topic.set_sees(viewer, sees, &self.flusher);
                            }
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot ask who may see whom; trying again");
                        self.rechecks.ask(pairs);
                        tokio::time::sleep(LOG_RETRY).await;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_is_older_than_a_change_is_asked_for_again() {
        let [ann, ben, eve] = [1, 2, 3].map(Uuid::from_u128);
        let rechecks = Rechecks::default();
        rechecks.note(Recheck { author: Some(ann), viewer: None });
        let ticket = rechecks.ticket();
        let asked = |viewer, author| {
            rechecks.confirm(ticket, viewer, author);
            !rechecks.take().is_empty()
        };
        assert!(!asked(ben, ann), "seen before the right was asked for");
        rechecks.note(Recheck { author: Some(ann), viewer: Some(ben) });
        assert!(asked(ben, ann) && !asked(eve, ann) && !asked(ann, ben));
        rechecks.note(Recheck { author: None, viewer: Some(eve) });
        assert!(asked(eve, ann) && !asked(ann, ben));
        (0..RECHECKS_MAX).for_each(|_| rechecks.note(Recheck { author: Some(eve), viewer: None }));
        assert!(asked(ann, ben), "what is forgotten may have been about anybody");
    }
}
