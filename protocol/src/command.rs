//! The commands: what can be done, by `rpc` and by REST alike.

use serde_json::Value;

use crate::accounts::{Me, ProfilePatch};
use crate::assignments::{Assignment, AssignmentPatch, NewAssignment};
use crate::attachments::{Attachment, AttachmentLink};
use crate::calendar::{CalendarEvent, CalendarEventMove, CalendarEventPatch, NewCalendarEvent, NewReminder, Reminder};
use crate::check::{self, Check, FieldError};
use crate::courses::{Course, CourseMemberGone, CourseMemberRef, CoursePatch, NewCourse};
use crate::describe::{Message, schema_of};
use crate::focus::{FocusEntry, FocusEntryPatch, NewFocusEntry};
use crate::metrics::{MetricGone, MetricRecord, ProgressMetric};
use crate::notifications::{NotificationsRead, ReadNotifications};
use crate::order::{Moved, RowMove};
use crate::playlists::{NewStudyPlaylist, StudyPlaylist, StudyPlaylistPatch};
use crate::posts::{
    CommentChanged, CommentDeleted, CommentPatch, NewComment, NewPost, Post, PostLikes, PostPatch, PostRef,
};
use crate::resources::{NewStudyResource, StudyResource, StudyResourcePatch};
use crate::rest::{Answer, Deleted, RowRef};
use crate::settings::{Settings, SettingsPatch};
use crate::social::{Block, BlockRef, Follow, FollowRef, UserRef};
use crate::table::message_table;
use crate::tags::TagRef;
use crate::tasks::{NewTask, NewTaskList, Task, TaskList, TaskListPatch, TaskMove, TaskMoved, TaskPatch};
use crate::widgets::{NewWidget, Widget, WidgetMove, WidgetMoved, WidgetPatch};
use crate::workspaces::{Member, MemberGone, MemberRef, NewWorkspace, Workspace, WorkspacePatch};

type MovedResource = Moved<StudyResource>;
type MovedFocusEntry = Moved<FocusEntry>;
type MovedPlaylist = Moved<StudyPlaylist>;

message_table! {
    /// A command. Its serialized form is also its fingerprint: same `op`, other form, is refused.
    pub enum Command {
        /// Change my profile.
        "profile.update" => ProfileUpdate(ProfilePatch) -> Me,
        /// Change my settings.
        "settings.update" => SettingsUpdate(SettingsPatch) -> Settings,
        /// Follow somebody.
        "user.follow" => UserFollow(UserRef) -> Follow,
        /// Follow somebody no longer.
        "user.unfollow" => UserUnfollow(UserRef) -> FollowRef,
        /// Have nothing to do with somebody any more.
        "user.block" => UserBlock(UserRef) -> Block,
        /// Let somebody find me again.
        "user.unblock" => UserUnblock(UserRef) -> BlockRef,
        /// Post something.
        "post.create" => PostCreate(NewPost) -> Post,
        /// Edit a post of mine.
        "post.update" => PostUpdate(PostPatch) -> Post,
        /// Delete a post of mine, with its comments and likes.
        "post.delete" => PostDelete(RowRef) -> Deleted,
        /// Like a post.
        "post.like" => PostLike(PostRef) -> PostLikes,
        /// Like a post no longer.
        "post.unlike" => PostUnlike(PostRef) -> PostLikes,
        /// Say something about a post.
        "comment.create" => CommentCreate(NewComment) -> CommentChanged,
        /// Edit a comment of mine.
        "comment.update" => CommentUpdate(CommentPatch) -> CommentChanged,
        /// Delete a comment: my own, or one on a post of mine.
        "comment.delete" => CommentDelete(RowRef) -> CommentDeleted,
        /// Make a list.
        "task_list.create" => TaskListCreate(NewTaskList) -> TaskList,
        /// Rename or describe a list.
        "task_list.update" => TaskListUpdate(TaskListPatch) -> TaskList,
        /// Delete a list with its tasks.
        "task_list.delete" => TaskListDelete(RowRef) -> Deleted,
        /// Add a task to a list.
        "task.create" => TaskCreate(NewTask) -> Task,
        /// Change or tick a task.
        "task.update" => TaskUpdate(TaskPatch) -> Task,
        /// Put a task elsewhere.
        "task.move" => TaskMove(TaskMove) -> TaskMoved,
        /// Delete a task.
        "task.delete" => TaskDelete(RowRef) -> Deleted,
        /// Put something into the calendar, at the end of its day.
        "calendar_event.create" => CalendarEventCreate(NewCalendarEvent) -> CalendarEvent,
        /// Change something in the calendar.
        "calendar_event.update" => CalendarEventUpdate(CalendarEventPatch) -> CalendarEvent,
        /// Put it elsewhere in its day, or into another day.
        "calendar_event.move" => CalendarEventMove(CalendarEventMove) -> MovedCalendarEvent,
        /// Take it out of the calendar, with its reminders.
        "calendar_event.delete" => CalendarEventDelete(RowRef) -> Deleted,
        /// Be reminded of something in the calendar.
        "reminder.create" => ReminderCreate(NewReminder) -> Reminder,
        /// Be reminded no more.
        "reminder.delete" => ReminderDelete(RowRef) -> Deleted,
        /// I have read this notification.
        "notification.read" => NotificationRead(RowRef) -> NotificationsRead,
        /// I have read all notifications, or those that were there at a time.
        "notification.read_all" => NotificationReadAll(ReadNotifications) -> NotificationsRead,
        /// Make a room; I own it.
        "workspace.create" => WorkspaceCreate(NewWorkspace) -> Workspace,
        /// Change a room's name, background or settings.
        "workspace.update" => WorkspaceUpdate(WorkspacePatch) -> Workspace,
        /// Delete a room; the owner only.
        "workspace.delete" => WorkspaceDelete(RowRef) -> Deleted,
        /// Let somebody in; the owner only.
        "member.add" => MemberAdd(MemberRef) -> Member,
        /// Put somebody out (the owner), or leave.
        "member.remove" => MemberRemove(MemberRef) -> MemberGone,
        /// Add a widget to a room.
        "widget.create" => WidgetCreate(NewWidget) -> Widget,
        /// Change a widget's title or settings.
        "widget.update" => WidgetUpdate(WidgetPatch) -> Widget,
        /// Drop a widget in a new place.
        "widget.move" => WidgetMove(WidgetMove) -> WidgetMoved,
        /// Take a widget away.
        "widget.delete" => WidgetDelete(RowRef) -> Deleted,
        /// Make a course; I own it.
        "course.create" => CourseCreate(NewCourse) -> Course,
        /// Rename a course; the owner only.
        "course.update" => CourseUpdate(CoursePatch) -> Course,
        /// Delete a course; the owner only. Assignments stay, without it.
        "course.delete" => CourseDelete(RowRef) -> Deleted,
        /// Let somebody into a course; the owner only.
        "course_member.add" => CourseMemberAdd(CourseMemberRef) -> Course,
        /// Put somebody out of a course (the owner), or leave it.
        "course_member.remove" => CourseMemberRemove(CourseMemberRef) -> CourseMemberGone,
        /// Add something that is due.
        "assignment.create" => AssignmentCreate(NewAssignment) -> Assignment,
        /// Change something that is due.
        "assignment.update" => AssignmentUpdate(AssignmentPatch) -> Assignment,
        /// Delete something that is due.
        "assignment.delete" => AssignmentDelete(RowRef) -> Deleted,
        /// Add a button to the quick launch.
        "resource.create" => ResourceCreate(NewStudyResource) -> StudyResource,
        /// Change a button.
        "resource.update" => ResourceUpdate(StudyResourcePatch) -> StudyResource,
        /// Put a button elsewhere.
        "resource.move" => ResourceMove(RowMove) -> MovedResource,
        /// Delete a button.
        "resource.delete" => ResourceDelete(RowRef) -> Deleted,
        /// Add a focus area.
        "focus_entry.create" => FocusEntryCreate(NewFocusEntry) -> FocusEntry,
        /// Change a focus area.
        "focus_entry.update" => FocusEntryUpdate(FocusEntryPatch) -> FocusEntry,
        /// Put a focus area elsewhere.
        "focus_entry.move" => FocusEntryMove(RowMove) -> MovedFocusEntry,
        /// Delete a focus area.
        "focus_entry.delete" => FocusEntryDelete(RowRef) -> Deleted,
        /// Add a playlist.
        "playlist.create" => PlaylistCreate(NewStudyPlaylist) -> StudyPlaylist,
        /// Change a playlist.
        "playlist.update" => PlaylistUpdate(StudyPlaylistPatch) -> StudyPlaylist,
        /// Put a playlist elsewhere.
        "playlist.move" => PlaylistMove(RowMove) -> MovedPlaylist,
        /// Delete a playlist.
        "playlist.delete" => PlaylistDelete(RowRef) -> Deleted,
        /// Say how far I have come on a day.
        "progress_metric.record" => ProgressMetricRecord(MetricRecord) -> ProgressMetric,
        /// Delete what I said of a day.
        "progress_metric.delete" => ProgressMetricDelete(RowRef) -> MetricGone,
        /// Show a tag on my profile.
        "user_tag.add" => UserTagAdd(TagRef) -> Me,
        /// Show it no longer.
        "user_tag.remove" => UserTagRemove(TagRef) -> Me,
        /// Say what a file of mine belongs to, or that it belongs to nothing.
        "attachment.link" => AttachmentLink(AttachmentLink) -> Attachment,
        /// Delete a file of mine.
        "attachment.delete" => AttachmentDelete(RowRef) -> Deleted,
    }
}

/// The answer of `calendar_event.move`.
pub type MovedCalendarEvent = Moved<CalendarEvent>;

/// Why a command could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// No line of the table has this name.
    UnknownMethod,
    /// The payload has the wrong shape.
    Malformed(String),
    /// The shape is right, a value is not.
    Field(FieldError),
}

impl Command {
    /// Reads a command from its name and payload, and checks it.
    pub fn read(method: &str, data: Value) -> Result<Self, CommandError> {
        let Some(name) = Self::NAMES.iter().find(|name| **name == method) else {
            return Err(CommandError::UnknownMethod);
        };
        if !data.is_object() {
            return Err(CommandError::Malformed("the data of a command is a JSON object".into()));
        }
        check::no_nul(&data).map_err(CommandError::Field)?;
        let tagged = Value::Object([("type".into(), Value::from(*name)), ("data".into(), data)].into_iter().collect());
        let command: Command =
            serde_json::from_value(tagged).map_err(|error| CommandError::Malformed(error.to_string()))?;
        command.check().map_err(CommandError::Field)?;
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_is_read_by_name() {
        let read = Command::read("task_list.create", json!({"name": "Today"})).unwrap();
        assert_eq!(read, Command::TaskListCreate(NewTaskList { name: "Today".into(), description: None }));
        assert_eq!(read.name(), "task_list.create");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(Command::read("task.fly", json!({})), Err(CommandError::UnknownMethod));
        assert!(matches!(
            Command::read("task_list.create", json!({"name": "a", "owner": 1})),
            Err(CommandError::Malformed(_))
        ));
        assert!(matches!(Command::read("task_list.create", json!({"name": "a\u{0}"})), Err(CommandError::Field(_))));
        assert!(matches!(Command::read("task_list.create", json!({"name": ""})), Err(CommandError::Field(_))));
        assert!(matches!(
            Command::read("task_list.update", json!({"id": uuid::Uuid::nil(), "name": null})),
            Err(CommandError::Malformed(_))
        ));
    }
}
