//! Unit costs: what one of each driver costs, as measured, in a JSON file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::drivers::{Driver, Drivers};
use super::fit::{Row, fit};

/// What is used up. Amounts a second; microseconds of CPU in a second are millionths of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// CPU of the server, microseconds.
    ServerUs,
    /// CPU of PostgreSQL with all its processes, microseconds.
    PostgresUs,
    /// Statements that PostgreSQL ran.
    Statements,
    /// Bytes of PostgreSQL's write-ahead log, but for the images of pages: those follow the checkpoints.
    WalBytes,
    /// CPU of Redis, microseconds.
    RedisUs,
    /// Commands that Redis ran, those inside of scripts among them.
    RedisOps,
    /// Bytes between clients and server, both ways, with the heads of TCP and IP.
    NetworkBytes,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Resource; 7] = [
        Resource::ServerUs,
        Resource::PostgresUs,
        Resource::Statements,
        Resource::WalBytes,
        Resource::RedisUs,
        Resource::RedisOps,
        Resource::NetworkBytes,
    ];

    /// Whether the driver can use any of it: what is known from the code need not be guessed from noise.
    pub fn is_used_by(self, driver: Driver) -> bool {
        use Driver::{Broadcast, Connection, Drag, Drop, Node, Pointer, ProfileDelivery, RoomDelivery, Round, Telling};
        let live = matches!(driver, Round | Telling | Drag | Pointer | Broadcast | RoomDelivery | ProfileDelivery);
        match self {
            // What it costs the server is in what is told.
            Resource::ServerUs => driver != Telling,
            Resource::NetworkBytes => !matches!(driver, Node | Round | Telling),
            Resource::PostgresUs | Resource::Statements => !live && driver != Connection,
            Resource::WalBytes => {
                driver.is_durable() || matches!(driver, Node | Driver::Status | Driver::Visit) || driver == Drop
            }
            Resource::RedisUs | Resource::RedisOps => {
                matches!(driver, Node | Telling | Driver::Visit | Driver::Subscription | Driver::Seat | Driver::Status)
            }
        }
    }
}

/// So much of each resource.
pub type Amounts = BTreeMap<Resource, f64>;

/// KiB of the server's resident memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Of a node that serves nobody.
    pub node_kib: f64,
    /// Of a connection with `user:<me>`.
    pub connection_kib: f64,
    /// Of a subscription to a profile that others here watch too.
    pub subscription_kib: f64,
    /// Of a place in a room.
    pub seat_kib: f64,
}

impl Memory {
    /// Of a node with so many people.
    pub fn kib(&self, people: f64, profiles: f64, share_in_rooms: f64) -> f64 {
        self.node_kib
            + people * (self.connection_kib + profiles * self.subscription_kib + share_in_rooms * self.seat_kib)
    }
}

/// What everything costs, and where that was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Units {
    /// Cores, processor, kernel.
    pub machine: String,
    /// Of the server's source, as far as it is known.
    pub commit: String,
    /// Seconds since 1970.
    pub measured_at: u64,
    /// What one of each driver uses.
    pub costs: BTreeMap<Driver, Amounts>,
    /// What connections keep.
    pub memory: Memory,
    /// How far the costs miss the very measurements that they come from: mean of the relative errors.
    pub fit_error: Amounts,
}

impl Units {
    /// The cost of one.
    pub fn cost(&self, driver: Driver, resource: Resource) -> f64 {
        self.costs.get(&driver).and_then(|amounts| amounts.get(&resource)).copied().unwrap_or_default()
    }

    /// What these drivers use.
    pub fn load(&self, drivers: &Drivers) -> Amounts {
        let sum = |resource: Resource| {
            Driver::ALL.into_iter().map(|driver| self.cost(driver, resource) * drivers.get(driver)).sum()
        };
        Resource::ALL.into_iter().map(|resource| (resource, sum(resource))).collect()
    }

    /// Finds the costs behind measurements.
    pub fn fit(&mut self, measured: &[(Drivers, Amounts)]) {
        for resource in Resource::ALL {
            let rows: Vec<Row> = measured
                .iter()
                .filter_map(|(drivers, used)| {
                    let amounts = Driver::ALL.iter().map(|driver| drivers.get(*driver)).collect();
                    Some(Row { amounts, total: *used.get(&resource)? })
                })
                .collect();
            let may = Driver::ALL.map(|driver| resource.is_used_by(driver));
            let costs = fit(&rows, &may);
            for (driver, cost) in Driver::ALL.into_iter().zip(&costs).filter(|(_, cost)| **cost > 0.0) {
                self.costs.entry(driver).or_default().insert(resource, rounded(*cost));
            }
            let miss = |row: &Row| {
                let found: f64 = row.amounts.iter().zip(&costs).map(|(amount, cost)| amount * cost).sum();
                (found - row.total).abs() / row.total
            };
            let misses: Vec<f64> = rows.iter().filter(|row| row.total > 0.0).map(miss).collect();
            if !misses.is_empty() {
                self.fit_error.insert(resource, rounded(misses.iter().sum::<f64>() / misses.len() as f64));
            }
        }
    }
}

/// Four significant digits.
fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return value;
    }
    let scale = 10_f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(amounts: &[(Driver, f64)]) -> Drivers {
        let mut drivers = Drivers::default();
        amounts.iter().for_each(|(driver, amount)| drivers.put(*driver, *amount));
        drivers
    }

    #[test]
    fn costs_are_found_and_predict() {
        let truth = |drivers: &Drivers| {
            let (task, drag) = (drivers.get(Driver::Task), drivers.get(Driver::Drag));
            Amounts::from([
                (Resource::ServerUs, 1_000.0 + 200.0 * task + 10.0 * drag),
                (Resource::Statements, 2.0 + 4.0 * task),
            ])
        };
        let runs = [
            some(&[(Driver::Node, 1.0)]),
            some(&[(Driver::Node, 1.0), (Driver::Task, 50.0)]),
            some(&[(Driver::Node, 1.0), (Driver::Task, 200.0)]),
            some(&[(Driver::Node, 1.0), (Driver::Drag, 2_000.0)]),
        ];
        let mut units = Units::default();
        units.fit(&runs.map(|run| (run.clone(), truth(&run))));
        let other = some(&[(Driver::Node, 1.0), (Driver::Task, 30.0), (Driver::Drag, 500.0)]);
        for (resource, expected) in truth(&other) {
            let predicted = units.load(&other)[&resource];
            assert!((predicted / expected - 1.0).abs() < 0.01, "{resource:?}: {predicted} for {expected}");
        }
        // Drags do not touch PostgreSQL, whatever the noise says.
        assert_eq!(units.cost(Driver::Drag, Resource::Statements), 0.0);
        assert!(units.fit_error[&Resource::ServerUs] < 0.01);
    }

    #[test]
    fn memory_adds_up() {
        let memory = Memory { node_kib: 1_000.0, connection_kib: 4.0, subscription_kib: 0.5, seat_kib: 1.0 };
        assert_eq!(memory.kib(100.0, 10.0, 0.5), 1_000.0 + 100.0 * (4.0 + 5.0 + 0.5));
    }

    #[test]
    fn digits_that_mean_nothing_are_left_out() {
        assert_eq!(rounded(123_456.0), 123_500.0);
        assert_eq!(rounded(0.000_123_456), 0.000_123_5);
    }
}
