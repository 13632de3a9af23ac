//! The last statement of a transaction: heads, events, answers and the record, in one trip.

use std::collections::{BTreeMap, HashSet};

use studyhall_protocol::Channel;
use uuid::Uuid;

use super::Tx;
use super::audit::Entry;
use super::operations::Wanted;
use super::tx::{By, Several, column};
use crate::error::{Error, Result};
use crate::live::backend::LogEvent;

impl Tx<By> {
    /// Raises the heads, appends the events, stores the answer of the operation if there is one, and the lines of the
    /// record. Returns the events as they will be once COMMIT has succeeded.
    pub(super) async fn finish(&mut self, answer: Option<&str>) -> Result<Vec<LogEvent>> {
        self.check()?;
        if self.events.is_empty() && self.record.is_empty() && answer.is_none() {
            return Ok(Vec::new());
        }
        let (actor, op) = (self.actor(), self.op());
        let (events, record) = (&self.events, &self.record);
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
            ), recorded as (
                insert into audit_logs (actor_id, action, subject_type, subject_id, metadata, ip)
                select $5, r.action, r.subject_type, r.subject_id, r.metadata::jsonb, r.ip::inet
                from unnest($8::text[], $9::text[], $10::uuid[], $11::text[], $12::text[])
                    as r (action, subject_type, subject_id, metadata, ip)
            )
            select count(*) as "count!" from appended"#,
            &column(events, |event| event.channel.to_string()),
            &column(events, |event| event.offset as i64),
            &column(events, |event| event.name.to_owned()),
            &column(events, |event| event.data.get().to_owned()),
            actor,
            op,
            answer,
            &column(record, |entry| entry.action) as &[&str],
            &column(record, |entry| entry.subject_type) as &[&str],
            &column(record, |entry| entry.subject_id) as &[Option<Uuid>],
            &column(record, |entry| entry.metadata.as_str()) as &[&str],
            &column(record, |entry| entry.address.as_deref()) as &[Option<&str>],
        );
        let appended = appended.fetch_one(self.conn()).await?;
        self.appended(appended)
    }
}

impl Tx<Several> {
    /// Raises the heads, appends the events, stores the operations with their answers, and a line of the record for each that
    /// did something. Returns the events as they will be once COMMIT has succeeded.
    pub(super) async fn finish_several(&mut self, done: &[(&Wanted, &str)]) -> Result<Vec<LogEvent>> {
        self.check()?;
        let events = &self.events;
        let heads: BTreeMap<&Channel, u64> = events.iter().map(|event| (&event.channel, event.offset)).collect();
        let heads: Vec<(&Channel, u64)> = heads.into_iter().filter(|(at, _)| !self.raised.contains(at)).collect();
        let did: HashSet<By> = events.iter().filter_map(|event| event.by).collect();
        let record = done.iter().filter(|(wanted, _)| did.contains(&wanted.by));
        let record: Vec<(Uuid, Entry)> = record.map(|(wanted, _)| (wanted.by.actor, Entry::of(wanted, None))).collect();
        let appended = sqlx::query_scalar!(
            r#"
            with e as (
                select * from unnest($1::text[], $2::bigint[], $3::text[], $4::uuid[], $5::uuid[], $6::text[])
                    as e (channel, "offset", type, actor, op, data)
            ), raised as (
                update channel_heads h set head = n.head
                from unnest($11::text[], $12::bigint[]) as n (channel, head) where h.channel = n.channel
            ), appended as (
                insert into events (channel, "offset", type, actor, op, data)
                select e.channel, e."offset", e.type, e.actor, e.op, e.data::json from e
                returning 1
            ), answered as (
                insert into operations (user_id, op, fingerprint, answer)
                select o.actor, o.op, o.fingerprint, o.answer::json
                from unnest($7::uuid[], $8::uuid[], $9::bytea[], $10::text[]) as o (actor, op, fingerprint, answer)
                order by o.actor, o.op
            ), recorded as (
                insert into audit_logs (actor_id, action, subject_type, subject_id, metadata, ip)
                select r.actor, r.action, r.subject_type, r.subject_id, r.metadata::jsonb, r.ip::inet
                from unnest($13::uuid[], $14::text[], $15::text[], $16::uuid[], $17::text[], $18::text[])
                    as r (actor, action, subject_type, subject_id, metadata, ip)
            )
            select count(*) as "count!" from appended"#,
            &column(events, |event| event.channel.to_string()),
            &column(events, |event| event.offset as i64),
            &column(events, |event| event.name) as &[&str],
            &column(events, |event| event.by.map(|by| by.actor)) as &[Option<Uuid>],
            &column(events, |event| event.by.map(|by| by.op)) as &[Option<Uuid>],
            &column(events, |event| event.data.get()) as &[&str],
            &column(done, |(wanted, _)| wanted.by.actor),
            &column(done, |(wanted, _)| wanted.by.op),
            &column(done, |(wanted, _)| &wanted.fingerprint[..]) as &[&[u8]],
            &column(done, |(_, answer)| *answer) as &[&str],
            &column(&heads, |(channel, _)| channel.to_string()),
            &column(&heads, |(_, head)| *head as i64),
            &column(&record, |(actor, _)| *actor),
            &column(&record, |(_, entry)| entry.action) as &[&str],
            &column(&record, |(_, entry)| entry.subject_type) as &[&str],
            &column(&record, |(_, entry)| entry.subject_id) as &[Option<Uuid>],
            &column(&record, |(_, entry)| entry.metadata.as_str()) as &[&str],
            &column(&record, |(_, entry)| entry.address.as_deref()) as &[Option<&str>],
        );
        let appended = appended.fetch_one(self.conn()).await?;
        self.appended(appended)
    }
}

impl<W> Tx<W> {
    /// The value proves that the transaction is alive: COMMIT of a failed one would look like success.
    fn appended(&mut self, events: i64) -> Result<Vec<LogEvent>> {
        if events != self.events.len() as i64 {
            return Err(Error::internal(anyhow::anyhow!("stored {events} events of {}", self.events.len())));
        }
        Ok(self.take_events())
    }
}
