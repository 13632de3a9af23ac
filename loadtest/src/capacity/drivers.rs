//! From what people do to what costs something: rates of drivers, each with a unit cost.

use std::collections::BTreeMap;
use std::ops::{Add, Mul};

use serde::{Deserialize, Serialize};

use super::mix::{Kind, Mix};

/// What comes to a node within this is read and written together: the load tester's clock has this grain, and a node with
/// more to do than that merges by itself.
const ROUND_S: f64 = 0.001;
/// A node gathers what changes about its people for so long before it tells the others, …
const GATHER_S: f64 = 0.05;
/// … and what changes so soon after that it tells at once.
const PACE_S: f64 = 0.01;

/// Something that costs something. All are rates a second, but for the two that are there all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// A node that runs.
    Node,
    /// A time that a node wakes up for what came: at most a thousand a second, so that a busy node does a thing for less.
    Round,
    /// A time that a node tells the others who came, went or changed: what changes together is told together.
    Telling,
    /// A connection that is open.
    Connection,
    /// A leave and a connect with `user:<me>`, and what presence makes of both.
    Visit,
    /// A `profile:` subscribed to.
    Subscription,
    /// A `workspace:` subscribed to, and told to those in it.
    Seat,
    /// `GET /dashboard`
    Dashboard,
    /// `GET /feed`
    Feed,
    /// `GET /workspaces/{id}`
    Room,
    /// `task.update`, with the reply and the event of the one who ticks.
    Task,
    /// `post.like`, likewise.
    Like,
    /// `comment.create`, likewise.
    Comment,
    /// `post.create`, likewise.
    Post,
    /// `presence.set`, likewise.
    Status,
    /// `widget.move` at the end of a gesture, likewise.
    Drop,
    /// A value of a drag, with the reply and the echo of its author.
    Drag,
    /// A value of a pointer, likewise.
    Pointer,
    /// A broadcast, likewise.
    Broadcast,
    /// Something that another in the room gets.
    RoomDelivery,
    /// Something of a profile that another gets: an event, or a pill.
    ProfileDelivery,
}

impl Driver {
    /// Every driver.
    pub const ALL: [Driver; 21] = [
        Driver::Node,
        Driver::Round,
        Driver::Telling,
        Driver::Connection,
        Driver::Visit,
        Driver::Subscription,
        Driver::Seat,
        Driver::Dashboard,
        Driver::Feed,
        Driver::Room,
        Driver::Task,
        Driver::Like,
        Driver::Comment,
        Driver::Post,
        Driver::Status,
        Driver::Drop,
        Driver::Drag,
        Driver::Pointer,
        Driver::Broadcast,
        Driver::RoomDelivery,
        Driver::ProfileDelivery,
    ];

    /// Is a transaction: it writes an operation, heads and events.
    pub fn is_durable(self) -> bool {
        matches!(self, Driver::Task | Driver::Like | Driver::Comment | Driver::Post | Driver::Drop)
    }

    /// Events that one of them writes to logs.
    pub fn events(self) -> f64 {
        match self {
            Driver::Task | Driver::Comment | Driver::Drop => 1.0,
            Driver::Like => 2.0,
            Driver::Post => 3.0,
            _ => 0.0,
        }
    }

    /// Pages of tables and indexes that one of them changes somewhere in the middle: the first change after a checkpoint
    /// writes the whole page to the log. Pages at the end, which all add to, are not counted.
    pub fn pages(self) -> f64 {
        match self {
            // The operation, the event, the head of the channel, the row.
            Driver::Task => 4.0,
            // And the layout, and the drag.
            Driver::Drop => 6.0,
            // And the count of comments, and its index; of a post those of two channels.
            Driver::Comment => 6.0,
            Driver::Post => 8.0,
            // Two heads, two events, three indexes.
            Driver::Like => 9.0,
            _ => 0.0,
        }
    }

    /// Whether one of them comes to a node by itself.
    fn arrives(self) -> bool {
        use Driver::{Broadcast, Dashboard, Drag, Feed, Pointer, Room, Status, Visit};
        self.is_durable() || matches!(self, Visit | Dashboard | Feed | Room | Status | Drag | Pointer | Broadcast)
    }

    /// Changes of one of them about who is where, at moments of their own.
    fn changes(self) -> f64 {
        match self {
            // Away, and here again.
            Driver::Visit => 2.0,
            Driver::Status => 1.0,
            _ => 0.0,
        }
    }

    /// Messages of one of them to everybody in the room.
    fn to_room(self) -> f64 {
        match self {
            Driver::Drag | Driver::Pointer | Driver::Broadcast | Driver::Drop => 1.0,
            // A leave and a join.
            Driver::Seat => 2.0,
            _ => 0.0,
        }
    }

    /// Messages of one of them to everybody who watches a profile. Two of a post: itself and the new count of posts.
    fn to_profile(self) -> f64 {
        match self {
            Driver::Like | Driver::Comment | Driver::Status => 1.0,
            Driver::Post | Driver::Visit => 2.0,
            _ => 0.0,
        }
    }
}

/// How much there is of each driver.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drivers([f64; Driver::ALL.len()]);

impl<const COUNT: usize> From<[(Driver, f64); COUNT]> for Drivers {
    fn from(amounts: [(Driver, f64); COUNT]) -> Self {
        let mut drivers = Self::default();
        amounts.into_iter().for_each(|(driver, amount)| drivers.put(driver, amount));
        drivers
    }
}

impl Drivers {
    /// How much of this one.
    pub fn get(&self, driver: Driver) -> f64 {
        self.0[driver as usize]
    }

    fn all(&self) -> impl Iterator<Item = (Driver, f64)> {
        Driver::ALL.into_iter().zip(self.0)
    }

    /// More of this one.
    pub fn put(&mut self, driver: Driver, amount: f64) {
        self.0[driver as usize] += amount;
    }

    /// Messages to rooms, and to those who watch a profile, counted once each, however many get them.
    pub fn messages(&self) -> (f64, f64) {
        let sum = |messages: fn(Driver) -> f64| self.all().map(|(driver, amount)| messages(driver) * amount).sum();
        (sum(Driver::to_room), sum(Driver::to_profile))
    }

    /// Durable commands.
    pub fn commands(&self) -> f64 {
        self.all().filter(|(driver, _)| driver.is_durable()).map(|(_, amount)| amount).sum()
    }

    /// Pages that durable commands change, at the most.
    pub fn pages(&self) -> f64 {
        self.all().map(|(driver, amount)| driver.pages() * amount).sum()
    }

    /// What nodes do for all that comes to them, spread evenly over so many: they themselves, rounds and tellings. The
    /// only drivers that are not twice as many when twice as much is done.
    pub fn spread(mut self, nodes: f64) -> Self {
        let sum = |each: &dyn Fn(Driver) -> f64| self.all().map(|(driver, amount)| each(driver) * amount).sum::<f64>();
        let arrivals = sum(&|driver| f64::from(u8::from(driver.arrives()))) / nodes;
        let changes = sum(&Driver::changes) / nodes;
        self.0[Driver::Node as usize] = nodes;
        self.0[Driver::Round as usize] = nodes * rounds(arrivals);
        self.0[Driver::Telling as usize] = nodes * tellings(changes);
        self
    }

    /// Events in logs.
    pub fn events(&self) -> f64 {
        self.all().map(|(driver, amount)| driver.events() * amount).sum()
    }

    /// What gets to others of what was done.
    fn deliver(mut self, audience: Audience) -> Self {
        let (rooms, profiles) = self.messages();
        self.put(Driver::RoomDelivery, rooms * audience.room);
        self.put(Driver::ProfileDelivery, profiles * audience.profile);
        self
    }
}

/// Spans of [`ROUND_S`] with something in them, of so many arrivals a second at random.
fn rounds(arrivals: f64) -> f64 {
    (1.0 - (-arrivals * ROUND_S).exp()) / ROUND_S
}

/// Times a second that a node tells others, of so many changes a second at random: it waits for one, gathers, tells, and
/// goes on telling as long as more comes within the pace.
fn tellings(changes: f64) -> f64 {
    if changes <= 0.0 {
        return 0.0;
    }
    let in_a_row = (changes * PACE_S).exp();
    in_a_row / (1.0 / changes + GATHER_S + in_a_row * PACE_S)
}

impl Add for Drivers {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(mine, more)| *mine += more);
        self
    }
}

impl Mul<f64> for Drivers {
    type Output = Self;

    fn mul(mut self, factor: f64) -> Self {
        self.0.iter_mut().for_each(|amount| *amount *= factor);
        self
    }
}

/// How many others get a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Audience {
    /// Of a room.
    pub room: f64,
    /// Of a profile.
    pub profile: f64,
}

impl Audience {
    /// Of a mix.
    pub fn of(mix: &Mix) -> Self {
        Self { room: mix.rooms.size as f64 - 1.0, profile: mix.profiles_online as f64 }
    }
}

/// How often each kind of thing is done, in a second by all.
pub type Actions = BTreeMap<Kind, f64>;

/// What `people` online come to who do everything `speed` times as often as the mix says.
pub fn actions(mix: &Mix, people: f64, speed: f64) -> Actions {
    let often = |kind: Kind| {
        let who = if kind.in_rooms() { people * mix.rooms.share } else { people };
        who * mix.rate(kind) * speed / 3_600.0
    };
    Kind::ALL.into_iter().map(|kind| (kind, often(kind))).collect()
}

/// What that costs something for, on one node.
pub fn drivers(mix: &Mix, people: f64, actions: &Actions) -> Drivers {
    let often = |kind: Kind| actions.get(&kind).copied().unwrap_or_default();
    let (visits, gestures) = (often(Kind::Visit), often(Kind::Gesture));
    let seats = visits * mix.rooms.share;
    let direct = [
        (Driver::Connection, people),
        (Driver::Visit, visits),
        (Driver::Subscription, visits * mix.profiles as f64),
        (Driver::Seat, seats),
        (Driver::Dashboard, visits * mix.loads.dashboard + often(Kind::Dashboard)),
        (Driver::Feed, visits * mix.loads.feed + often(Kind::Feed)),
        (Driver::Room, seats * mix.loads.room + often(Kind::RoomLoad)),
        (Driver::Task, often(Kind::Task)),
        (Driver::Like, often(Kind::Like)),
        (Driver::Comment, often(Kind::Comment)),
        (Driver::Post, often(Kind::Post)),
        (Driver::Status, often(Kind::Status)),
        (Driver::Drop, gestures),
        (Driver::Drag, gestures * mix.gesture.values()),
        (Driver::Pointer, often(Kind::Pointer)),
        (Driver::Broadcast, often(Kind::Broadcast)),
    ];
    Drivers::from(direct).deliver(Audience::of(mix)).spread(1.0)
}

/// What so many connections a second cost that come back after a node died: all channels, but nothing over REST, and
/// no word to others, who were not told that they were away.
pub fn reconnects(mix: &Mix, per_second: f64) -> Drivers {
    Drivers::from([
        (Driver::Visit, per_second),
        (Driver::Subscription, per_second * mix.profiles as f64),
        (Driver::Seat, per_second * mix.rooms.share),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix() -> Mix {
        Mix::parse(
            r#"{"name": "m", "profiles": 10, "profiles_online": 5, "rooms": {"share": 0.5, "size": 4},
            "gesture": {"seconds": 2, "per_second": 20},
            "per_hour": {"visit": 2, "task": 36, "post": 3.6, "gesture": 7.2, "like": 7.2}}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_mix_becomes_rates() {
        let mix = mix();
        let of = |people: f64, speed: f64| drivers(&mix, people, &actions(&mix, people, speed));
        let found = of(1_000.0, 1.0);
        let near = |driver: Driver, expected: f64| {
            assert!((found.get(driver) - expected).abs() < 1e-9, "{driver:?}: {}", found.get(driver));
        };
        near(Driver::Connection, 1_000.0);
        near(Driver::Task, 10.0);
        // Half of the people are in rooms.
        near(Driver::Drop, 1.0);
        near(Driver::Drag, 40.0);
        let visits = 2_000.0 / 3_600.0;
        near(Driver::Subscription, visits * 10.0);
        near(Driver::Seat, visits / 2.0);
        // 41 of each gesture, a leave and a join, to the three others.
        near(Driver::RoomDelivery, (41.0 + visits) * 3.0);
        // Two likes, two messages of each post, away and here again of each visit; to five.
        near(Driver::ProfileDelivery, (2.0 + 2.0 + 2.0 * visits) * 5.0);
        assert!((found.commands() - 14.0).abs() < 1e-9);
        assert!((found.events() - (10.0 + 4.0 + 3.0 + 1.0)).abs() < 1e-9);
    }

    #[test]
    fn people_and_speed_scale_what_they_should() {
        let mix = mix();
        let of = |people: f64, speed: f64| drivers(&mix, people, &actions(&mix, people, speed));
        let (one, many, fast) = (of(100.0, 1.0), of(1_000.0, 1.0), of(100.0, 10.0));
        for driver in Driver::ALL {
            if matches!(driver, Driver::Node | Driver::Round | Driver::Telling) {
                continue;
            }
            assert!((many.get(driver) - 10.0 * one.get(driver)).abs() < 1e-9);
            let still = driver == Driver::Connection;
            let expected = if still { one.get(driver) } else { 10.0 * one.get(driver) };
            assert!((fast.get(driver) - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn what_is_done_together_grows_less_than_what_is_done() {
        let near =
            |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.02, "{found}, not {expected}");
        // Alone, each wakes a node and each is told; a crowd shares.
        near(rounds(1.0), 1.0);
        near(tellings(0.1), 0.1);
        near(rounds(1e6), 1_000.0);
        assert!(tellings(100.0) < 40.0 && tellings(100.0) > tellings(50.0));
        assert_eq!((rounds(0.0), tellings(0.0)), (0.0, 0.0));
        let all = drivers(&mix(), 1e6, &actions(&mix(), 1e6, 1.0));
        let spread = all.clone().spread(1_000.0);
        assert_eq!((all.get(Driver::Node), spread.get(Driver::Node)), (1.0, 1_000.0));
        assert!(spread.get(Driver::Round) > 50.0 * all.get(Driver::Round));
        assert_eq!(spread.get(Driver::Task), all.get(Driver::Task));
    }
}
