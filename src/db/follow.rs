//! Finds committed events that this node may not have seen: those of other nodes whose hint was lost, and its own
//! whose COMMIT was never answered.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use studyhall_protocol::Channel;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Db;
use super::log::Row;
use super::session::silence;
use crate::error::{Error, Result};
use crate::live::backend::LogEvent;

/// Events per statement; more take several.
const PAGE: usize = 500;
/// For one look: longer than PostgreSQL gives a statement, and not for ever when it is silent.
const LOOK_WITHIN: Duration = Duration::from_secs(8);

/// Between two glances at how long the interval is.
const GLANCE: Duration = Duration::from_millis(250);

/// Looks after each `interval()`, with one statement, for events that were committed since the last look, and hands them to
/// `on_events`, each page ordered by channel and number. Ends when `cancel` is.
///
/// What "since" means is decided by PostgreSQL's own snapshots and not by a clock or a sequence: an event is new if it
/// is visible now and was not in the last snapshot. Nothing is missed, and nothing comes twice, except after an error
/// and when there is more than a page; receivers drop what they have by number.
pub async fn follow<F, I>(db: Db, interval: I, on_events: F, cancel: CancellationToken)
where
    F: Fn(Vec<LogEvent>) + Send,
    I: Fn() -> Duration + Send,
{
    let mut follower = Follower::default();
    loop {
        let looked = tokio::time::timeout(LOOK_WITHIN, follower.look(&db, &on_events)).await;
        if let Err(error) = looked.unwrap_or_else(|_| Err(silence().into())) {
            tracing::warn!(%error, "cannot follow the log; trying again");
            follower.step_back();
        }
        let looked = Instant::now();
        while let Some(left) = interval().checked_sub(looked.elapsed()).filter(|left| !left.is_zero()) {
            // The interval may become shorter meanwhile.
            if cancel.run_until_cancelled(tokio::time::sleep(left.min(GLANCE))).await.is_none() {
                return;
            }
        }
    }
}

/// The last two snapshots, in PostgreSQL's text form `xmin:xmax:xip,…`.
#[derive(Default)]
struct Follower {
    last: Option<String>,
    before: Option<String>,
}

impl Follower {
    /// After a crash PostgreSQL may give a number again that an aborted transaction had shortly before; the snapshot
    /// before the last is older than anything that was not on disk yet.
    fn step_back(&mut self) {
        if self.before.is_some() {
            self.last.clone_from(&self.before);
        }
    }

    async fn look<F: Fn(Vec<LogEvent>)>(&mut self, db: &Db, on_events: &F) -> Result<()> {
        let Some(last) = self.last.clone() else {
            self.last = Some(snapshot(db).await?);
            return Ok(());
        };
        let mut first: Option<String> = None;
        let mut after = After::default();
        loop {
            let mut page = committed_since(db, &last, &after).await?;
            let full = page.events.len() >= PAGE;
            if !page.events.is_empty() {
                page.events.sort_unstable_by_key(|event| (event.channel, event.offset));
                on_events(page.events);
                db.shared.epoch.saw_transaction(&page.newest.xid);
                after = page.newest;
            }
            // Later pages see more; what they see beyond the first snapshot is seen again next time.
            let first = first.get_or_insert(page.snapshot);
            if !full {
                if xmax(first) < xmax(&last) {
                    tracing::warn!("the database is older than it was; following it from here");
                    db.shared.epoch.doubt();
                }
                self.before = self.last.replace(std::mem::take(first));
                return Ok(());
            }
        }
    }
}

/// The last event of a page. Pages are in the order of transactions, which is that of an index: to begin behind this one
/// costs nothing, however many came before.
#[derive(Default)]
struct After {
    xid: String,
    channel: String,
    offset: i64,
}

struct Page {
    snapshot: String,
    events: Vec<LogEvent>,
    newest: After,
}

async fn snapshot(db: &Db) -> Result<String> {
    Ok(sqlx::query_scalar!(r#"select pg_current_snapshot()::text as "snapshot!""#).fetch_one(db.pool()).await?)
}

async fn committed_since(db: &Db, last: &str, after: &After) -> Result<Page> {
    let rows = sqlx::query_as!(
        Found,
        r#"
        select pg_current_snapshot()::text as "snapshot!", e.xid::text as "xid?", e.channel as "channel?",
               e."offset" as "offset?", e.type as "name?", e.actor, e.op, e.at as "at?", e.data::text as data
        from (values (1)) one
        left join lateral (
            select * from events e
            where e.xid >= greatest(pg_snapshot_xmin($1::text::pg_snapshot), nullif($2::text, '')::xid8)
                and not pg_visible_in_snapshot(e.xid, $1::text::pg_snapshot)
                and ($2 = '' or (e.xid, e.channel, e."offset") > (nullif($2, '')::xid8, $3, $4))
            order by e.xid, e.channel, e."offset" limit $5
        ) e on true
        order by e.xid, e.channel, e."offset""#,
        last,
        after.xid,
        after.channel,
        after.offset,
        PAGE as i64,
    )
    .fetch_all(db.pool())
    .await?;
    let mut page = Page { snapshot: String::new(), events: Vec::with_capacity(rows.len()), newest: After::default() };
    for row in rows {
        page.snapshot = row.snapshot;
        let (Some(xid), Some(name), Some(offset)) = (row.xid, row.channel, row.offset) else { continue };
        let channel: Channel = name.parse().map_err(Error::internal)?;
        let row = Row { offset: row.offset, name: row.name, actor: row.actor, op: row.op, at: row.at, data: row.data };
        page.events.extend(row.into_event(channel)?);
        page.newest = After { xid, channel: name, offset };
    }
    Ok(page)
}

struct Found {
    snapshot: String,
    xid: Option<String>,
    channel: Option<String>,
    offset: Option<i64>,
    name: Option<String>,
    actor: Option<Uuid>,
    op: Option<Uuid>,
    at: Option<DateTime<Utc>>,
    data: Option<String>,
}

/// The number that the next transaction would have got.
fn xmax(snapshot: &str) -> u64 {
    snapshot.split(':').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_compared_by_xmax() {
        assert_eq!(xmax("10:20:10,14,15"), 20);
        assert_eq!(xmax("10:20:"), 20);
        assert_eq!(xmax(""), 0);
    }
}
