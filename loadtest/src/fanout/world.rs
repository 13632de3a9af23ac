//! All servers of a run and everybody who is connected to them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use studyhall_protocol::client::{Push, Reply, ServerLine};

use super::group::Group;
use crate::engine::{Engine, Handler};
use crate::process::Meter;

/// Connections that are opened at a time.
const OPENING_AT_ONCE: usize = 128;
/// Nothing more opens for this long: it never will.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// One server.
pub struct Target {
    /// `studyhall`, `floor`, or the name of a peer.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// The same, as it is called in requests.
    pub host: String,
    /// Its processes, if they are here.
    pub meter: Option<Meter>,
    /// Its rooms; the first group is the one whose latency is reported.
    pub groups: Vec<Group>,
    /// Commands answered with an error.
    pub refused: u64,
    /// Connections and subscriptions that ended by themselves.
    pub closed: u64,
    /// The first complaint.
    pub error: Option<String>,
}

/// A connection's place.
pub struct Seat {
    /// Which server.
    pub target: usize,
    /// Which of its groups.
    pub group: usize,
    /// Which room of the group.
    pub room: usize,
    /// Which connection of the group.
    pub receiver: usize,
    /// What it says first.
    pub opening: Option<String>,
    /// Replies to subscriptions that are to come.
    pub awaited: usize,
}

/// Everything that takes part; the engine's sockets are its seats, in the same order.
#[derive(Default)]
pub struct World {
    /// The servers.
    pub targets: Vec<Target>,
    /// By socket.
    pub seats: Vec<Seat>,
    /// How many have begun to open.
    opened: usize,
    /// How many of them are subscribed.
    ready: usize,
}

impl Target {
    /// Without rooms.
    pub fn new(name: String, address: SocketAddr, host: String, meter: Option<Meter>) -> Self {
        Self { name, address, host, meter, groups: Vec::new(), refused: 0, closed: 0, error: None }
    }

    /// Keeps the first of them.
    pub fn complain(&mut self, text: String) {
        self.error.get_or_insert(text);
    }

    /// Whether everything that was sent has arrived, or been passed over.
    pub fn quiet(&self) -> bool {
        self.groups.iter().all(|group| group.owed <= 0 && group.unanswered <= 0)
    }
}

impl World {
    /// Opens the connections that are not open yet and waits until all are subscribed. Returns how long it took.
    ///
    /// # Errors
    ///
    /// Some do not get there.
    pub fn open(&mut self, engine: &mut Engine) -> Result<Duration> {
        let started = Instant::now();
        let from = self.opened;
        let (mut seen, mut progress) = (self.ready, started);
        while self.ready < self.seats.len() {
            while self.opened < self.seats.len() && self.opened < self.ready + OPENING_AT_ONCE {
                engine.open(self.opened)?;
                self.opened += 1;
            }
            let now = Instant::now();
            engine.turn(self, now + Duration::from_millis(10))?;
            if self.ready > seen {
                (seen, progress) = (self.ready, now);
            }
            let complaint = self.targets.iter().find(|target| target.closed + target.refused > 0);
            if complaint.is_some() || progress.elapsed() > OPEN_WITHIN {
                let why = complaint.and_then(|target| target.error.as_deref()).unwrap_or("takes too long");
                let (there, wanted) = (self.ready - from, self.seats.len() - from);
                bail!("only {there} of {wanted} connections are subscribed: {why}");
            }
        }
        Ok(started.elapsed())
    }

    /// Deliveries from the start on, at all servers.
    pub fn delivered(&self) -> u64 {
        self.targets.iter().flat_map(|target| &target.groups).map(|group| group.counts.delivered).sum()
    }

    /// Forgets everybody and every room.
    pub fn clear(&mut self) {
        self.seats.clear();
        self.targets.iter_mut().for_each(|target| target.groups.clear());
        (self.opened, self.ready) = (0, 0);
    }

    /// A line that is not a value byte for byte as it was expected. Whether it asks for a pong.
    fn other(&mut self, socket: usize, line: &[u8], at: Instant) -> bool {
        let seat = &mut self.seats[socket];
        let target = &mut self.targets[seat.target];
        let group = &mut target.groups[seat.group];
        if line.starts_with(br#"{"id":"#) && line.ends_with(br#","publish":{}}"#) {
            group.unanswered -= 1;
            return false;
        }
        let parsed = std::str::from_utf8(line).ok().and_then(|text| ServerLine::parse(text).ok());
        match parsed {
            Some(ServerLine::Ping) => return true,
            Some(ServerLine::Push { channel, push: Push::Pub(publication) }) => {
                group.publication(seat.room, seat.receiver, channel, &publication, at);
            }
            Some(ServerLine::Push { push: Push::Unsubscribe(ended), .. }) => {
                target.closed += 1;
                target.complain(format!("unsubscribed: {} {}", ended.code, ended.reason));
            }
            Some(ServerLine::Reply { result: Ok(Reply::Subscribe(_)), .. }) => {
                seat.awaited -= 1;
                self.ready += usize::from(seat.awaited == 0);
            }
            Some(ServerLine::Reply { result: Err(error), .. }) => {
                group.unanswered -= 1;
                target.refused += 1;
                target.complain(error.to_string());
            }
            Some(ServerLine::Reply { .. } | ServerLine::Push { .. }) => {}
            None => {
                group.counts.foreign += 1;
                target.complain(format!("not a line: {}", String::from_utf8_lossy(line)));
            }
        }
        false
    }
}

impl Handler for World {
    fn opened(&mut self, socket: usize) -> Option<String> {
        let seat = &mut self.seats[socket];
        self.ready += usize::from(seat.awaited == 0);
        seat.opening.take()
    }

    fn text(&mut self, socket: usize, text: &[u8], at: Instant) -> bool {
        let (mut rest, mut pong) = (text, false);
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            let seat = &self.seats[socket];
            let group = &mut self.targets[seat.target].groups[seat.group];
            if !line.is_empty() && !group.value(seat.room, seat.receiver, line, at) {
                pong |= self.other(socket, line, at);
            }
        }
        pong
    }

    fn closed(&mut self, socket: usize, why: anyhow::Error) {
        let target = &mut self.targets[self.seats[socket].target];
        target.closed += 1;
        target.complain(format!("{why:#}"));
    }
}
