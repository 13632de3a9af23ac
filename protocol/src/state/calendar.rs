//! The calendar in the state behind `user:<id>`.
//!
//! Of the events it has those of the days that were loaded, from `calendar_from` to `calendar_to`: what comes into these
//! days is put in, what leaves them is left out. Pending reminders it has all, also of events on other days: one that
//! comes into the range brings its reminders along, and they were there before.

use chrono::NaiveDate;
use uuid::Uuid;

use super::{Misplaced, UserState};
use crate::calendar::CalendarEvent;
use crate::event::Event;

impl UserState {
    /// Moves the calendar and its reminders one event on.
    pub(super) fn apply_calendar(&mut self, event: &Event) -> Result<(), Misplaced> {
        match event {
            Event::CalendarEventCreated(event) | Event::CalendarEventUpdated(event) => self.place(event),
            Event::CalendarEventMoved(moved) => {
                self.place(&moved.moved);
                for order in &moved.reordered {
                    if let Some(event) = self.calendar_events.get_mut(&order.id) {
                        event.order_index = order.order_index;
                        event.updated_at = order.updated_at;
                    }
                }
            }
            Event::CalendarEventDeleted(gone) => {
                self.calendar_events.remove(&gone.id);
                self.reminders.retain(|_, reminder| reminder.event_id != gone.id);
                self.forget_reminded(gone.id);
            }
            Event::ReminderCreated(reminder) => {
                self.reminders.insert(reminder.id, reminder.clone());
            }
            Event::ReminderFired(reminder) => self.forget_reminder(reminder.id),
            Event::ReminderDeleted(gone) => self.forget_reminder(gone.id),
            _ => return Err(Misplaced),
        }
        Ok(())
    }

    fn forget_reminder(&mut self, id: Uuid) {
        self.reminders.remove(&id);
    }

    fn place(&mut self, event: &CalendarEvent) {
        if self.shows(event.event_date) {
            self.calendar_events.insert(event.id, event.clone());
        } else {
            self.calendar_events.remove(&event.id);
        }
    }

    /// Whether the state has the events of this day; all days where no range was loaded.
    pub fn shows(&self, day: NaiveDate) -> bool {
        self.calendar_from.is_none_or(|from| from <= day) && self.calendar_to.is_none_or(|to| day <= to)
    }
}
