//! Notifications in the state behind `user:<id>`: all that somebody has. There are never more than a hundred, so nothing
//! has to move up when one goes.

use uuid::Uuid;

use super::{Misplaced, UserState};
use crate::event::Event;

impl UserState {
    /// Moves the notifications one event on.
    pub(super) fn apply_notification(&mut self, event: &Event) -> Result<(), Misplaced> {
        match event {
            Event::NotificationCreated(notification) | Event::NotificationUpdated(notification) => {
                self.notifications.insert(notification.id, notification.clone());
            }
            Event::NotificationDeleted(gone) => self.notifications.retain(|id, _| !gone.ids.contains(id)),
            Event::NotificationsRead(read) => {
                for id in &read.ids {
                    if let Some(notification) = self.notifications.get_mut(id) {
                        notification.read_at = Some(read.read_at);
                    }
                }
            }
            _ => return Err(Misplaced),
        }
        Ok(())
    }

    /// A room that somebody is not in any more takes its invitation along.
    pub(super) fn forget_invitation(&mut self, workspace_id: Uuid) {
        self.notifications.retain(|_, notification| notification.workspace_id != Some(workspace_id));
    }

    /// An event of the calendar takes along that it was reminded of.
    pub(super) fn forget_reminded(&mut self, event_id: Uuid) {
        self.notifications.retain(|_, notification| notification.calendar_event_id != Some(event_id));
    }

    /// How many notifications are unread.
    pub fn unread_count(&self) -> i64 {
        self.notifications.values().filter(|notification| notification.read_at.is_none()).count() as i64
    }
}
