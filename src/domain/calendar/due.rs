//! Reminders that are due. Every node looks; the lock of the person's channel decides who sends them, and whoever comes
//! second finds them sent. So each rings once, after a restart as well.

use futures_util::{FutureExt, StreamExt, stream};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::sql;
use crate::db::{Db, Tx, Writer};
use crate::domain::notifications;
use crate::error::Result;

/// Reminders that one look takes notice of: more than one person can have pending, so nobody keeps others out.
const ROWS: i64 = 2 * super::PENDING_MAX;
/// Reminders of one transaction.
const BATCH: i64 = 100;
/// People at the same time.
const SIDE_BY_SIDE: usize = 4;

/// Sends what is due, the longest overdue first. When nothing is, that is one look at an index that has nothing in it
/// but the future.
pub async fn ring(db: &Db, writer: &Writer) -> Result<()> {
    loop {
        let people = sql::due_people(db.pool(), ROWS).await?;
        let rung = stream::iter(people).map(|person| ring_one(writer, person)).buffer_unordered(SIDE_BY_SIDE);
        // Until all of it is done; but what nobody could do now is left to the next look.
        if rung.fold(0, |all, rung| async move { all + rung }).await == 0 {
            return Ok(());
        }
    }
}

/// How many reminders of a person were sent.
async fn ring_one(writer: &Writer, person: Uuid) -> usize {
    match writer.run(person, move |tx| send(tx, person).boxed()).await {
        Ok(done) => done.data,
        Err(error) => {
            tracing::warn!(%person, %error, "reminders wait");
            0
        }
    }
}

async fn send(tx: &mut Tx, person: Uuid) -> Result<usize> {
    let mine = Channel::User(person);
    tx.lock(&[Channel::Profile(person), mine]).await?;
    let sent = sql::send_due(tx.conn(), person, BATCH).await?;
    for reminder in &sent {
        tx.emit(mine, Event::ReminderFired(reminder.clone()));
    }
    if !sent.is_empty() {
        let events: Vec<Uuid> = sent.iter().map(|reminder| reminder.event_id).collect();
        let told = notifications::reminded(tx.conn(), person, &events).await?;
        told.into_iter().for_each(|event| tx.emit(mine, event));
    }
    Ok(sent.len())
}
