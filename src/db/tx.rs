//! What an action sees of its transaction: who acts, the locks, the events.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::{PgConnection, Postgres, Transaction};
use studyhall_protocol::event::Event;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use super::log::{number, payload};
use crate::error::{Error, Result};
use crate::live::backend::LogEvent;

/// One command's transaction. It ends only in the write door: actions neither commit nor roll back.
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    actor: Uuid,
    op: Uuid,
    heads: BTreeMap<Channel, u64>,
    at: DateTime<Utc>,
    epoch: String,
    events: Vec<Pending>,
    /// A mistake in an action that `emit` could not report.
    fault: Option<String>,
}

struct Pending {
    channel: Channel,
    offset: u64,
    name: &'static str,
    data: Box<RawValue>,
}

/// The part of an event that has a column of its own; the text is kept as it is.
#[derive(Deserialize)]
struct Tagged {
    data: Box<RawValue>,
}

/// The committed-to-be outcome, as far as it is known before COMMIT.
pub(super) struct Outcome {
    pub(super) positions: Vec<Position>,
    pub(super) events: Vec<LogEvent>,
}

impl Tx {
    pub(super) fn new(inner: Transaction<'static, Postgres>, actor: Uuid, op: Uuid) -> Self {
        Self {
            inner,
            actor,
            op,
            heads: BTreeMap::new(),
            at: DateTime::UNIX_EPOCH,
            epoch: String::new(),
            events: Vec::new(),
            fault: None,
        }
    }

    /// Who acts.
    pub fn actor(&self) -> Uuid {
        self.actor
    }

    /// The operation id; the server's own when the client sent none.
    pub fn op(&self) -> Uuid {
        self.op
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
            sqlx::query!(
                "insert into channel_heads (channel) select c from unnest($1::text[]) c order by c
                 on conflict do nothing",
                &wanted
            )
            .execute(&mut *self.inner)
            .await?;
            self.lock_existing(&wanted).await?;
        }
        Ok(())
    }

    async fn lock_existing(&mut self, channels: &[String]) -> Result<usize> {
        // The order of the locks is the database's order of the text, here and in every other statement.
        let rows = sqlx::query!(
            r#"select h.channel, h.head, now() as "at!", (select e.epoch from log_epoch e) as "epoch!"
               from channel_heads h where h.channel = any($1) order by h.channel for update of h"#,
            channels
        )
        .fetch_all(&mut *self.inner)
        .await?;
        for row in &rows {
            let channel: Channel = row.channel.parse().map_err(Error::internal)?;
            self.heads.insert(channel, number(row.head)?);
            self.at = row.at;
            self.epoch.clone_from(&row.epoch);
        }
        Ok(rows.len())
    }

    /// The number of the newest event of a locked channel, those of this transaction included.
    pub fn head(&self, channel: &Channel) -> Option<u64> {
        self.heads.get(channel).copied()
    }

    /// The time that the events of this transaction carry; known once channels are locked.
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// Gives the event the channel's next number. The channel must be locked; if it is not, the command fails.
    pub fn emit(&mut self, channel: Channel, event: Event) {
        match self.append(channel, &event) {
            Ok(()) => {}
            Err(problem) => self.fault = Some(problem),
        }
    }

    fn append(&mut self, channel: Channel, event: &Event) -> Result<(), String> {
        let head = self.heads.get_mut(&channel).ok_or_else(|| format!("{channel} is not locked"))?;
        let tagged = serde_json::to_string(event).map_err(|error| error.to_string())?;
        let Tagged { data } = serde_json::from_str(&tagged).map_err(|error| error.to_string())?;
        *head += 1;
        self.events.push(Pending { channel, offset: *head, name: event.name(), data });
        Ok(())
    }

    /// Where the command's events are; where the locked channels stand when there is none. Where another person's
    /// private channel stands is nobody else's business.
    pub(super) fn positions(&self) -> Vec<Position> {
        let emitted = |channel: &Channel| self.events.iter().any(|event| event.channel == *channel);
        let any = !self.events.is_empty();
        self.heads
            .iter()
            .filter(|(channel, _)| !any || emitted(channel))
            .filter(|(channel, _)| !matches!(channel, Channel::User(id) if *id != self.actor))
            .map(|(channel, head)| Position { channel: *channel, offset: *head, epoch: self.epoch.clone() })
            .collect()
    }

    /// The last statement: raises the heads, appends the events, stores the answer of the operation.
    ///
    /// `answer` is `None` for actions that keep no operation row.
    pub(super) async fn finish(&mut self, answer: Option<&str>) -> Result<Outcome> {
        if let Some(fault) = self.fault.take() {
            return Err(Error::internal(anyhow::anyhow!(fault)));
        }
        let channels: Vec<String> = self.events.iter().map(|event| event.channel.to_string()).collect();
        let offsets: Vec<i64> = self.events.iter().map(|event| event.offset as i64).collect();
        let names: Vec<String> = self.events.iter().map(|event| event.name.to_owned()).collect();
        let data: Vec<String> = self.events.iter().map(|event| event.data.get().to_owned()).collect();
        if !channels.is_empty() || answer.is_some() {
            let appended = sqlx::query_scalar!(
                r#"
                with e as (
                    select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[])
                        as e (channel, "offset", type, data)
                ), raised as (
                    update channel_heads h set head = n.head
                    from (select e.channel, max(e."offset") as head from e group by e.channel) n
                    where h.channel = n.channel
                ), appended as (
                    insert into events (channel, "offset", type, actor, op, data)
                    select e.channel, e."offset", e.type, $5, $6, e.data::json from e
                    returning 1
                ), answered as (
                    update operations o set answer = $7::text::json
                    where $7::text is not null and o.user_id = $5 and o.op = $6
                )
                select count(*) as "count!" from appended"#,
                &channels,
                &offsets,
                &names,
                &data,
                self.actor,
                self.op,
                answer,
            )
            .fetch_one(&mut *self.inner)
            .await?;
            // The value proves that the transaction is alive: COMMIT of a failed one would look like success.
            if appended != self.events.len() as i64 {
                return Err(Error::internal(anyhow::anyhow!("{appended} of {} events appended", self.events.len())));
            }
        }
        let positions = self.positions();
        let (at, actor, op) = (self.at, self.actor, self.op);
        let events = self.events.drain(..).map(|event| event.into_log_event(actor, op, at)).collect();
        Ok(Outcome { positions, events })
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }

    pub(super) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.inner.rollback().await
    }
}

impl Pending {
    fn into_log_event(self, actor: Uuid, op: Uuid, at: DateTime<Utc>) -> LogEvent {
        let payload = payload(self.name, Some(self.data.get()), Some(actor), Some(op), at);
        LogEvent {
            channel: self.channel,
            offset: self.offset,
            name: Arc::from(self.name),
            payload: Bytes::from(payload),
        }
    }
}
