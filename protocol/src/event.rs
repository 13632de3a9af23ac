//! The events: what happened, in the words of the past.

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::accounts::{Me, SessionsEnded, User};
use crate::assignments::Assignment;
use crate::attachments::Attachment;
use crate::calendar::{CalendarEvent, Reminder};
use crate::courses::Course;
use crate::describe::{Message, schema_of};
use crate::focus::FocusEntry;
use crate::metrics::{MetricGone, ProgressMetric};
use crate::notifications::{Notification, NotificationsGone, NotificationsRead};
use crate::order::Moved;
use crate::playlists::StudyPlaylist;
use crate::posts::{CommentChanged, CommentDeleted, LikesChanged, OwnLike, Post};
use crate::resources::StudyResource;
use crate::rest::{Deleted, Emptied};
use crate::settings::Settings;
use crate::social::{Block, BlockRef, Follow, FollowRef};
use crate::table::message_table;
use crate::tasks::{Task, TaskList, TaskMoved};
use crate::widgets::{Widget, WidgetMoved};
use crate::workspaces::{Member, MemberGone, Workspace};

message_table! {
    /// What happened: the full new state of what changed, or its id when it is gone.
    pub enum Event {
        /// My own account, private fields included.
        "user.updated" => UserUpdated(Me) on "user",
        /// These sign-ins are over.
        "session.ended" => SessionEnded(SessionsEnded) on "user",
        /// My settings, on whatever device I changed them.
        "settings.updated" => SettingsUpdated(Settings) on "user",
        /// I follow somebody.
        "follow.created" => FollowCreated(Follow) on "user",
        /// I follow somebody no longer.
        "follow.deleted" => FollowDeleted(FollowRef) on "user",
        /// I blocked somebody.
        "block.created" => BlockCreated(Block) on "user",
        /// I blocked somebody no longer.
        "block.deleted" => BlockDeleted(BlockRef) on "user",
        /// I like a post, on whatever device I said so.
        "post.liked" => PostLiked(OwnLike) on "user",
        /// I like it no longer.
        "post.unliked" => PostUnliked(OwnLike) on "user",
        /// A list of mine is new.
        "task_list.created" => TaskListCreated(TaskList) on "user",
        /// A list of mine was changed.
        "task_list.updated" => TaskListUpdated(TaskList) on "user",
        /// A list of mine is gone, and its tasks with it.
        "task_list.deleted" => TaskListDeleted(Deleted) on "user",
        /// A task is new.
        "task.created" => TaskCreated(Task) on "user",
        /// A task was changed or ticked.
        "task.updated" => TaskUpdated(Task) on "user",
        /// A task is elsewhere.
        "task.moved" => TaskMoved(TaskMoved) on "user",
        /// A task is gone.
        "task.deleted" => TaskDeleted(Deleted) on "user",
        /// Something is new in my calendar.
        "calendar_event.created" => CalendarEventCreated(CalendarEvent) on "user",
        /// Something in my calendar was changed; it may be on another day now.
        "calendar_event.updated" => CalendarEventUpdated(CalendarEvent) on "user",
        /// Something in my calendar is elsewhere.
        "calendar_event.moved" => CalendarEventMoved(Moved<CalendarEvent>) on "user",
        /// It is out of my calendar, and its reminders and notifications with it.
        "calendar_event.deleted" => CalendarEventDeleted(Deleted) on "user",
        /// I will be reminded.
        "reminder.created" => ReminderCreated(Reminder) on "user",
        /// I will not be reminded.
        "reminder.deleted" => ReminderDeleted(Deleted) on "user",
        /// Now: this is the reminder.
        "reminder.fired" => ReminderFired(Reminder) on "user",
        /// I am told of something.
        "notification.created" => NotificationCreated(Notification) on "user",
        /// More of the same before I read of it, or less.
        "notification.updated" => NotificationUpdated(Notification) on "user",
        /// These notifications are gone.
        "notification.deleted" => NotificationDeleted(NotificationsGone) on "user",
        /// I have read these notifications, on whatever device.
        "notifications.read" => NotificationsRead(NotificationsRead) on "user",
        /// I am in a room now.
        "membership.created" => MembershipCreated(Member) on "user",
        /// I am not in that room any more.
        "membership.deleted" => MembershipDeleted(MemberGone) on "user",
        /// A course is among mine now: I made it, or was let in.
        "course.created" => CourseCreated(Course) on "user",
        /// A course of mine was changed, or who is in it.
        "course.updated" => CourseUpdated(Course) on "user",
        /// A course is not among mine any more: it is gone, or I am out.
        "course.deleted" => CourseDeleted(Deleted) on "user",
        /// Something new is due.
        "assignment.created" => AssignmentCreated(Assignment) on "user",
        /// Something that is due was changed, by me, by the end of a course or by the passing of days.
        "assignment.updated" => AssignmentUpdated(Assignment) on "user",
        /// Something is due no longer.
        "assignment.deleted" => AssignmentDeleted(Deleted) on "user",
        /// A button is new.
        "resource.created" => ResourceCreated(StudyResource) on "user",
        /// A button was changed.
        "resource.updated" => ResourceUpdated(StudyResource) on "user",
        /// A button is elsewhere.
        "resource.moved" => ResourceMoved(Moved<StudyResource>) on "user",
        /// A button is gone.
        "resource.deleted" => ResourceDeleted(Deleted) on "user",
        /// A focus area is new.
        "focus_entry.created" => FocusEntryCreated(FocusEntry) on "user",
        /// A focus area was changed.
        "focus_entry.updated" => FocusEntryUpdated(FocusEntry) on "user",
        /// A focus area is elsewhere.
        "focus_entry.moved" => FocusEntryMoved(Moved<FocusEntry>) on "user",
        /// A focus area is gone.
        "focus_entry.deleted" => FocusEntryDeleted(Deleted) on "user",
        /// A playlist is new.
        "playlist.created" => PlaylistCreated(StudyPlaylist) on "user",
        /// A playlist was changed.
        "playlist.updated" => PlaylistUpdated(StudyPlaylist) on "user",
        /// A playlist is elsewhere.
        "playlist.moved" => PlaylistMoved(Moved<StudyPlaylist>) on "user",
        /// A playlist is gone.
        "playlist.deleted" => PlaylistDeleted(Deleted) on "user",
        /// How far I have come on a day.
        "progress_metric.recorded" => ProgressMetricRecorded(ProgressMetric) on "user",
        /// What I said of a day is gone.
        "progress_metric.deleted" => ProgressMetricDeleted(MetricGone) on "user",
        /// What everybody may see.
        "profile.updated" => ProfileUpdated(User) on "profile",
        /// The author posted something.
        "post.created" => PostCreated(Post) on "profile",
        /// The author edited a post.
        "post.updated" => PostUpdated(Post) on "profile",
        /// A post is gone, and its comments and likes with it.
        "post.deleted" => PostDeleted(Deleted) on "profile",
        /// How many people like these posts now.
        "post.likes_changed" => PostLikesChanged(LikesChanged) on "profile",
        /// Somebody said something about a post of this person.
        "comment.created" => CommentCreated(CommentChanged) on "profile",
        /// Somebody edited a comment on a post of this person.
        "comment.updated" => CommentUpdated(CommentChanged) on "profile",
        /// A comment on a post of this person is gone.
        "comment.deleted" => CommentDeleted(CommentDeleted) on "profile",
        /// The person is gone; nothing comes after this.
        "profile.deleted" => ProfileDeleted(Deleted) on "profile",
        /// Something that was said by somebody who was erased since. There is nothing to do.
        "event.erased" => EventErased(Emptied) on "profile",
        /// The room is new.
        "workspace.created" => WorkspaceCreated(Workspace) on "workspace",
        /// The room's name, background or settings changed.
        "workspace.updated" => WorkspaceUpdated(Workspace) on "workspace",
        /// The room is gone; nothing comes after this.
        "workspace.deleted" => WorkspaceDeleted(Deleted) on "workspace",
        /// Somebody is a member now.
        "member.added" => MemberAdded(Member) on "workspace",
        /// Somebody is a member no longer; they see nothing after this.
        "member.removed" => MemberRemoved(MemberGone) on "workspace",
        /// A widget is new.
        "widget.created" => WidgetCreated(Widget) on "workspace",
        /// A widget's title or settings changed.
        "widget.updated" => WidgetUpdated(Widget) on "workspace",
        /// The drop; values of its drag are void from here on.
        "widget.moved" => WidgetMoved(WidgetMoved) on "workspace",
        /// A widget is gone.
        "widget.deleted" => WidgetDeleted(Deleted) on "workspace",
        /// A file of mine is new.
        "attachment.created" => AttachmentCreated(Attachment) on "user",
        /// A file of mine belongs to something else now.
        "attachment.updated" => AttachmentUpdated(Attachment) on "user",
        /// A file of mine is gone.
        "attachment.deleted" => AttachmentDeleted(Deleted) on "user",
        /// A file belongs to the room now.
        "attachment.linked" => AttachmentLinked(Attachment) on "workspace",
        /// A file does not belong to the room any more.
        "attachment.unlinked" => AttachmentUnlinked(Deleted) on "workspace",
    }
}

/// An event as it travels: the `data` of a numbered publication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// Whose command it was; `null` when it sums up several.
    pub actor: Option<Uuid>,
    /// The operation id of that command.
    pub op: Option<Uuid>,
    /// When it happened, by the database's clock.
    pub at: DateTime<Utc>,
}

/// An event of a page of the log, `GET /channels/{channel}/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// Its number.
    pub offset: u64,
    /// As it travels.
    #[serde(flatten)]
    pub record: EventRecord,
}

/// One shape for each line of the table: schemas of flattened enums say less.
fn records(generator: &mut SchemaGenerator, description: &str, more: &[(&str, Value)]) -> Schema {
    let mut shapes = Vec::new();
    for message in Event::MESSAGES {
        let mut shape = json!({
            "description": message.doc.trim(),
            "type": "object",
            "properties": {
                "type": {"type": "string", "const": message.name},
                "actor": generator.subschema_for::<Option<Uuid>>(),
                "op": generator.subschema_for::<Option<Uuid>>(),
                "at": generator.subschema_for::<DateTime<Utc>>(),
                "data": (message.data)(generator),
            },
            "required": ["type", "actor", "op", "at", "data"],
        });
        for (name, schema) in more {
            shape["properties"][name] = schema.clone();
            shape["required"].as_array_mut().into_iter().for_each(|required| required.insert(0, (*name).into()));
        }
        shapes.push(shape);
    }
    json_schema!({"description": description, "oneOf": shapes})
}

impl JsonSchema for EventRecord {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventRecord".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        records(generator, "An event as it travels: the `data` of a numbered publication.", &[])
    }
}

impl JsonSchema for LoggedEvent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LoggedEvent".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let offset = generator.subschema_for::<u64>();
        records(generator, "An event of a page of the log, with its number.", &[("offset", json!(offset))])
    }
}
