//! The epoch of the log: positions of one epoch are comparable, those of two are not.
//!
//! A database that is restored from an older copy must get a new epoch, or numbers would be given out a second time and
//! clients would go on as if nothing had happened. `studyhall restore-epoch` does it. What proves a restore by itself is
//! dealt with by the nodes: a transaction that this node saw committed has a number that PostgreSQL has not reached, or
//! a channel's log is shorter than it was. See `docs/decisions/023-epochs.md`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use studyhall_protocol::Channel;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::session::Session;
use super::{Db, PARTITION_DAYS_AHEAD};
use crate::error::Result;

/// Is told each new epoch, before any event of it.
pub type OnEpoch = Box<dyn Fn(&Arc<str>) + Send + Sync>;

/// Between two comparisons that clients ask for: each of them may say any number.
const CLAIMS_EVERY: Duration = Duration::from_secs(30);
/// Channels that are compared by one statement.
const COMPARED_AT_ONCE: usize = 2_000;

/// What this node knows of the epoch.
#[derive(Default)]
pub(super) struct Epoch {
    known: RwLock<Arc<str>>,
    on_change: OnceLock<OnEpoch>,
    /// Somebody read another one.
    suspected: Notify,
    /// The newest transaction whose events this node has seen in the log, in this epoch.
    newest: AtomicI64,
    /// The heads are to be compared.
    doubted: Notify,
    claimed: Mutex<Option<Instant>>,
}

impl Epoch {
    /// Resolves when somebody read an epoch that is not the known one.
    pub async fn suspected(&self) {
        self.suspected.notified().await;
    }

    /// The database may be an older one: compare.
    pub fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// An event of this transaction was found in the log, so it is committed for good.
    pub fn saw_transaction(&self, xid: &str) {
        if let Ok(xid) = xid.parse() {
            self.newest.fetch_max(xid, Ordering::Relaxed);
        }
    }

    /// The epoch is this one now: `next` is the number that the next transaction gets at the least.
    pub async fn looked(&self, db: &Db, epoch: &str, next: i64) {
        if **self.known.read() != *epoch {
            self.set(epoch);
        } else if next <= self.newest.load(Ordering::Relaxed) {
            tracing::error!(
                "PostgreSQL is at transaction {next}, but this node has seen later ones committed: the database was \
                 restored from an older copy"
            );
            db.leave_epoch(epoch).await;
        }
    }

    /// From now on it is this one.
    fn set(&self, epoch: &str) -> Arc<str> {
        let epoch: Arc<str> = Arc::from(epoch);
        let old = std::mem::replace(&mut *self.known.write(), epoch.clone());
        if !old.is_empty() && old != epoch {
            self.newest.store(0, Ordering::Relaxed);
            tracing::warn!(%old, new = %epoch, "the log has a new epoch; everybody loads their state again");
            self.tell(&epoch);
        }
        epoch
    }

    fn tell(&self, epoch: &Arc<str>) {
        if let Some(on_change) = self.on_change.get() {
            on_change(epoch);
        }
    }
}

impl Db {
    /// Who is told of a new epoch, once.
    pub fn on_epoch(&self, told: OnEpoch) {
        if self.shared.epoch.on_change.set(told).is_err() {
            tracing::error!("somebody else is told of epochs already");
        }
    }

    /// The epoch of the log as this node last saw it; empty before [`Db::refresh_epoch`].
    pub fn epoch(&self) -> Arc<str> {
        self.shared.epoch.known.read().clone()
    }

    /// Asks for the epoch.
    pub async fn refresh_epoch(&self) -> Result<Arc<str>> {
        let epoch: String = sqlx::query_scalar("select epoch from log_epoch").fetch_one(self.pool()).await?;
        Ok(self.shared.epoch.set(&epoch))
    }

    /// The epoch that some statement read, in the one shared copy of it if it is the known one. A statement may have
    /// begun before a change that is known here already, so another one is only a reason to ask.
    pub fn saw_epoch(&self, epoch: &str) -> Arc<str> {
        let known = self.epoch();
        if *known == *epoch {
            return known;
        }
        self.shared.epoch.suspected.notify_one();
        Arc::from(epoch)
    }

    /// A transaction in this epoch was committed here. If it is news, everybody is told before they get its events.
    pub(super) fn committed_in(&self, epoch: &str) {
        if !epoch.is_empty() && *self.epoch() != *epoch {
            self.shared.epoch.tell(&Arc::from(epoch));
            self.shared.epoch.suspected.notify_one();
        }
    }

    /// A client says that it has seen more of a log than there is. It may say anything, so this leads to no more than a
    /// comparison of what this node itself has seen, and to few of those.
    pub fn doubt(&self) {
        let mut claimed = self.shared.epoch.claimed.lock();
        if claimed.is_none_or(|at| at.elapsed() >= CLAIMS_EVERY) {
            *claimed = Some(Instant::now());
            self.shared.epoch.doubt();
        }
    }

    /// Resolves when there is a reason to compare what this node has seen with what there is, see [`Db::compare`].
    pub async fn doubted(&self) {
        self.shared.epoch.doubted.notified().await;
    }

    /// Compares how far this node has seen these logs with how far they go now. Every number must be that of a committed
    /// event, so a log that ends before it is that of an older copy: then the epoch ends, and `true` is returned.
    pub async fn compare(&self, seen: &[(Channel, u64)], epoch: &str) -> Result<bool> {
        for some in seen.chunks(COMPARED_AT_ONCE) {
            let channels: Vec<Channel> = some.iter().map(|(channel, _)| *channel).collect();
            let heads = self.heads(&channels).await?;
            let behind = some.iter().zip(&heads).find(|((_, seen), at)| at.head < *seen && *at.epoch == *epoch);
            if let Some(((channel, seen), at)) = behind {
                let head = at.head;
                tracing::error!(
                    %channel, seen, head,
                    "a log is shorter than this node has seen it: the database was restored from an older copy"
                );
                self.leave_epoch(epoch).await;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends this epoch, unless somebody else has by now.
    async fn leave_epoch(&self, old: &str) {
        match self.begin_epoch(Some(old)).await {
            Ok(Some(new)) => {
                self.shared.epoch.set(&new);
            }
            Ok(None) => self.shared.epoch.suspected.notify_one(),
            Err(error) => tracing::error!(%error, "cannot begin a new epoch; run `studyhall restore-epoch`"),
        }
    }

    /// Gives the log a new epoch, and makes the log of a restored database usable: days that it has no room for are made,
    /// and events whose transactions this server has not reached (they were loaded from a dump) get the number of this
    /// one. With `old` only if that is still the epoch; `None` when it is not.
    pub async fn begin_epoch(&self, old: Option<&str>) -> Result<Option<String>> {
        let mut session = Session::begin(self.pool(), "begin; set local statement_timeout = '5min'").await?;
        let new: Option<String> = sqlx::query_scalar(
            "update log_epoch set epoch = 'e' || substr(md5(gen_random_uuid()::text), 1, 10), changed_at = now()
             where $1::text is null or epoch = $1 returning epoch",
        )
        .bind(old)
        .fetch_optional(&mut *session)
        .await?;
        let Some(new) = new else {
            session.rollback().await?;
            return Ok(None);
        };
        sqlx::query("select ensure_event_partitions($1)").bind(PARTITION_DAYS_AHEAD).execute(&mut *session).await?;
        let renumbered = sqlx::query("update events set xid = pg_current_xact_id() where xid > pg_current_xact_id()")
            .execute(&mut *session)
            .await?;
        if renumbered.rows_affected() > 0 {
            tracing::info!(events = renumbered.rows_affected(), "events of another server were taken over");
        }
        session.commit().await?;
        Ok(Some(new))
    }
}
