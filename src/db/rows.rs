//! Commands that change one row each, many in one transaction: a list of rows in each statement, and one COMMIT.
//!
//! What is unusual about a command is not dealt with here: it is left out, and runs alone afterwards.

use std::collections::HashSet;

use serde_json::value::RawValue;
use studyhall_protocol::{Channel, Event};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::attempt::{Settled, Work, Worked, answer};
use super::drain::tell;
use super::lanes::Answer;
use super::operations::{self, Claim, Wanted};
use super::queue::Item;
use super::tx::Several;
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
        let left = self.rows(batch).await;
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
        self.alone_each(self.rows(batch).await);
        drop(held);
    }

    /// Does all of a batch but those whose channels somebody else has locked, which it returns.
    async fn rows(&self, batch: Vec<Item>) -> Vec<Item> {
        let Some(drain) = &self.drain else { return batch };
        let (mut wanted, mut channels, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for item in batch {
            wanted.push(item.wanted);
            channels.push(item.channel);
            rest.push((item.row, item.answer));
        }
        let several = the_one(&channels).is_none();
        let outcome = self.settle(Work::Rows(&**drain, &wanted, &channels)).await;
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
            Err(error) if error.code() == "busy" && several => items,
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

/// The channel of all of them.
fn the_one(channels: &[Channel]) -> Option<Channel> {
    channels.first().copied().filter(|first| channels.iter().all(|channel| channel == first))
}

/// One transaction. Channels of several commands are locked where that needs no waiting; a single one is waited for.
pub(super) async fn work(
    tx: &mut Tx<Several>,
    drain: &dyn Drain,
    batch: &[Wanted],
    channels: &[Channel],
) -> Result<Worked<Vec<Settled>>> {
    let claims = operations::claim(tx.conn(), batch).await?;
    let alone = the_one(channels);
    match alone {
        Some(channel) => tx.lock_one(channel).await?,
        None => tx.lock_free(channels).await?,
    }
    let locked: Vec<bool> = channels.iter().map(|channel| tx.head(channel).is_some()).collect();
    let is_new = |(claim, locked): (&Result<Claim>, &bool)| *locked && matches!(claim, Ok(Claim::New));
    let new: Vec<bool> = claims.iter().zip(&locked).map(is_new).collect();
    let doing: Vec<&Wanted> = batch.iter().zip(&new).filter_map(|(wanted, new)| new.then_some(wanted)).collect();
    let mut events: std::vec::IntoIter<Option<Event>> =
        if doing.is_empty() { Vec::new() } else { drain.rows(tx, &doing).await? }.into_iter();
    let mut settled = Vec::with_capacity(batch.len());
    // Ids that this transaction claimed and that are claimed again in another one.
    let mut released: Vec<By> = Vec::new();
    for ((wanted, channel), (claim, locked)) in batch.iter().zip(channels).zip(claims.into_iter().zip(locked)) {
        settled.push(match claim {
            Err(error) => Settled::Refused(error),
            Ok(Claim::Replay(answer)) => Settled::Replayed(answer),
            Ok(Claim::New) if !locked => {
                released.push(wanted.by);
                if alone.is_some() { Settled::Unclear } else { Settled::Blocked }
            }
            Ok(Claim::New) => match events.next().flatten() {
                Some(event) => {
                    let data = tx.emit_row(wanted.by, *channel, &event)?.to_owned();
                    Settled::Done(answer(&[tx.position(*channel)?], &data)?)
                }
                None => {
                    released.push(wanted.by);
                    Settled::Unclear
                }
            },
        });
    }
    let done = batch.iter().zip(&settled).filter_map(|(wanted, settled)| match settled {
        Settled::Done(answer) => Some((wanted.by, answer.get())),
        _ => None,
    });
    let answers: Vec<(By, &str)> = done.collect();
    if answers.is_empty() {
        return Ok(Worked::Nothing(settled));
    }
    let events = tx.finish(&answers, &released).await?;
    Ok(Worked::Written(settled, events))
}
