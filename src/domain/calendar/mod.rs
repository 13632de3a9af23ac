//! The calendar: what stands on which day, and what people want to be reminded of. All of it happens on `user:<owner>`;
//! nobody else learns of it.
//!
//! A command that changes nothing makes no event and answers with the row as it is.

mod due;
mod reminders;
pub mod routes;
mod sql;

use studyhall_protocol::calendar::{CalendarEvent, CalendarEventMove, CalendarEventPatch, NewCalendarEvent, whole};
use studyhall_protocol::order::{Moved, RowOrder};
use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::{Channel, Event};

use crate::db::Tx;
use crate::domain::order;
use crate::error::{Error, Result};

pub use due::ring;
pub use reminders::{create_reminder, delete_reminder};

/// Events of one day.
pub const DAY_MAX: i64 = 100;
/// Events of one person.
pub const EVENTS_MAX: i64 = 20_000;
/// Reminders of one event, those that have rung included.
pub const REMINDERS_MAX: i64 = 10;
/// Reminders of one person that are still to come: the home page has them all.
pub const PENDING_MAX: i64 = 1_000;

/// Puts an event at the end of its day.
pub async fn create_event(tx: &mut Tx, new: &NewCalendarEvent) -> Result<CalendarEvent> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let Some(event) = sql::insert_event(tx.conn(), owner, new).await? else {
        return Err(full());
    };
    tx.emit(mine, Event::CalendarEventCreated(event.clone()));
    Ok(event)
}

/// Changes an event; on another day it goes to the end.
pub async fn update_event(tx: &mut Tx, patch: &CalendarEventPatch) -> Result<CalendarEvent> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let old = sql::event(tx.conn(), owner, patch.id).await?.ok_or_else(Error::not_found)?;
    let new = patch.on(&old);
    if new == old {
        return Ok(old);
    }
    whole(new.title.as_deref(), new.notes.as_deref(), new.starts_at, new.ends_at)?;
    let event = sql::write_event(tx.conn(), owner, &new).await?.ok_or_else(full)?;
    tx.emit(mine, Event::CalendarEventUpdated(event.clone()));
    Ok(event)
}

/// Puts an event behind another one, or first, on its own day or another.
pub async fn move_event(tx: &mut Tx, to: &CalendarEventMove) -> Result<Moved<CalendarEvent>> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let (event, day) = sql::place(tx.conn(), owner, to.id, to.event_date).await?.ok_or_else(Error::not_found)?;
    let date = to.event_date.unwrap_or(event.event_date);
    let indices = order::place(&day, to.id, to.after_id)?;
    if date != event.event_date && day.len() as i64 >= DAY_MAX {
        return Err(full());
    }
    if indices.is_empty() {
        return Ok(Moved { moved: event, reordered: Vec::new() });
    }
    let (moved, others): (Vec<_>, Vec<_>) =
        sql::put(tx.conn(), owner, to.id, date, &indices).await?.into_iter().partition(|event| event.id == to.id);
    let moved = moved.into_iter().next().ok_or_else(Error::not_found)?;
    let order =
        |event: CalendarEvent| RowOrder { id: event.id, order_index: event.order_index, updated_at: event.updated_at };
    let moved = Moved { moved, reordered: others.into_iter().map(order).collect() };
    tx.emit(mine, Event::CalendarEventMoved(moved.clone()));
    Ok(moved)
}

/// Deletes an event with its reminders and notifications.
pub async fn delete_event(tx: &mut Tx, event: &RowRef) -> Result<Deleted> {
    let owner = tx.actor();
    let mine = Channel::User(owner);
    // Notifications of a person are changed under the lock of their `profile:`.
    tx.lock(&[Channel::Profile(owner), mine]).await?;
    if !sql::delete_event(tx.conn(), owner, event.id).await? {
        return Err(Error::not_found());
    }
    tx.emit(mine, Event::CalendarEventDeleted((*event).into()));
    Ok((*event).into())
}

/// Everything here waits for the same lock: two tabs that reorder at once do it one after the other.
async fn lock(tx: &mut Tx) -> Result<Channel> {
    let mine = Channel::User(tx.actor());
    tx.lock(&[mine]).await?;
    Ok(mine)
}

fn full() -> Error {
    let detail = format!("a day can have at most {DAY_MAX} events, and a person {EVENTS_MAX}");
    Error::conflict("limit_reached", detail)
}
