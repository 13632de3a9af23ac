//! The buttons of the quick launch. All of it happens on `user:<owner>`; nobody else learns of it.
//!
//! A command that changes nothing makes no event and answers with the row as it is.

pub mod routes;
mod sql;

use studyhall_protocol::order::{Moved, RowMove};
use studyhall_protocol::resources::{NewStudyResource, StudyResource, StudyResourcePatch};
use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::{Channel, Event};

use crate::db::Tx;
use crate::domain::order;
use crate::error::{Error, Result};

/// Resources per person.
pub const RESOURCES_MAX: i64 = 200;

/// Adds one to the end.
pub async fn create_resource(tx: &mut Tx, new: &NewStudyResource) -> Result<StudyResource> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let Some(row) = sql::insert(tx.conn(), owner, new).await? else {
        return Err(Error::conflict("limit_reached", format!("a person can have at most {RESOURCES_MAX} resources")));
    };
    tx.emit(mine, Event::ResourceCreated(row.clone()));
    Ok(row)
}

/// Changes one.
pub async fn update_resource(tx: &mut Tx, patch: &StudyResourcePatch) -> Result<StudyResource> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let Some(row) = sql::patch(tx.conn(), owner, patch).await? else {
        return sql::select(tx.conn(), owner, patch.id).await?.ok_or_else(Error::not_found);
    };
    tx.emit(mine, Event::ResourceUpdated(row.clone()));
    Ok(row)
}

/// Puts one behind another, or first.
pub async fn move_resource(tx: &mut Tx, to: &RowMove) -> Result<Moved<StudyResource>> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let rows = sql::siblings(tx.conn(), owner).await?;
    if rows.iter().all(|(id, _)| *id != to.id) {
        return Err(Error::not_found());
    }
    let places = order::place(&rows, to.id, to.after_id)?;
    if places.is_empty() {
        let moved = sql::select(tx.conn(), owner, to.id).await?.ok_or_else(Error::not_found)?;
        return Ok(Moved { moved, reordered: Vec::new() });
    }
    let written = sql::put(tx.conn(), owner, &places).await?;
    let moved = Moved::of(written, to.id).ok_or_else(Error::not_found)?;
    tx.emit(mine, Event::ResourceMoved(moved.clone()));
    Ok(moved)
}

/// Deletes one.
pub async fn delete_resource(tx: &mut Tx, row: &RowRef) -> Result<Deleted> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    if !sql::delete(tx.conn(), owner, row.id).await? {
        return Err(Error::not_found());
    }
    tx.emit(mine, Event::ResourceDeleted((*row).into()));
    Ok((*row).into())
}

/// Everything here waits for the same lock: two tabs that reorder at once do it one after the other.
async fn lock(tx: &mut Tx) -> Result<Channel> {
    let mine = Channel::User(tx.actor());
    tx.lock(&[mine]).await?;
    Ok(mine)
}
