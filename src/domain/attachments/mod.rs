//! Files that people upload: whose they are, what they belong to, and who may see them. The bytes are in the store
//! (`storage`), everything else is a row. All of it happens on `user:<owner>`; what belongs to a room is told there too.
//!
//! Who may see a file follows from what it belongs to, and is asked anew for every look (`sql::seen`). A file that belongs
//! to nothing for a day is removed (`tidy`).

pub mod routes;
mod serve;
mod sniff;
mod sql;
mod tidy;
mod upload;

use studyhall_protocol::attachments::{Attachment, AttachmentLink, ParentKind};
use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use crate::db::Tx;
use crate::error::{Error, Result};

pub use tidy::{Tidied, keep_tidy, tidy_up};

/// Files per person.
pub const FILES_MAX: i64 = 5_000;
/// Files of one room: whoever loads the room loads their names too.
pub const ROOM_FILES_MAX: i64 = 500;

/// Says what a file of mine belongs to. A parent has to be mine; a room has to be one that I am a member of.
pub async fn link(tx: &mut Tx, link: &AttachmentLink) -> Result<Attachment> {
    let owner = tx.actor();
    // Looked up before the locks, because it names a channel to lock, and again under them.
    let before = sql::own(tx.conn(), owner, link.id).await?.ok_or_else(Error::not_found)?;
    lock(tx, before.workspace_id, link).await?;
    let old = sql::own(tx.conn(), owner, link.id).await?.ok_or_else(Error::not_found)?;
    if old.workspace_id != before.workspace_id {
        return Err(Error::changed_meanwhile());
    }
    let Some(file) = sql::link(tx.conn(), owner, link).await? else {
        let parent = sql::parent(tx.conn(), owner, link).await?;
        return Err(if parent.unknown {
            Error::not_found()
        } else if parent.guest {
            Error::forbidden("guests_look_on", "only members can do that; guests look on")
        } else {
            Error::conflict("limit_reached", format!("a room can have at most {ROOM_FILES_MAX} files"))
        });
    };
    if file == old {
        return Ok(file);
    }
    tx.emit(Channel::User(owner), Event::AttachmentUpdated(file.clone()));
    if let Some(room) = old.workspace_id {
        tx.emit(Channel::Workspace(room), Event::AttachmentUnlinked(Deleted { id: file.id }));
    }
    if let Some(room) = file.workspace_id {
        tx.emit(Channel::Workspace(room), Event::AttachmentLinked(file.clone()));
    }
    Ok(file)
}

/// What a file goes to is locked as its other changes lock it, so that it cannot go away at the same moment.
async fn lock(tx: &mut Tx, old_room: Option<Uuid>, link: &AttachmentLink) -> Result<()> {
    let owner = tx.actor();
    let mut channels = vec![Channel::User(owner)];
    channels.extend(link.parent_of(ParentKind::Post).map(|_| Channel::Profile(owner)));
    if let Some(room) = link.parent_of(ParentKind::Workspace) {
        // Before the lock: a stranger cannot make a room wait.
        if sql::parent(tx.conn(), owner, link).await?.unknown {
            return Err(Error::not_found());
        }
        channels.push(Channel::Workspace(room));
    }
    channels.extend(old_room.map(Channel::Workspace));
    tx.lock(&channels).await
}

/// Deletes a file of mine, wherever it belongs to; its owner may always take it back.
pub async fn delete(tx: &mut Tx, gone: &RowRef) -> Result<Deleted> {
    let owner = tx.actor();
    let before = sql::own(tx.conn(), owner, gone.id).await?.ok_or_else(Error::not_found)?;
    let mine = Channel::User(owner);
    let room = before.workspace_id.map(Channel::Workspace);
    tx.lock(&[Some(mine), room].into_iter().flatten().collect::<Vec<_>>()).await?;
    let old = sql::own(tx.conn(), owner, gone.id).await?.ok_or_else(Error::not_found)?;
    if old.workspace_id != before.workspace_id {
        return Err(Error::changed_meanwhile());
    }
    sql::delete(tx.conn(), owner, gone.id).await?;
    tx.emit(mine, Event::AttachmentDeleted((*gone).into()));
    if let Some(room) = room {
        tx.emit(room, Event::AttachmentUnlinked((*gone).into()));
    }
    Ok((*gone).into())
}
