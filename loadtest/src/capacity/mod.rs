//! How much a deployment needs: unit costs from short runs, a model of plain arithmetic, a simulated day, and a check.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::check::Checked;
use self::mix::Mix;
use self::model::Hosting;
use self::observe::{Observed, Observer};
use self::simulate::Minute;
use self::units::Units;
use crate::Common;
use crate::report::run::Run;
use crate::scenario::day::window::Stretch;
use crate::scenario::day::world::{Size, World};

mod calibrate;
mod check;
mod document;
pub mod drivers;
pub mod fit;
pub mod mix;
pub mod model;
pub mod observe;
pub mod random;
pub mod simulate;
pub mod units;

/// What was measured, in one file: the document is made from it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// What everything costs.
    pub units: Units,
    /// How well that foretells other runs.
    #[serde(default)]
    pub checks: Vec<Checked>,
}

impl Record {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path)
            .with_context(|| format!("reading {}; `capacity --calibrate` makes it", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} holds no unit costs", path.display()))
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }
}

/// `capacity`
#[derive(Debug, Clone, clap::Args)]
pub struct CapacityArgs {
    /// Measure unit costs on the running server. Best on one that was just started: memory is measured from there.
    #[arg(long)]
    calibrate: bool,
    /// Run this mix, which was not used to fit, and compare; may be repeated. Exit code 1 if anything is off by more
    /// than a quarter.
    #[arg(long)]
    check: Vec<PathBuf>,
    /// Write the tables of this document anew.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Where unit costs and checks are kept.
    #[arg(long, default_value = "docs/capacity.json")]
    units: PathBuf,
    /// What the deployment is sized for; `--calibrate` runs it too.
    #[arg(long, default_value = "loadtest/mixes/evening.json")]
    mix: PathBuf,
    /// People of the runs, each with an account and a connection.
    #[arg(long, default_value_t = 400)]
    people: usize,
    /// Length of each measurement.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Cores of server and PostgreSQL together that checks aim at.
    #[arg(long, default_value_t = 0.5)]
    load: f64,
    /// Who does what when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Of the server's source, to be noted beside the figures.
    #[arg(long, default_value = "")]
    commit: String,
    #[command(flatten)]
    hosting: Hosting,
    #[command(flatten)]
    observed: Observed,
}

/// `simulate`
#[derive(Debug, Clone, clap::Args)]
pub struct SimulateArgs {
    /// What people do.
    #[arg(long, default_value = "loadtest/mixes/evening.json")]
    mix: PathBuf,
    /// People online in the busiest hour.
    #[arg(long, default_value_t = 1e6)]
    people: f64,
    /// What `capacity --calibrate` measured.
    #[arg(long, default_value = "docs/capacity.json")]
    units: PathBuf,
    /// Chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    hosting: Hosting,
}

/// Calibrates, checks, and writes, as asked; without anything to do it prints the tables. `false` when a check failed.
pub async fn run(common: &Common, args: &CapacityArgs) -> Result<bool> {
    let sized_for = Mix::read(&args.mix)?;
    let mixes = args.check.iter().map(|path| Mix::read(path)).collect::<Result<Vec<_>>>()?;
    let mut ok = true;
    if args.calibrate || !mixes.is_empty() {
        let size = Size { people: args.people, strangers: 14, followed: 10, room: 4 };
        let world = Rc::new(World::make(common, size).await?);
        let observer = Observer::new(common.server_pid, &args.observed).await;
        observer.settle().await?;
        let mut record = if args.calibrate {
            let pace = calibrate::Pace { seconds: args.seconds, seed: args.seed };
            let mixed = [(sized_for.clone(), 30.0), (sized_for.clone(), 80.0)];
            let mut units = calibrate::calibrate(&world, &observer, pace, &mixed).await?;
            units.commit.clone_from(&args.commit);
            Record { units, checks: Vec::new() }
        } else {
            Record::read(&args.units)?
        };
        if !mixes.is_empty() {
            record.checks.clear();
        }
        for mix in &mixes {
            let speed = check::speed_for(&record.units, mix, args.people, args.load);
            // Not before the first drags are dropped.
            let warmup = 2.0_f64.max(mix.gesture.seconds + 0.5);
            let stretch = Stretch { warmup, seconds: args.seconds * 4.0, speed };
            let checked = check::check(&world, &observer, &record.units, mix, stretch, args.seed).await?;
            println!("{}", serde_json::to_string(&told(&checked))?);
            ok &= checked.holds();
            record.checks.push(checked);
        }
        world.leave(common).await?;
        record.write(&args.units)?;
    }
    let record = Record::read(&args.units)?;
    if let Some(path) = &args.write {
        document::rewrite(path, &record, &args.hosting, &sized_for, args.seed)?;
    } else {
        eprintln!("{}", document::units(&record.units));
        eprintln!("{}", document::sizes(&record.units, &args.hosting, &sized_for, args.seed));
        eprintln!("{}", document::limits(&record.units, &args.hosting, &sized_for));
    }
    if !record.checks.is_empty() {
        eprintln!("{}", document::checks(&record.checks));
    }
    Ok(ok)
}

/// What is read off a simulated minute.
type Reading = fn(&Minute) -> f64;

/// Plays a day and says what it asks for.
pub fn simulated(args: &SimulateArgs) -> Result<bool> {
    let mix = Mix::read(&args.mix)?;
    let record = Record::read(&args.units)?;
    let (day, size) = simulate::simulate(&record.units, &args.hosting, &mix, args.people, args.seed);
    let figures: [(&str, Reading); 11] = [
        ("online", |minute| minute.online),
        ("server_cores", |minute| minute.server_cores),
        ("busiest_node_cores", |minute| minute.busiest_node_cores),
        ("postgres_cores", |minute| minute.postgres_cores),
        ("statements_per_s", |minute| minute.statements),
        ("redis_cores", |minute| minute.redis_cores),
        ("redis_ops_per_s", |minute| minute.redis_ops),
        ("network_bytes_per_s", |minute| minute.network_bytes),
        ("bus_bytes_per_s", |minute| minute.bus_bytes),
        ("worst_server_cores", |minute| minute.worst_server_cores),
        ("worst_postgres_cores", |minute| minute.worst_postgres_cores),
    ];
    let mut run = line(&format!("simulate:{}", mix.name), "model");
    for (what, figure) in figures {
        for (suffix, share) in [("p50", 0.5), ("p99", 0.99), ("peak", 1.0)] {
            run.figures.insert(format!("{what}_{suffix}"), day.quantile(figure, share));
        }
    }
    run.figures.insert("nodes".into(), size.nodes);
    run.figures.insert("postgres_shards".into(), size.postgres_shards);
    run.figures.insert("redis_shards".into(), size.redis_shards);
    run.counts = BTreeMap::from(
        [("came", day.came), ("went", day.went), ("stays", day.stays)].map(|(what, count)| (what.into(), count)),
    );
    run.parameters = BTreeMap::from([
        ("people".to_owned(), Value::from(args.people)),
        ("seed".to_owned(), Value::from(args.seed)),
        ("units".to_owned(), Value::from(record.units.commit)),
    ]);
    run.ok = day.came == day.went + day.stays;
    println!("{}", serde_json::to_string(&run)?);
    run.figures.iter().for_each(|(what, figure)| eprintln!("{what:28} {figure:.3}"));
    Ok(run.ok)
}

/// A check as a line.
fn told(checked: &Checked) -> Run {
    let mut run = line(&format!("capacity:{}", checked.mix), "studyhall");
    for compared in &checked.lines {
        run.figures.insert(format!("{}, predicted", compared.what), compared.predicted);
        if let Some(measured) = compared.measured {
            run.figures.insert(format!("{}, measured", compared.what), measured);
        }
    }
    run.figures.insert("own_busy".into(), checked.own_busy);
    run.parameters = BTreeMap::from([
        ("people".to_owned(), Value::from(checked.people)),
        ("speed".to_owned(), Value::from(checked.speed)),
    ]);
    run.ok = checked.holds();
    run
}

fn line(scenario: &str, target: &str) -> Run {
    Run {
        scenario: scenario.into(),
        target: target.into(),
        started_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        ..Run::default()
    }
}
