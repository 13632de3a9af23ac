//! `GET /dashboard`: everything that the home page shows, in one snapshot.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::accounts::Me;
use crate::assignments::Assignment;
use crate::calendar::{CalendarEvent, Reminder};
use crate::courses::Course;
use crate::focus::FocusEntry;
use crate::metrics::ProgressMetric;
use crate::notifications::Notification;
use crate::playlists::StudyPlaylist;
use crate::resources::StudyResource;
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
    /// My courses, the longest there first.
    pub courses: Vec<Course>,
    /// What is due, the next first; what is due on no day comes last.
    pub assignments: Vec<Assignment>,
    /// The buttons of the quick launch, in their order.
    pub resources: Vec<StudyResource>,
    /// My focus areas, in their order.
    pub focus_entries: Vec<FocusEntry>,
    /// My playlists, in their order.
    pub playlists: Vec<StudyPlaylist>,
    /// How far I have come: the newest of each scope.
    pub progress_metrics: Vec<ProgressMetric>,
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
