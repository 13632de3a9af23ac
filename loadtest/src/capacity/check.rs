//! Whether the model foretells a run of a mix that it was not fitted to.

use std::rc::Rc;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::drivers::{actions, drivers};
use super::mix::Mix;
use super::observe::Observer;
use super::units::{Resource, Units};
use crate::scenario::day::crowd::Crowd;
use crate::scenario::day::window::{self, Stretch};
use crate::scenario::day::world::World;

/// How far a prediction may be off.
pub const MAY_BE_OFF: f64 = 0.25;

/// A prediction and what came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Of what, with its unit.
    pub what: String,
    /// By the model.
    pub predicted: f64,
    /// By the run; `None` when nobody could say.
    pub measured: Option<f64>,
}

impl Compared {
    /// How far off, 0.1 for a tenth too much.
    pub fn error(&self) -> f64 {
        self.measured.map_or(f64::NAN, |measured| self.predicted / measured - 1.0)
    }

    /// Near enough. What was not measured is not.
    pub fn holds(&self) -> bool {
        self.error().abs() <= MAY_BE_OFF
    }
}

/// A mix, and how it went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checked {
    /// Of the mix.
    pub mix: String,
    /// People online.
    pub people: usize,
    /// Times as often as the mix says.
    pub speed: f64,
    /// The load tester's own cores.
    pub own_busy: f64,
    /// No promise was broken meanwhile.
    pub ok: bool,
    /// Line by line.
    pub lines: Vec<Compared>,
}

impl Checked {
    /// All predictions hold and all promises were kept.
    pub fn holds(&self) -> bool {
        self.ok && self.lines.iter().all(Compared::holds)
    }
}

/// Where `load` cores of server and PostgreSQL together are expected.
pub fn speed_for(units: &Units, mix: &Mix, people: usize, load: f64) -> f64 {
    let at = |speed: f64| {
        let used = units.load(&drivers(mix, people as f64, &actions(mix, people as f64, speed)));
        (used[&Resource::ServerUs] + used[&Resource::PostgresUs]) / 1e6
    };
    let (still, one) = (at(0.0), at(1.0));
    ((load - still) / (one - still)).max(1.0)
}

/// Runs a mix and compares.
pub async fn check(
    world: &Rc<World>,
    observer: &Observer,
    units: &Units,
    mix: &Mix,
    stretch: Stretch,
    seed: u64,
) -> Result<Checked> {
    let people = world.size.people;
    let node_kib = observer.server_kib().unwrap_or_default() as f64;
    let crowd = Rc::new(Crowd::gather(world, people, mix, seed).await?);
    let measured = window::run(&crowd, mix, stretch, observer).await?;
    if !measured.ok() {
        eprintln!("{}: {:?} {:?}", mix.name, measured.faults, crowd.found.first_error.borrow());
    }
    crowd.part().await;
    // Of what was done, not of what the mix means: in so few seconds the one is a third more than the other by chance.
    let predicted = units.load(&measured.drivers(mix, people as f64));
    let line = |what: &str, resource: Resource, scale: f64| Compared {
        what: what.into(),
        predicted: predicted[&resource] / scale,
        measured: measured.used.get(&resource).map(|amount| amount / scale),
    };
    let grown = units.memory.kib(people as f64, mix.profiles as f64, mix.rooms.share) - units.memory.node_kib;
    let mut lines = vec![
        line("server, cores", Resource::ServerUs, 1e6),
        line("PostgreSQL, cores", Resource::PostgresUs, 1e6),
        line("statements/s", Resource::Statements, 1.0),
        line("Redis commands/s", Resource::RedisOps, 1.0),
        line("network, MB/s", Resource::NetworkBytes, 1e6),
        line("write-ahead log without images, KB/s", Resource::WalBytes, 1e3),
    ];
    lines.push(Compared {
        what: "server memory, MiB".into(),
        predicted: (node_kib + grown) / 1_024.0,
        measured: measured.server_kib.map(|kib| kib as f64 / 1_024.0),
    });
    Ok(Checked {
        mix: mix.name.clone(),
        people,
        speed: stretch.speed,
        own_busy: measured.own_busy,
        ok: measured.ok(),
        lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_the_bound_and_nothing_measured_is_no_success() {
        let compared =
            |predicted: f64, measured: f64| Compared { what: String::new(), predicted, measured: Some(measured) };
        assert!(compared(1.24, 1.0).holds() && compared(0.76, 1.0).holds());
        assert!(!compared(1.26, 1.0).holds() && !compared(0.74, 1.0).holds());
        assert!(!compared(1.0, 0.0).holds());
        assert!(!Compared { what: String::new(), predicted: 1.0, measured: None }.holds());
    }
}
