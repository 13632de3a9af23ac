//! One client: somebody's program, which does whatever comes to its mind, over both doors, and loses its connection.

mod lines;
pub mod load;
mod steps;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use studyhall_protocol::client::{self, Wishes};
use studyhall_protocol::{Channel, Position};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::api::ANSWER_WITHIN;
use super::history::{Ending, What};
use super::link::Link;
use super::shared::{Attempt, Errand, Phase, Shared, Status};
use super::world;

/// A ping may be this late; the server sends one every 15 seconds.
const SILENCE: Duration = Duration::from_secs(25);
/// Between looks at what is overdue, when there is nothing else to do.
const TICK: Duration = Duration::from_millis(100);

/// What was asked over a connection.
enum Asked {
    Connect,
    Command(Errand, Attempt),
    /// From this position on.
    Subscribe(Channel, Option<u64>),
    Unsubscribe(Channel),
}

/// A connection, and what goes on over it.
struct Session {
    link: Link,
    conn: u32,
    url: usize,
    connected: bool,
    next_id: u32,
    asked: HashMap<u32, (Asked, Instant)>,
    /// Granted subscriptions.
    open: BTreeSet<Channel>,
    rooms: HashMap<Channel, BTreeSet<Uuid>>,
    heard: Instant,
}

/// A client.
pub struct Client {
    shared: Arc<Shared>,
    number: u32,
    me: usize,
    random: StdRng,
    url: usize,
    session: Option<Session>,
    /// What it wants to be subscribed to.
    wanted: BTreeSet<Channel>,
    /// How far it knows each channel.
    positions: HashMap<Channel, Position>,
    by_rest: JoinSet<()>,
    next_step: Instant,
    connect_at: Instant,
    failures: u32,
}

impl Client {
    /// Not connected yet.
    pub fn new(shared: Arc<Shared>, number: usize, seed: u64) -> Self {
        let me = number % shared.people.len();
        let mut random = world::random(seed, number as u64);
        let id = shared.people[me].id;
        let mut wanted = BTreeSet::from([Channel::User(id), Channel::Profile(id)]);
        for _ in 0..3 {
            let other = random.random_range(0..shared.people.len());
            wanted.insert(Channel::Profile(shared.people[other].id));
        }
        wanted.extend(shared.world.lock().rooms.iter().map(|room| Channel::Workspace(room.id)));
        let now = Instant::now();
        Self {
            url: number % shared.api.count(),
            number: number as u32,
            me,
            random,
            session: None,
            wanted,
            positions: HashMap::new(),
            by_rest: JoinSet::new(),
            next_step: now,
            connect_at: now,
            failures: 0,
            shared,
        }
    }

    /// Lives until it is told to end.
    pub async fn run(mut self) {
        let mut phase = self.shared.phase.subscribe();
        loop {
            let now_is = *phase.borrow_and_update();
            if now_is == Phase::End {
                break;
            }
            self.keep_connected(now_is).await;
            if now_is == Phase::Settle {
                self.subscribe_missing().await;
                self.tell();
            }
            let wake = if now_is == Phase::Work { self.next_step } else { Instant::now() + TICK };
            let next = async {
                match &mut self.session {
                    Some(session) => session.link.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                frame = next => match frame {
                    Ok(frame) => self.frame(&frame).await,
                    Err(how) => self.lost(how),
                },
                () = tokio::time::sleep_until(wake.min(Instant::now() + TICK)) => {
                    if now_is == Phase::Work && Instant::now() >= self.next_step {
                        self.step().await;
                    }
                }
                _ = phase.changed() => {}
                Some(_) = self.by_rest.join_next() => {}
            }
        }
        self.goodbye().await;
    }

    /// Opens a connection when there is none and it is time, and gives up one that has gone silent.
    async fn keep_connected(&mut self, phase: Phase) {
        if let Some(session) = &self.session {
            let overdue = session.asked.values().any(|(_, since)| since.elapsed() > ANSWER_WITHIN);
            if overdue || session.heard.elapsed() > SILENCE {
                self.vanish();
            }
        }
        if self.session.is_some() || Instant::now() < self.connect_at {
            return;
        }
        match Link::open(&self.shared.api.socket_url(self.url)).await {
            Ok(link) => self.begin(link).await,
            Err(_) => {
                self.failures += 1;
                // Another address may serve.
                self.url += 1;
                let wait = if phase == Phase::Settle { 0.2 } else { 0.1 * f64::from(self.failures.min(10)) };
                self.connect_at = Instant::now() + Duration::from_secs_f64(wait * self.random.random_range(0.5..1.0));
            }
        }
    }

    /// Connect and all subscribes in one frame, as the SDK for JavaScript does.
    async fn begin(&mut self, link: Link) {
        let conn = self.shared.number();
        let url = self.url % self.shared.api.count();
        let asked = HashMap::from([(1, (Asked::Connect, Instant::now()))]);
        let session = Session {
            link,
            conn,
            url,
            connected: false,
            next_id: 2,
            asked,
            open: BTreeSet::new(),
            rooms: HashMap::new(),
            heard: Instant::now(),
        };
        self.session = Some(session);
        let person = &self.shared.people[self.me];
        self.shared.recorder.record(What::Connected { conn, client: self.number, person: person.id, url });
        let mut lines = vec![client::connect(1, &person.token)];
        lines.extend(self.wanted.clone().into_iter().filter_map(|channel| self.subscribe(channel)));
        self.send(lines).await;
    }

    /// The line that asks for a subscription, from where we are if we know that.
    fn subscribe(&mut self, channel: Channel) -> Option<String> {
        let session = self.session.as_mut()?;
        let since = self.positions.get(&channel);
        let id = session.ask(Asked::Subscribe(channel, since.map(|position| position.offset)));
        self.shared.recorder.record(What::Subscribing { conn: session.conn, channel });
        let join_leave = matches!(channel, Channel::Workspace(_));
        Some(client::subscribe(id, channel, Wishes { since, join_leave, reject_unrecovered: true }))
    }

    /// Sends lines as one frame.
    async fn send(&mut self, lines: Vec<String>) {
        let Some(session) = &mut self.session else { return };
        if !lines.is_empty() && !session.link.send(lines.join("\n")).await {
            self.lost(Ending::Lost);
        }
    }

    /// Breaks the connection off.
    fn vanish(&mut self) {
        if let Some(session) = self.session.take() {
            session.over(&self.shared, Ending::Lost).vanish();
            self.moved_on();
        }
    }

    /// The connection is gone.
    fn lost(&mut self, how: Ending) {
        if let Some(session) = self.session.take() {
            drop(session.over(&self.shared, how));
            self.moved_on();
        }
    }

    /// Another connection will be opened soon, mostly elsewhere.
    fn moved_on(&mut self) {
        if self.random.random_bool(0.6) {
            self.url += 1;
        }
        let pause = if self.random.random_bool(0.1) { 2.0 } else { 0.2 };
        self.connect_at = Instant::now() + Duration::from_secs_f64(self.random.random_range(0.0..pause));
    }

    /// Where everybody stands, for whoever waits for that.
    fn tell(&mut self) {
        let mut status = Status { waiting: !self.by_rest.is_empty(), ..Status::default() };
        match &self.session {
            Some(session) => {
                status.waiting |= !session.asked.is_empty();
                let open = session.open.iter();
                let at = |channel: &Channel| self.positions.get(channel).map_or(0, |position| position.offset);
                status.cursors = open.map(|channel| (*channel, at(channel))).collect();
                status.rooms = session.rooms.clone();
            }
            None => status.waiting = true,
        }
        self.shared.statuses.lock()[self.number as usize] = status;
    }

    async fn goodbye(&mut self) {
        while self.by_rest.join_next().await.is_some() {}
        if let Some(session) = self.session.take() {
            session.bye(&self.shared).await;
        }
    }
}

impl Session {
    /// Notes that something is asked, and under which number.
    fn ask(&mut self, asked: Asked) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.asked.insert(id, (asked, Instant::now()));
        id
    }

    /// Writes down that it is over, and what was not answered.
    fn over(self, shared: &Shared, how: Ending) -> Link {
        close(shared, self.conn, self.asked, how);
        self.link
    }

    /// Says goodbye.
    async fn bye(self, shared: &Shared) {
        let Session { link, conn, asked, .. } = self;
        link.bye().await;
        close(shared, conn, asked, Ending::Clean);
    }
}

fn close(shared: &Shared, conn: u32, asked: HashMap<u32, (Asked, Instant)>, how: Ending) {
    shared.recorder.record(What::Closed { conn, how });
    for (asked, _) in asked.into_values() {
        if let Asked::Command(errand, attempt) = asked
            && attempt != Attempt::Repeat
        {
            shared.unknown(errand, "the connection was lost before the answer");
        }
    }
}
