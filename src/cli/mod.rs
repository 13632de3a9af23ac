//! What the program can do, one file per command.

mod check;
mod crowd;
mod dev;
mod restore_epoch;
mod run;
mod seed;
mod tail;
mod verify;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// The real-time backend of a study dashboard.
#[derive(Parser)]
#[command(name = "studyhall", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    config: Config,
}

#[derive(Subcommand)]
enum Command {
    /// Serve, with the PostgreSQL of DATABASE_URL and, if given, the Redis of REDIS_URL
    Serve,
    /// Serve with a private PostgreSQL and Redis, and a demo world when the database is empty
    Dev,
    /// Bring the database's schema up to date
    Migrate,
    /// Fill the database with people, lists and rooms
    Seed(seed::SeedArgs),
    /// Add people who are signed in already, for a load test; only for a database that will be thrown away
    Crowd(crowd::CrowdArgs),
    /// Print what somebody's open tab is told
    Tail(tail::TailArgs),
    /// Give the log a new epoch, after the database was restored from a backup
    RestoreEpoch,
    /// Hold a running deployment against its promises while things break
    Check(check::CheckArgs),
    /// Compare cached counts with what they count, and logs with their heads
    Verify(verify::VerifyArgs),
}

impl Cli {
    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Runs the command to its end.
    pub async fn run(self) -> anyhow::Result<()> {
        let config = self.config;
        match self.command {
            Command::Serve => run::serve(config).await,
            Command::Dev => dev::dev(config).await,
            Command::Migrate => run::migrate(&config).await,
            Command::Seed(args) => seed::seed(&config, args).await,
            Command::Crowd(args) => crowd::crowd(&config, args).await,
            Command::Tail(args) => tail::tail(args).await,
            Command::RestoreEpoch => restore_epoch::restore_epoch(&config).await,
            Command::Check(args) => check::check(args).await,
            Command::Verify(args) => verify::verify(&config, args).await,
        }
    }
}
