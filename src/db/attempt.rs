//! One transaction, run until it is known how it ended.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use super::audit::Entry;
use super::operations::{self, Claim, Wanted};
use super::rows::{self, Wait};
use super::session::{Session, silence};
use super::tx::Several;
use super::{Db, Drain, Tx, Writer};
use crate::error::{Error, Result, Retry};
use crate::live::backend::LogEvent;

/// How often a transaction is run again that PostgreSQL rolled back for another one's sake.
const CONFLICT_RETRIES: u32 = 3;
/// How long we try to find out what became of a COMMIT, or to reach PostgreSQL at all.
const LOST_PATIENCE: Duration = Duration::from_secs(3);
const LOST_PAUSE: Duration = Duration::from_millis(100);
/// For what is done in one transaction. PostgreSQL ends what takes too long, unless it is out of reach without a word.
const WORK_WITHIN: Duration = Duration::from_secs(10);

/// Statements of a command find rows by key, so a plan for any value is as good as one for these; and PostgreSQL would
/// make a new one for each execution, which takes longer than to execute it, as long as it knows how long a list is.
/// They are made once, perhaps while a table is empty, and must do when it is full: no scan of a whole table.
pub(super) const BEGIN: &str = "begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off";

/// What is done in one transaction.
#[derive(Clone, Copy)]
pub(super) enum Work<'w> {
    /// One command.
    One(&'w Wanted),
    /// Commands of one lane; each operation id once.
    Several(&'w dyn Drain, Uuid, &'w [Wanted]),
    /// Commands that change one row each on their channel; each row and each operation id once.
    Rows(&'w dyn Drain, &'w [Wanted], &'w [Channel], Wait),
}

/// What became of one command.
pub(super) enum Settled {
    /// It was done, with this answer.
    Done(Box<RawValue>),
    /// It had been done before.
    Replayed(Box<RawValue>),
    /// It alone was not done; others of its transaction may have been.
    Refused(Error),
    /// It was not done: somebody else has the lock of its channel.
    Blocked,
    /// It was not done, and only running it alone tells why.
    Unclear,
}

impl From<Settled> for Result<Box<RawValue>> {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Done(answer) | Settled::Replayed(answer) => Ok(answer),
            Settled::Refused(error) => Err(error),
            Settled::Blocked | Settled::Unclear => {
                Err(Error::internal(anyhow::anyhow!("a command of a batch was left over")))
            }
        }
    }
}

/// How one attempt ended.
pub(super) enum Attempt<T> {
    /// With a COMMIT; or nothing was to be written.
    Ended(T, Vec<LogEvent>),
    /// COMMIT was sent and its answer was lost: nobody knows.
    CommitLost(T, Vec<LogEvent>, Error),
    /// Rolled back, or never begun.
    Failed(Error),
}

/// What was done inside a transaction that is still open.
pub(super) enum Worked<T> {
    Written(T, Vec<LogEvent>),
    /// Nothing that has to be kept.
    Nothing(T),
}

impl Writer {
    /// Runs `work` until it is known what became of each of its commands, in their order. An error is that of all.
    pub(super) async fn settle(&self, work: Work<'_>) -> Result<Vec<Settled>> {
        let (settled, events) = self.settle_untold(work).await?;
        (self.on_commit)(events);
        Ok(settled)
    }

    /// The same, and the events, which `on_commit` is to be told before anybody is answered.
    pub(super) async fn settle_untold(&self, work: Work<'_>) -> Result<(Vec<Settled>, Vec<LogEvent>)> {
        let mut patience = Patience::new();
        // The outcome of a COMMIT whose answer was lost. Running the commands again tells what became of it: the claim
        // waits for the old transaction, then finds its answers or free ids.
        let mut unknown: Option<(Vec<Settled>, Vec<LogEvent>)> = None;
        loop {
            match self.attempt(work).await {
                Attempt::Ended(settled, mut events) => {
                    if let Some((ours, old)) = unknown
                        && was_committed(&ours, &settled)
                    {
                        events.splice(..0, old);
                    }
                    return Ok((settled, events));
                }
                Attempt::CommitLost(settled, events, error) => {
                    tracing::warn!(commands = settled.len(), error = %error, "lost the answer to a commit");
                    if unknown.replace((settled, events)).is_none() {
                        // However long it took to get here, finding out is tried.
                        patience = Patience::new();
                    }
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

    async fn attempt(&self, work: Work<'_>) -> Attempt<Vec<Settled>> {
        match work {
            Work::One(wanted) => match self.begin(BEGIN, wanted.by).await {
                Ok(mut tx) => {
                    let worked = in_time(self.work_alone(&mut tx, wanted)).await;
                    seal(&self.db, tx, worked).await
                }
                Err(error) => Attempt::Failed(error),
            },
            Work::Several(drain, lane, batch) => match self.begin(BEGIN, Several).await {
                Ok(mut tx) => {
                    let worked = in_time(work_together(&mut tx, drain, lane, batch)).await;
                    seal(&self.db, tx, worked).await
                }
                Err(error) => Attempt::Failed(error),
            },
            Work::Rows(drain, batch, channels, wait) => match self.begin(wait.begin(), Several).await {
                Ok(mut tx) => {
                    let worked = in_time(rows::work(&mut tx, drain, batch, channels, wait)).await;
                    seal(&self.db, tx, worked).await
                }
                Err(error) => Attempt::Failed(error),
            },
        }
    }

    async fn work_alone(&self, tx: &mut Tx, wanted: &Wanted) -> Result<Worked<Vec<Settled>>> {
        if let Claim::Replay(answer) = operations::claim(tx.conn(), wanted).await? {
            return Ok(Worked::Nothing(vec![Settled::Replayed(answer)]));
        }
        let data = (self.perform)(tx, &wanted.command).await?;
        let answer = answer(&tx.positions(), &data)?;
        if !tx.events.is_empty() {
            tx.record.push(Entry::of(wanted, Some(&data)));
        }
        let events = tx.finish(Some(answer.get())).await?;
        Ok(Worked::Written(vec![Settled::Done(answer)], events))
    }

    pub(super) async fn begin<W>(&self, statement: &'static str, by: W) -> Result<Tx<W>> {
        self.db.takes_writes()?;
        Ok(Tx::new(Session::begin(self.db.pool(), statement).await?, by))
    }
}

/// As in [`rows::work`] the operation ids are stored last. Whoever does them alone at this moment, on another node or by
/// another door, has stored the id first and may wait for our locks: we wait for them only shortly, and then begin again.
async fn work_together(
    tx: &mut Tx<Several>,
    drain: &dyn Drain,
    lane: Uuid,
    batch: &[Wanted],
) -> Result<Worked<Vec<Settled>>> {
    let known = operations::known(tx.conn(), batch).await?;
    let new: Vec<&Wanted> = batch.iter().filter(|wanted| !known.contains_key(&wanted.by)).collect();
    let performed = if new.is_empty() { Vec::new() } else { drain.perform(tx, lane, &new).await? };
    let mut performed = performed.into_iter();
    let mut settled = Vec::with_capacity(batch.len());
    for wanted in batch {
        settled.push(match known.get(&wanted.by) {
            Some(stored) => match operations::replay(wanted, Some(stored)) {
                Ok(Claim::Replay(answer)) => Settled::Replayed(answer),
                Ok(Claim::New) => Settled::Unclear,
                Err(error) => Settled::Refused(error),
            },
            None => match performed.next() {
                Some(Ok(done)) => Settled::Done(answer(&done.positions, &done.data)?),
                Some(Err(error)) => Settled::Refused(error),
                None => return Err(Error::internal(anyhow::anyhow!("a command of a batch was forgotten"))),
            },
        });
    }
    let done = done(batch, &settled);
    if done.is_empty() {
        return Ok(Worked::Nothing(settled));
    }
    tx.wait_shortly().await?;
    let stored = tx.finish_several(&done).await;
    let events = stored.map_err(|error| match error.code() {
        "busy" => Error::changed_meanwhile().because(error),
        _ => error,
    })?;
    Ok(Worked::Written(settled, events))
}

/// The commands that were done, each with its answer.
pub(super) fn done<'a>(batch: &'a [Wanted], settled: &'a [Settled]) -> Vec<(&'a Wanted, &'a str)> {
    let done = batch.iter().zip(settled).filter_map(|(wanted, settled)| match settled {
        Settled::Done(answer) => Some((wanted, answer.get())),
        _ => None,
    });
    done.collect()
}

/// Whether the transaction of `ours` was committed, seen from what a second attempt found: all of its answers, or none.
fn was_committed(ours: &[Settled], found: &[Settled]) -> bool {
    ours.iter().zip(found).all(|pair| match pair {
        (Settled::Done(ours), Settled::Replayed(found)) => ours.get() == found.get(),
        (Settled::Done(_), _) => false,
        _ => true,
    })
}

/// Commits what was written; everything else is rolled back.
pub(super) async fn seal<W, T>(db: &Db, mut tx: Tx<W>, worked: Result<Worked<T>>) -> Attempt<T> {
    let epoch = tx.take_epoch();
    match worked {
        Ok(Worked::Written(done, events)) => match tx.commit().await.map_err(Error::from) {
            Ok(()) => {
                db.committed_in(&epoch);
                Attempt::Ended(done, events)
            }
            Err(error) if error.retry() == Retry::Lost => Attempt::CommitLost(done, events, error),
            // PostgreSQL answered with an error: it has rolled back.
            Err(error) => Attempt::Failed(error),
        },
        Ok(Worked::Nothing(done)) => {
            roll_back(tx).await;
            Attempt::Ended(done, Vec::new())
        }
        // There is nobody to tell; without its connection the transaction is over.
        Err(error) if error.retry() == Retry::Lost => Attempt::Failed(error),
        Err(error) => {
            roll_back(tx).await;
            Attempt::Failed(error)
        }
    }
}

/// Gives up on a connection that says nothing.
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(WORK_WITHIN, work).await.unwrap_or_else(|_| Err(silence().into()))
}

/// Ends the transaction now rather than when the connection is used next: its locks would be held until then.
async fn roll_back<W>(tx: Tx<W>) {
    if let Err(error) = tx.rollback().await {
        // The connection is gone, and the transaction with it.
        tracing::debug!(%error, "rollback failed");
    }
}

pub(super) fn answer(positions: &[Position], data: &RawValue) -> Result<Box<RawValue>> {
    #[derive(Serialize)]
    struct Answer<'a> {
        positions: &'a [Position],
        data: &'a RawValue,
    }
    serde_json::value::to_raw_value(&Answer { positions, data }).map_err(Error::internal)
}

pub(super) fn commit_unknown() -> Error {
    Error::unavailable("commit_unknown", "whether this was done is unknown; retry with the same operation id")
}

/// Decides whether, and how soon, a failed transaction is run again.
pub(super) struct Patience {
    started: Instant,
    conflicts: u32,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), conflicts: 0 }
    }

    /// Waits until the next attempt; an error when there is to be none. `anyway`: also for errors that are not worth
    /// a retry by themselves.
    pub(super) async fn after(&mut self, error: &Error, anyway: bool) -> Result<(), ()> {
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
