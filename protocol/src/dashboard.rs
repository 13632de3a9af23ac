//! `GET /dashboard`: everything that the home page shows, in one snapshot.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::accounts::Me;
use crate::calendar::{CalendarEvent, Reminder};
use crate::notifications::Notification;
use crate::rest::Position;
use crate::settings::Settings;
use crate::tasks::{Task, TaskList};
use crate::workspaces::{Member, Workspace};

/// The home page. [`crate::state::UserState`] is made from it; every later event of `user:<me>` moves that on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dashboard {
    /// The account.
    pub me: Me,
    /// My settings.
    pub settings: Settings,
    /// Whom I follow: their `profile:` channels are my feed.
    pub following: Vec<Uuid>,
    /// Whom I blocked.
    pub blocked: Vec<Uuid>,
    /// My lists, oldest first.
    pub task_lists: Vec<TaskList>,
    /// My tasks, in the order of their lists.
    pub tasks: Vec<Task>,
    /// My place in each of my rooms, oldest first.
    pub memberships: Vec<Member>,
    /// The same rooms in the same order; what is in them comes from `GET /workspaces/{id}`.
    pub workspaces: Vec<Workspace>,
    /// The first day of `calendar_events`: 31 days before today in my time zone.
    pub calendar_from: NaiveDate,
    /// The last day of `calendar_events`: 62 days after today.
    pub calendar_to: NaiveDate,
    /// What is in my calendar on these days, in their order.
    pub calendar_events: Vec<CalendarEvent>,
    /// Reminders that are still to come, of events on any day, the next one first.
    pub reminders: Vec<Reminder>,
    /// All my notifications, newest first; a hundred at most.
    pub notifications: Vec<Notification>,
    /// How many of them are unread.
    pub unread_count: i64,
    /// Of `user:<me>`, `profile:<me>`, and each room.
    pub positions: Vec<Position>,
}
