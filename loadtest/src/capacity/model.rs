//! From unit costs and a mix to nodes, PostgreSQL, Redis and network: plain arithmetic.

use serde::{Deserialize, Serialize};

use super::drivers::{Audience, Drivers};
use super::mix::Mix;
use super::units::{Amounts, Resource, Units};

/// What is bought, and what is assumed where nothing could be measured on one node. A core is one as that of the
/// machine on which the unit costs were measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct Hosting {
    /// Cores of a node.
    #[arg(long, default_value_t = 8.0)]
    pub node_cores: f64,
    /// GiB of a node.
    #[arg(long, default_value_t = 32.0)]
    pub node_gib: f64,
    /// Connections of a node; open files and STUDYHALL_CONNECTIONS_MAX must allow them.
    #[arg(long, default_value_t = 100_000.0)]
    pub node_connections: f64,
    /// Cores of one PostgreSQL primary.
    #[arg(long, default_value_t = 32.0)]
    pub postgres_cores: f64,
    /// Share of its cores that anything may use in the peak minute.
    #[arg(long, default_value_t = 0.6)]
    pub busy: f64,
    /// Assumed: what a channel costs a node that nobody else on it uses, KiB.
    #[arg(long, default_value_t = 0.5)]
    pub channel_kib: f64,
    /// Assumed: CPU of a node that hands a message to the bus, microseconds.
    #[arg(long, default_value_t = 3.0)]
    pub bus_send_us: f64,
    /// Assumed: CPU of a node that takes a message from the bus, microseconds; its deliveries are counted as all are.
    #[arg(long, default_value_t = 5.0)]
    pub bus_receive_us: f64,
    /// Assumed: CPU of Redis for a message, microseconds.
    #[arg(long, default_value_t = 2.0)]
    pub bus_redis_us: f64,
    /// Assumed: CPU of Redis for each node that it hands a message to, microseconds.
    #[arg(long, default_value_t = 1.0)]
    pub bus_redis_hop_us: f64,
    /// Assumed: bytes of a message between nodes, with its heads.
    #[arg(long, default_value_t = 400.0)]
    pub bus_bytes: f64,
    /// Bytes of a page in the write-ahead log, which leaves out what is free in it.
    #[arg(long, default_value_t = 6_000.0)]
    pub image_bytes: f64,
    /// CPU of PostgreSQL for an event that another node reads when it looks for what it missed, microseconds.
    #[arg(long, default_value_t = 8.0)]
    pub follow_us: f64,
}

/// What a whole deployment uses in a second.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// All nodes together, with what passes between them, without their followers.
    pub used: Amounts,
    /// Messages that nodes hand to the bus.
    pub bus_messages: f64,
    /// Copies of them that other nodes take.
    pub bus_copies: f64,
    /// Pages that are changed, each of which may be in the log as a whole.
    pub pages: f64,
    /// CPU of PostgreSQL for nodes that look for what they missed, microseconds: each reads every event.
    pub followers_us: f64,
}

impl Load {
    /// So much of it.
    pub fn get(&self, resource: Resource) -> f64 {
        self.used.get(&resource).copied().unwrap_or_default()
    }

    /// Bytes of pages in the write-ahead log when no page is changed twice between two checkpoints.
    pub fn image_bytes(&self, hosting: &Hosting) -> f64 {
        self.pages * hosting.image_bytes
    }

    /// Bytes between nodes and the bus: in once, out by copy.
    pub fn bus_bytes(&self, hosting: &Hosting) -> f64 {
        (self.bus_messages + self.bus_copies) * hosting.bus_bytes
    }
}

/// Of `nodes`, how many besides the sender's have at least one of `others`, who are spread by chance.
pub fn other_nodes(nodes: f64, others: f64) -> f64 {
    (nodes - 1.0) * (1.0 - (1.0 - 1.0 / nodes).powf(others))
}

/// What these drivers cost on so many nodes.
///
/// Everybody is on a node by chance: people of one room meet others' nodes as often as strangers do. Each message goes
/// to the bus once and to every node that has a subscriber. Today events reach other nodes by their followers and
/// presence by Redis; drags, pointers and broadcasts do not cross at all. The bus that carries them is an assumption.
pub fn load(units: &Units, hosting: &Hosting, mix: &Mix, drivers: &Drivers, nodes: f64) -> Load {
    price(units, hosting, mix, &drivers.clone().spread(nodes), nodes)
}

/// The same of drivers that were [spread](Drivers::spread): twice as much for twice as much of all.
pub fn price(units: &Units, hosting: &Hosting, mix: &Mix, drivers: &Drivers, nodes: f64) -> Load {
    let mut used = units.load(drivers);
    let (rooms, profiles) = drivers.messages();
    let audience = Audience::of(mix);
    let crosses = if nodes > 1.0 { 1.0 } else { 0.0 };
    let messages = crosses * (rooms + profiles);
    let copies = rooms * other_nodes(nodes, audience.room) + profiles * other_nodes(nodes, audience.profile);
    let mut put = |resource: Resource, amount: f64| *used.entry(resource).or_default() += amount;
    put(Resource::ServerUs, messages * hosting.bus_send_us + copies * hosting.bus_receive_us);
    put(Resource::RedisUs, messages * hosting.bus_redis_us + copies * hosting.bus_redis_hop_us);
    put(Resource::RedisOps, messages);
    let followers_us = (nodes - 1.0) * drivers.events() * hosting.follow_us;
    Load { used, bus_messages: messages, bus_copies: copies, pages: drivers.pages(), followers_us }
}

/// KiB of all nodes together.
///
/// A subscription to a profile that nobody else on the node watches costs a channel besides; with many nodes that is
/// nearly every one.
pub fn memory_kib(units: &Units, hosting: &Hosting, mix: &Mix, people: f64, nodes: f64) -> f64 {
    let per_node = people / nodes;
    let profiles = per_node * mix.profiles as f64;
    let alone = units.memory.kib(per_node, mix.profiles as f64, mix.rooms.share);
    // The person's own channel, the room, and the profiles.
    let channels = per_node * (1.0 + mix.rooms.share) + profiles;
    nodes * (alone + channels * hosting.channel_kib)
}

/// What has to be bought for a load.
#[derive(Debug, Clone, PartialEq)]
pub struct Size {
    /// Nodes, with one to spare.
    pub nodes: f64,
    /// GiB that a node uses.
    pub node_gib: f64,
    /// People on a node.
    pub node_people: f64,
    /// Cores that the servers use.
    pub server_cores: f64,
    /// Cores that PostgreSQL uses, without followers.
    pub postgres_cores: f64,
    /// Cores that PostgreSQL uses for followers.
    pub follower_cores: f64,
    /// Primaries, if data can be parted so.
    pub postgres_shards: f64,
    /// Cores that Redis uses.
    pub redis_cores: f64,
    /// Redis servers, each of one core.
    pub redis_shards: f64,
}

/// Nodes for this much CPU, memory and people, without one to spare.
fn nodes_for(units: &Units, hosting: &Hosting, mix: &Mix, people: f64, server_us: f64, nodes: f64) -> f64 {
    let by_cpu = server_us / 1e6 / (hosting.node_cores * hosting.busy);
    let by_memory = memory_kib(units, hosting, mix, people, nodes) / (hosting.node_gib * hosting.busy * 1_048_576.0);
    by_cpu.max(by_memory).max(people / hosting.node_connections).ceil().max(1.0)
}

/// Sizes a deployment for `people` and what they do. More nodes have more to tell each other, so it is asked again until
/// the number stands.
pub fn size(units: &Units, hosting: &Hosting, mix: &Mix, people: f64, drivers: &Drivers) -> Size {
    let mut nodes = 1.0;
    for _ in 0..64 {
        let found = load(units, hosting, mix, drivers, nodes);
        let needed = nodes_for(units, hosting, mix, people, found.get(Resource::ServerUs), nodes);
        if needed <= nodes {
            break;
        }
        nodes = needed;
    }
    let found = load(units, hosting, mix, drivers, nodes);
    let cores = |resource: Resource| found.get(resource) / 1e6;
    let shards = |cores: f64, of: f64| (cores / (of * hosting.busy)).ceil().max(1.0);
    Size {
        nodes: nodes + 1.0,
        node_gib: memory_kib(units, hosting, mix, people, nodes) / nodes / 1_048_576.0,
        node_people: people / nodes,
        server_cores: cores(Resource::ServerUs),
        postgres_cores: cores(Resource::PostgresUs),
        follower_cores: found.followers_us / 1e6,
        postgres_shards: shards(cores(Resource::PostgresUs), hosting.postgres_cores),
        redis_cores: cores(Resource::RedisUs),
        redis_shards: shards(cores(Resource::RedisUs), 1.0),
    }
}

/// The largest number of people for which `fits` holds, by halving; everything grows with people.
pub fn most_people(fits: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while fits(high) && high < 1e12 {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser;

    use super::super::drivers::{Driver, actions, drivers};
    use super::super::units::Memory;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        hosting: Hosting,
    }

    fn hosting() -> Hosting {
        Line::parse_from(["test"]).hosting
    }

    fn mix() -> Mix {
        Mix::parse(
            r#"{"name": "m", "profiles": 10, "profiles_online": 5, "rooms": {"share": 1, "size": 4},
            "per_hour": {"visit": 1, "task": 36, "pointer": 360}}"#,
        )
        .unwrap()
    }

    fn units() -> Units {
        let cost = |server: f64, postgres: f64| {
            BTreeMap::from([(Resource::ServerUs, server), (Resource::PostgresUs, postgres)])
        };
        let costs = [
            (Driver::Node, cost(1_000.0, 500.0)),
            (Driver::Task, cost(100.0, 400.0)),
            (Driver::Pointer, cost(10.0, 0.0)),
            (Driver::RoomDelivery, cost(5.0, 0.0)),
        ];
        let memory = Memory { node_kib: 1e5, connection_kib: 8.0, subscription_kib: 0.2, seat_kib: 1.0 };
        Units { costs: BTreeMap::from(costs), memory, ..Units::default() }
    }

    fn of(people: f64) -> Drivers {
        drivers(&mix(), people, &actions(&mix(), people, 1.0))
    }

    #[test]
    fn others_are_where_chance_puts_them() {
        assert_eq!(other_nodes(1.0, 3.0), 0.0);
        // On two nodes one other is on the other one half of the time; of very many, each is on one of its own.
        assert!((other_nodes(2.0, 1.0) - 0.5).abs() < 1e-9);
        assert!((other_nodes(1e6, 3.0) - 3.0).abs() < 1e-3);
        assert!(other_nodes(4.0, 1e6) > 2.999);
    }

    #[test]
    fn one_node_needs_no_bus_and_more_pay_for_it() {
        let (units, hosting, mix) = (units(), hosting(), mix());
        let drivers = of(10_000.0);
        let one = load(&units, &hosting, &mix, &drivers, 1.0);
        assert_eq!((one.bus_messages, one.bus_copies, one.followers_us), (0.0, 0.0, 0.0));
        assert_eq!(one.used, units.load(&drivers));
        let two = load(&units, &hosting, &mix, &drivers, 2.0);
        let (rooms, profiles) = drivers.messages();
        assert!((two.bus_messages - rooms - profiles).abs() < 1e-9);
        let copies = rooms * other_nodes(2.0, 3.0) + profiles * other_nodes(2.0, 5.0);
        assert!((two.bus_copies - copies).abs() < 1e-6);
        let more = two.get(Resource::ServerUs) - one.get(Resource::ServerUs);
        let expected = 1_000.0 + two.bus_messages * hosting.bus_send_us + copies * hosting.bus_receive_us;
        assert!((more - expected).abs() < 1e-6);
        // A follower reads each event of the others' commands.
        assert!((two.followers_us - drivers.events() * hosting.follow_us).abs() < 1e-6);
    }

    #[test]
    fn a_size_holds_what_it_is_for() {
        let (units, hosting, mix) = (units(), hosting(), mix());
        let mut last = 0.0;
        for people in [1_000.0, 100_000.0, 10_000_000.0] {
            let size = size(&units, &hosting, &mix, people, &of(people));
            let working = size.nodes - 1.0;
            assert!(size.server_cores <= working * hosting.node_cores * hosting.busy);
            assert!(size.node_gib <= hosting.node_gib * hosting.busy);
            assert!(size.node_people <= hosting.node_connections);
            assert!(size.postgres_cores <= size.postgres_shards * hosting.postgres_cores * hosting.busy);
            assert!(size.nodes >= last);
            last = size.nodes;
        }
    }

    #[test]
    fn the_most_that_fits_just_fits() {
        assert!((most_people(|people| people <= 12_345.0) - 12_345.0).abs() < 0.01);
        assert_eq!(most_people(|_| false), 0.0);
    }
}
