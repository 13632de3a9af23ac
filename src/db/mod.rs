//! PostgreSQL: the pool, the write door, the log, and what keeps the log in shape.
//!
//! - [`Writer`] runs a command as one transaction; [`Tx`] is what a domain sees of it.
//! - [`Drain`] says which commands are done together when there are many of them.
//! - [`log`] reads the numbered events of a channel.
//! - [`follow`](mod@follow) finds committed events that this node may have missed.
//! - [`Together`] puts the questions of many callers into one statement.
//! - [`retention`] drops old days and makes new ones.
//!
//! Nothing here knows a domain: what a command does is handed in as a function.

mod attempt;
mod counters;
mod drain;
pub mod follow;
mod hints;
mod lanes;
pub mod log;
mod operations;
mod queue;
pub mod retention;
mod rows;
mod together;
mod tx;
mod write;

use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

pub use counters::{Counter, Counters};
pub use drain::{Company, Drain, Performed};
pub use log::position;
pub use operations::Wanted;
pub use together::{Together, Unanswered};
pub use tx::{BatchTx, By, Tx};
pub use write::{Done, OnCommit, Perform, Writer};

use crate::error::{Error, Result};

/// The migrations, part of the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// How long somebody waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was idle this long is asked whether it still lives; one in constant use is not.
const PROBE_AFTER_IDLE: Duration = Duration::from_secs(1);
/// Days that have a partition ahead of time.
pub const PARTITION_DAYS_AHEAD: i32 = 7;

/// Guards on every connection; PostgreSQL has all of them off. A node that stands still with a channel's lock in
/// hand blocks that channel for the idle time and no longer.
///
/// And no compiler: it sets out when a statement is expected to be dear, anew each time that it runs, and of tables
/// that were never analysed PostgreSQL expects much too much. None of ours is worth a compilation.
const SESSION: [(&str, &str); 5] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("client_connection_check_interval", "1s"),
    ("jit", "off"),
];

/// Without these an acknowledged write can be gone after a crash.
const DURABLE: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

/// The database. Clones share one pool.
#[derive(Clone)]
pub struct Db {
    pool: PgPool,
    epoch: Arc<RwLock<Arc<str>>>,
    counters: Arc<Counters>,
}

impl Db {
    /// Connects, and refuses a server whose settings could lose acknowledged writes.
    ///
    /// `max` is the size of the pool. The error is for the person who starts the server.
    pub async fn connect(url: &str, max: u32) -> anyhow::Result<Db> {
        let options = PgConnectOptions::from_str(url)
            .context("DATABASE_URL is not a PostgreSQL address")?
            .application_name("studyhall")
            .options(SESSION);
        let pool = PgPoolOptions::new()
            .max_connections(max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A round trip before every use would be a sixth of a command; see `PROBE_AFTER_IDLE`.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for >= PROBE_AFTER_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await
            .context("cannot connect to PostgreSQL")?;
        let db = Db { pool, epoch: Arc::new(RwLock::new(Arc::from(""))), counters: Arc::default() };
        db.check_durable().await?;
        Ok(db)
    }

    async fn check_durable(&self) -> anyhow::Result<()> {
        let names = DURABLE.map(str::to_owned);
        let settings = sqlx::query!(
            r#"select name as "name!", setting as "setting!" from pg_settings where name = any($1)"#,
            &names[..]
        )
        .fetch_all(&self.pool)
        .await?;
        for setting in settings {
            if setting.setting == "off" {
                bail!(
                    "PostgreSQL runs with {name} = off: a crash could lose writes that people were told are safe. \
                     Set {name} = on in postgresql.conf (look also at `alter role … set` and `alter database … set`), \
                     reload, and start again.",
                    name = setting.name
                );
            }
        }
        Ok(())
    }

    /// Brings the schema up to date, makes the partitions of the next days and learns the epoch.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        MIGRATOR.run(&self.pool).await.context("migrating the database")?;
        self.ensure_event_partitions().await?;
        self.refresh_epoch().await?;
        Ok(())
    }

    /// Makes the partitions of the log from yesterday to [`PARTITION_DAYS_AHEAD`] and says how many were missing.
    pub async fn ensure_event_partitions(&self) -> Result<i32> {
        let created = sqlx::query_scalar!(r#"select ensure_event_partitions($1) as "created!""#, PARTITION_DAYS_AHEAD)
            .fetch_one(&self.pool)
            .await?;
        Ok(created)
    }

    /// The pool, for reads of one statement. Writes go through [`Writer`].
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// What was asked of it so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether PostgreSQL answers.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// The epoch of the log as this node last saw it; empty before [`Db::refresh_epoch`].
    pub fn epoch(&self) -> Arc<str> {
        self.epoch.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the epoch.
    pub async fn refresh_epoch(&self) -> Result<Arc<str>> {
        let epoch = sqlx::query_scalar!("select epoch from log_epoch").fetch_one(&self.pool).await?;
        Ok(self.saw_epoch(&epoch))
    }

    /// Remembers an epoch that some statement read, and hands out the one shared copy of it.
    pub fn saw_epoch(&self, epoch: &str) -> Arc<str> {
        let known = self.epoch();
        if *known == *epoch {
            return known;
        }
        let epoch: Arc<str> = Arc::from(epoch);
        *self.epoch.write().unwrap_or_else(PoisonError::into_inner) = epoch.clone();
        epoch
    }

    /// Several reads of one snapshot, for answers that no single statement can give.
    ///
    /// Runs in a task of its own: a dropped request must not cancel a `begin`, which would leave the connection
    /// inside a transaction that nobody ends.
    pub async fn snapshot<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let pool = self.pool.clone();
        let task = tokio::spawn(async move {
            let mut tx = pool.begin_with("begin isolation level repeatable read read only").await?;
            let result = read(&mut tx).await;
            // Nothing was written: how it ends does not matter, only that it ends.
            tx.rollback().await?;
            result
        });
        task.await.map_err(Error::internal)?
    }
}
