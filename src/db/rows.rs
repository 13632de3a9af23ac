//! Commands that change one row each, many in one transaction: a list of rows in each statement, and one COMMIT.
//!
//! What is unusual about a command is not dealt with here: it is left out, and runs alone afterwards.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use studyhall_protocol::{Channel, Event};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::attempt::{BEGIN, Settled, Work, Worked, answer, done};
use super::drain::tell;
use super::operations::{self, Claim, Wanted};
use super::queue::Item;
use super::tx::{Several, column};
use super::{By, Drain, Tx, Writer};
use crate::error::{Error, Result};

impl Writer {
    /// Waits for the next transaction that can take it.
    pub(super) async fn queued(&self, wanted: Wanted, channel: Channel, row: Uuid) -> Result<Box<RawValue>> {
        let (sender, answer) = oneshot::channel();
        if self.queue.push(Item { wanted, channel, row, answer: sender }) {
            self.tasks.spawn(self.clone().crew());
        }
        answer.await.map_err(Error::internal)?
    }

    /// Does batch after batch until nobody waits.
    async fn crew(self) {
        while let Some(batch) = self.queue.take() {
            let held = Held::new(&self, &batch);
            // A task of its own: should it panic, the crew goes on.
            if let Err(error) = self.tasks.spawn(self.clone().batch(batch, held)).await {
                tracing::error!(%error, "a batch was not done");
            }
        }
    }

    async fn batch(self, batch: Vec<Item>, mut held: Held) {
        let left = self.rows(batch, Wait::Never).await;
        // What somebody else has locked is waited for, each channel by itself: no one keeps the others from their
        // COMMIT. Whoever comes meanwhile waits behind.
        let channels: HashSet<Channel> = left.iter().map(|item| item.channel).collect();
        let mut left = left;
        for channel in channels {
            let (own, others) = left.into_iter().partition(|item| item.channel == channel);
            left = others;
            let held = held.part(channel);
            self.tasks.spawn(self.clone().one_channel(own, held));
        }
    }

    async fn one_channel(self, batch: Vec<Item>, held: Held) {
        self.alone_each(self.rows(batch, Wait::ForLocks).await);
        drop(held);
    }

    /// Does all of a batch but those for whom somebody else is in the way, which it returns.
    async fn rows(&self, batch: Vec<Item>, wait: Wait) -> Vec<Item> {
        let Some(drain) = &self.drain else { return batch };
        let (mut wanted, mut channels, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for item in batch {
            wanted.push(item.wanted);
            channels.push(item.channel);
            rest.push((item.row, item.answer));
        }
        let outcome = self.settle(Work::Rows(&**drain, &wanted, &channels, wait)).await;
        let items = wanted.into_iter().zip(channels).zip(rest);
        let items: Vec<Item> =
            items.map(|((wanted, channel), (row, answer))| Item { wanted, channel, row, answer }).collect();
        match outcome {
            Ok(settled) => {
                let (mut blocked, mut unclear) = (Vec::new(), Vec::new());
                for (item, settled) in items.into_iter().zip(settled) {
                    match settled {
                        Settled::Blocked => blocked.push(item),
                        Settled::Unclear => unclear.push(item),
                        settled => tell(item.answer, settled),
                    }
                }
                self.alone_each(unclear);
                blocked
            }
            // Somebody is in the way of one of them; the others shall not wait for that.
            Err(error) if error.code() == "busy" && wait == Wait::Never => items,
            // The database is the trouble, or what they all wait for.
            Err(error) if error.is_unavailable() => {
                error.log();
                items.into_iter().for_each(|item| tell(item.answer, Settled::Refused(error.again())));
                Vec::new()
            }
            Err(error) => {
                tracing::debug!(%error, commands = items.len(), "a batch cannot be done; each command alone");
                self.alone_each(items);
                Vec::new()
            }
        }
    }

    fn alone_each(&self, items: Vec<Item>) {
        for Item { wanted, answer, .. } in items {
            let this = self.clone();
            self.tasks.spawn(async move { drop(answer.send(this.alone(&wanted).await)) });
        }
    }
}

/// Channels that no other batch takes; lets go of them also when its task panics.
struct Held {
    writer: Writer,
    channels: HashSet<Channel>,
}

impl Held {
    fn new(writer: &Writer, batch: &[Item]) -> Self {
        Self { writer: writer.clone(), channels: batch.iter().map(|item| item.channel).collect() }
    }

    fn part(&mut self, channel: Channel) -> Self {
        let channels = self.channels.take(&channel).into_iter().collect();
        Self { writer: self.writer.clone(), channels }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.writer.queue.release(&self.channels) {
            self.writer.tasks.spawn(self.writer.clone().crew());
        }
    }
}

/// Whether a transaction waits for locks that somebody else has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Commands of many people are in it: none of them waits for what another one needs.
    Never,
    /// All of them want the same channel.
    ForLocks,
}

/// A twin of one of the operation ids may be under way on another node; nothing else is waited for.
const BEGIN_WITHOUT_WAITING: &str = "begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; \
     set local lock_timeout = '50ms'";

impl Wait {
    /// How such a transaction begins.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Wait::Never => BEGIN_WITHOUT_WAITING,
            Wait::ForLocks => BEGIN,
        }
    }
}

/// One transaction.
///
/// Unlike a command that runs alone this one stores its operation ids last, with the answers, so that each is written
/// once. If one of them turns out to be taken by then, all is rolled back and begun again.
pub(super) async fn work(
    tx: &mut Tx<Several>,
    drain: &dyn Drain,
    batch: &[Wanted],
    channels: &[Channel],
    wait: Wait,
) -> Result<Worked<Vec<Settled>>> {
    let known = if tx.lock_for(batch, channels, wait).await? {
        operations::known(tx.conn(), batch).await?
    } else {
        HashMap::new()
    };
    let locked: Vec<bool> = channels.iter().map(|channel| tx.head(channel).is_some()).collect();
    let is_new = |wanted: &Wanted| !known.contains_key(&wanted.by);
    let doing = batch.iter().zip(&locked).filter(|(wanted, locked)| **locked && is_new(wanted));
    let doing: Vec<&Wanted> = doing.map(|(wanted, _)| wanted).collect();
    let events = if doing.is_empty() { Vec::new() } else { drain.rows(tx, &doing).await? };
    let mut events = events.into_iter();
    let mut settled = Vec::with_capacity(batch.len());
    for ((wanted, channel), locked) in batch.iter().zip(channels).zip(locked) {
        settled.push(match known.get(&wanted.by) {
            Some(stored) => match operations::replay(wanted, Some(stored)) {
                Ok(Claim::Replay(answer)) => Settled::Replayed(answer),
                Ok(Claim::New) => Settled::Unclear,
                Err(error) => Settled::Refused(error),
            },
            None if !locked && wait == Wait::Never => Settled::Blocked,
            None if !locked => Settled::Unclear,
            None => match events.next().flatten() {
                Some(event) => Settled::Done(tx.emit_row(wanted.by, *channel, &event)?),
                None => Settled::Unclear,
            },
        });
    }
    let done = done(batch, &settled);
    if done.is_empty() {
        return Ok(Worked::Nothing(settled));
    }
    let events = tx.finish_several(&done).await?;
    Ok(Worked::Written(settled, events))
}

impl Tx<Several> {
    /// Takes the locks of these channels, all or those that are free. Whether any of these operation ids is taken already.
    async fn lock_for(&mut self, batch: &[Wanted], channels: &[Channel], wait: Wait) -> Result<bool> {
        let names: Vec<String> = channels.iter().map(Channel::to_string).collect();
        let actors = column(batch, |wanted| wanted.by.actor);
        let ops = column(batch, |wanted| wanted.by.op);
        let rows = match wait {
            Wait::ForLocks => {
                sqlx::query_as!(
                    Locked,
                    r#"select h.channel, h.head, now() as "at!", (select e.epoch from log_epoch e where e.singleton) as "epoch!",
                       exists (select from unnest($2::uuid[], $3::uuid[]) as w (user_id, op)
                               join operations o on o.user_id = w.user_id and o.op = w.op) as "known!"
                   from channel_heads h where h.channel = any($1) order by h.channel for update of h"#,
                    &names,
                    &actors,
                    &ops
                )
                .fetch_all(self.conn())
                .await?
            }
            Wait::Never => {
                sqlx::query_as!(
                    Locked,
                    r#"select h.channel, h.head, now() as "at!", (select e.epoch from log_epoch e where e.singleton) as "epoch!",
                       exists (select from unnest($2::uuid[], $3::uuid[]) as w (user_id, op)
                               join operations o on o.user_id = w.user_id and o.op = w.op) as "known!"
                   from channel_heads h where h.channel = any($1) order by h.channel for update of h skip locked"#,
                    &names,
                    &actors,
                    &ops
                )
                .fetch_all(self.conn())
                .await?
            }
        };
        for row in &rows {
            self.locked(&row.channel, row.head, row.at, &row.epoch)?;
        }
        Ok(rows.first().is_some_and(|row| row.known))
    }

    /// Gives the event its number; returns the answer of its command.
    fn emit_row(&mut self, by: By, channel: Channel, event: &Event) -> Result<Box<RawValue>> {
        self.try_append(channel, event, Some(by)).map_err(|problem| Error::internal(anyhow::anyhow!(problem)))?;
        let position = self.position(channel)?;
        let data = self.events.last().map(|event| &*event.data);
        answer(&[position], data.unwrap_or(RawValue::NULL))
    }
}

/// A channel whose lock was taken.
struct Locked {
    channel: String,
    head: i64,
    at: DateTime<Utc>,
    epoch: String,
    /// Of any operation id of the batch.
    known: bool,
}
