//! One tab of one person: what it subscribes to, what it has got, what it still waits for.

use std::time::{Duration, Instant};

use studyhall_protocol::client::{self, Push, Reply, ServerLine, Wishes};
use studyhall_protocol::{Channel, Position};

use super::{Answers, Found};

/// A channel of a tab, and how far it was read.
pub struct Place {
    pub channel: Channel,
    /// Events that will be missed there while the tab is away.
    pub missed: u64,
    /// Where to go on, once it was subscribed.
    pub position: Option<Position>,
    /// The number after the last event that has to come.
    goal: Option<u64>,
}

/// One connection after the other of the same tab.
pub struct Tab {
    pub places: Vec<Place>,
    token: String,
    sent: Option<Instant>,
    unanswered: usize,
    /// Whether all its commands were answered, and all that it missed has come.
    pub complete: bool,
}

impl Place {
    pub fn new(channel: Channel) -> Self {
        Self { channel, missed: 0, position: None, goal: None }
    }
}

impl Tab {
    pub fn new(token: String, channels: impl Iterator<Item = Channel>) -> Self {
        Self { places: channels.map(Place::new).collect(), token, sent: None, unanswered: 0, complete: false }
    }

    /// Everything that a tab says when it opens or comes back, in one frame.
    pub fn hello(&mut self) -> String {
        let mut lines = vec![client::connect(1, &self.token)];
        for (index, place) in self.places.iter_mut().enumerate() {
            let since = place.position.as_ref();
            place.goal = since.map(|since| since.offset + place.missed);
            let wishes = Wishes { since, ..Wishes::default() };
            lines.push(client::subscribe(index as u32 + 2, place.channel, wishes));
        }
        self.unanswered = lines.len();
        self.complete = false;
        self.sent = Some(Instant::now());
        lines.join("\n")
    }

    /// What the server said; `true` when with it the tab has all that it waits for.
    pub fn line(&mut self, line: &ServerLine<'_>, at: Instant, found: &Found, answers: &mut Answers) -> bool {
        match line {
            ServerLine::Reply { id, result } => {
                self.unanswered = self.unanswered.saturating_sub(1);
                let took = self.sent.map_or(Duration::ZERO, |sent| at.saturating_duration_since(sent));
                answers.all.record(took);
                match self.place(*id).map(|place| place.channel) {
                    Some(Channel::Workspace(_)) => answers.rooms.record(took),
                    Some(Channel::Profile(_)) => answers.profiles.record(took),
                    Some(Channel::User(_)) | None => {}
                }
                match result {
                    Ok(Reply::Subscribe(seat)) => self.seated(*id, seat, found),
                    Ok(_) => {}
                    Err(error) => found.refuse(&error.to_string()),
                }
            }
            ServerLine::Push { channel, push: Push::Pub(publication) } => {
                let place = self.places.iter_mut().find(|place| place.channel == *channel);
                if let (Some(place), Some(offset)) = (place, publication.offset) {
                    place.event(offset, found);
                }
            }
            ServerLine::Ping | ServerLine::Push { .. } => {}
        }
        let complete = self.unanswered == 0 && self.places.iter().all(Place::is_complete);
        !std::mem::replace(&mut self.complete, complete) && complete
    }

    /// The place that a command of [`Tab::hello`] is about.
    fn place(&mut self, id: u32) -> Option<&mut Place> {
        (id as usize).checked_sub(2).and_then(|index| self.places.get_mut(index))
    }

    fn seated(&mut self, id: u32, seat: &client::Subscribed<'_>, found: &Found) {
        let Some(place) = self.place(id) else { return found.refuse("a reply to nothing") };
        if place.position.is_some() && !seat.recovered {
            found.unrecovered.set(found.unrecovered.get() + 1);
        }
        // What was recovered goes on from the position that was asked for.
        let position = Position { channel: place.channel, offset: seat.offset, epoch: seat.epoch.clone() };
        place.position = Some(position);
    }

    /// Events that have not come, and should have.
    pub fn missing(&self) -> u64 {
        self.places.iter().map(Place::missing).sum()
    }
}

impl Place {
    fn event(&mut self, offset: u64, found: &Found) {
        let Some(position) = &mut self.position else { return found.refuse("an event before the subscription") };
        found.events.set(found.events.get() + 1);
        if offset <= position.offset {
            found.duplicates.set(found.duplicates.get() + 1);
        } else if offset > position.offset + 1 {
            found.gaps.set(found.gaps.get() + 1);
        }
        position.offset = position.offset.max(offset);
    }

    fn missing(&self) -> u64 {
        let reached = self.position.as_ref().map_or(0, |position| position.offset);
        self.goal.map_or(0, |goal| goal.saturating_sub(reached))
    }

    fn is_complete(&self) -> bool {
        self.position.is_some() && self.missing() == 0
    }
}
