//! PostgreSQL: the pool, the write door, the log, and what keeps the log in shape.
//!
//! - [`Writer`] runs a command as one transaction; [`Tx`] is what a domain sees of it.
//! - [`Drain`] says which commands are done together when there are many of them.
//! - [`log`] reads the numbered events of a channel.
//! - [`follow`](mod@follow) finds committed events that this node may have missed.
//! - [`Together`] puts the questions of many callers into one statement.
//! - [`retention`] drops old days and makes new ones.
//! - [`Session`] is a transaction that leaves nothing behind on its connection.
//! - [`Db::watch`] knows how PostgreSQL is, and replaces connections that were cut off without a word.
//! - [`Db::begin_epoch`] is for a database that was restored.
//!
//! Nothing here knows a domain: what a command does is handed in as a function.

mod attempt;
mod audit;
mod counters;
mod drain;
mod epoch;
mod finish;
pub mod follow;
mod hints;
mod lanes;
pub mod log;
mod operations;
mod pools;
mod queue;
pub mod retention;
mod rows;
mod session;
mod settings;
mod together;
mod tx;
mod watch;
mod write;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{PgConnection, PgPool};

pub use audit::Asker;
pub use counters::{Counter, Counters};
pub use drain::{Company, Drain, Performed};
pub use epoch::OnEpoch;
pub use log::position;
pub use operations::Wanted;
pub use session::Session;
pub use together::{Together, Unanswered};
pub use tx::{BatchTx, By, Tx};
pub use watch::Condition;
pub use write::{Done, OnCommit, Perform, Writer};

use crate::error::{Error, Result};
use epoch::Epoch;
use pools::Pools;
use watch::Watched;

/// The migrations, part of the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Days that have a partition ahead of time.
pub const PARTITION_DAYS_AHEAD: i32 = 7;
/// For connections to end in order.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// For several reads of one snapshot: longer than PostgreSQL gives any of them.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(8);

/// The database. Clones share one pool.
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

struct Shared {
    pools: Pools,
    epoch: Epoch,
    watched: Watched,
    counters: Counters,
}

impl Db {
    /// Connects, and refuses a server whose settings could lose acknowledged writes.
    ///
    /// `max` is the size of the pool; [`Db::watch`] has a connection of its own. The error is for the person who starts
    /// the server: what is wrong, with which setting, and what to do.
    pub async fn connect(url: &str, max: u32) -> anyhow::Result<Db> {
        let options = settings::options(url)?.application_name("studyhall").options(settings::SESSION);
        settings::check(&options).await?;
        let shared = Shared {
            pools: Pools::new(options, max),
            epoch: Epoch::default(),
            watched: Watched::default(),
            counters: Counters::default(),
        };
        Ok(Db { shared: Arc::new(shared) })
    }

    /// Brings the schema up to date, makes the partitions of the next days and learns the epoch. A schema that is newer
    /// than this program is refused, and nothing is changed.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
        MIGRATOR.run(self.pool()).await.map_err(|error| settings::explained_migration(error, known))?;
        self.ensure_event_partitions().await?;
        self.refresh_epoch().await?;
        Ok(())
    }

    /// Makes the partitions of the log from yesterday to [`PARTITION_DAYS_AHEAD`] and says how many were missing.
    pub async fn ensure_event_partitions(&self) -> Result<i32> {
        let created = sqlx::query_scalar!(r#"select ensure_event_partitions($1) as "created!""#, PARTITION_DAYS_AHEAD)
            .fetch_one(self.pool())
            .await?;
        Ok(created)
    }

    /// The pool, for reads of one statement. Whoever writes begins a transaction: by [`Writer`], or by [`Db::begin`].
    pub fn pool(&self) -> &PgPool {
        self.shared.pools.current()
    }

    /// A transaction of one's own. Not `pool().begin()`: see [`Session`].
    pub async fn begin(&self) -> Result<Session> {
        Ok(Session::begin(self.pool(), "begin").await?)
    }

    /// A transaction that sees one snapshot and writes nothing.
    pub async fn begin_reading(&self) -> Result<Session> {
        Ok(Session::begin(self.pool(), "begin isolation level repeatable read read only").await?)
    }

    /// Ends all connections in order; those in use within a few seconds, or not at all.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(CLOSE_WITHIN, self.pool().close()).await;
    }

    /// What was asked of it so far.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Several reads of one snapshot, for answers that no single statement can give.
    ///
    /// Runs in a task of its own: whoever asked may go away half-way, and the connection is used again all the same.
    pub async fn snapshot<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let db = self.clone();
        let task = tokio::spawn(async move {
            let reading = async {
                let mut tx = db.begin_reading().await?;
                let result = read(&mut tx).await;
                // Nothing was written: how it ends does not matter, only that it ends.
                tx.rollback().await?;
                result
            };
            tokio::time::timeout(SNAPSHOT_WITHIN, reading).await.unwrap_or_else(|_| Err(session::silence().into()))
        });
        task.await.map_err(Error::internal)?
    }
}
