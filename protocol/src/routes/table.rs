//! Every call, one by one.

use super::{Route, command, get, post};
use crate::accounts::{Credentials, Erasure, Me, NewAccount, PasswordChange, SessionsEnded, SignIn, User};
use crate::assignments::Assignment;
use crate::attachments::{Attachment, AttachmentPage};
use crate::audit::AuditEntry;
use crate::calendar::{CalendarEvent, Reminder};
use crate::courses::Course;
use crate::dashboard::Dashboard;
use crate::describe::FreeObject;
use crate::event::LoggedEvent;
use crate::focus::FocusEntry;
use crate::metrics::ProgressMetric;
use crate::notifications::{Notification, UnreadCount};
use crate::playlists::StudyPlaylist;
use crate::posts::{CommentPerson, FeedPost, Liker};
use crate::presence::{Presence, PresenceSet};
use crate::resources::StudyResource;
use crate::rest::{Answer, Page};
use crate::settings::Settings;
use crate::social::{BlockPerson, FollowPerson, UserView};
use crate::tags::{TagView, TaggedPerson};
use crate::tasks::{Task, TaskList};
use crate::workspaces::{MemberPerson, MyWorkspace, Room};

const ID: &[&str] = &["id"];
const USER: &[&str] = &["user_id"];
const POST: &[&str] = &["post_id"];
const MEMBER: &[&str] = &["workspace_id", "user_id"];
const COURSE_MEMBER: &[&str] = &["course_id", "user_id"];
const TAG: &[&str] = &["tag"];
const FOUND: &[&str] = &["not_found"];

/// Every call.
pub const ROUTES: &[Route] = &[
    post("/accounts", "Makes an account and signs in to it.").takes::<NewAccount>().signs_in().fails(&[
        "username_taken",
        "email_taken",
        "busy",
    ]),
    post("/sessions", "Signs in.").takes::<Credentials>().signs_in().fails(&[
        "wrong_credentials",
        "too_many_attempts",
        "account_disabled",
        "busy",
    ]),
    get("/sessions", "My sign-ins, newest first.").pages::<SignIn>(),
    Route::new("DELETE", "/sessions/current", "Signs out."),
    Route::new("DELETE", "/sessions/{id}", "Ends another sign-in of mine.").fails(FOUND),
    get("/me", "My own account, with what only I see.").answers::<Answer<Me>>(),
    command("PATCH", "/me", "profile.update", &[]).fails(&["email_taken"]),
    post("/me/password", "Sets a new password and ends all other sign-ins.")
        .takes::<PasswordChange>()
        .answers::<Answer<SessionsEnded>>()
        .fails(&["wrong_password", "too_many_attempts", "busy"]),
    post(
        "/me/erasure",
        "Erases me. From now on nobody can sign in as me; what others see of me is gone a moment later.",
    )
    .takes::<Erasure>()
    .fails(&["wrong_password", "too_many_attempts", "busy"]),
    get("/me/export", "All that is stored of me, as one archive: an array of rows for each table.")
        .answers::<FreeObject>()
        .fails(&["busy"]),
    get("/me/settings", "My settings.").answers::<Answer<Settings>>(),
    command("PATCH", "/me/settings", "settings.update", &[]),
    Route::new("PUT", "/me/presence", "Tells what I am doing.").takes::<PresenceSet>().answers::<Answer<Presence>>(),
    get("/presence", "How these people are, as far as they let me see it.")
        .asks(&[("user_ids", "Ids with commas between them.")])
        .answers::<Page<Presence>>()
        .fails(&["invalid_field"]),
    get("/me/audit-log", "What I did, and what others did to me, newest first.").pages::<AuditEntry>(),
    get("/me/blocks", "Whom I blocked, newest first.").pages::<BlockPerson>(),
    get("/me/likes", "The posts that I like, the newest like first.").pages::<FeedPost>(),
    get("/users", "People whose username or full name begins with `query`, by username.")
        .asks(&[("query", "At most 120 characters; without it: everybody.")])
        .pages::<User>()
        .fails(&["invalid_field"]),
    get("/users/{id}", "What anyone signed in may see of a person, and how that person and I stand.")
        .answers::<Answer<UserView>>()
        .fails(FOUND),
    get("/users/{id}/followers", "Who follows somebody, newest first.").pages::<FollowPerson>().fails(FOUND),
    get("/users/{id}/following", "Whom somebody follows, newest first.").pages::<FollowPerson>().fails(FOUND),
    get("/users/{id}/posts", "The posts of one person, newest first.").pages::<FeedPost>().fails(FOUND),
    command("PUT", "/users/{id}/follow", "user.follow", USER).fails(&["not_found", "limit_reached", "invalid_field"]),
    command("DELETE", "/users/{id}/follow", "user.unfollow", USER).fails(&["not_found", "invalid_field"]),
    command("PUT", "/users/{id}/block", "user.block", USER).fails(&["not_found", "limit_reached", "invalid_field"]),
    command("DELETE", "/users/{id}/block", "user.unblock", USER).fails(&["not_found", "invalid_field"]),
    get("/dashboard", "Everything that my home page shows, in one snapshot.").answers::<Dashboard>(),
    get("/feed", "The posts of the people whom I follow, and mine, newest first.").pages::<FeedPost>(),
    get("/posts", "Everybody's posts, newest first.")
        .asks(&[
            ("tag", "Only those with this tag, with or without `#`."),
            ("subject", "Only those about this subject."),
        ])
        .pages::<FeedPost>(),
    command("POST", "/posts", "post.create", &[]),
    get("/posts/{id}", "A post.").answers::<Answer<FeedPost>>().fails(FOUND),
    command("PATCH", "/posts/{id}", "post.update", ID).fails(&["not_found", "author_only"]),
    command("DELETE", "/posts/{id}", "post.delete", ID).fails(&["not_found", "author_only"]),
    command("PUT", "/posts/{id}/like", "post.like", POST).fails(FOUND),
    command("DELETE", "/posts/{id}/like", "post.unlike", POST).fails(FOUND),
    get("/posts/{id}/likes", "Who likes a post, newest first.").pages::<Liker>().fails(FOUND),
    get("/posts/{id}/comments", "What people say about a post, oldest first.").pages::<CommentPerson>().fails(FOUND),
    command("POST", "/posts/{id}/comments", "comment.create", POST).fails(FOUND),
    command("PATCH", "/comments/{id}", "comment.update", ID).fails(&["not_found", "author_only"]),
    command("DELETE", "/comments/{id}", "comment.delete", ID).fails(&["not_found", "author_only"]),
    get("/courses", "The courses that I am in, the longest there first.").pages::<Course>(),
    command("POST", "/courses", "course.create", &[]).fails(&["limit_reached"]),
    get("/courses/{id}", "A course that I am in.").answers::<Answer<Course>>().fails(FOUND),
    command("PATCH", "/courses/{id}", "course.update", ID).fails(&["not_found", "owner_only"]),
    command("DELETE", "/courses/{id}", "course.delete", ID).fails(&["not_found", "owner_only"]),
    command("PUT", "/courses/{id}/members/{user_id}", "course_member.add", COURSE_MEMBER).fails(&[
        "not_found",
        "owner_only",
        "limit_reached",
    ]),
    command("DELETE", "/courses/{id}/members/{user_id}", "course_member.remove", COURSE_MEMBER).fails(&[
        "not_found",
        "owner_only",
        "owner_stays",
    ]),
    get("/assignments", "What is due, the next first; what is due on no day comes last.")
        .asks(&[
            ("timeframe", "Only those of `week`, `month` or `later`."),
            ("course_id", "Only those of this course."),
        ])
        .pages::<Assignment>()
        .fails(&["invalid_field"]),
    command("POST", "/assignments", "assignment.create", &[]).fails(&["limit_reached"]),
    get("/assignments/{id}", "Something that is due.").answers::<Answer<Assignment>>().fails(FOUND),
    command("PATCH", "/assignments/{id}", "assignment.update", ID).fails(FOUND),
    command("DELETE", "/assignments/{id}", "assignment.delete", ID).fails(FOUND),
    get("/resources", "The buttons of my quick launch, in their order.").pages::<StudyResource>(),
    command("POST", "/resources", "resource.create", &[]).fails(&["limit_reached"]),
    command("PATCH", "/resources/{id}", "resource.update", ID).fails(FOUND),
    command("DELETE", "/resources/{id}", "resource.delete", ID).fails(FOUND),
    command("POST", "/resources/{id}/move", "resource.move", ID).fails(&["not_found", "after_not_in_list"]),
    get("/focus-entries", "My focus areas, in their order.").pages::<FocusEntry>(),
    command("POST", "/focus-entries", "focus_entry.create", &[]).fails(&["limit_reached"]),
    command("PATCH", "/focus-entries/{id}", "focus_entry.update", ID).fails(FOUND),
    command("DELETE", "/focus-entries/{id}", "focus_entry.delete", ID).fails(FOUND),
    command("POST", "/focus-entries/{id}/move", "focus_entry.move", ID).fails(&["not_found", "after_not_in_list"]),
    get("/playlists", "My playlists, in their order.").pages::<StudyPlaylist>(),
    command("POST", "/playlists", "playlist.create", &[]).fails(&["limit_reached"]),
    command("PATCH", "/playlists/{id}", "playlist.update", ID).fails(FOUND),
    command("DELETE", "/playlists/{id}", "playlist.delete", ID).fails(FOUND),
    command("POST", "/playlists/{id}/move", "playlist.move", ID).fails(&["not_found", "after_not_in_list"]),
    get("/progress-metrics", "How far I have come, the newest day first.")
        .asks(&[
            ("scope", "Only this scope."),
            ("from", "The first day, such as `2026-11-01`."),
            ("to", "The last day."),
        ])
        .pages::<ProgressMetric>()
        .fails(&["invalid_field"]),
    command("PUT", "/progress-metrics", "progress_metric.record", &[]).fails(&["limit_reached"]),
    command("DELETE", "/progress-metrics/{id}", "progress_metric.delete", ID).fails(FOUND),
    command("PUT", "/me/tags/{tag}", "user_tag.add", TAG).fails(&["limit_reached", "invalid_field"]),
    command("DELETE", "/me/tags/{tag}", "user_tag.remove", TAG).fails(&["invalid_field"]),
    get("/tags/{tag}", "What a tag leads to: the first people and posts that have it.")
        .answers::<TagView>()
        .fails(&["invalid_field"]),
    get("/tags/{tag}/people", "The people who have a tag, newest first.")
        .pages::<TaggedPerson>()
        .fails(&["invalid_field"]),
    get("/tags/{tag}/posts", "The posts that carry a tag, newest first.").pages::<FeedPost>().fails(&["invalid_field"]),
    get("/task-lists", "My lists, oldest first.").pages::<TaskList>(),
    command("POST", "/task-lists", "task_list.create", &[]).fails(&["limit_reached"]),
    command("PATCH", "/task-lists/{id}", "task_list.update", ID).fails(FOUND),
    command("DELETE", "/task-lists/{id}", "task_list.delete", ID).fails(FOUND),
    get("/task-lists/{id}/tasks", "The tasks of a list in their order.").pages::<Task>().fails(FOUND),
    command("POST", "/task-lists/{id}/tasks", "task.create", &["list_id"]).fails(&["not_found", "limit_reached"]),
    command("PATCH", "/tasks/{id}", "task.update", ID).fails(FOUND),
    command("DELETE", "/tasks/{id}", "task.delete", ID).fails(FOUND),
    command("POST", "/tasks/{id}/move", "task.move", ID).fails(&["not_found", "after_not_in_list", "limit_reached"]),
    get("/calendar-events", "What is in my calendar, by day and in the order of each day.")
        .asks(&[("from", "The first day, `YYYY-MM-DD`; without it: from the beginning."), ("to", "The last day.")])
        .pages::<CalendarEvent>()
        .fails(&["invalid_field"]),
    command("POST", "/calendar-events", "calendar_event.create", &[]).fails(&["limit_reached"]),
    get("/calendar-events/{id}", "One event of my calendar.").answers::<Answer<CalendarEvent>>().fails(FOUND),
    command("PATCH", "/calendar-events/{id}", "calendar_event.update", ID).fails(&["not_found", "limit_reached"]),
    command("DELETE", "/calendar-events/{id}", "calendar_event.delete", ID).fails(FOUND),
    command("POST", "/calendar-events/{id}/move", "calendar_event.move", ID).fails(&[
        "not_found",
        "after_not_in_list",
        "limit_reached",
    ]),
    get("/calendar-events/{id}/reminders", "The reminders of an event, past ones too, by their time.")
        .pages::<Reminder>()
        .fails(FOUND),
    command("POST", "/calendar-events/{id}/reminders", "reminder.create", &["event_id"])
        .fails(&["not_found", "limit_reached"]),
    command("DELETE", "/reminders/{id}", "reminder.delete", ID).fails(FOUND),
    get("/notifications", "What I am told of, newest first.").pages::<Notification>(),
    get("/notifications/unread-count", "How many notifications I have not read.").answers::<Answer<UnreadCount>>(),
    command("POST", "/notifications/read", "notification.read_all", &[]),
    command("PUT", "/notifications/{id}/read", "notification.read", ID).fails(FOUND),
    get("/workspaces", "The rooms that I am in, oldest first.").pages::<MyWorkspace>(),
    command("POST", "/workspaces", "workspace.create", &[]).fails(&["limit_reached"]),
    get("/workspaces/{id}", "A whole room. Guests may ask too.").answers::<Room>().fails(FOUND),
    command("PATCH", "/workspaces/{id}", "workspace.update", ID).fails(&["not_found", "owner_only", "guests_look_on"]),
    command("DELETE", "/workspaces/{id}", "workspace.delete", ID).fails(&["not_found", "owner_only", "guests_look_on"]),
    get("/workspaces/{id}/members", "Who is in a room, the longest there first.").pages::<MemberPerson>().fails(FOUND),
    command("PUT", "/workspaces/{id}/members/{user_id}", "member.add", MEMBER).fails(&[
        "not_found",
        "owner_only",
        "guests_look_on",
        "already_member",
        "limit_reached",
        "invalid_field",
    ]),
    command("DELETE", "/workspaces/{id}/members/{user_id}", "member.remove", MEMBER).fails(&[
        "not_found",
        "owner_only",
        "guests_look_on",
        "owner_stays",
    ]),
    command("POST", "/workspaces/{id}/widgets", "widget.create", &["workspace_id"]).fails(&[
        "not_found",
        "guests_look_on",
        "limit_reached",
    ]),
    command("PATCH", "/widgets/{id}", "widget.update", ID).fails(&["not_found", "guests_look_on"]),
    command("DELETE", "/widgets/{id}", "widget.delete", ID).fails(&["not_found", "guests_look_on"]),
    command("POST", "/widgets/{id}/move", "widget.move", ID).fails(&["not_found", "guests_look_on"]),
    get("/attachments", "My files, newest first, and how much room they take.").lists::<AttachmentPage>(),
    post("/attachments", "Takes a file, which is the body as it is. What it is, the server finds out by itself.")
        .asks(&[("file_name", "For people; at most 255 characters. Without it: `file`.")])
        .answers::<Answer<Attachment>>()
        .uploads()
        .fails(&[
            "payload_too_large",
            "unsupported_media_type",
            "unsupported_file",
            "quota_exceeded",
            "limit_reached",
            "bad_op",
            "op_reused",
            "commit_unknown",
        ]),
    get("/attachments/{id}", "What is known of a file.").answers::<Answer<Attachment>>().fails(FOUND),
    get("/attachments/{id}/content", "What is in a file, all of it or a range.")
        .downloads()
        .fails(&["not_found", "range_not_satisfiable"]),
    command("POST", "/attachments/{id}/link", "attachment.link", ID).fails(&[
        "not_found",
        "guests_look_on",
        "limit_reached",
    ]),
    command("DELETE", "/attachments/{id}", "attachment.delete", ID).fails(FOUND),
    get(
        "/channels/{channel}/events",
        "The log of a channel, oldest first. `positions` has where the page ends: the next `since`.",
    )
    .asks(&[("since", "The last offset that you have; 0 by default."), ("epoch", "The epoch that it belongs to.")])
    .pages::<LoggedEvent>()
    .fails(&["permission_denied", "not_found", "unrecoverable_position"]),
    get("/openapi.json", "This description of REST.").opens(),
    get("/asyncapi.json", "The description of the live side.").opens(),
];
