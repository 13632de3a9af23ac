//! Durable commands: how many, beside PostgreSQL alone, and how fast they arrive.

mod drops;
mod pgbench;
mod ticks;

use anyhow::Result;

use crate::Common;

/// `tasks`
#[derive(Debug, Clone, clap::Args)]
pub struct TasksArgs {
    /// Connections that tick a task each; those beyond the pool share a person, and with it a log.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Instead: drops of widgets, so many a second on a schedule, in rooms of four. Latency is from the scheduled time to
    /// the receipt at the last of the four.
    #[arg(long)]
    rate: Option<f64>,
    /// Rooms for `--rate`.
    #[arg(long, default_value_t = 50)]
    rooms: usize,
    /// Measured stretches.
    #[arg(long, default_value_t = 1)]
    windows: usize,
    /// Length of each.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds of load before the first one.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// The server's PostgreSQL, as `postgres://…` or `host=… dbname=…`: stretches of pgbench take turns with those of the
    /// server. It adds people called `pgbench-…` and runs one committed statement that writes what a tick writes; it
    /// needs `psql` and `pgbench`, and belongs on a database that nobody else uses.
    #[arg(long)]
    pgbench: Option<String>,
    /// The first process of PostgreSQL, for its CPU time.
    #[arg(long)]
    postgres_pid: Option<u32>,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &TasksArgs) -> Result<bool> {
    match args.rate {
        Some(rate) => drops::run(common, args, rate).await,
        None => ticks::run(common, args).await,
    }
}
