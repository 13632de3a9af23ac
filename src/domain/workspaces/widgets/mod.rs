//! Widgets, and how a drag ends.

pub mod drain;
pub mod orphan;
mod sql;

use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::widgets::{NewWidget, Widget, WidgetMove, WidgetMoved, WidgetPatch};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::member_role;
use crate::db::Tx;
use crate::error::{Error, Result};

/// Widgets per room.
pub const WIDGETS_MAX: i64 = 500;

/// Adds a widget to a room.
pub async fn create_widget(tx: &mut Tx, new: &NewWidget) -> Result<Widget> {
    let room = Channel::Workspace(new.workspace_id);
    tx.lock(&[room]).await?;
    let actor = tx.actor();
    let Some(widget) = sql::insert_widget(tx.conn(), actor, new).await? else {
        member_role(tx, new.workspace_id).await?;
        return Err(Error::conflict("limit_reached", format!("a room can have at most {WIDGETS_MAX} widgets")));
    };
    tx.emit(room, Event::WidgetCreated(widget.clone()));
    Ok(widget)
}

/// Changes a widget's titles or settings.
pub async fn update_widget(tx: &mut Tx, patch: &WidgetPatch) -> Result<Widget> {
    let (id, room) = lock_room_of(tx, patch.id).await?;
    let actor = tx.actor();
    let Some(widget) = sql::patch_widget(tx.conn(), actor, id, patch).await? else {
        return unchanged(tx, id, patch.id).await;
    };
    tx.emit(room, Event::WidgetUpdated(widget.clone()));
    Ok(widget)
}

/// Puts a widget in its place. With a drag it always counts, even in the same place: it ends the drag for everybody.
pub async fn move_widget(tx: &mut Tx, to: &WidgetMove) -> Result<WidgetMoved> {
    let (id, room) = lock_room_of(tx, to.id).await?;
    let actor = tx.actor();
    let Some(widget) = sql::move_widget(tx.conn(), actor, id, to).await? else {
        let widget = unchanged(tx, id, to.id).await?;
        return Ok(WidgetMoved { widget, drag_id: to.drag_id });
    };
    let moved = WidgetMoved { widget, drag_id: to.drag_id };
    tx.emit(room, Event::WidgetMoved(moved.clone()));
    Ok(moved)
}

/// Takes a widget away.
pub async fn delete_widget(tx: &mut Tx, gone: &RowRef) -> Result<Deleted> {
    let (id, room) = lock_room_of(tx, gone.id).await?;
    let actor = tx.actor();
    if !sql::delete_widget(tx.conn(), actor, id, gone.id).await? {
        member_role(tx, id).await?;
        return Err(Error::not_found());
    }
    tx.emit(room, Event::WidgetDeleted((*gone).into()));
    Ok((*gone).into())
}

/// A widget's room is looked up before the lock. It never changes; whether the widget is still there, the statement
/// that writes finds out.
async fn lock_room_of(tx: &mut Tx, widget_id: Uuid) -> Result<(Uuid, Channel)> {
    let id = sql::room_of_widget(tx.conn(), widget_id).await?.ok_or_else(Error::not_found)?;
    let room = Channel::Workspace(id);
    tx.lock(&[room]).await?;
    Ok((id, room))
}

/// Why a write did nothing: no right, no widget, or nothing to change.
async fn unchanged(tx: &mut Tx, workspace_id: Uuid, widget_id: Uuid) -> Result<Widget> {
    member_role(tx, workspace_id).await?;
    sql::widget(tx.conn(), workspace_id, widget_id).await?.ok_or_else(Error::not_found)
}
