//! Drags whose author vanished: each is committed where it was last seen, once, however many nodes notice.

use std::time::Duration;

use studyhall_protocol::check::{GRID_MAX, GRID_SIZE_MAX};
use studyhall_protocol::live::Drag;
use studyhall_protocol::widgets::{WidgetMove, WidgetMoved};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::super::policy::read_drag;
use super::sql;
use crate::db::{Tx, Writer};
use crate::error::{Error, Result};
use crate::live::backend::Orphan;

/// How often, and how far apart, we try while the database cannot be reached.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Commits what a vanished author held. Does nothing when the drag is over already, the widget is gone, or the author
/// is not a member any more. Safe to call again and on several nodes: the closed drags have a primary key.
///
/// While the database cannot be reached it is tried again for some seconds; the error is the last one.
pub async fn adopt_orphan(writer: &Writer, orphan: Orphan) -> Result<()> {
    let Channel::Workspace(workspace_id) = orphan.channel else {
        return Ok(());
    };
    // Only checked values get into a slot.
    let drag = read_drag(orphan.data.get()).map_err(Error::internal)?;
    let drag_id = orphan.gesture;
    let drop = drop_of(orphan.key.id, drag_id, &drag);
    let mut attempt = 1;
    loop {
        let drop = drop.clone();
        let adopted = writer.run(orphan.author, move |tx| {
            let drop = drop.clone();
            Box::pin(async move { adopt(tx, workspace_id, drag_id, &drop).await })
        });
        match adopted.await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_temporary() && attempt < ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn adopt(tx: &mut Tx, workspace_id: Uuid, drag_id: Uuid, drop: &WidgetMove) -> Result<()> {
    let room = Channel::Workspace(workspace_id);
    let author = tx.actor();
    tx.lock(&[room]).await?;
    if let Some(widget) = sql::adopt_drag(tx.conn(), author, workspace_id, drag_id, drop).await? {
        tx.emit(room, Event::WidgetMoved(WidgetMoved { widget, drag_id: Some(drag_id) }));
    }
    Ok(())
}

/// The nearest place on the grid.
fn drop_of(id: Uuid, drag_id: Uuid, drag: &Drag) -> WidgetMove {
    // `as` saturates and has no undefined case; the values are within the grid already.
    let place = |value: f64| (value.round() as i32).clamp(-GRID_MAX, GRID_MAX);
    let size = |value: f64| (value.round() as i32).clamp(1, GRID_SIZE_MAX);
    WidgetMove {
        id,
        drag_id: Some(drag_id),
        grid_x: place(drag.grid_x),
        grid_y: place(drag.grid_y),
        grid_w: drag.grid_w.map(size),
        grid_h: drag.grid_h.map(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_on_the_nearest_place() {
        let (id, drag_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let drag = Drag { drag_id, grid_x: 1.6, grid_y: -1.4, grid_w: Some(0.2), grid_h: None };
        let drop = drop_of(id, drag_id, &drag);
        assert_eq!((drop.grid_x, drop.grid_y, drop.grid_w, drop.grid_h), (2, -1, Some(1), None));
        assert_eq!((drop.id, drop.drag_id), (id, Some(drag_id)));
    }
}
