//! How people stand to others, asked for and kept while they are here.
//!
//! One task asks, one question at a time: an older answer never overwrites a newer one. Whoever is asked for twice while
//! a question is under way is asked for again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::WireError;
use studyhall_protocol::settings::PresenceVisibility;
use tokio::sync::Notify;
use uuid::Uuid;

use super::backend::Standing;
use super::hub::Hub;
use super::limits::{ASKED_AT_ONCE, LOG_RETRY, STANDING_WITHIN};
use super::rechecks::Ticket;
use super::topic::Topic;

/// A standing, and which answer it came with.
#[derive(Debug)]
pub struct Known {
    /// Answers count up.
    pub(super) version: u64,
    /// The answer.
    pub(super) standing: Standing,
}

/// Who has to be asked for.
#[derive(Debug, Default)]
pub(super) struct Standings {
    wanted: Mutex<HashSet<Uuid>>,
    asked: Notify,
    answered: Notify,
    version: AtomicU64,
}

impl Standings {
    /// Somebody came, or something changed.
    pub(super) fn want(&self, people: impl IntoIterator<Item = Uuid>) {
        self.wanted.lock().extend(people);
        self.asked.notify_one();
    }

    fn take(&self) -> Vec<Uuid> {
        let mut wanted = self.wanted.lock();
        let some: Vec<Uuid> = wanted.iter().copied().take(ASKED_AT_ONCE).collect();
        for user_id in &some {
            wanted.remove(user_id);
        }
        if wanted.is_empty() {
            // After a storm there is room in it for everybody.
            *wanted = HashSet::new();
        }
        some
    }
}

impl Hub {
    pub(super) async fn ask_standings(self: Arc<Self>) {
        loop {
            self.standings.asked.notified().await;
            loop {
                let people = self.standings.take();
                if people.is_empty() {
                    break;
                }
                let version = 1 + self.standings.version.fetch_add(1, Ordering::Relaxed);
                match self.backend.standings(people.clone()).await {
                    Ok(found) => self.take_standings(version, &people, found),
                    Err(error) => {
                        tracing::warn!(%error, "cannot ask how people stand; trying again");
                        self.standings.want(people);
                        tokio::time::sleep(LOG_RETRY).await;
                    }
                }
                self.standings.answered.notify_waiters();
            }
        }
    }

    fn take_standings(&self, version: u64, asked: &[Uuid], found: Vec<Standing>) {
        let known: HashSet<Uuid> = found.iter().map(|standing| standing.user_id).collect();
        // Erased meanwhile.
        let nobody = asked.iter().filter(|user_id| !known.contains(user_id)).map(|user_id| Standing {
            user_id: *user_id,
            audience: PresenceVisibility::Nobody,
            invisible: true,
            hidden: Vec::new(),
        });
        let news: HashMap<Uuid, Arc<Known>> =
            nobody.chain(found).map(|standing| (standing.user_id, Arc::new(Known { version, standing }))).collect();
        for (user_id, known) in &news {
            self.set_standing(known);
            for room in self.rooms_of(*user_id) {
                room.set_standing(known, &self.flusher);
            }
        }
        self.set_standings_held(&news);
    }

    /// Rooms in which this person has a seat.
    fn rooms_of(&self, user_id: Uuid) -> Vec<Arc<Topic>> {
        let mut rooms: Vec<Arc<Topic>> = Vec::new();
        for conn in self.conns_of(user_id) {
            let out = conn.out.lock();
            let topics = out.subscriptions.iter().flatten().map(|subscription| &subscription.topic);
            rooms.extend(topics.filter(|topic| matches!(topic.channel, Channel::Workspace(_))).cloned());
        }
        rooms
    }

    /// Who has left is held in their rooms for a while. In a storm many are asked for together and many rooms hold
    /// somebody: each room is looked at once for all of them.
    fn set_standings_held(&self, news: &HashMap<Uuid, Arc<Known>>) {
        let held: Vec<Channel> = self.timed.lock().iter().copied().collect();
        for channel in held {
            let room = self.topics.get(&channel).map(|topic| topic.clone());
            let Some(room) = room else { continue };
            for known in room.ids().iter().filter_map(|user_id| news.get(user_id)) {
                room.set_standing(known, &self.flusher);
            }
        }
    }

    /// How a person stands who has a connection here. Waits until it is known.
    pub(super) async fn standing_of(&self, user_id: Uuid) -> Result<Arc<Known>, WireError> {
        let known = async {
            loop {
                let answered = self.standings.answered.notified();
                tokio::pin!(answered);
                // Before looking: an answer that comes between the two wakes.
                answered.as_mut().enable();
                match self.standing_known(user_id) {
                    Some(known) => return Some(known),
                    None if !self.is_here(user_id) => return None,
                    None => answered.await,
                }
            }
        };
        let known = tokio::time::timeout(STANDING_WITHIN, known).await;
        known.ok().flatten().ok_or_else(WireError::internal)
    }

    /// After a seat was taken with what was known before: if that has changed meanwhile, or may have, the topic is told.
    pub(super) fn confirm(&self, topic: &Topic, ticket: Ticket, used: &Arc<Known>) {
        let user_id = used.standing.user_id;
        match topic.channel {
            Channel::User(_) => {}
            Channel::Profile(author) => self.rechecks.confirm(ticket, user_id, author),
            Channel::Workspace(_) => {
                let now = self.standing_known(user_id).filter(|now| now.version != used.version);
                now.into_iter().for_each(|now| topic.set_standing(&now, &self.flusher));
            }
        }
    }

    /// What others may see of this person changed.
    pub(super) fn reload(&self, user_id: Uuid) {
        if self.is_here(user_id) {
            self.standings.want([user_id]);
        }
    }
}
