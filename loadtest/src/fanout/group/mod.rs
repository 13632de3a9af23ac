//! Rooms of one size at one server: who speaks in them, and what every receiver checks.

use std::time::Instant;

use serde::Deserialize;
use studyhall_protocol::Channel;
use studyhall_protocol::client::Pub;
use uuid::Uuid;

use super::pace::{Schedule, Window};
use super::speech::{self, Kind, Speech, Subject, Way};
use crate::report::Latency;

/// Rooms of one size.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// What is published.
    pub kind: Kind,
    /// How many rooms.
    pub rooms: usize,
    /// Connections in each; all of them read.
    pub people: usize,
    /// Those among them who publish.
    pub speakers: usize,
}

/// What receivers found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Values sent.
    pub sent: u64,
    /// Values received, each connection by itself.
    pub delivered: u64,
    /// The value before, once more.
    pub duplicates: u64,
    /// An older value.
    pub reordered: u64,
    /// Another room's, or nobody's.
    pub foreign: u64,
    /// Left out before a newer one: a slot was faster than its reader, or a broadcast was skipped.
    pub gaps: u64,
    /// Not arrived in time, with nothing newer behind it.
    pub lost: u64,
    /// Arrived after it was given up for lost.
    pub overdue: u64,
    /// Read in full, because the line was not the one expected byte for byte.
    pub parsed: u64,
}

/// How values are sent at the moment.
pub enum Pace {
    /// Not at all.
    Still,
    /// On a schedule, of which so many messages have been sent.
    Open(Schedule, u64),
    /// When those before have arrived.
    Closed(Window),
}

/// One speaker: what it says, and where from.
struct Speaker {
    subject: Subject,
    speech: Speech,
    socket: usize,
    /// The sequence number to send next.
    next: u32,
}

/// Rooms of one size at one server.
pub struct Group {
    pub spec: Spec,
    way: Way,
    channels: Vec<Channel>,
    /// In the order of their turns: rooms take turns, so that the sends of one room are spread over its period.
    speakers: Vec<Speaker>,
    line_bytes: usize,
    /// What this stretch begins with, for every speaker.
    first: u32,
    /// The next sequence number that a receiver expects of a speaker of its room.
    next: Vec<u32>,
    /// Deliveries and gaps that are to come.
    pub owed: i64,
    /// Replies that are to come.
    pub unanswered: i64,
    pub pace: Pace,
    pub counts: Counts,
    /// Since the last [`Group::take_recent`].
    recent: Latency,
    /// From the scheduled time to the system call.
    pub late: Latency,
    /// When the last value arrived.
    pub last_at: Option<Instant>,
}

impl Group {
    /// `subjects` and `sockets` in the order of turns: all first speakers, then all second ones.
    pub fn new(spec: Spec, way: Way, channels: Vec<Channel>, subjects: Vec<Subject>, sockets: &[usize]) -> Self {
        let gesture = Uuid::new_v4();
        let speakers: Vec<Speaker> = subjects
            .into_iter()
            .zip(sockets)
            .map(|(subject, &socket)| Speaker { subject, speech: Speech::new(subject, way, gesture), socket, next: 0 })
            .collect();
        Self {
            spec,
            way,
            channels,
            line_bytes: speakers.first().map_or(0, |speaker| speaker.speech.line_bytes()),
            speakers,
            first: 0,
            next: vec![0; spec.rooms * spec.people * spec.speakers],
            owed: 0,
            unanswered: 0,
            pace: Pace::Still,
            counts: Counts::default(),
            recent: Latency::new(),
            late: Latency::new(),
            last_at: None,
        }
    }

    /// Begins a stretch on a schedule: `rate` a second in each room. Returns how many seconds it takes.
    pub fn begin_open(&mut self, start: Instant, rate: f64, seconds: f64) -> f64 {
        self.new_gestures();
        let all = rate * self.spec.rooms as f64;
        let schedule = Schedule::new(start, all, self.speakers.len(), seconds, self.first);
        self.pace = Pace::Open(schedule, 0);
        schedule.seconds()
    }

    /// Begins a stretch with so many messages under way.
    pub fn begin_closed(&mut self, size: usize, until: Instant) {
        self.new_gestures();
        self.pace = Pace::Closed(Window::new(size, self.spec.people, self.speakers.len(), self.first, until));
    }

    /// A drag lasts for one stretch: a server may end one that stands still, and discards its late values.
    fn new_gestures(&mut self) {
        let gesture = Uuid::new_v4();
        for speaker in &mut self.speakers {
            speaker.speech = Speech::new(speaker.subject, self.way, gesture);
        }
    }

    /// When the next value is due; `None` if there is none for now.
    pub fn next_due(&self) -> Option<Instant> {
        match &self.pace {
            Pace::Open(schedule, sent) if *sent < schedule.messages() => Some(schedule.due(*sent)),
            _ => None,
        }
    }

    /// Whether everything has been sent.
    pub fn all_said(&self, now: Instant) -> bool {
        match &self.pace {
            Pace::Still => true,
            Pace::Open(schedule, sent) => *sent >= schedule.messages(),
            Pace::Closed(window) => window.over(now),
        }
    }

    /// The next frame to send and the socket it goes to, if it is time.
    pub fn say(&mut self, now: Instant) -> Option<(usize, &[u8])> {
        let (number, sequence) = match &mut self.pace {
            Pace::Still => return None,
            Pace::Open(schedule, sent) => {
                let due = (*sent < schedule.messages()).then(|| schedule.due(*sent)).filter(|due| *due <= now)?;
                self.late.record(now - due);
                *sent += 1;
                schedule.turn(*sent - 1)
            }
            Pace::Closed(window) => window.send(now)?,
        };
        self.counts.sent += 1;
        self.owed += self.spec.people as i64;
        self.unanswered += i64::from(self.way == Way::Publish);
        let speaker = &mut self.speakers[number];
        speaker.next = sequence + 1;
        Some((speaker.socket, speaker.speech.frame(sequence)))
    }

    /// Takes a line if it is a value exactly as it was expected.
    pub fn value(&mut self, room: usize, receiver: usize, line: &[u8], at: Instant) -> bool {
        if line.len() != self.line_bytes {
            return false;
        }
        let Some(speaker) = speech::speaker_of(line).filter(|speaker| *speaker < self.spec.speakers) else {
            return false;
        };
        let Some(sequence) = self.speakers[speaker * self.spec.rooms + room].speech.read(line) else {
            return false;
        };
        self.arrived(room, receiver, speaker, sequence, at);
        true
    }

    /// Takes a publication that had to be parsed.
    pub fn publication(&mut self, room: usize, receiver: usize, channel: Channel, publication: &Pub<'_>, at: Instant) {
        if channel != self.channels[room] {
            self.counts.foreign += 1;
            return;
        }
        let Some(said) = publication.read().filter(|said| said.kind == self.spec.kind.name()) else {
            return;
        };
        let Some(data) = said.data else {
            // A cleared slot.
            self.owed -= 1;
            return;
        };
        self.counts.parsed += 1;
        let Some((sequence, speaker)) = numbers(data.get()).filter(|(_, by)| *by < self.spec.speakers) else {
            self.counts.foreign += 1;
            return;
        };
        let subject = &self.speakers[speaker * self.spec.rooms + room].subject;
        let key = said.key.and_then(|key| key.parse::<Uuid>().ok());
        if self.spec.kind == Kind::Drag && key != Some(subject.key) {
            self.counts.foreign += 1;
            return;
        }
        self.arrived(room, receiver, speaker, sequence, at);
    }

    fn arrived(&mut self, room: usize, receiver: usize, speaker: usize, sequence: u32, at: Instant) {
        self.counts.delivered += 1;
        let number = speaker * self.spec.rooms + room;
        let next = &mut self.next[receiver * self.spec.speakers + speaker];
        let expected = *next;
        if sequence < expected {
            if sequence < self.first && self.counts.lost > 0 {
                // Given up when its stretch ended.
                self.counts.lost -= 1;
                self.counts.overdue += 1;
            } else if sequence + 1 == expected {
                self.counts.duplicates += 1;
            } else {
                self.counts.reordered += 1;
            }
            return;
        }
        *next = sequence + 1;
        self.last_at = Some(at);
        let gap = sequence - expected;
        self.counts.gaps += u64::from(gap);
        self.owed -= i64::from(gap) + 1;
        let due = match &mut self.pace {
            Pace::Still => None,
            Pace::Open(schedule, _) => schedule.due_of(number, sequence),
            Pace::Closed(window) => {
                for skipped in expected..sequence {
                    window.arrived(number, skipped);
                }
                window.arrived(number, sequence)
            }
        };
        if let Some(due) = due {
            self.recent.record(at.saturating_duration_since(due));
        }
    }

    /// What has been measured since the last time.
    pub fn take_recent(&mut self) -> Latency {
        std::mem::replace(&mut self.recent, Latency::new())
    }

    /// Ends a stretch: what has not arrived by now is lost, and not waited for again.
    pub fn end(&mut self) {
        self.pace = Pace::Still;
        let (rooms, people, speakers) = (self.spec.rooms, self.spec.people, self.spec.speakers);
        let after = self.speakers.iter().map(|speaker| speaker.next).max().unwrap_or(0);
        for (place, next) in self.next.iter_mut().enumerate() {
            let (receiver, speaker) = (place / speakers, place % speakers);
            let sent = self.speakers[speaker * rooms + receiver / people].next;
            self.counts.lost += u64::from(sent.saturating_sub(*next));
            *next = after;
        }
        self.speakers.iter_mut().for_each(|speaker| speaker.next = after);
        (self.first, self.owed, self.unanswered) = (after, 0, 0);
    }

    /// What lets go of the widgets, by socket: a server would commit the drag of somebody who vanished.
    pub fn let_go(&mut self) -> Vec<(usize, String)> {
        if self.spec.kind != Kind::Drag || self.way == Way::Plain {
            return Vec::new();
        }
        self.owed += (self.speakers.len() * self.spec.people) as i64;
        self.unanswered += self.speakers.len() as i64;
        let line = |Speaker { subject, socket, .. }: &Speaker| {
            let nothing = serde_json::json!({"type": "drag", "key": subject.key, "data": null});
            (*socket, studyhall_protocol::client::publish(u32::MAX, subject.channel, &nothing))
        };
        self.speakers.iter().map(line).collect()
    }
}

/// Sequence number and speaker.
fn numbers(data: &str) -> Option<(u32, usize)> {
    #[derive(Deserialize)]
    struct Numbers {
        #[serde(alias = "grid_x")]
        at: f64,
        #[serde(alias = "grid_y")]
        by: f64,
    }
    let numbers: Numbers = serde_json::from_str(data).ok()?;
    Some((speech::sequence_of(numbers.at)?, speech::number_of_speaker(numbers.by)?))
}

#[cfg(test)]
mod tests;
