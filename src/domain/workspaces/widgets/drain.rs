//! Many drops and changes in one transaction.

use std::collections::HashMap;

use studyhall_protocol::widgets::WidgetMoved;
use studyhall_protocol::{Channel, Command, Event};
use uuid::Uuid;

use super::sql;
use crate::db::{BatchTx, By, Company, Db, Wanted};
use crate::domain::together::Remembered;
use crate::error::Result;

/// Knows in which room a widget hangs; that never changes.
#[derive(Default)]
pub struct Widgets {
    rooms: Remembered,
}

impl Widgets {
    /// What a command about this widget can be done with.
    pub async fn company(&self, db: &Db, widget_id: Uuid) -> Result<Company> {
        let of = |room| Company::Row { channel: Channel::Workspace(room), row: widget_id };
        if let Some(room) = self.rooms.get(&widget_id) {
            return Ok(of(room));
        }
        let room = sql::room_of_widget(db.pool(), widget_id).await?;
        if let Some(room) = room {
            self.rooms.insert(widget_id, room);
        }
        Ok(room.map_or(Company::Nobody, of))
    }
}

/// Does all `widget.update` of a batch; none where the actor is no member, the widget is gone or nothing would change.
pub async fn update_widgets(tx: &mut BatchTx, batch: &[&Wanted]) -> Result<HashMap<By, Event>> {
    let patches = batch.iter().filter_map(|wanted| match &wanted.command {
        Command::WidgetUpdate(patch) => Some((patch.id, (wanted.by, patch))),
        _ => None,
    });
    let patches: HashMap<Uuid, _> = patches.collect();
    if patches.is_empty() {
        return Ok(HashMap::new());
    }
    let given: Vec<_> = patches.values().map(|(by, patch)| (by.actor, *patch)).collect();
    let changed = sql::patch_widgets(tx.conn(), &given).await?;
    let events =
        changed.into_iter().filter_map(|widget| Some((patches.get(&widget.id)?.0, Event::WidgetUpdated(widget))));
    Ok(events.collect())
}

/// Does all `widget.move` of a batch, on the same conditions.
pub async fn move_widgets(tx: &mut BatchTx, batch: &[&Wanted]) -> Result<HashMap<By, Event>> {
    let drops = batch.iter().filter_map(|wanted| match &wanted.command {
        Command::WidgetMove(to) => Some((to.id, (wanted.by, to))),
        _ => None,
    });
    let drops: HashMap<Uuid, _> = drops.collect();
    if drops.is_empty() {
        return Ok(HashMap::new());
    }
    let given: Vec<_> = drops.values().map(|(by, to)| (by.actor, *to)).collect();
    let moved = sql::move_widgets(tx.conn(), &given).await?;
    let events = moved.into_iter().filter_map(|widget| {
        let (by, to) = drops.get(&widget.id)?;
        Some((*by, Event::WidgetMoved(WidgetMoved { widget, drag_id: to.drag_id })))
    });
    Ok(events.collect())
}
