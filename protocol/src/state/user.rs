//! The state behind `user:<id>`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Misplaced;
use crate::accounts::Me;
use crate::assignments::Assignment;
use crate::calendar::{CalendarEvent, Reminder};
use crate::courses::Course;
use crate::dashboard::Dashboard;
use crate::event::Event;
use crate::focus::FocusEntry;
use crate::metrics::ProgressMetric;
use crate::notifications::Notification;
use crate::playlists::StudyPlaylist;
use crate::resources::StudyResource;
use crate::settings::Settings;
use crate::tasks::{Task, TaskList};
use crate::workspaces::Member;

/// The state behind `user:<id>`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UserState {
    /// The account.
    pub me: Option<Me>,
    /// The settings.
    pub settings: Option<Settings>,
    /// Whom I follow.
    pub following: BTreeSet<Uuid>,
    /// Whom I blocked.
    pub blocked: BTreeSet<Uuid>,
    /// Posts whose likes of mine were told here. Not in the home page, and a like that ended with its post is not told.
    pub liked: BTreeSet<Uuid>,
    /// Lists by id.
    pub task_lists: BTreeMap<Uuid, TaskList>,
    /// Tasks by id.
    pub tasks: BTreeMap<Uuid, Task>,
    /// Rooms that I am in, by the room's id.
    pub memberships: BTreeMap<Uuid, Member>,
    /// Courses that I am in, by id.
    pub courses: BTreeMap<Uuid, Course>,
    /// What is due, by id.
    pub assignments: BTreeMap<Uuid, Assignment>,
    /// The buttons of the quick launch, by id.
    pub resources: BTreeMap<Uuid, StudyResource>,
    /// Focus areas, by id.
    pub focus_entries: BTreeMap<Uuid, FocusEntry>,
    /// Playlists, by id.
    pub playlists: BTreeMap<Uuid, StudyPlaylist>,
    /// The newest of each scope.
    pub progress_metrics: BTreeMap<String, ProgressMetric>,
    /// The first day of the calendar that is here.
    pub calendar_from: Option<NaiveDate>,
    /// The last one.
    pub calendar_to: Option<NaiveDate>,
    /// What is in the calendar on these days, by id.
    pub calendar_events: BTreeMap<Uuid, CalendarEvent>,
    /// Pending reminders by id, of events on any day.
    pub reminders: BTreeMap<Uuid, Reminder>,
    /// All notifications by id.
    pub notifications: BTreeMap<Uuid, Notification>,
}

impl From<Dashboard> for UserState {
    /// The state at the position of `user:<me>` in the answer.
    fn from(page: Dashboard) -> Self {
        Self {
            me: Some(page.me),
            settings: Some(page.settings),
            following: page.following.into_iter().collect(),
            blocked: page.blocked.into_iter().collect(),
            liked: BTreeSet::new(),
            task_lists: page.task_lists.into_iter().map(|list| (list.id, list)).collect(),
            tasks: page.tasks.into_iter().map(|task| (task.id, task)).collect(),
            memberships: page.memberships.into_iter().map(|member| (member.workspace_id, member)).collect(),
            courses: page.courses.into_iter().map(|course| (course.id, course)).collect(),
            assignments: page.assignments.into_iter().map(|assignment| (assignment.id, assignment)).collect(),
            resources: page.resources.into_iter().map(|resource| (resource.id, resource)).collect(),
            focus_entries: page.focus_entries.into_iter().map(|entry| (entry.id, entry)).collect(),
            playlists: page.playlists.into_iter().map(|playlist| (playlist.id, playlist)).collect(),
            progress_metrics: page.progress_metrics.into_iter().map(|metric| (metric.scope.clone(), metric)).collect(),
            calendar_from: Some(page.calendar_from),
            calendar_to: Some(page.calendar_to),
            calendar_events: page.calendar_events.into_iter().map(|event| (event.id, event)).collect(),
            notifications: page.notifications.into_iter().map(|one| (one.id, one)).collect(),
            reminders: page.reminders.into_iter().map(|reminder| (reminder.id, reminder)).collect(),
        }
    }
}

impl UserState {
    /// Moves the state one event on.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misplaced> {
        match event {
            Event::UserUpdated(me) => self.me = Some(me.clone()),
            Event::SessionEnded(_) => {}
            Event::SettingsUpdated(settings) => self.settings = Some(settings.clone()),
            Event::FollowCreated(follow) => _ = self.following.insert(follow.followee_id),
            Event::FollowDeleted(follow) => _ = self.following.remove(&follow.followee_id),
            Event::BlockCreated(block) => _ = self.blocked.insert(block.blocked_id),
            Event::BlockDeleted(block) => _ = self.blocked.remove(&block.blocked_id),
            Event::PostLiked(like) => {
                self.liked.insert(like.post_id);
            }
            Event::PostUnliked(like) => {
                self.liked.remove(&like.post_id);
            }
            Event::TaskListCreated(list) | Event::TaskListUpdated(list) => {
                self.task_lists.insert(list.id, list.clone());
            }
            Event::TaskListDeleted(gone) => {
                self.task_lists.remove(&gone.id);
                self.tasks.retain(|_, task| task.list_id != gone.id);
            }
            Event::TaskCreated(task) | Event::TaskUpdated(task) => {
                self.tasks.insert(task.id, task.clone());
            }
            Event::TaskMoved(moved) => {
                self.tasks.insert(moved.task.id, moved.task.clone());
                for order in &moved.reordered {
                    if let Some(task) = self.tasks.get_mut(&order.id) {
                        task.order_index = order.order_index;
                        task.updated_at = order.updated_at;
                    }
                }
            }
            Event::TaskDeleted(gone) => {
                self.tasks.remove(&gone.id);
            }
            Event::MembershipCreated(member) => {
                self.memberships.insert(member.workspace_id, member.clone());
            }
            Event::MembershipDeleted(gone) => {
                self.memberships.remove(&gone.workspace_id);
                self.forget_invitation(gone.workspace_id);
            }
            // My files are a list of their own and not in the home page.
            Event::AttachmentCreated(_) | Event::AttachmentUpdated(_) | Event::AttachmentDeleted(_) => {}
            other => {
                let calendar = |Misplaced, state: &mut Self| state.apply_calendar(other);
                return self
                    .apply_study(other)
                    .or_else(|misplaced| calendar(misplaced, self))
                    .or_else(|Misplaced| self.apply_notification(other));
            }
        }
        Ok(())
    }
}
