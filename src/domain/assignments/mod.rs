//! What is due. All of it happens on `user:<owner>`; nobody else learns of it.
//!
//! `timeframe` follows `due_at` from the owner's today on: when it is written, when the owner moves to another time zone,
//! and when days pass ([`keep_timeframes`]). A command that changes nothing makes no event and answers with the row as it is.

pub mod routes;
mod sql;

use studyhall_protocol::assignments::{Assignment, AssignmentPatch, NewAssignment};
use studyhall_protocol::check::FieldError;
use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use crate::db::{Db, Tx, Writer};
use crate::error::{Error, Result};

/// Assignments per person.
pub const ASSIGNMENTS_MAX: i64 = 2_000;
/// Assignments that one look finds, so that the night of a large time zone keeps nobody from other duties. The next look
/// finds the others.
const TURNS_AT_ONCE: i64 = 200;

/// Adds something that is due.
pub async fn create_assignment(tx: &mut Tx, new: &NewAssignment) -> Result<Assignment> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let Some(assignment) = sql::insert(tx.conn(), owner, new).await? else {
        own_course(tx, new.course_id).await?;
        let text = format!("a person can have at most {ASSIGNMENTS_MAX} assignments");
        return Err(Error::conflict("limit_reached", text));
    };
    tx.emit(mine, Event::AssignmentCreated(assignment.clone()));
    Ok(assignment)
}

/// Changes something that is due; `timeframe` follows.
pub async fn update_assignment(tx: &mut Tx, patch: &AssignmentPatch) -> Result<Assignment> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let Some(assignment) = sql::patch(tx.conn(), owner, patch).await? else {
        let assignment = sql::select(tx.conn(), owner, patch.id).await?.ok_or_else(Error::not_found)?;
        own_course(tx, patch.course_id.flatten()).await?;
        return Ok(assignment);
    };
    tx.emit(mine, Event::AssignmentUpdated(assignment.clone()));
    Ok(assignment)
}

/// Deletes something that is due.
pub async fn delete_assignment(tx: &mut Tx, row: &RowRef) -> Result<Deleted> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    if !sql::delete(tx.conn(), owner, row.id).await? {
        return Err(Error::not_found());
    }
    tx.emit(mine, Event::AssignmentDeleted((*row).into()));
    Ok((*row).into())
}

/// What is due for these people in a course is in it no longer. Their channels are locked.
pub async fn leave_course(tx: &mut Tx, course_id: Uuid, people: &[Uuid]) -> Result<()> {
    for assignment in sql::leave_course(tx.conn(), course_id, people).await? {
        tx.emit(Channel::User(assignment.user_id), Event::AssignmentUpdated(assignment));
    }
    Ok(())
}

/// Puts what is due for the actor into the timeframes of their today.
pub async fn follow_the_day(tx: &mut Tx) -> Result<()> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    for assignment in sql::follow_the_day(tx.conn(), owner).await? {
        tx.emit(mine, Event::AssignmentUpdated(assignment));
    }
    sql::put_off(tx.conn(), owner).await
}

/// Where a day has begun, what is due there goes into its timeframe. Whoever comes second finds it done.
pub async fn keep_timeframes(db: &Db, writer: &Writer) -> Result<()> {
    for person in sql::whose_turn(db.pool(), TURNS_AT_ONCE).await? {
        // Whoever cannot be done keeps nobody else waiting; the next look tries again.
        if let Err(error) = writer.run(person, |tx| Box::pin(follow_the_day(tx))).await {
            tracing::warn!(%error, "could not put what is due into its timeframe");
        }
    }
    Ok(())
}

/// 422 unless the actor is in that course. Whether there is one at all is no business of theirs.
async fn own_course(tx: &mut Tx, course_id: Option<Uuid>) -> Result<()> {
    let owner = tx.actor();
    match course_id {
        Some(course_id) if !sql::is_member(tx.conn(), owner, course_id).await? => {
            Err(Error::invalid(FieldError::new("course_id", "must be a course that you are in")))
        }
        _ => Ok(()),
    }
}

async fn lock(tx: &mut Tx) -> Result<Channel> {
    let mine = Channel::User(tx.actor());
    tx.lock(&[mine]).await?;
    Ok(mine)
}
