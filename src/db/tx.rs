//! What an action sees of its transaction: who acts, the locks, the events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use studyhall_protocol::event::Event;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use super::audit::{Asker, Entry};
use super::log::{number, payload};
use super::session::Session;
use crate::error::{Error, Result};
use crate::live::backend::LogEvent;

/// Who acts, and in which operation; the server makes the id when the client sent none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct By {
    /// Who.
    pub actor: Uuid,
    /// The operation id.
    pub op: Uuid,
}

/// In the place of [`By`]: the transaction is that of several commands.
pub struct Several;

/// The transaction of several commands, see [`super::Drain`].
pub type BatchTx = Tx<Several>;

/// One command's transaction. It ends only in the write door: actions neither commit nor roll back.
pub struct Tx<W = By> {
    inner: Session,
    by: W,
    heads: BTreeMap<Channel, u64>,
    /// Those whose row says already what it will say.
    pub(super) raised: BTreeSet<Channel>,
    at: DateTime<Utc>,
    epoch: String,
    pub(super) events: Vec<Pending>,
    pub(super) record: Vec<Entry>,
    /// A mistake in an action that `emit` could not report.
    fault: Option<String>,
}

/// An event that will be in the log.
pub(super) struct Pending {
    pub(super) channel: Channel,
    pub(super) offset: u64,
    pub(super) name: &'static str,
    /// Nobody's, when it sums up several commands.
    pub(super) by: Option<By>,
    pub(super) data: Box<RawValue>,
}

/// The part of an event that has a column of its own; the text is kept as it is.
#[derive(Deserialize)]
struct Tagged {
    data: Box<RawValue>,
}

impl<W> Tx<W> {
    pub(super) fn new(inner: Session, by: W) -> Self {
        Self {
            inner,
            by,
            heads: BTreeMap::new(),
            raised: BTreeSet::new(),
            at: DateTime::UNIX_EPOCH,
            epoch: String::new(),
            events: Vec::new(),
            record: Vec::new(),
            fault: None,
        }
    }

    /// The connection, for the statements of a domain.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// Takes the locks of these channels: nobody else writes to them, or changes who may, until the end.
    ///
    /// Once per transaction and before anything else is locked, so that no two commands wait for each other. A second
    /// call is fine if it names only channels of the first.
    pub async fn lock(&mut self, channels: &[Channel]) -> Result<()> {
        let mut wanted: Vec<String> = channels.iter().map(Channel::to_string).collect();
        wanted.sort_unstable();
        wanted.dedup();
        if !self.heads.is_empty() {
            if channels.iter().all(|channel| self.heads.contains_key(channel)) {
                return Ok(());
            }
            return Err(Error::internal(anyhow::anyhow!("a second lock in one transaction: {wanted:?}")));
        }
        if self.lock_existing(&wanted).await? < wanted.len() {
            make_heads(&mut self.inner, &wanted).await?;
            self.lock_existing(&wanted).await?;
        }
        Ok(())
    }

    async fn lock_existing(&mut self, channels: &[String]) -> Result<usize> {
        // The order of the locks is the database's order of the text, here and in every other statement.
        let rows = sqlx::query!(
            r#"select h.channel, h.head, now() as "at!", (select e.epoch from log_epoch e where e.singleton) as "epoch!"
               from (select c from unnest($1::text[]) c order by c) w
               cross join lateral (
                   select h.channel, h.head from channel_heads h where h.channel = w.c for update) h"#,
            channels
        )
        .fetch_all(&mut *self.inner)
        .await?;
        for row in &rows {
            self.locked(&row.channel, row.head, row.at, &row.epoch)?;
        }
        Ok(rows.len())
    }

    /// The lock of this channel was taken.
    pub(super) fn locked(&mut self, channel: &str, head: i64, at: DateTime<Utc>, epoch: &str) -> Result<()> {
        self.heads.insert(channel.parse().map_err(Error::internal)?, number(head)?);
        self.at = at;
        if self.epoch != epoch {
            epoch.clone_into(&mut self.epoch);
        }
        Ok(())
    }

    /// The number of the newest event of a locked channel, those of this transaction included.
    pub fn head(&self, channel: &Channel) -> Option<u64> {
        self.heads.get(channel).copied()
    }

    /// The time that the events of this transaction carry; known once channels are locked.
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    fn append(&mut self, channel: Channel, event: &Event, by: Option<By>) {
        if let Err(problem) = self.try_append(channel, event, by) {
            self.fault = Some(problem);
        }
    }

    pub(super) fn try_append(&mut self, channel: Channel, event: &Event, by: Option<By>) -> Result<&RawValue, String> {
        let head = self.heads.get_mut(&channel).ok_or_else(|| format!("{channel} is not locked"))?;
        let tagged = serde_json::to_string(event).map_err(|error| error.to_string())?;
        let Tagged { data } = serde_json::from_str(&tagged).map_err(|error| error.to_string())?;
        *head += 1;
        self.events.push(Pending { channel, offset: *head, name: event.name(), by, data });
        Ok(self.events.last().map_or(RawValue::NULL, |event| &event.data))
    }

    /// The epoch of the log as the locks were taken; empty before.
    pub(super) fn take_epoch(&mut self) -> String {
        std::mem::take(&mut self.epoch)
    }

    /// No event was lost on the way here.
    pub(super) fn check(&mut self) -> Result<()> {
        self.fault.take().map_or(Ok(()), |fault| Err(Error::internal(anyhow::anyhow!(fault))))
    }

    /// The events as they will be once COMMIT has succeeded.
    pub(super) fn take_events(&mut self) -> Vec<LogEvent> {
        let at = self.at;
        self.events.drain(..).map(|event| event.into_log_event(at)).collect()
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }

    pub(super) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.inner.rollback().await
    }
}

impl Tx<By> {
    /// Who acts.
    pub fn actor(&self) -> Uuid {
        self.by.actor
    }

    /// The operation id; the server's own when the client sent none.
    pub fn op(&self) -> Uuid {
        self.by.op
    }

    /// Adds a line about the actor's own account to the record. Commands need not: the write door does it for each that did something.
    pub fn record(&mut self, action: &'static str, by: &Asker) {
        self.record.push(Entry::new(action, "user", None, by.address));
    }

    /// The same about something that the actor made.
    pub fn record_of(&mut self, action: &'static str, kind: &'static str, id: Uuid, by: &Asker) {
        self.record.push(Entry::new(action, kind, Some(id), by.address));
    }

    /// Gives the event the channel's next number. The channel must be locked; if it is not, the command fails.
    pub fn emit(&mut self, channel: Channel, event: Event) {
        self.append(channel, &event, Some(self.by));
    }

    /// Where the command's events are; where the locked channels stand when there is none. Where another person's
    /// private channel stands is nobody else's business.
    pub fn positions(&self) -> Vec<Position> {
        let emitted = |channel: &Channel| self.events.iter().any(|event| event.channel == *channel);
        let any = !self.events.is_empty();
        self.heads
            .iter()
            .filter(|(channel, _)| !any || emitted(channel))
            .filter(|(channel, _)| !matches!(channel, Channel::User(id) if *id != self.by.actor))
            .map(|(channel, head)| Position { channel: *channel, offset: *head, epoch: self.epoch.clone() })
            .collect()
    }
}

impl Tx<Several> {
    /// Takes the locks of these channels and gives each the numbers of so many events, which are emitted next: one write to
    /// a head instead of a lock and a write. Every channel once, behind those of [`Tx::lock`] in the order of the
    /// database, and only where an event needs no look at what the lock protects.
    pub async fn raise(&mut self, channels: &BTreeMap<Channel, u64>) -> Result<()> {
        let raised = self.raise_existing(channels).await?;
        if raised < channels.len() {
            let missing: BTreeMap<Channel, u64> =
                channels.iter().filter(|at| !self.heads.contains_key(at.0)).map(|at| (*at.0, *at.1)).collect();
            make_heads(&mut self.inner, &missing.keys().map(Channel::to_string).collect::<Vec<_>>()).await?;
            self.raise_existing(&missing).await?;
        }
        Ok(())
    }

    /// How many of these there are.
    async fn raise_existing(&mut self, channels: &BTreeMap<Channel, u64>) -> Result<usize> {
        let all: Vec<(&Channel, &u64)> = channels.iter().collect();
        // Whole tables are not scanned here (`BEGIN`), so each plan comes by the channels in the order of their names.
        let raised = sqlx::query!(
            r#"with raised as (
                 update channel_heads h set head = h.head + w.events
                 from (select * from unnest($1::text[], $2::bigint[]) with ordinality w (channel, events, number)
                       order by w.channel) w
                 where h.channel = w.channel
                 returning w.number, h.head - w.events as head)
               select coalesce(array_agg(r.number), '{}') as "numbers!", coalesce(array_agg(r.head), '{}') as "heads!"
               from raised r"#,
            &column(&all, |(channel, _)| channel.to_string()),
            &column(&all, |(_, events)| **events as i64),
        )
        .fetch_one(&mut *self.inner)
        .await?;
        for (place, head) in raised.numbers.iter().zip(&raised.heads) {
            let (channel, _) = all[number(*place)? as usize - 1];
            self.heads.insert(*channel, number(*head)?);
            self.raised.insert(*channel);
        }
        Ok(raised.heads.len())
    }

    /// From here on no lock is waited for longer than an instant. Whoever would wait longer is better begun again.
    pub(super) async fn wait_shortly(&mut self) -> Result<()> {
        sqlx::raw_sql("set local lock_timeout = '50ms'").execute(&mut *self.inner).await?;
        Ok(())
    }

    /// Like [`Tx::emit`], for an event that is one command's own.
    pub fn emit_by(&mut self, by: By, channel: Channel, event: Event) {
        self.append(channel, &event, Some(by));
    }

    /// Like [`Tx::emit`], for an event that sums up several commands: its actor and its operation are null.
    pub fn emit_sum(&mut self, channel: Channel, event: Event) {
        self.append(channel, &event, None);
    }

    /// Where a locked channel stands, the events so far included.
    pub fn position(&self, channel: Channel) -> Result<Position> {
        let head = self.head(&channel).ok_or_else(|| Error::internal(anyhow::anyhow!("{channel} is not locked")))?;
        Ok(Position { channel, offset: head, epoch: self.epoch.clone() })
    }
}

/// Channels that nothing was told on so far.
async fn make_heads(conn: &mut PgConnection, channels: &[String]) -> Result<()> {
    let made = sqlx::query!(
        "insert into channel_heads (channel) select c from unnest($1::text[]) c order by c on conflict do nothing",
        channels
    );
    made.execute(conn).await?;
    Ok(())
}

pub(super) fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

impl Pending {
    fn into_log_event(self, at: DateTime<Utc>) -> LogEvent {
        let (actor, op) = (self.by.map(|by| by.actor), self.by.map(|by| by.op));
        let payload = payload(self.name, Some(self.data.get()), actor, op, at);
        LogEvent {
            channel: self.channel,
            offset: self.offset,
            name: Arc::from(self.name),
            payload: Bytes::from(payload),
        }
    }
}
