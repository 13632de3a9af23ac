//! What has to be done without anybody asking: reminders, days that pass. Every node looks; whoever comes second to a piece
//! of work finds it done, for it is looked at again under the lock that guards it.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{assignments, calendar, erasure};
use crate::db::{Db, Writer};

/// How late what is due may be found.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks again and again, until `stop`.
pub async fn keep(db: Db, writer: Writer, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        look(&db, &writer).await;
    }
}

/// One look. What goes wrong is told and tried again with the next one.
async fn look(db: &Db, writer: &Writer) {
    if let Err(error) = erasure::work(db, writer).await {
        tracing::warn!(%error, "somebody was not erased yet; trying again");
    }
    if let Err(error) = assignments::keep_timeframes(db, writer).await {
        tracing::warn!(%error, "could not look at what is due");
    }
    if let Err(error) = calendar::ring(db, writer).await {
        tracing::warn!(%error, "cannot look for reminders");
    }
}
