//! Rooms and who is in them. What happens there happens on `workspace:<id>`; coming and going also on the person's own
//! channel. Rights are read under the lock of the room's channel, so after somebody is put out nothing of theirs is
//! committed any more.
//!
//! Strangers are told that there is no such room; people who may look on, that they may only look on. A command that
//! changes nothing makes no event and answers with the row as it is.

mod effects;
mod policy;
pub mod routes;
mod sql;
pub mod widgets;

use std::collections::BTreeSet;

use sqlx::PgExecutor;
use studyhall_protocol::check::FieldError;
use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::workspaces::{
    Member, MemberGone, MemberRef, NewWorkspace, Role, Room, Workspace, WorkspacePatch,
};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use crate::db::Tx;
use crate::domain::notifications;
use crate::error::{Error, Result};

pub use effects::effects;
pub use policy::publication;
pub use widgets::orphan::adopt_orphan;
pub use widgets::{create_widget, delete_widget, move_widget, update_widget};

/// Members per room.
pub const MEMBERS_MAX: i64 = 5_000;
/// Rooms per person: what they own and what they were let into.
pub const ROOMS_MAX: i64 = 500;

/// A whole room, for its members, and for guests where it lets them.
pub async fn room(db: impl PgExecutor<'_>, person: Uuid, id: Uuid) -> Result<Room> {
    let row = sql::room(db, person, id).await?.ok_or_else(Error::not_found)?;
    Ok(Room {
        workspace: row.workspace.0,
        role: row.role.map_or(Role::Guest, Role::from),
        members: row.members.0,
        widgets: row.widgets.0,
        attachments: row.attachments.0,
        people: row.people.0,
        positions: row.positions.0,
    })
}

/// Makes a room that the actor owns.
pub async fn create_workspace(tx: &mut Tx, new: &NewWorkspace) -> Result<Workspace> {
    let owner = tx.actor();
    // Known beforehand, because the channel is locked before the row is there.
    let id = Uuid::now_v7();
    let (room, person) = (Channel::Workspace(id), Channel::User(owner));
    tx.lock(&[room, person]).await?;
    let Some(workspace) = sql::insert_workspace(tx.conn(), owner, id, new).await? else {
        return Err(too_many_rooms());
    };
    let member = sql::insert_owner(tx.conn(), id, owner).await?;
    tx.emit(room, Event::WorkspaceCreated(workspace.clone()));
    tx.emit(room, Event::MemberAdded(member.clone()));
    tx.emit(person, Event::MembershipCreated(member));
    Ok(workspace)
}

/// Changes a room's name, background or settings. Members may; whether guests may look on is the owner's alone.
pub async fn update_workspace(tx: &mut Tx, patch: &WorkspacePatch) -> Result<Workspace> {
    let room = Channel::Workspace(patch.id);
    tx.lock(&[room]).await?;
    let actor = tx.actor();
    let Some(workspace) = sql::patch_workspace(tx.conn(), actor, patch).await? else {
        let role = member_role(tx, patch.id).await?;
        let workspace = sql::workspace(tx.conn(), patch.id).await?.ok_or_else(Error::not_found)?;
        let opens = |settings: &serde_json::Value| settings.get("guests").and_then(serde_json::Value::as_bool);
        let asked = patch.settings.as_ref().map_or(workspace.admits_guests(), |new| opens(new).unwrap_or(false));
        if role != Role::Owner && asked != workspace.admits_guests() {
            return Err(owner_only("only the owner decides whether guests may look on"));
        }
        return Ok(workspace);
    };
    if patch.settings.is_some() {
        sql::raise_acl(tx.conn(), room).await?;
    }
    tx.emit(room, Event::WorkspaceUpdated(workspace.clone()));
    Ok(workspace)
}

/// Deletes a room with everything in it. Every member is told on their own channel.
pub async fn delete_workspace(tx: &mut Tx, gone: &RowRef) -> Result<Deleted> {
    let room = Channel::Workspace(gone.id);
    // Looked up before the locks, because they name the channels to lock, and again under them. Strangers are turned
    // away here, before they can make a whole room wait.
    owner(tx, gone.id).await?;
    let members = sql::member_ids(tx.conn(), gone.id).await?;
    // Their invitations go with the room.
    let invited = sql::invited_ids(tx.conn(), gone.id).await?;
    let people = members.iter().map(|person| Channel::User(*person));
    let profiles = invited.iter().map(|person| Channel::Profile(*person));
    let channels: Vec<Channel> = people.chain(profiles).chain(std::iter::once(room)).collect();
    tx.lock(&channels).await?;
    let still: BTreeSet<Uuid> = sql::member_ids(tx.conn(), gone.id).await?.into_iter().collect();
    if !still.iter().eq(members.iter()) {
        return Err(Error::changed_meanwhile());
    }
    let actor = tx.actor();
    if !sql::delete_workspace(tx.conn(), actor, gone.id).await? {
        return Err(Error::not_found());
    }
    for person in members {
        let left = MemberGone { workspace_id: gone.id, user_id: person };
        tx.emit(Channel::User(person), Event::MembershipDeleted(left));
    }
    tx.emit(room, Event::WorkspaceDeleted((*gone).into()));
    Ok((*gone).into())
}

/// Lets somebody in; the owner only.
pub async fn add_member(tx: &mut Tx, new: &MemberRef) -> Result<Member> {
    let (room, person) = (Channel::Workspace(new.workspace_id), Channel::User(new.user_id));
    // Before the locks: nobody but the owner of a room can make a stranger's channel wait.
    owner(tx, new.workspace_id).await?;
    tx.lock(&[room, person, Channel::Profile(new.user_id)]).await?;
    let actor = tx.actor();
    let Some(member) = sql::insert_member(tx.conn(), actor, new.workspace_id, new.user_id).await? else {
        owner(tx, new.workspace_id).await?;
        let obstacle = sql::obstacle(tx.conn(), actor, new.workspace_id, new.user_id).await?;
        return Err(if obstacle.unknown {
            Error::invalid(FieldError::new("user_id", "is nobody's"))
        } else if obstacle.inside {
            Error::conflict("already_member", "they are in the room already")
        } else if obstacle.full {
            Error::conflict("limit_reached", format!("a room can have at most {MEMBERS_MAX} members"))
        } else {
            too_many_rooms()
        });
    };
    sql::raise_acl(tx.conn(), room).await?;
    tx.emit(room, Event::MemberAdded(member.clone()));
    tx.emit(person, Event::MembershipCreated(member.clone()));
    let told = notifications::invited(tx.conn(), new.user_id, actor, new.workspace_id).await?;
    told.into_iter().for_each(|event| tx.emit(person, event));
    Ok(member)
}

/// Puts somebody out (the owner), or leaves. The owner stays: a room without one could not be deleted.
pub async fn remove_member(tx: &mut Tx, gone: &MemberRef) -> Result<MemberGone> {
    let (room, person) = (Channel::Workspace(gone.workspace_id), Channel::User(gone.user_id));
    let role = member_role(tx, gone.workspace_id).await?;
    let actor = tx.actor();
    if role != Role::Owner && actor != gone.user_id {
        return Err(owner_only("only the owner can put somebody out"));
    }
    tx.lock(&[room, person, Channel::Profile(gone.user_id)]).await?;
    if !sql::delete_member(tx.conn(), actor, gone.workspace_id, gone.user_id).await? {
        let role = member_role(tx, gone.workspace_id).await?;
        let owns = role == Role::Owner && actor == gone.user_id;
        return Err(if owns {
            Error::conflict("owner_stays", "the owner cannot leave the room; delete it instead")
        } else {
            Error::not_found()
        });
    }
    sql::raise_acl(tx.conn(), room).await?;
    tx.emit(room, Event::MemberRemoved((*gone).into()));
    tx.emit(person, Event::MembershipDeleted((*gone).into()));
    notifications::left(tx.conn(), gone.user_id, gone.workspace_id).await?;
    Ok((*gone).into())
}

/// Leaves a room for ever. An owner hands it to whoever has been in it longest; a room with nobody else in it goes.
pub async fn leave_for_good(tx: &mut Tx, id: Uuid) -> Result<()> {
    let me = tx.actor();
    if member_role(tx, id).await? != Role::Owner {
        return remove_member(tx, &MemberRef { workspace_id: id, user_id: me }).await.map(drop);
    }
    let Some(heir) = sql::heir(tx.conn(), id).await? else {
        return delete_workspace(tx, &RowRef { id }).await.map(drop);
    };
    let (room, gone) = (Channel::Workspace(id), MemberGone { workspace_id: id, user_id: me });
    tx.lock(&[room, Channel::User(me), Channel::User(heir)]).await?;
    if sql::heir(tx.conn(), id).await? != Some(heir) {
        return Err(Error::changed_meanwhile());
    }
    let (workspace, owner) = sql::hand_over(tx.conn(), id, heir).await?;
    if !sql::delete_member(tx.conn(), me, id, me).await? {
        return Err(Error::not_found());
    }
    sql::raise_acl(tx.conn(), room).await?;
    tx.emit(room, Event::MemberAdded(owner.clone()));
    tx.emit(room, Event::WorkspaceUpdated(workspace));
    tx.emit(Channel::User(heir), Event::MembershipCreated(owner));
    tx.emit(room, Event::MemberRemoved(gone));
    tx.emit(Channel::User(me), Event::MembershipDeleted(gone));
    Ok(())
}

/// What the actor is in a room, or the refusal that they get: strangers learn of nothing, guests that they are guests.
async fn member_role(tx: &mut Tx, workspace_id: Uuid) -> Result<Role> {
    let actor = tx.actor();
    let standing = sql::standing(tx.conn(), workspace_id, actor).await?.ok_or_else(Error::not_found)?;
    match standing.role {
        Some(role) => Ok(Role::from(role)),
        None if standing.guests => Err(Error::forbidden("guests_look_on", "only members can do that; guests look on")),
        None => Err(Error::not_found()),
    }
}

async fn owner(tx: &mut Tx, workspace_id: Uuid) -> Result<()> {
    match member_role(tx, workspace_id).await? {
        Role::Owner => Ok(()),
        Role::Member | Role::Guest => Err(owner_only("only the owner of the room can do that")),
    }
}

fn owner_only(detail: &'static str) -> Error {
    Error::forbidden("owner_only", detail)
}

fn too_many_rooms() -> Error {
    Error::conflict("limit_reached", format!("a person can be in at most {ROOMS_MAX} rooms"))
}
