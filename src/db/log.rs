//! Reading the log of a channel.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use super::Db;
use crate::error::{Error, Result};
use crate::live::backend::{LogEvent, LogPage};

/// The payload `{"type","data","actor","op","at"}` of an event. The one place that writes it: whoever gets an event
/// right after its commit, from another node or out of the log gets the same bytes.
///
/// `data` is JSON text; without it, as in the log of an erased person, it is `null`.
pub(super) fn payload(
    name: &str,
    data: Option<&str>,
    actor: Option<Uuid>,
    op: Option<Uuid>,
    at: DateTime<Utc>,
) -> Vec<u8> {
    let data = data.unwrap_or("null");
    let id = |id: Option<Uuid>| id.map_or_else(|| "null".to_owned(), |id| format!("\"{}\"", id.as_hyphenated()));
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    // Names come from the table of events and need no escaping.
    let mut text =
        format!(r#"{{"type":"{name}","data":{data},"actor":{},"op":{},"at":"{at}"}}"#, id(actor), id(op)).into_bytes();
    // The wire frames by lines. In JSON a raw line feed is only ever white space between tokens.
    text.retain(|byte| *byte != b'\n' && *byte != b'\r');
    text
}

/// One row of the log, or the answer "none" with the position.
pub(super) struct Row {
    pub(super) offset: Option<i64>,
    pub(super) name: Option<String>,
    pub(super) actor: Option<Uuid>,
    pub(super) op: Option<Uuid>,
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) data: Option<String>,
}

impl Row {
    pub(super) fn into_event(self, channel: Channel) -> Result<Option<LogEvent>> {
        let (Some(offset), Some(name), Some(at)) = (self.offset, self.name, self.at) else {
            return Ok(None);
        };
        let payload = payload(&name, self.data.as_deref(), self.actor, self.op, at);
        Ok(Some(LogEvent { channel, offset: number(offset)?, name: Arc::from(name), payload: Bytes::from(payload) }))
    }
}

/// A position out of the columns of a statement; `offset` is `coalesce(head, 0)`.
pub fn position(channel: Channel, offset: i64, epoch: String) -> Result<Position> {
    Ok(Position { channel, offset: number(offset)?, epoch })
}

/// Where a channel's log stands.
#[derive(Debug, Clone)]
pub struct Head {
    /// The newest number; 0 before the first event.
    pub head: u64,
    /// The oldest number that is still there; `head + 1` when the log is empty.
    pub floor: u64,
    /// The epoch.
    pub epoch: Arc<str>,
}

impl Head {
    /// Out of the columns of a statement.
    pub fn new(head: i64, floor: i64, epoch: Arc<str>) -> Result<Self> {
        Ok(Self { head: number(head)?, floor: number(floor)?, epoch })
    }
}

impl Db {
    /// At most `limit` events with numbers above `after`, oldest first, with head, floor and epoch of the same moment.
    ///
    /// A page that does not begin at `after + 1` says that the floor has passed `after`.
    pub async fn read_log(&self, channel: Channel, after: u64, limit: u32) -> Result<LogPage> {
        let rows = sqlx::query!(
            r#"
            select coalesce(h.head, 0) as "head!", coalesce(h.floor, 1) as "floor!", p.epoch as "epoch!",
                   e."offset" as "offset?", e.type as "name?", e.actor, e.op, e.at as "at?", e.data::text as data
            from log_epoch p
            left join channel_heads h on h.channel = $1
            left join lateral (
                select * from events e
                where e.channel = $1 and e."offset" > $2 and e."offset" >= h.floor
                order by e."offset" limit $3
            ) e on true
            order by e."offset""#,
            channel.to_string(),
            i64::try_from(after).unwrap_or(i64::MAX),
            i64::from(limit),
        )
        .fetch_all(self.pool())
        .await?;
        let mut page = self.empty_page();
        for row in rows {
            page.head = number(row.head)?;
            page.floor = number(row.floor)?;
            page.epoch = self.saw_epoch(&row.epoch);
            let row =
                Row { offset: row.offset, name: row.name, actor: row.actor, op: row.op, at: row.at, data: row.data };
            page.events.extend(row.into_event(channel)?);
        }
        Ok(page)
    }

    /// For each wanted channel and number what [`Db::read_log`] answers, all from one snapshot and by one statement. Pages
    /// for which there is no room within `bytes_max` are `None`; the first one always fits.
    pub async fn read_pages(
        &self,
        wanted: &[(Channel, u64)],
        limit: u32,
        bytes_max: u32,
    ) -> Result<Vec<Option<LogPage>>> {
        let names: Vec<String> = wanted.iter().map(|(channel, _)| channel.to_string()).collect();
        let after: Vec<i64> = wanted.iter().map(|(_, after)| i64::try_from(*after).unwrap_or(i64::MAX)).collect();
        let rows = sqlx::query!(
            r#"
            select page.i as "i!", page.head as "head!", page.floor as "floor!", page.epoch as "epoch!",
                   page."offset" as "offset?", page.type as "name?", page.actor, page.op, page.at as "at?", page.data
            from (
                select w.i, coalesce(h.head, 0) as head, coalesce(h.floor, 1) as floor, l.epoch,
                       e."offset", e.type, e.actor, e.op, e.at, e.data,
                       -- Those of one page come to the same sum: all of them, or none.
                       sum(octet_length(e.data)) over (order by w.i) as bytes
                from unnest($1::text[], $2::bigint[]) with ordinality w (channel, after, i)
                cross join log_epoch l
                left join channel_heads h on h.channel = w.channel
                left join lateral (
                    select e."offset", e.type, e.actor, e.op, e.at, e.data::text as data from events e
                    where e.channel = w.channel and e."offset" > w.after and e."offset" >= h.floor
                    order by e."offset" limit $3
                ) e on true
            ) page
            where page.i = 1 or coalesce(page.bytes, 0) <= $4
            order by page.i, page."offset""#,
            &names,
            &after,
            i64::from(limit),
            i64::from(bytes_max),
        )
        .fetch_all(self.pool())
        .await?;
        let mut pages: Vec<Option<LogPage>> = wanted.iter().map(|_| None).collect();
        for row in rows {
            let index = usize::try_from(row.i - 1).map_err(Error::internal)?;
            let (Some(page), Some((channel, _))) = (pages.get_mut(index), wanted.get(index)) else { continue };
            let page = page.get_or_insert_with(|| self.empty_page());
            page.head = number(row.head)?;
            page.floor = number(row.floor)?;
            page.epoch = self.saw_epoch(&row.epoch);
            let row =
                Row { offset: row.offset, name: row.name, actor: row.actor, op: row.op, at: row.at, data: row.data };
            page.events.extend(row.into_event(*channel)?);
        }
        Ok(pages)
    }

    /// At most `limit` events with numbers below `before`, newest first, with the position of the same moment.
    pub async fn read_log_back(&self, channel: Channel, before: u64, limit: u32) -> Result<LogPage> {
        let rows = sqlx::query!(
            r#"
            select coalesce(h.head, 0) as "head!", coalesce(h.floor, 1) as "floor!", p.epoch as "epoch!",
                   e."offset" as "offset?", e.type as "name?", e.actor, e.op, e.at as "at?", e.data::text as data
            from log_epoch p
            left join channel_heads h on h.channel = $1
            left join lateral (
                select * from events e
                where e.channel = $1 and e."offset" < $2 and e."offset" >= h.floor
                order by e."offset" desc limit $3
            ) e on true
            order by e."offset" desc"#,
            channel.to_string(),
            i64::try_from(before).unwrap_or(i64::MAX),
            i64::from(limit),
        )
        .fetch_all(self.pool())
        .await?;
        let mut page = self.empty_page();
        for row in rows {
            page.head = number(row.head)?;
            page.floor = number(row.floor)?;
            page.epoch = self.saw_epoch(&row.epoch);
            let row =
                Row { offset: row.offset, name: row.name, actor: row.actor, op: row.op, at: row.at, data: row.data };
            page.events.extend(row.into_event(channel)?);
        }
        Ok(page)
    }

    fn empty_page(&self) -> LogPage {
        LogPage { events: Vec::new(), head: 0, floor: 1, epoch: self.epoch() }
    }

    /// Where these logs stand, in the order of the argument, from one snapshot.
    pub async fn heads(&self, channels: &[Channel]) -> Result<Vec<Head>> {
        let names: Vec<String> = channels.iter().map(Channel::to_string).collect();
        let rows = sqlx::query!(
            r#"
            select coalesce(h.head, 0) as "head!", coalesce(h.floor, 1) as "floor!", p.epoch as "epoch!"
            from unnest($1::text[]) with ordinality c (channel, i)
            cross join log_epoch p
            left join channel_heads h on h.channel = c.channel
            order by c.i"#,
            &names
        )
        .fetch_all(self.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Head { head: number(row.head)?, floor: number(row.floor)?, epoch: self.saw_epoch(&row.epoch) })
            })
            .collect()
    }
}

/// Numbers of the log are never negative; the schema checks it.
pub(super) fn number(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use studyhall_protocol::rest::Deleted;
    use studyhall_protocol::{Event, EventRecord};

    #[test]
    fn the_payload_is_an_event_record() {
        let (actor, op, id) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let data = format!("{{\"id\":\n\"{id}\"}}");
        let bytes = payload("task.deleted", Some(&data), Some(actor), Some(op), at);
        assert!(!bytes.contains(&b'\n'));
        let record = EventRecord { event: Event::TaskDeleted(Deleted { id }), actor: Some(actor), op: Some(op), at };
        assert_eq!(serde_json::from_slice::<EventRecord>(&bytes).unwrap(), record);
        assert_eq!(serde_json::to_vec(&record).unwrap(), bytes);
    }
}
