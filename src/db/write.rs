//! The write door: one command, one transaction, one answer.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use studyhall_protocol::{Command, Position};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::attempt::{Attempt, BEGIN, Patience, Worked, commit_unknown, in_time, seal};
use super::audit::Asker;
use super::lanes::Lanes;
use super::operations::{self, Wanted};
use super::queue::Queue;
use super::tx::By;
use super::{Db, Drain, Tx};
use crate::error::{Error, Result};
use crate::live::backend::LogEvent;

/// What a command does inside its transaction, and what it answers as `data`.
pub type Perform = Arc<dyn for<'t> Fn(&'t mut Tx, &'t Command) -> BoxFuture<'t, Result<Box<RawValue>>> + Send + Sync>;

/// Is told the events of each transaction right after its commit, on the task that committed. Must not block.
pub type OnCommit = Arc<dyn Fn(Vec<LogEvent>) + Send + Sync>;

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
    pub(super) db: Db,
    pub(super) perform: Perform,
    pub(super) drain: Option<Arc<dyn Drain>>,
    pub(super) on_commit: OnCommit,
    pub(super) tasks: TaskTracker,
    pub(super) lanes: Arc<Lanes>,
    pub(super) queue: Arc<Queue>,
    in_flight: Arc<Semaphore>,
    in_flight_max: usize,
}

impl Writer {
    /// A door to `db`. At most `in_flight_max` transactions run or wait at once; more are refused with 503 `busy`.
    pub fn new(db: Db, in_flight_max: usize, perform: Perform, on_commit: OnCommit) -> Self {
        Self {
            db,
            perform,
            drain: None,
            on_commit,
            tasks: TaskTracker::new(),
            lanes: Arc::default(),
            queue: Arc::default(),
            in_flight: Arc::new(Semaphore::new(in_flight_max)),
            in_flight_max,
        }
    }

    /// The same door, where commands that `drain` knows are done together when there are many of them.
    #[must_use]
    pub fn with_drain(mut self, drain: Arc<dyn Drain>) -> Self {
        self.drain = Some(drain);
        self
    }

    /// Runs a command to its end, also when the caller goes away meanwhile.
    ///
    /// Answers `{"positions":[…],"data":…}`; the same bytes to every retry with the same `op`. Without one the server
    /// makes it, and a retry is a new command. Errors: whatever the command refuses with; 422 `op_reused`; 503 `busy`
    /// (nothing was done); 503 `commit_unknown` (retry with the same `op` to find out).
    pub async fn execute(&self, asker: impl Into<Asker>, op: Option<Uuid>, command: Command) -> Result<Box<RawValue>> {
        let asker = asker.into();
        let permit = self.admit()?;
        let this = self.clone();
        let task = self.tasks.spawn(async move {
            let _permit = permit;
            let by = By { actor: asker.person, op: op.unwrap_or_else(Uuid::new_v4) };
            this.execute_here(Wanted::new(by, command, asker.address)?).await
        });
        self.outcome(task).await
    }

    /// Runs an action whose answer is not kept, because it holds a secret or nobody retries it. Same
    /// transaction, same locks, same events. `work` may be run several times, each in a transaction of its own.
    ///
    /// What became of a COMMIT whose answer was lost is found out by a mark that the transaction leaves.
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
        self.outcome(task).await
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
        self.outcome(task).await
    }

    /// What became of a task. Who asked is answered while they still listen; the task goes on.
    async fn outcome<T>(&self, task: JoinHandle<Result<T>>) -> Result<T> {
        match self.db.patiently(task).await {
            Some(outcome) => outcome.map_err(Error::internal)?,
            None => Err(commit_unknown()),
        }
    }

    /// How many commands run or wait right now.
    pub fn in_flight(&self) -> usize {
        self.in_flight_max - self.in_flight.available_permits()
    }

    /// How many of them wait for a transaction that they share with others.
    pub fn waiting(&self) -> usize {
        self.queue.len()
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

    async fn run_here<T, F>(&self, actor: Uuid, work: &F) -> Result<Done<T>>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
    {
        let (mut patience, mut lost) = (Patience::new(), false);
        loop {
            // An id of its own each time: it tells which attempt was committed.
            let by = By { actor, op: Uuid::new_v4() };
            let error = match self.attempt_run(by, work).await {
                Attempt::Ended(done, events) => {
                    (self.on_commit)(events);
                    return Ok(done);
                }
                Attempt::Failed(error) => error,
                Attempt::CommitLost(done, events, error) => {
                    tracing::warn!(%error, "lost the answer to a commit");
                    if self.find_out(by).await? {
                        (self.on_commit)(events);
                        return Ok(done);
                    }
                    // Certainly undone: nothing is known but that the connection broke.
                    if !std::mem::replace(&mut lost, true) {
                        patience = Patience::new();
                    }
                    error
                }
            };
            patience.after(&error, false).await.map_err(|()| error)?;
        }
    }

    /// Whether the transaction with this mark was committed, once it is known.
    async fn find_out(&self, by: By) -> Result<bool> {
        let mut patience = Patience::new();
        loop {
            let looked = in_time(async {
                let mut session = self.db.begin().await?;
                operations::was_marked(&mut session, by).await
            });
            match looked.await {
                Ok(found) => return Ok(found),
                Err(error) => patience.after(&error, true).await.map_err(|()| commit_unknown().because(error))?,
            }
        }
    }

    async fn attempt_run<T, F>(&self, by: By, work: &F) -> Attempt<Done<T>>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
    {
        let mut tx = match self.begin(BEGIN, by).await {
            Ok(tx) => tx,
            Err(error) => return Attempt::Failed(error),
        };
        let worked = in_time(async {
            let data = work(&mut tx).await?;
            let positions = tx.positions();
            operations::mark(tx.conn(), by).await?;
            let events = tx.finish(None).await?;
            Ok(Worked::Written(Done { data, positions }, events))
        })
        .await;
        seal(&self.db, tx, worked).await
    }
}
