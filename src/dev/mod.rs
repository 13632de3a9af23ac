//! The private servers of `studyhall dev`: a PostgreSQL and a Redis below the data directory, for machines where
//! nobody has set up either. They listen on Unix sockets only, run durably, and belong to one `studyhall` at a time.
//!
//! The rule that everything here follows: no crash may leave something behind that a person has to clean up. A killed
//! `studyhall` leaves its servers running; the next start ends them in order and starts them anew. A killed `initdb` or
//! a stale PID file, also one that names a stranger since the last reboot, is recognised and set right. A complete
//! cluster is never deleted.

mod find;
mod home;
mod postgres;
mod process;
mod redis;

use std::path::{Path, PathBuf};

use anyhow::Error;
use home::Home;
use process::{Server, Steps};

/// The running private servers. Dropped without [`Private::stop`], they are told to end but not waited for.
pub struct Private {
    /// Where the private PostgreSQL answers; `None` if it was not wanted.
    pub database_url: Option<String>,
    /// Where the private Redis answers; `None` if it was not wanted or cannot be had.
    pub redis_url: Option<String>,
    /// Where their data, sockets and logs are: the data directory, or a place that the servers' user can reach.
    pub directory: PathBuf,
    postgres: Option<Server>,
    redis: Option<Server>,
    // Declared last: the data directory is free for the next one only after the servers were told to end.
    home: Home,
}

impl Private {
    /// Starts what is wanted below `data`, and returns when it answers. What an earlier, killed `studyhall` left
    /// running there is ended first. `pg_bin` is the directory of `postgres` and `initdb`, searched for when not given.
    ///
    /// # Errors
    ///
    /// Says what is wrong and what to do about it: another `studyhall` holds `data`, PostgreSQL is not installed, is
    /// of another version than the data, or does not start. A Redis that cannot be had is not an error.
    pub async fn start(
        data: &Path,
        want_postgres: bool,
        want_redis: bool,
        pg_bin: Option<&Path>,
    ) -> anyhow::Result<Private> {
        let home = Home::open(data)?;
        let directory = home.dir.clone();
        let mut private = Private { database_url: None, redis_url: None, directory, postgres: None, redis: None, home };
        if let Err(error) = private.launch(want_postgres, want_redis, pg_bin).await {
            if let Err(stop) = private.stop().await {
                tracing::warn!("{stop:#}");
            }
            return Err(error);
        }
        Ok(private)
    }

    /// Ends Redis, then PostgreSQL (fast shutdown: open transactions are rolled back, committed ones are on disk), and
    /// waits until both are gone.
    ///
    /// # Errors
    ///
    /// Fails when a server does not end even when killed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let redis = stop(self.redis.take(), redis::STOP).await;
        let postgres = stop(self.postgres.take(), postgres::STOP).await;
        redis.and(postgres)
    }

    /// Resolves when a private server has ended without being told to, and says what to do. Never resolves when none
    /// runs. May be dropped and called again.
    pub async fn died(&mut self) -> Error {
        tokio::select! {
            error = died(self.postgres.as_mut()) => error,
            error = died(self.redis.as_mut()) => error,
        }
    }

    async fn launch(&mut self, want_postgres: bool, want_redis: bool, pg_bin: Option<&Path>) -> anyhow::Result<()> {
        if want_postgres {
            let (server, url) = postgres::start(&self.home, pg_bin).await?;
            self.postgres = Some(server);
            self.database_url = Some(url);
        }
        if want_redis {
            match redis::start(&self.home).await {
                Ok((server, url)) => {
                    self.redis = Some(server);
                    self.redis_url = Some(url);
                }
                // One node needs no Redis, so its absence must not keep anybody from starting.
                Err(error) => tracing::warn!("no private Redis, presence and bus are in process: {error:#}"),
            }
        }
        Ok(())
    }
}

async fn stop(server: Option<Server>, steps: Steps) -> anyhow::Result<()> {
    match server {
        Some(server) => server.stop(steps).await,
        None => Ok(()),
    }
}

async fn died(server: Option<&mut Server>) -> Error {
    match server {
        Some(server) => server.died().await,
        None => std::future::pending().await,
    }
}
