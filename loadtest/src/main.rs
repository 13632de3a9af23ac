//! The load tester of Studyhall. It speaks the public protocol only, as any stranger would.
//!
//! One JSON line per run goes to stdout, the same as a table to stderr. Exit code 1 says that a promise
//! of the server was broken, 2 that the run could not be made.

mod capacity;
mod client;
mod engine;
mod fanout;
mod floor;
mod frames;
mod process;
mod report;
mod scenario;
mod setup;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::report::command::{self, MachineArgs, ReportArgs};
use crate::scenario::{day, feed, flood, idle, lecture, presence, reads, rooms, slow, storm, tasks};

/// Load for a running Studyhall.
#[derive(Debug, Parser)]
#[command(name = "studyhall-loadtest", version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    scenario: Scenario,
}

/// What every scenario takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Where the server is; plain http only. One that limits requests by address (`serve` does) needs
    /// STUDYHALL_LIMIT_LOOPBACK=false, or hours for the sign-ups.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Keeps accounts and their tokens from run to run: signing up costs the server tens of milliseconds each.
    #[arg(long, global = true)]
    pub accounts: Option<std::path::PathBuf>,
    /// How many people there are; connections share them.
    #[arg(long, global = true, default_value_t = 16)]
    pub pool: usize,
    /// The server's process, for its CPU time and memory.
    #[arg(long, global = true)]
    pub server_pid: Option<u32>,
    /// Stay on this core, counted from 0.
    #[arg(long, global = true)]
    pub cpu: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Drags in many rooms, on a schedule; latency counts from the scheduled time.
    Rooms(rooms::RoomsArgs),
    /// Broadcasts in one large room, on a schedule.
    Lecture(lecture::LectureArgs),
    /// Broadcasts in one room, as many as go through.
    Flood(flood::FloodArgs),
    /// Connections that do nothing, and what they cost in memory.
    Idle(idle::IdleArgs),
    /// A bare server that writes each message to each socket of its room: what no server can be faster than.
    Floor(floor::FloorArgs),
    /// Durable commands: how many, beside PostgreSQL alone, and how fast they arrive.
    Tasks(tasks::TasksArgs),
    /// Likes and comments on hot posts before people who follow two hundred others.
    Feed(feed::FeedArgs),
    /// The home page, a room and the feed over REST, as many as go through.
    Reads(reads::ReadsArgs),
    /// People who are there and do nothing, and others who watch their pills.
    Presence(presence::PresenceArgs),
    /// Everybody connects at once; everybody comes back at once.
    Storm(storm::StormArgs),
    /// A realistic mix of everything.
    Day(day::DayArgs),
    /// How much a deployment needs: measures unit costs, checks the model, writes the tables of a document.
    Capacity(Box<capacity::CapacityArgs>),
    /// A day of a whole deployment in simulated time, with what its peaks ask for.
    Simulate(capacity::SimulateArgs),
    /// Readers that stop and then crawl, beside ordinary ones.
    Slow(slow::SlowArgs),
    /// Tables and plots of what runs printed.
    Report(ReportArgs),
    /// The line that tells results where they were measured.
    Machine(MachineArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One thread: wake-ups between threads would be measured as the server's latency.
    if let Err(error) = cli.common.cpu.map_or(Ok(()), stay_on) {
        eprintln!("studyhall-loadtest: cannot stay on that core: {error}");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        tokio::task::LocalSet::new().block_on(&runtime, async {
            match cli.scenario {
                Scenario::Rooms(args) => rooms::run(&cli.common, &args).await,
                Scenario::Lecture(args) => lecture::run(&cli.common, &args).await,
                Scenario::Flood(args) => flood::run(&cli.common, &args).await,
                Scenario::Idle(args) => idle::run(&cli.common, &args).await,
                Scenario::Floor(args) => floor::run(&args).map(|()| true),
                Scenario::Tasks(args) => tasks::run(&cli.common, &args).await,
                Scenario::Feed(args) => feed::run(&cli.common, &args).await,
                Scenario::Reads(args) => reads::run(&cli.common, &args).await,
                Scenario::Presence(args) => presence::run(&cli.common, &args).await,
                Scenario::Storm(args) => storm::run(&cli.common, &args).await,
                Scenario::Day(args) => day::run(&cli.common, &args).await,
                Scenario::Capacity(args) => capacity::run(&cli.common, &args).await,
                Scenario::Simulate(args) => capacity::simulated(&args),
                Scenario::Slow(args) => slow::run(&cli.common, &args).await,
                Scenario::Report(args) => command::report(&args).map(|()| true),
                Scenario::Machine(args) => {
                    command::machine(&args);
                    Ok(true)
                }
            }
        })
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("studyhall-loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Pins this thread, and those that it starts, to one core.
fn stay_on(core: usize) -> nix::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores)
}
