//! Keeps the log and the small tables in shape: new days ahead of time, old days away.
//!
//! Every step may be run by several nodes at once and may be cut off anywhere; the next run goes on.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};
use tokio_util::sync::CancellationToken;

use super::session::silence;
use super::{Db, Session};
use crate::error::{Error, Result};

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Full days of log before today, UTC; at least 1.
    pub log_days: u32,
    /// Hours for which an operation id is remembered.
    pub operation_hours: u32,
    /// Days for which an ended sign-in is kept for whoever asks what happened.
    pub ended_sign_in_days: u32,
    /// Hours after which nobody can still send values of a drag that is over.
    pub drag_hours: u32,
    /// Days for which the record of who did what is kept.
    pub audit_days: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { log_days: 7, operation_hours: 48, ended_sign_in_days: 30, drag_hours: 48, audit_days: 365 }
    }
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Days made ahead of time.
    pub partitions_created: u32,
    /// Days dropped.
    pub partitions_dropped: u32,
    /// Channels whose floor moved.
    pub channels_trimmed: u64,
    /// Operation ids forgotten.
    pub operations_deleted: u64,
    /// Sign-ins that ran out.
    pub sign_ins_expired: u64,
    /// Ended sign-ins deleted.
    pub sign_ins_deleted: u64,
    /// Windows of failed guesses that are over.
    pub attempts_deleted: u64,
    /// Drags forgotten.
    pub drags_deleted: u64,
    /// Lines of the record that are old enough.
    pub audit_deleted: u64,
}

/// Channels per transaction: their writers wait while it runs.
const CHANNELS: i64 = 200;
/// For one round. A connection that is gone without a word would be waited for until the end of days.
const ROUND_WITHIN: Duration = Duration::from_mins(30);
/// Rows per statement.
const ROWS: i64 = 2_000;

/// Runs [`run_once`] now and every `interval` until `cancel`.
pub async fn run(db: Db, policy: Policy, interval: Duration, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let ran = tokio::time::timeout(ROUND_WITHIN, run_once(&db, policy)).await;
        match ran.unwrap_or_else(|_| Err(silence().into())) {
            Ok(report) if report == Report::default() => {}
            Ok(report) => tracing::info!(?report, "tidied up"),
            Err(error) => tracing::warn!(%error, "tidying up failed; trying again later"),
        }
    }
}

/// One round of everything. May be dropped half-way.
pub async fn run_once(db: &Db, policy: Policy) -> Result<Report> {
    let mut report = Report {
        partitions_created: u32::try_from(db.ensure_event_partitions().await?).unwrap_or_default(),
        ..Report::default()
    };
    for partition in old_partitions(db, policy.log_days.max(1)).await? {
        report.channels_trimmed += raise_floors(db, &partition).await?;
        report.partitions_dropped += u32::from(drop_partition(db, &partition).await?);
    }
    report.operations_deleted = delete_operations(db, policy.operation_hours).await?;
    report.sign_ins_expired = end_expired_sign_ins(db).await?;
    report.sign_ins_deleted = delete_ended_sign_ins(db, policy.ended_sign_in_days).await?;
    report.attempts_deleted = delete_attempts(db).await?;
    report.drags_deleted = delete_drags(db, policy.drag_hours).await?;
    report.audit_deleted = delete_audit(db, policy.audit_days).await?;
    Ok(report)
}

async fn old_partitions(db: &Db, log_days: u32) -> Result<Vec<String>> {
    let names = sqlx::query_scalar!(
        r#"
        select c.relname::text as "name!"
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'events'::regclass
            and c.relname ~ '^events_[0-9]{8}$'
            and c.relname < 'events_' || to_char((now() at time zone 'utc')::date - $1::int, 'YYYYMMDD')
        order by c.relname"#,
        i32::try_from(log_days).unwrap_or(i32::MAX / 2),
    )
    .fetch_all(db.pool())
    .await?;
    Ok(names)
}

/// Moves the floor of every channel that has events in the partition past them. No reader sees an event below the
/// floor, so from here on they are gone; dropping the partition only gives the space back.
///
/// `partition` is a name out of the catalogue, of digits and one known word.
async fn raise_floors(db: &Db, partition: &str) -> Result<u64> {
    let tops = format!(
        r#"select channel, max("offset") from {partition} where channel > $1 group by channel order by channel limit $2"#
    );
    let mut trimmed = 0;
    let mut after = String::new();
    loop {
        let mut tx = patient(db).await?;
        let tops: Vec<(String, i64)> =
            sqlx::query_as(AssertSqlSafe(tops.clone())).bind(&after).bind(CHANNELS).fetch_all(&mut *tx).await?;
        tx.rollback().await?;
        let Some((last, _)) = tops.last() else {
            return Ok(trimmed);
        };
        after.clone_from(last);
        let (channels, offsets): (Vec<String>, Vec<i64>) = tops.into_iter().unzip();
        let moved = sqlx::query!(
            r#"
            with locked as (
                select h.channel from channel_heads h where h.channel = any($1) order by h.channel for update
            )
            update channel_heads h set floor = t.top + 1
            from locked, unnest($1::text[], $2::bigint[]) t (channel, top)
            where h.channel = locked.channel and t.channel = locked.channel and h.floor <= t.top"#,
            &channels,
            &offsets
        )
        .execute(db.pool())
        .await?;
        trimmed += moved.rows_affected();
    }
}

/// Drops the partition unless an event in it can still be read. False when it has to wait for the next run.
async fn drop_partition(db: &Db, partition: &str) -> Result<bool> {
    let mut tx = patient(db).await?;
    let dropped = try_drop(&mut tx, partition).await;
    match dropped {
        Ok(true) => tx.commit().await.map(|()| true).map_err(Error::from),
        Ok(false) => tx.rollback().await.map(|()| false).map_err(Error::from),
        Err(error) => {
            tx.rollback().await?;
            // Readers and writers go first: they would queue behind this lock.
            if error.code() == "busy" { Ok(false) } else { Err(error) }
        }
    }
}

/// A transaction that may read a whole day of events; the usual limit of a statement is for people who wait.
async fn patient(db: &Db) -> Result<Session> {
    let mut tx = db.begin().await?;
    sqlx::query!("set local statement_timeout = '5min'").execute(&mut *tx).await?;
    Ok(tx)
}

async fn try_drop(conn: &mut PgConnection, partition: &str) -> Result<bool> {
    let readable = format!(
        r#"select exists(select from {partition} e join channel_heads h using (channel) where e."offset" >= h.floor)"#
    );
    if sqlx::query_scalar::<_, bool>(AssertSqlSafe(readable)).fetch_one(&mut *conn).await? {
        return Ok(false);
    }
    sqlx::query!("set local lock_timeout = '300ms'").execute(&mut *conn).await?;
    sqlx::query(AssertSqlSafe(format!("drop table if exists {partition}"))).execute(&mut *conn).await?;
    Ok(true)
}

async fn delete_operations(db: &Db, hours: u32) -> Result<u64> {
    let mut deleted = 0;
    loop {
        let batch = sqlx::query!(
            "delete from operations where ctid = any(array(
                 select ctid from operations where created_at < now() - make_interval(hours => $1)
                 order by created_at limit $2 for update skip locked))",
            i32::try_from(hours).unwrap_or(i32::MAX),
            ROWS,
        )
        .execute(db.pool())
        .await?
        .rows_affected();
        deleted += batch;
        if batch < ROWS as u64 {
            return Ok(deleted);
        }
    }
}

async fn delete_audit(db: &Db, days: u32) -> Result<u64> {
    let mut deleted = 0;
    loop {
        // No index has them in the order of their time, which is that of where they lie.
        let batch = sqlx::query!(
            "delete from audit_logs where ctid = any(array(
                 select ctid from audit_logs where created_at < now() - make_interval(days => $1)
                 limit $2 for update skip locked))",
            i32::try_from(days).unwrap_or(i32::MAX / 2),
            ROWS,
        )
        .execute(db.pool())
        .await?
        .rows_affected();
        deleted += batch;
        if batch < ROWS as u64 {
            return Ok(deleted);
        }
    }
}

/// Nobody needs to be told: a sign-in that ran out is refused by its time, and its sockets are closed by theirs.
async fn end_expired_sign_ins(db: &Db) -> Result<u64> {
    let ended = sqlx::query!(
        "update sign_ins set ended_at = expires_at, end_reason = 'expired' where id = any(array(
             select id from sign_ins where ended_at is null and expires_at < now()
             order by expires_at limit $1 for update skip locked))",
        ROWS,
    )
    .execute(db.pool())
    .await?;
    Ok(ended.rows_affected())
}

async fn delete_ended_sign_ins(db: &Db, days: u32) -> Result<u64> {
    let deleted = sqlx::query!(
        "delete from sign_ins where id = any(array(
             select id from sign_ins where ended_at < now() - make_interval(days => $1) limit $2
             for update skip locked))",
        i32::try_from(days).unwrap_or(i32::MAX),
        ROWS,
    )
    .execute(db.pool())
    .await?;
    Ok(deleted.rows_affected())
}

async fn delete_attempts(db: &Db) -> Result<u64> {
    let deleted = sqlx::query!(
        "delete from sign_in_attempts where account = any(array(
             select account from sign_in_attempts where window_started_at < now() - interval '1 day' limit $1
             for update skip locked))",
        ROWS,
    )
    .execute(db.pool())
    .await?;
    Ok(deleted.rows_affected())
}

async fn delete_drags(db: &Db, hours: u32) -> Result<u64> {
    let deleted = sqlx::query!(
        "delete from widget_drags where drag_id = any(array(
             select drag_id from widget_drags where closed_at < now() - make_interval(hours => $1)
             order by closed_at limit $2 for update skip locked))",
        i32::try_from(hours).unwrap_or(i32::MAX),
        ROWS,
    )
    .execute(db.pool())
    .await?;
    Ok(deleted.rows_affected())
}
