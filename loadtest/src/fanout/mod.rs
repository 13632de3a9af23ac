//! Fan-out: what people publish reaches everybody in their room. One load, offered in turns to Studyhall and to servers
//! beside it, so that every figure is a ratio of the same minute on the same machine.

pub mod bench;
pub mod group;
pub mod highest;
mod pace;
mod place;
pub mod runs;
pub mod speech;
mod table;
pub mod world;

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use self::bench::Bench;
use self::group::Spec;
use self::place::Place;
use self::world::{Target, World};
use crate::Common;
use crate::engine::Engine;
use crate::process::{Meter, Named};
use crate::setup::{Account, Api};

/// What Studyhall is called among the servers.
const STUDYHALL: &str = "studyhall";

/// What every fan-out scenario takes.
#[derive(Debug, Clone, clap::Args)]
pub struct FanoutArgs {
    /// A server to measure beside Studyhall, such as floor=ws://127.0.0.1:9000,PID; may be repeated. Whoever connects to
    /// /rooms/<n> there gets every text message that is sent there. `PID+` counts the processes that it started, too.
    #[arg(long, value_name = "NAME=ws://HOST:PORT,PID")]
    beside: Vec<Beside>,
    /// Leave Studyhall out.
    #[arg(long)]
    beside_only: bool,
    /// Measured stretches of each server; they take turns.
    #[arg(long, default_value_t = 9)]
    windows: usize,
    /// Length of a stretch.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Length of a stretch of each server before those that are measured.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// How long after the last send the last value may arrive; what comes later is lost.
    #[arg(long, default_value_t = 5.0)]
    settle: f64,
    /// Publish by `send`, which has no reply.
    #[arg(long)]
    pub send: bool,
    /// Sleep while nothing is to be done. Spares a core; the server then pays for waking us.
    #[arg(long)]
    sleep: bool,
}

/// A server beside Studyhall.
#[derive(Debug, Clone)]
struct Beside {
    name: String,
    host: String,
    process: Option<Named>,
}

impl FromStr for Beside {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once("=ws://").context("it has to look like NAME=ws://HOST:PORT,PID")?;
        let (host, pid) = rest.split_once(',').map_or((rest, None), |(host, pid)| (host, Some(pid)));
        let process = pid.map(Named::from_str).transpose().context("the process has to be a number")?;
        Ok(Self { name: name.to_owned(), host: host.trim_end_matches('/').to_owned(), process })
    }
}

/// Studyhall, with people who can sign in.
pub struct Studyhall {
    /// Its REST side.
    pub api: Api,
    /// The people.
    pub accounts: Vec<Account>,
}

/// A run being made.
pub struct Fanout {
    /// Sockets and people.
    pub bench: Bench,
    /// `None`: only others are measured.
    pub studyhall: Option<Studyhall>,
    /// People whose profile every connection at Studyhall is subscribed to besides its room.
    pub profiles: usize,
    /// How long it took to open each server's connections, in seconds.
    pub opened_s: Vec<f64>,
}

impl Fanout {
    /// Reads who takes part; nobody is connected yet.
    ///
    /// # Errors
    ///
    /// Studyhall does not answer, or a name has no address.
    pub async fn new(common: &Common, args: &FanoutArgs) -> Result<Self> {
        let engine = Engine::new(args.sleep)?;
        let mut world = World::default();
        let mut studyhall = None;
        if !args.beside_only {
            let api = Api::new(&common.url)?;
            let accounts = api.accounts(common).await?;
            api.sweep(&accounts).await?;
            let meter = common.server_pid.map(|pid| Meter::new(Named { pid, family: false }));
            let address = resolve(&api.host).await?;
            world.targets.push(Target::new(STUDYHALL.into(), address, api.host.clone(), meter));
            studyhall = Some(Studyhall { api, accounts });
        }
        for Beside { name, host, process } in &args.beside {
            let (address, meter) = (resolve(host).await?, process.map(Meter::new));
            world.targets.push(Target::new(name.clone(), address, host.clone(), meter));
        }
        if world.targets.is_empty() {
            bail!("nothing to measure: --beside-only needs --beside");
        }
        let own = Meter::new(Named { pid: std::process::id(), family: false });
        let bench = Bench { engine, world, own, started: Instant::now() };
        let opened_s = vec![0.0; bench.world.targets.len()];
        Ok(Self { bench, studyhall, profiles: 0, opened_s })
    }

    /// Makes rooms of these sizes at every server and fills them, one server after the other.
    pub async fn fill(&mut self, specs: &[Spec], send: bool) -> Result<()> {
        for index in 0..self.bench.world.targets.len() {
            self.make(index, specs, send).await?;
            self.open(index)?;
        }
        self.bench.started = Instant::now();
        Ok(())
    }

    /// Makes rooms of these sizes at one server; nobody is connected yet.
    pub async fn make(&mut self, index: usize, specs: &[Spec], send: bool) -> Result<()> {
        let mut first_room = 0;
        for spec in specs {
            let place = Place { target: index, spec: *spec, first_room, send, profiles: self.profiles };
            match self.studyhall.as_ref().filter(|_| self.bench.world.targets[index].name == STUDYHALL) {
                Some(studyhall) => place::at_studyhall(&mut self.bench, place, studyhall).await?,
                None => place::at_plain(&mut self.bench, place),
            }
            first_room += spec.rooms;
        }
        Ok(())
    }

    /// Opens all connections that are not open yet; they are of one server.
    pub fn open(&mut self, index: usize) -> Result<()> {
        let Bench { engine, world, .. } = &mut self.bench;
        self.opened_s[index] = world.open(engine)?.as_secs_f64();
        Ok(())
    }

    /// Closes all connections and removes what was made.
    pub async fn leave(&mut self) -> Result<()> {
        self.bench.hang_up();
        match &self.studyhall {
            Some(Studyhall { api, accounts }) => api.sweep(accounts).await,
            None => Ok(()),
        }
    }
}

async fn resolve(host: &str) -> Result<SocketAddr> {
    tokio::net::lookup_host(host).await?.next().with_context(|| format!("{host} has no address"))
}
