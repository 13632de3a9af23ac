//! What nobody refers to goes: files that belong to nothing, and objects without a file. Every node looks; nothing is done
//! twice, for rows are deleted under their owner's lock, and objects are taken by one node at a time.

use std::time::Duration;

use studyhall_protocol::rest::Deleted;
use studyhall_protocol::{Channel, Event};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::sql;
use crate::db::{Db, Writer};
use crate::error::Result;
use crate::storage::Storage;

/// How late what is to go may be found.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Files, and objects, of one round.
const AT_ONCE: i64 = 100;
/// Until an object that could not be removed is tried again.
const AGAIN_S: f64 = 300.0;

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Files that belonged to nothing.
    pub orphans: usize,
    /// Objects without a file.
    pub objects: usize,
}

/// Tidies up again and again, until `stop`.
pub async fn keep_tidy(db: Db, writer: Writer, storage: Storage, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match stop.run_until_cancelled(tidy_up(&db, &writer, &storage)).await {
            Some(Ok(done)) if done != Tidied::default() => tracing::info!(?done, "removed files"),
            Some(Err(error)) => tracing::warn!(%error, "cannot remove files; trying again later"),
            Some(Ok(_)) | None => {}
        }
    }
}

/// One round. May be cut off anywhere; the next one goes on.
pub async fn tidy_up(db: &Db, writer: &Writer, storage: &Storage) -> Result<Tidied> {
    let mut done = Tidied::default();
    let hours = i32::try_from(storage.orphan_hours).unwrap_or(i32::MAX);
    for (id, owner) in sql::orphans(db.pool(), hours, AT_ONCE).await? {
        done.orphans += usize::from(collect(writer, owner, id, hours).await?);
    }
    let taken = sql::take_removals(db.pool(), AT_ONCE, AGAIN_S).await?;
    let mut gone = Vec::new();
    for key in taken {
        match storage.remove(&key).await {
            Ok(()) => gone.push(key),
            Err(error) => tracing::warn!(%error, "cannot remove an object; trying again later"),
        }
    }
    if !gone.is_empty() {
        sql::forget_removals(db.pool(), &gone).await?;
    }
    done.objects = gone.len();
    Ok(done)
}

/// Whether the file was still there, and still belonged to nothing.
async fn collect(writer: &Writer, owner: Uuid, id: Uuid, hours: i32) -> Result<bool> {
    let collected = writer.run(owner, move |tx| {
        Box::pin(async move {
            let mine = Channel::User(owner);
            tx.lock(&[mine]).await?;
            let gone = sql::delete_orphan(tx.conn(), owner, id, hours).await?;
            if gone {
                tx.emit(mine, Event::AttachmentDeleted(Deleted { id }));
            }
            Ok(gone)
        })
    });
    Ok(collected.await?.data)
}
