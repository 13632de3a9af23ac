//! The write door: one command, one transaction, one answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::value::RawValue;
use studyhall_protocol::{Command, Position};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::operations::{self, Claim};
use super::{Db, Tx};
use crate::error::{Error, Result, Retry};
use crate::live::backend::LogEvent;

/// What a command does inside its transaction, and what it answers as `data`.
pub type Perform = Arc<dyn for<'t> Fn(&'t mut Tx, &'t Command) -> BoxFuture<'t, Result<Box<RawValue>>> + Send + Sync>;

/// Is told the events of each transaction right after its commit, on the task that committed. Must not block.
pub type OnCommit = Arc<dyn Fn(Vec<LogEvent>) + Send + Sync>;

/// How often a transaction is run again that PostgreSQL rolled back for another one's sake.
const CONFLICT_RETRIES: u32 = 3;
/// How long we try to find out what became of a COMMIT, or to reach PostgreSQL at all.
const LOST_PATIENCE: Duration = Duration::from_secs(3);
const LOST_PAUSE: Duration = Duration::from_millis(100);

/// What [`Writer::run`] did.
#[derive(Debug, Clone)]
pub struct Done<T> {
    /// What the action returned.
    pub data: T,
    /// Where its events are; where the locked channels stand when there is none.
    pub positions: Vec<Position>,
}

/// The only way to write. Clones share everything.
#[derive(Clone)]
pub struct Writer {
    db: Db,
    perform: Perform,
    on_commit: OnCommit,
    tasks: TaskTracker,
    in_flight: Arc<Semaphore>,
}

/// How one attempt ended.
enum Attempt<T> {
    Committed(T, Vec<LogEvent>),
    /// The operation had been done before.
    Replayed(Box<RawValue>),
    /// COMMIT was sent and its answer was lost: nobody knows.
    CommitLost(T, Vec<LogEvent>, Error),
    /// Rolled back, or never begun.
    Failed(Error),
}

impl Writer {
    /// A door to `db`. At most `in_flight_max` transactions run or wait at once; more are refused with 503 `busy`.
    pub fn new(db: Db, in_flight_max: usize, perform: Perform, on_commit: OnCommit) -> Self {
        Self { db, perform, on_commit, tasks: TaskTracker::new(), in_flight: Arc::new(Semaphore::new(in_flight_max)) }
    }

    /// Runs a command to its end, also when the caller goes away meanwhile.
    ///
    /// Answers `{"positions":[…],"data":…}`; the same bytes to every retry with the same `op`. Without one the server
    /// makes it, and a retry is a new command. Errors: whatever the command refuses with; 422 `op_reused`; 503 `busy`
    /// (nothing was done); 503 `commit_unknown` (retry with the same `op` to find out).
    pub async fn execute(&self, actor: Uuid, op: Option<Uuid>, command: Command) -> Result<Box<RawValue>> {
        let permit = self.admit()?;
        let this = self.clone();
        let task = self.tasks.spawn(async move {
            let _permit = permit;
            this.execute_here(actor, op.unwrap_or_else(Uuid::new_v4), &command).await
        });
        task.await.map_err(Error::internal)?
    }

    /// Runs an action that keeps no operation row, because its answer holds a secret or nobody retries it. Same
    /// transaction, same locks, same events. `work` may be run several times, each in a transaction of its own.
    ///
    /// Errors: as [`Writer::execute`]; after 503 `commit_unknown` only looking tells whether it happened.
    pub async fn run<T, F>(&self, actor: Uuid, work: F) -> Result<Done<T>>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let permit = self.admit()?;
        let this = self.clone();
        let task = self.tasks.spawn(async move {
            let _permit = permit;
            this.run_here(actor, &work).await
        });
        task.await.map_err(Error::internal)?
    }

    /// Runs `work` to its end, also when the caller goes away meanwhile, and before [`Writer::drain`] returns: for
    /// actions of several steps, such as a sign-in whose failure has to be counted.
    pub async fn tracked<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let permit = self.admit()?;
        let task = self.tasks.spawn(async move {
            let _permit = permit;
            work.await
        });
        task.await.map_err(Error::internal)?
    }

    /// Refuses new work and waits until all that runs has been answered.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit> {
        if self.tasks.is_closed() {
            return Err(Error::unavailable("shutting_down", "this node goes away; try again"));
        }
        let busy = |_| Error::unavailable("busy", "the server is busy; try again shortly");
        self.in_flight.clone().try_acquire_owned().map_err(busy)
    }

    async fn execute_here(&self, actor: Uuid, op: Uuid, command: &Command) -> Result<Box<RawValue>> {
        let fingerprint = operations::fingerprint(command)?;
        let mut patience = Patience::new();
        // The outcome of a COMMIT whose answer was lost. Running the command again tells what became of it: the claim
        // waits for the old transaction, then finds its answer or a free id.
        let mut unknown: Option<(Box<RawValue>, Vec<LogEvent>)> = None;
        loop {
            match self.attempt(actor, op, command, &fingerprint).await {
                Attempt::Committed(answer, events) => {
                    (self.on_commit)(events);
                    return Ok(answer);
                }
                Attempt::Replayed(answer) => {
                    if let Some((ours, events)) = unknown
                        && ours.get() == answer.get()
                    {
                        (self.on_commit)(events);
                    }
                    return Ok(answer);
                }
                Attempt::CommitLost(answer, events, error) => {
                    tracing::warn!(%op, error = %error, "lost the answer to a commit");
                    unknown = Some((answer, events));
                    patience.after(&error, true).await.map_err(|()| commit_unknown())?;
                }
                Attempt::Failed(error) => {
                    let pending = unknown.is_some() && error.is_temporary();
                    if patience.after(&error, pending).await.is_err() {
                        return Err(if pending { commit_unknown() } else { error });
                    }
                }
            }
        }
    }

    async fn attempt(&self, actor: Uuid, op: Uuid, command: &Command, fingerprint: &[u8]) -> Attempt<Box<RawValue>> {
        let mut tx = match self.begin(actor, op).await {
            Ok(tx) => tx,
            Err(error) => return Attempt::Failed(error),
        };
        let worked = async {
            if let Claim::Replay(answer) = operations::claim(tx.conn(), actor, op, fingerprint).await? {
                return Ok(Err(answer));
            }
            let data = (self.perform)(&mut tx, command).await?;
            let answer = answer(&tx.positions(), &data)?;
            let outcome = tx.finish(Some(answer.get())).await?;
            Ok(Ok((answer, outcome.events)))
        }
        .await;
        match worked {
            Ok(Ok((answer, events))) => match tx.commit().await {
                Ok(()) => Attempt::Committed(answer, events),
                Err(error) => commit_failed(answer, events, error),
            },
            Ok(Err(answer)) => {
                roll_back(tx).await;
                Attempt::Replayed(answer)
            }
            Err(error) => {
                roll_back(tx).await;
                Attempt::Failed(error)
            }
        }
    }

    async fn run_here<T, F>(&self, actor: Uuid, work: &F) -> Result<Done<T>>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
    {
        let mut patience = Patience::new();
        loop {
            match self.attempt_run(actor, work).await {
                Attempt::Committed(done, events) => {
                    (self.on_commit)(events);
                    return Ok(done);
                }
                Attempt::Failed(error) => patience.after(&error, false).await.map_err(|()| error)?,
                Attempt::CommitLost(_, _, error) => return Err(commit_unknown().because(error)),
                Attempt::Replayed(_) => return Err(Error::internal(anyhow::anyhow!("replayed without an operation"))),
            }
        }
    }

    async fn attempt_run<T, F>(&self, actor: Uuid, work: &F) -> Attempt<Done<T>>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
    {
        let mut tx = match self.begin(actor, Uuid::new_v4()).await {
            Ok(tx) => tx,
            Err(error) => return Attempt::Failed(error),
        };
        let worked = async {
            let data = work(&mut tx).await?;
            let outcome = tx.finish(None).await?;
            Ok((Done { data, positions: outcome.positions }, outcome.events))
        }
        .await;
        match worked {
            Ok((done, events)) => match tx.commit().await {
                Ok(()) => Attempt::Committed(done, events),
                Err(error) => commit_failed(done, events, error),
            },
            Err(error) => {
                roll_back(tx).await;
                Attempt::Failed(error)
            }
        }
    }

    async fn begin(&self, actor: Uuid, op: Uuid) -> Result<Tx> {
        Ok(Tx::new(self.db.pool().begin().await?, actor, op))
    }
}

/// Decides whether, and how soon, a failed transaction is run again.
struct Patience {
    started: Instant,
    conflicts: u32,
}

impl Patience {
    fn new() -> Self {
        Self { started: Instant::now(), conflicts: 0 }
    }

    /// Waits until the next attempt; an error when there is to be none. `anyway`: also for errors that are not worth
    /// a retry by themselves.
    async fn after(&mut self, error: &Error, anyway: bool) -> Result<(), ()> {
        match error.retry() {
            Retry::Conflict if self.conflicts < CONFLICT_RETRIES => {
                self.conflicts += 1;
                // Apart from each other, or the same two meet again.
                let most = 20 * u64::from(self.conflicts);
                tokio::time::sleep(Duration::from_millis(rand::random_range(1..=most))).await;
                Ok(())
            }
            Retry::Lost if self.started.elapsed() < LOST_PATIENCE => {
                tokio::time::sleep(LOST_PAUSE).await;
                Ok(())
            }
            _ if anyway && self.started.elapsed() < LOST_PATIENCE => {
                tokio::time::sleep(LOST_PAUSE).await;
                Ok(())
            }
            _ => Err(()),
        }
    }
}

fn answer(positions: &[Position], data: &RawValue) -> Result<Box<RawValue>> {
    #[derive(Serialize)]
    struct Answer<'a> {
        positions: &'a [Position],
        data: &'a RawValue,
    }
    serde_json::value::to_raw_value(&Answer { positions, data }).map_err(Error::internal)
}

fn commit_failed<T>(done: T, events: Vec<LogEvent>, error: sqlx::Error) -> Attempt<T> {
    let error = Error::from(error);
    match error.retry() {
        Retry::Lost => Attempt::CommitLost(done, events, error),
        // PostgreSQL answered with an error: it has rolled back.
        Retry::No | Retry::Conflict => Attempt::Failed(error),
    }
}

fn commit_unknown() -> Error {
    Error::unavailable("commit_unknown", "whether this was done is unknown; retry with the same operation id")
}

/// Ends the transaction now rather than when the connection is used next: its locks would be held until then.
async fn roll_back(tx: Tx) {
    if let Err(error) = tx.rollback().await {
        // The connection is gone, and the transaction with it.
        tracing::debug!(%error, "rollback failed");
    }
}
