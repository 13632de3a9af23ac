//! Draining: commands that wait are committed in one transaction.
//!
//! The lock on a channel's head makes commands of one channel wait for each other's COMMIT. Commands of one *lane* that
//! come faster than that is worth are collected for a moment and done together: one COMMIT, one event that sums them up,
//! and one connection, however many wait. Commands that change one row each go together with any others of that kind
//! that happen to wait, see `rows`. Order and promises stay: each command has its operation id, its answer with
//! positions and its own events, and is acknowledged after the COMMIT.

use std::time::Instant;

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use studyhall_protocol::{Channel, Event, Position};
use uuid::Uuid;

use super::attempt::{Settled, Work};
use super::lanes::{Answer, Entry};
use super::operations::Wanted;
use super::{BatchTx, Db, Writer};
use crate::error::{Error, Result};

/// With what others a command can share a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// None.
    Nobody,
    /// Those of the same lane, and one event sums them up.
    Lane(Uuid),
    /// Any that change another row.
    Row {
        /// The one channel that tells of it.
        channel: Channel,
        /// The row.
        row: Uuid,
    },
}

/// What a domain says about commands that can be done together.
pub trait Drain: Send + Sync {
    /// What a command can be done with.
    fn company<'a>(&'a self, db: &'a Db, wanted: &'a Wanted) -> BoxFuture<'a, Result<Company>>;

    /// Does commands of one lane, in their order, in a number of statements that does not depend on how many they are.
    ///
    /// One result for each. A command that is refused leaves nothing; an error of the whole makes each of them run
    /// alone. May be called several times for the same commands, each time in a transaction of its own.
    fn perform<'t>(
        &'t self,
        tx: &'t mut BatchTx,
        lane: Uuid,
        batch: &'t [&'t Wanted],
    ) -> BoxFuture<'t, Result<Vec<Result<Performed>>>>;

    /// Does commands that change one row each, every row once, under the locks of their channels. In as few statements
    /// as [`Drain::perform`].
    ///
    /// The event of each, whose data is also what the command answers. `None` where nothing was done, for whatever
    /// reason: the command runs alone and finds out.
    fn rows<'t>(&'t self, tx: &'t mut BatchTx, batch: &'t [&'t Wanted]) -> BoxFuture<'t, Result<Vec<Option<Event>>>>;
}

/// What one command of a batch answers.
#[derive(Debug)]
pub struct Performed {
    /// Where its events are, or where its channels stand; nobody else's private ones.
    pub positions: Vec<Position>,
    /// As of the command that runs alone.
    pub data: Box<RawValue>,
}

impl Writer {
    pub(super) async fn execute_here(&self, wanted: Wanted) -> Result<Box<RawValue>> {
        // What a command does alone is large; those that wait for others do without it.
        let Some(drain) = &self.drain else { return Box::pin(self.alone(&wanted)).await };
        // Without an answer the command runs all the same, and meets the same trouble if there is any.
        let lane = match drain.company(&self.db, &wanted).await.unwrap_or(Company::Nobody) {
            Company::Nobody => return Box::pin(self.alone(&wanted)).await,
            Company::Row { channel, row } => return self.queued(wanted, channel, row).await,
            Company::Lane(lane) => lane,
        };
        match self.lanes.enter(lane, wanted, Instant::now()) {
            Entry::Alone(wanted) => Box::pin(self.alone(&wanted)).await,
            Entry::Waits { answer, first } => {
                if first {
                    self.tasks.spawn(self.clone().empty_lane(lane));
                }
                answer.await.map_err(Error::internal)?
            }
        }
    }

    pub(super) async fn alone(&self, wanted: &Wanted) -> Result<Box<RawValue>> {
        let settled = self.settle(Work::One(wanted)).await?.pop();
        settled.map_or_else(|| Err(Error::internal(anyhow::anyhow!("a command without an outcome"))), Into::into)
    }

    /// Takes batch after batch until nobody waits.
    async fn empty_lane(self, lane: Uuid) {
        while let Some(due) = self.lanes.due(lane) {
            tokio::time::sleep_until(due.into()).await;
            let (batch, answers) = self.lanes.take(lane, Instant::now());
            // A task of its own: should it panic, the lane goes on.
            if let Err(error) = self.tasks.spawn(self.clone().together(lane, batch, answers)).await {
                tracing::error!(%error, "a batch was not done");
            }
        }
    }

    async fn together(self, lane: Uuid, batch: Vec<Wanted>, answers: Vec<Answer>) {
        let all = match &self.drain {
            Some(drain) if batch.len() > 1 => Some(self.settle_untold(Work::Several(&**drain, lane, &batch)).await),
            // Nothing to sum up.
            _ => None,
        };
        match all {
            // While they are told, the next batch is on its way.
            Some(Ok((settled, events))) => {
                let on_commit = self.on_commit.clone();
                self.tasks.spawn(async move {
                    on_commit(events);
                    settled.into_iter().zip(answers).for_each(|(settled, answer)| tell(answer, settled));
                });
            }
            // The database is the trouble, not one of them.
            Some(Err(error)) if error.is_unavailable() => {
                error.log();
                answers.into_iter().for_each(|answer| tell(answer, Settled::Refused(error.again())));
            }
            all => {
                if let Some(Err(error)) = all {
                    tracing::warn!(%error, commands = batch.len(), "a batch cannot be done; each command alone");
                }
                for (wanted, answer) in batch.iter().zip(answers) {
                    let _ = answer.send(self.alone(wanted).await);
                }
            }
        }
    }
}

pub(super) fn tell(answer: Answer, settled: Settled) {
    // Whoever asked may be gone.
    let _ = answer.send(settled.into());
}
