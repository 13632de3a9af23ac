//! A day in simulated time: counts of people, not people.
//!
//! Second by second: people come as a Poisson process whose rate follows the curve of the day, stay for a time that is
//! drawn when they come, sit in rooms or not, and do things; what they do swells and ebbs, and now and then bursts. A
//! node dies, and its people come back at once. The same seed gives the same day.

use super::drivers::{Actions, Driver, Drivers, drivers, reconnects};
use super::mix::{Day, Kind, Mix};
use super::model::{Hosting, Size, load, price, size};
use super::random::Random;
use super::units::{Resource, Units};

/// Of a day.
const SECONDS: usize = 86_400;
/// Before the day, so that those are there who came earlier.
const BEFORE: usize = 4 * 3_600;
/// Nobody stays longer.
const LONGEST: usize = 12 * 3_600;
/// Different lengths of sessions.
const LENGTHS: usize = 48;
/// A node is missed for so long.
const NODE_AWAY: usize = 600;

/// What is drawn, and how it is added up.
struct World<'a> {
    units: &'a Units,
    hosting: &'a Hosting,
    mix: &'a Mix,
    random: Random,
    /// Arrivals a second, by second of the day.
    arrivals: Vec<f64>,
    /// Seconds that people stay, each as likely as any other.
    lengths: Vec<usize>,
    nodes: f64,
}

/// A minute of the day.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Minute {
    /// People online, on average.
    pub online: f64,
    /// Cores of all servers.
    pub server_cores: f64,
    /// Cores of the busiest node.
    pub busiest_node_cores: f64,
    /// Cores of PostgreSQL, without followers.
    pub postgres_cores: f64,
    /// Statements a second.
    pub statements: f64,
    /// Cores of Redis.
    pub redis_cores: f64,
    /// Redis commands a second.
    pub redis_ops: f64,
    /// Bytes a second between clients and servers.
    pub network_bytes: f64,
    /// Bytes a second of write-ahead log, but for the images of pages.
    pub wal_bytes: f64,
    /// Bytes a second of images of pages, when no page is changed twice between two checkpoints.
    pub image_bytes: f64,
    /// Bytes a second between nodes and the bus.
    pub bus_bytes: f64,
    /// Durable commands a second.
    pub commands: f64,
    /// The worst second of the servers together.
    pub worst_server_cores: f64,
    /// The worst second of PostgreSQL.
    pub worst_postgres_cores: f64,
}

/// A day.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// Nodes that it was played on, none to spare.
    pub nodes: f64,
    /// Everybody who came, those before the day included.
    pub came: u64,
    /// Everybody who went.
    pub went: u64,
    /// Who is there at the end.
    pub stays: u64,
    /// The day.
    pub minutes: Vec<Minute>,
}

impl Simulated {
    /// A figure of the minutes, at this share of them: 1 is the highest.
    pub fn quantile(&self, figure: fn(&Minute) -> f64, share: f64) -> f64 {
        let mut values: Vec<f64> = self.minutes.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let place = (share * values.len() as f64).ceil() as usize;
        values.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The highest minute.
    pub fn peak(&self, figure: fn(&Minute) -> f64) -> f64 {
        self.quantile(figure, 1.0)
    }
}

/// Plays a day with at most `people` online on average, on as many nodes as its peak minute needs.
pub fn simulate(units: &Units, hosting: &Hosting, mix: &Mix, people: f64, seed: u64) -> (Simulated, Size) {
    let mean = super::drivers::actions(mix, people, 1.0);
    let mut sized = size(units, hosting, mix, people, &drivers(mix, people, &mean));
    let mut played = World::new(units, hosting, mix, people, seed, sized.nodes - 1.0).play();
    // The peak minute asks for more nodes than the mean does, and those have more to tell each other.
    for _ in 0..4 {
        let factor = played.peak(|minute| minute.server_cores) / sized.server_cores;
        let needed = size(
            units,
            hosting,
            mix,
            played.peak(|minute| minute.online),
            &(drivers(mix, people, &mean) * factor.max(1.0)),
        );
        if needed.nodes <= sized.nodes {
            break;
        }
        sized.nodes = needed.nodes;
        played = World::new(units, hosting, mix, people, seed, sized.nodes - 1.0).play();
    }
    let online = played.peak(|minute| minute.online);
    let shards = |cores: f64, of: f64| (cores / (of * hosting.busy)).ceil().max(1.0);
    let nodes = sized.nodes - 1.0;
    let followers = load(units, hosting, mix, &drivers(mix, people, &mean), nodes).followers_us / 1e6;
    let size = Size {
        nodes: sized.nodes,
        node_gib: super::model::memory_kib(units, hosting, mix, online, nodes) / nodes / 1_048_576.0,
        node_people: online / nodes,
        server_cores: played.peak(|minute| minute.server_cores),
        postgres_cores: played.peak(|minute| minute.postgres_cores),
        follower_cores: followers,
        postgres_shards: shards(played.peak(|minute| minute.postgres_cores), hosting.postgres_cores),
        redis_cores: played.peak(|minute| minute.redis_cores),
        redis_shards: shards(played.peak(|minute| minute.redis_cores), 1.0),
    };
    (played, size)
}

impl<'a> World<'a> {
    fn new(units: &'a Units, hosting: &'a Hosting, mix: &'a Mix, people: f64, seed: u64, nodes: f64) -> Self {
        let mut random = Random::new(seed);
        let lengths = lengths(&mix.day, mix.session_seconds(), &mut random);
        let arrivals = arrivals(&mix.day, people, &lengths);
        Self { units, hosting, mix, random, arrivals, lengths, nodes }
    }

    fn play(mut self) -> Simulated {
        let mut leaving = vec![(0_u64, 0_u64); BEFORE + SECONDS + LONGEST + 1];
        let (mut online, mut seated, mut came, mut went) = (0_u64, 0_u64, 0_u64, 0_u64);
        let (mut swell, mut burst) = (0.0, Burst::default());
        let dies_at = BEFORE + (self.mix.day.node_dies_at * 3_600.0) as usize;
        let mut returning = 0.0;
        let prices = Prices::new(self.units, self.hosting, self.mix, self.nodes);
        let mut minutes = Vec::with_capacity(SECONDS / 60);
        let mut minute = Vec::with_capacity(60);
        for second in 0..BEFORE + SECONDS {
            let (gone, gone_seated) = leaving[second];
            let arrived = self.random.poisson(self.arrivals[(second + SECONDS - BEFORE) % SECONDS]);
            let arrived_seated = self.stay(arrived, second, &mut leaving);
            online = online + arrived - gone;
            seated = seated + arrived_seated - gone_seated;
            (came, went) = (came + arrived, went + gone);
            swell = self.swell(swell);
            let factor = f64::exp(swell) * burst.factor(&self.mix.day, second, &mut self.random);
            if second < BEFORE {
                continue;
            }
            if second == dies_at && self.nodes > 1.0 {
                returning = self.random.binomial(online, 1.0 / self.nodes) as f64;
            }
            let back = second >= dies_at && (second - dies_at) as f64 <= self.mix.day.reconnect_seconds;
            let storm = if back { returning / self.mix.day.reconnect_seconds } else { 0.0 };
            let does = self.does(online, seated, (arrived + gone) as f64 / 2.0, factor, storm);
            minute.push((online as f64, prices.of(&does), does.commands()));
            if minute.len() == 60 {
                let away = (dies_at..dies_at + NODE_AWAY).contains(&second) && self.nodes > 1.0;
                minutes.push(self.minute(&minute, if away { self.nodes - 1.0 } else { self.nodes }));
                minute.clear();
            }
        }
        Simulated { nodes: self.nodes, came, went, stays: online, minutes }
    }

    /// Decides how long those stay who have come, and who of them sit in a room; returns how many do.
    fn stay(&mut self, arrived: u64, second: usize, leaving: &mut [(u64, u64)]) -> u64 {
        let (mut left, mut seated) = (arrived, 0);
        for (index, length) in self.lengths.iter().enumerate() {
            if left == 0 {
                break;
            }
            let some = self.random.binomial(left, 1.0 / (self.lengths.len() - index) as f64);
            let in_rooms = self.random.binomial(some, self.mix.rooms.share);
            let leaves = &mut leaving[second + length];
            *leaves = (leaves.0 + some, leaves.1 + in_rooms);
            left -= some;
            seated += in_rooms;
        }
        seated
    }

    /// What they do drifts about its mean.
    fn swell(&mut self, before: f64) -> f64 {
        let keep = (-1.0 / (self.mix.day.memory_minutes * 60.0)).exp();
        let sigma = self.mix.day.activity_sigma;
        let drift = sigma * (1.0 - keep * keep).sqrt() * self.random.normal();
        // Around a mean of the logarithm that makes the mean of the factor 1.
        let mean = -sigma * sigma / 2.0;
        mean + (before - mean) * keep + drift
    }

    /// What is done in a second.
    fn does(&mut self, online: u64, seated: u64, visits: f64, factor: f64, storm: f64) -> Drivers {
        let mut actions = Actions::new();
        for kind in Kind::ALL {
            let who = if kind.in_rooms() { seated } else { online } as f64;
            let mean = who * self.mix.rate(kind) / 3_600.0 * factor;
            let amount = if kind == Kind::Visit { visits } else { self.random.poisson(mean) as f64 };
            actions.insert(kind, amount);
        }
        drivers(self.mix, online as f64, &actions) + reconnects(self.mix, storm)
    }

    /// A minute, and how busy its busiest node was: people are on nodes by chance.
    fn minute(&mut self, seconds: &[(f64, Costs, f64)], alive: f64) -> Minute {
        let mean = |of: &dyn Fn(&(f64, Costs, f64)) -> f64| seconds.iter().map(of).sum::<f64>() / seconds.len() as f64;
        let cores = |resource: Resource| mean(&|(_, costs, _)| costs[resource as usize]) / 1e6;
        let worst =
            |resource: Resource| seconds.iter().map(|(_, costs, _)| costs[resource as usize] / 1e6).fold(0.0, f64::max);
        let (online, server_cores) = (mean(&|(online, ..)| *online), cores(Resource::ServerUs));
        let spread = (alive / online.max(1.0)).sqrt();
        let luckless = (0..alive as usize).map(|_| self.random.normal()).fold(0.0, f64::max);
        Minute {
            online,
            server_cores,
            busiest_node_cores: server_cores / alive * (1.0 + spread * luckless),
            postgres_cores: cores(Resource::PostgresUs),
            statements: cores(Resource::Statements) * 1e6,
            redis_cores: cores(Resource::RedisUs),
            redis_ops: cores(Resource::RedisOps) * 1e6,
            network_bytes: cores(Resource::NetworkBytes) * 1e6,
            wal_bytes: cores(Resource::WalBytes) * 1e6,
            image_bytes: mean(&|(_, costs, _)| costs[IMAGES]),
            bus_bytes: mean(&|(_, costs, _)| costs[BUS]),
            commands: mean(&|(.., commands)| *commands),
            worst_server_cores: worst(Resource::ServerUs),
            worst_postgres_cores: worst(Resource::PostgresUs),
        }
    }
}

/// What is used in a second, by resource; and behind them bytes on the bus and of pages in the log.
type Costs = [f64; Resource::ALL.len() + 2];
const BUS: usize = Resource::ALL.len();
const IMAGES: usize = BUS + 1;

/// The model for so many nodes: for what was spread over them it is linear, so one of each driver says all, and a day is
/// quickly added up.
struct Prices {
    nodes: f64,
    each: Vec<Costs>,
}

impl Prices {
    fn new(units: &Units, hosting: &Hosting, mix: &Mix, nodes: f64) -> Self {
        let one = |driver: Driver| -> Costs {
            let found = price(units, hosting, mix, &Drivers::from([(driver, 1.0)]), nodes);
            std::array::from_fn(|place| match place {
                BUS => found.bus_bytes(hosting),
                IMAGES => found.image_bytes(hosting),
                _ => found.get(Resource::ALL[place]),
            })
        };
        Self { nodes, each: Driver::ALL.into_iter().map(one).collect() }
    }

    fn of(&self, drivers: &Drivers) -> Costs {
        let drivers = drivers.clone().spread(self.nodes);
        let mut sum: Costs = std::array::from_fn(|_| 0.0);
        for (driver, each) in Driver::ALL.into_iter().zip(&self.each) {
            let amount = drivers.get(driver);
            sum.iter_mut().zip(each).for_each(|(sum, cost)| *sum += cost * amount);
        }
        sum
    }
}

/// Times when a part of the people does more: it rises and falls over its length.
#[derive(Default)]
struct Burst {
    from: usize,
    until: usize,
}

impl Burst {
    fn factor(&mut self, day: &Day, second: usize, random: &mut Random) -> f64 {
        let length = day.burst_minutes * 60.0;
        if second >= self.until && random.unit() <= day.bursts / SECONDS as f64 {
            (self.from, self.until) = (second, second + length as usize);
        }
        if second >= self.until {
            return 1.0;
        }
        let through = (second - self.from) as f64 / length;
        1.0 + (day.burst_factor - 1.0) * (std::f64::consts::PI * through).sin()
    }
}

/// Lengths of sessions, each as likely, with the mean that the visits per hour say.
fn lengths(day: &Day, mean: f64, random: &mut Random) -> Vec<usize> {
    if !mean.is_finite() {
        return vec![LONGEST];
    }
    let drawn: Vec<f64> = (0..LENGTHS).map(|_| (day.session_sigma * random.normal()).exp()).collect();
    let scale = mean * LENGTHS as f64 / drawn.iter().sum::<f64>();
    drawn.iter().map(|length| ((length * scale) as usize).clamp(1, LONGEST)).collect()
}

/// Arrivals a second, so that the highest expected number of people online is `people`.
fn arrivals(day: &Day, people: f64, lengths: &[usize]) -> Vec<f64> {
    let wish = |second: usize| {
        let hour = second as f64 / 3_600.0;
        let (before, share) = (hour as usize % 24, hour.fract());
        day.curve[before] * (1.0 - share) + day.curve[(before + 1) % 24] * share
    };
    let wishes: Vec<f64> = (0..SECONDS).map(wish).collect();
    // Who came within the length of a session is there: sums over the past, by running totals of two days.
    let mut total = vec![0.0; 2 * SECONDS + 1];
    for second in 0..2 * SECONDS {
        total[second + 1] = total[second] + wishes[second % SECONDS];
    }
    let online = |second: usize| -> f64 {
        let now = SECONDS + second;
        lengths.iter().map(|length| total[now] - total[now - length]).sum::<f64>() / lengths.len() as f64
    };
    let highest = (0..SECONDS).step_by(60).map(online).fold(0.0, f64::max);
    wishes.iter().map(|wish| wish * people / highest).collect()
}

#[cfg(test)]
mod tests;
