//! One question a second, on a connection of its own: does PostgreSQL answer, does it take writes, are they safe, and
//! is it still the database that it was?

use std::time::Duration;

use parking_lot::Mutex;
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Db;
use super::pools::within;
use crate::error::{Error, Result};

/// Between two questions.
const EVERY: Duration = Duration::from_secs(1);
/// For an answer, a new connection included.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Without an answer for so long it is said to be silent.
const SILENT_AFTER: Duration = Duration::from_millis(2_500);
/// All connections are in use and none came back: each statement takes 5 s at most, so they never will.
const STUCK_AFTER: Duration = Duration::from_secs(8);
/// New pools that are stuck as well, one after the other, until this process is of no use.
const STUCK_MAX: u32 = 3;
/// How long people wait while PostgreSQL is silent; SDKs give up after five seconds.
const PATIENCE: Duration = Duration::from_millis(4_500);
/// How long they wait while it is not. What PostgreSQL does for us takes 5 s at most, and some requests ask it twice.
const PATIENCE_MAX: Duration = Duration::from_secs(20);
/// How often somebody who waits looks whether it fell silent.
const GLANCE: Duration = Duration::from_millis(100);

/// How PostgreSQL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It answers and takes writes.
    Ok,
    /// It answers, and takes no writes.
    ReadOnly,
    /// It answers, and may lose writes in a crash.
    Unsafe,
    /// It does not answer.
    Silent,
}

/// What is known of PostgreSQL.
#[derive(Default)]
pub(super) struct Watched(Mutex<State>);

#[derive(Default)]
struct State {
    /// When it answered last; nobody watches before the first time.
    answered: Option<Instant>,
    /// It was asked since, and did not answer: one that only was not asked for a while is none to worry about.
    failed: bool,
    read_only: bool,
    /// A setting that is off and must not be.
    unsafe_setting: String,
}

/// What it answers.
#[derive(sqlx::FromRow)]
struct Answer {
    epoch: String,
    /// The number of the next transaction.
    next: i64,
    read_only: bool,
    unsafe_setting: String,
}

const QUESTION: &str = "select e.epoch, pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next,
        current_setting('transaction_read_only') = 'on' as read_only,
        case when current_setting('fsync') = 'off' then 'fsync'
             when current_setting('full_page_writes') = 'off' then 'full_page_writes'
             when current_setting('synchronous_commit') = 'off' then 'synchronous_commit'
             else '' end as unsafe_setting
    from log_epoch e";

impl Db {
    /// How PostgreSQL is, as of the last second.
    pub fn condition(&self) -> Condition {
        let silent = self.is_silent();
        let state = self.shared.watched.0.lock();
        match &*state {
            _ if silent => Condition::Silent,
            State { unsafe_setting, .. } if !unsafe_setting.is_empty() => Condition::Unsafe,
            State { read_only: true, .. } => Condition::ReadOnly,
            _ => Condition::Ok,
        }
    }

    /// For how long it has not answered; zero while nobody watches.
    pub fn silent_for(&self) -> Duration {
        self.shared.watched.0.lock().answered.map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// An error while what is committed could be lost.
    pub(super) fn takes_writes(&self) -> Result<()> {
        if self.shared.watched.0.lock().unsafe_setting.is_empty() {
            return Ok(());
        }
        Err(Error::unavailable("unavailable", "the database is set so that it could lose what is written"))
    }

    fn is_silent(&self) -> bool {
        let state = self.shared.watched.0.lock();
        state.failed && state.answered.is_some_and(|at| at.elapsed() >= SILENT_AFTER)
    }

    /// Waits for what somebody asked for, but not longer than they do when PostgreSQL says nothing: `None` then. Whoever
    /// must not be interrupted half-way is a task, and goes on.
    pub async fn patiently<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let mut work = std::pin::pin!(work);
        if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
            return Some(done);
        }
        while !self.is_silent() && began.elapsed() < PATIENCE_MAX {
            if let Ok(done) = tokio::time::timeout(GLANCE, &mut work).await {
                return Some(done);
            }
        }
        None
    }

    /// Watches PostgreSQL until `cancel`. Connections that a silence has taken are replaced.
    ///
    /// # Errors
    ///
    /// PostgreSQL answers, and yet no connection of the pool is of use, whatever was done about it: only a new process
    /// can help.
    pub async fn watch(&self, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut watch = Watch { probe: None, last_word: Instant::now(), moved: (0, Instant::now()), stuck: 0 };
        self.shared.watched.0.lock().answered = Some(Instant::now());
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
                () = self.shared.epoch.suspected() => {}
            }
            if let Err(error) = watch.look(self).await {
                tracing::debug!(%error, "PostgreSQL does not answer the watch");
                watch.probe = None;
                self.shared.watched.0.lock().failed = true;
                continue;
            }
            watch.look_at_pool(self)?;
        }
    }
}

struct Watch {
    probe: Option<PgConnection>,
    /// The last answer, at whatever time it came.
    last_word: Instant,
    /// How many connections had come back, and since when it has been so many.
    moved: (u64, Instant),
    /// Pools in a row of which no connection came back.
    stuck: u32,
}

impl Watch {
    async fn look(&mut self, db: &Db) -> Result<(), sqlx::Error> {
        let is_new = self.probe.is_none();
        let asked = within(ANSWER_WITHIN, async {
            let probe = match &mut self.probe {
                Some(probe) => probe,
                none => none.insert(db.shared.pools.options().connect().await?),
            };
            sqlx::query_as::<_, Answer>(QUESTION).fetch_one(probe).await
        });
        let answer = asked.await?;
        if is_new {
            // Behind a new connection may be another database.
            db.shared.epoch.doubt();
        }
        let silence = self.last_word.elapsed();
        self.last_word = Instant::now();
        {
            let mut state = db.shared.watched.0.lock();
            if !answer.unsafe_setting.is_empty() && state.unsafe_setting.is_empty() {
                tracing::error!(
                    "PostgreSQL runs with {0} = off now: a crash could lose writes that people were told are safe. This \
                     node takes no commands until {0} is on.",
                    answer.unsafe_setting
                );
            }
            state.answered = Some(self.last_word);
            state.failed = false;
            state.read_only = answer.read_only;
            state.unsafe_setting = answer.unsafe_setting;
        }
        if silence >= EVERY + ANSWER_WITHIN {
            tracing::warn!("PostgreSQL answers again after {:.1} s", silence.as_secs_f64());
            // Some of the connections may be dead without knowing it, and wait for ever.
            self.renew(db);
        }
        db.shared.epoch.looked(db, &answer.epoch, answer.next).await;
        Ok(())
    }

    /// Whether connections come back. What has taken them all and never ends was cut off without a word.
    fn look_at_pool(&mut self, db: &Db) -> anyhow::Result<()> {
        let pools = &db.shared.pools;
        let returned = pools.returned();
        if returned != self.moved.0 || !pools.is_exhausted() {
            if returned != self.moved.0 {
                self.stuck = 0;
            }
            self.moved = (returned, Instant::now());
        } else if self.moved.1.elapsed() >= STUCK_AFTER {
            self.stuck += 1;
            if self.stuck > STUCK_MAX {
                anyhow::bail!(
                    "PostgreSQL answers, but {STUCK_MAX} pools of connections one after the other never did; start again"
                );
            }
            tracing::warn!("no connection to PostgreSQL has come back for {STUCK_AFTER:?}; making new ones");
            self.renew(db);
        }
        Ok(())
    }

    fn renew(&mut self, db: &Db) {
        db.shared.pools.renew();
        self.moved = (db.shared.pools.returned(), Instant::now());
    }
}
