//! Reminders: what people do with them. When they ring is for [`super::ring`].

use chrono::TimeDelta;
use studyhall_protocol::Event;
use studyhall_protocol::calendar::{NewReminder, Reminder};
use studyhall_protocol::check::FieldError;
use studyhall_protocol::rest::{Deleted, RowRef};

use super::{PENDING_MAX, REMINDERS_MAX, lock, sql};
use crate::db::Tx;
use crate::error::{Error, Result};

/// What lies further back is a mistake. What does not was meant for a moment ago, and rings at once.
const PAST_MAX: TimeDelta = TimeDelta::days(1);

/// Makes a reminder of an event. Asking twice for the same time is one reminder.
pub async fn create_reminder(tx: &mut Tx, new: &NewReminder) -> Result<Reminder> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    if sql::event(tx.conn(), owner, new.event_id).await?.is_none() {
        return Err(Error::not_found());
    }
    if new.remind_at < tx.at() - PAST_MAX {
        let field = "remind_at";
        return Err(Error::invalid(FieldError::new(field, "must not lie more than a day back")));
    }
    let Some(reminder) = sql::insert_reminder(tx.conn(), owner, new).await? else {
        let known = sql::same_reminder(tx.conn(), owner, new).await?;
        let full = || {
            let detail =
                format!("an event can have at most {REMINDERS_MAX} reminders, and a person {PENDING_MAX} to come");
            Error::conflict("limit_reached", detail)
        };
        return known.ok_or_else(full);
    };
    tx.emit(mine, Event::ReminderCreated(reminder.clone()));
    Ok(reminder)
}

/// Deletes a reminder, whether it has rung or not.
pub async fn delete_reminder(tx: &mut Tx, reminder: &RowRef) -> Result<Deleted> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    if !sql::delete_reminder(tx.conn(), owner, reminder.id).await? {
        return Err(Error::not_found());
    }
    tx.emit(mine, Event::ReminderDeleted((*reminder).into()));
    Ok((*reminder).into())
}
