//! How far somebody has come: one number for each scope and day. All of it happens on `user:<owner>`.
//!
//! The state of `user:` has the newest of each scope. What was recorded says itself whether it is that; what is gone says
//! which one is now.

pub mod routes;
mod sql;

use studyhall_protocol::metrics::{MetricGone, MetricRecord, ProgressMetric};
use studyhall_protocol::rest::RowRef;
use studyhall_protocol::{Channel, Event};

use crate::db::Tx;
use crate::error::{Error, Result};

/// Metrics per person.
pub const METRICS_MAX: i64 = 20_000;
/// Scopes per person: the home page shows one metric of each.
pub const SCOPES_MAX: i64 = 50;

/// Makes or replaces the one of that scope and day. What changes nothing makes no event.
pub async fn record_metric(tx: &mut Tx, record: &MetricRecord) -> Result<ProgressMetric> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let day = match record.captured_at {
        Some(day) => day,
        None => sql::today(tx.conn(), owner).await?,
    };
    let Some(metric) = sql::record(tx.conn(), owner, record, day).await? else {
        let known = sql::select(tx.conn(), owner, &record.scope, day).await?;
        let text = format!("a person can have at most {METRICS_MAX} metrics in {SCOPES_MAX} scopes");
        return known.ok_or_else(|| Error::conflict("limit_reached", text));
    };
    tx.emit(mine, Event::ProgressMetricRecorded(metric.clone()));
    Ok(metric)
}

/// Deletes one.
pub async fn delete_metric(tx: &mut Tx, row: &RowRef) -> Result<MetricGone> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let gone = sql::delete(tx.conn(), owner, row.id).await?.ok_or_else(Error::not_found)?;
    tx.emit(mine, Event::ProgressMetricDeleted(gone.clone()));
    Ok(gone)
}

async fn lock(tx: &mut Tx) -> Result<Channel> {
    let mine = Channel::User(tx.actor());
    tx.lock(&[mine]).await?;
    Ok(mine)
}
