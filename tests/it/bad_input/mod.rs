//! P11: bad input gets a clear error and changes nothing, by both doors; whoever is not concerned notices nothing.
//!
//! [`CALLS`] has every call that changes something. The tests make what is wrong out of what is right.

mod bodies;
mod doors;
mod guessing;
mod http;
mod manual;
mod matrix;
mod rates;
mod stage;
mod values;
mod wire;

use serde_json::Value;

use stage::Stage;

/// A call by both doors. `{list}`, `{task}`, … stand for ids of the [`Stage`].
pub struct Call {
    /// The command, or nothing where there is only REST.
    pub command: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    /// What the address says, in the words of the command.
    pub ids: &'static str,
    /// A body that is fine, with every field; nothing where there is none.
    pub body: &'static str,
    /// Fields that have to be there.
    pub required: &'static [&'static str],
    /// Fields of free text, and how many characters they take.
    pub texts: &'static [(&'static str, usize)],
}

impl Call {
    pub fn path(&self, stage: &Stage) -> String {
        stage.fill(self.path)
    }

    pub fn body(&self, stage: &Stage) -> Option<Value> {
        (!self.body.is_empty()).then(|| serde_json::from_str(&stage.fill(self.body)).unwrap())
    }

    pub fn ids(&self, stage: &Stage) -> Value {
        serde_json::from_str(&stage.fill(self.ids)).unwrap()
    }

    /// What `rpc` takes: the body and the ids.
    pub fn data(&self, stage: &Stage, body: Option<Value>) -> Value {
        let mut data = body.unwrap_or_else(|| Value::Object(Default::default()));
        let fields = data.as_object_mut().unwrap();
        for (name, id) in self.ids(stage).as_object().unwrap() {
            fields.entry(name).or_insert(id.clone());
        }
        data
    }
}

macro_rules! calls {
    ($($command:literal $method:ident $path:literal $ids:literal $body:literal [$($required:literal),*] [$($text:literal: $max:literal),*];)*) => {
        pub const CALLS: &[Call] = &[$(Call {
            command: $command,
            method: stringify!($method),
            path: $path,
            ids: $ids,
            body: $body,
            required: &[$($required),*],
            texts: &[$(($text, $max)),*],
        }),*];
    };
}

calls! {
    "profile.update" PATCH "/me" "{}"
        r#"{"full_name":"A","bio":"B","location":"C","profile_image_url":"https://e.example/a",
            "banner_image_url":"https://e.example/b","email":"a@e.example"}"#
        [] ["full_name": 120, "bio": 10_000, "location": 120];
    "settings.update" PATCH "/me/settings" "{}"
        r#"{"preferred_locale":"ja","timezone":"Asia/Tokyo","theme":"dark","data":{"a":1},
            "presence_visibility":"nobody","invisible":true}"#
        [] ["preferred_locale": 10, "theme": 32];
    "user.follow" PUT "/users/{eve}/follow" r#"{"user_id":"{eve}"}"# "" [] [];
    "user.unfollow" DELETE "/users/{bob}/follow" r#"{"user_id":"{bob}"}"# "" [] [];
    "user.block" PUT "/users/{cleo}/block" r#"{"user_id":"{cleo}"}"# "" [] [];
    "user.unblock" DELETE "/users/{cleo}/block" r#"{"user_id":"{cleo}"}"# "" [] [];
    "post.create" POST "/posts" "{}"
        r##"{"content":"A","book_title":"B","study_duration":"C","subject":"D","image_url":"https://e.example/a",
            "tags":["#a","b"],"media":[{"media_type":"image","url":"https://e.example/b","metadata":{"a":1}}]}"##
        ["content"] ["content": 10_000, "book_title": 160, "study_duration": 32, "subject": 80];
    "post.update" PATCH "/posts/{post}" r#"{"id":"{post}"}"#
        r##"{"content":"A","book_title":"B","study_duration":"C","subject":"D","image_url":"https://e.example/a",
            "tags":["#a","b"],"media":[{"media_type":"image","url":"https://e.example/b","metadata":{"a":1}}]}"##
        [] ["content": 10_000, "book_title": 160, "study_duration": 32, "subject": 80];
    "post.delete" DELETE "/posts/{post}" r#"{"id":"{post}"}"# "" [] [];
    "post.like" PUT "/posts/{post}/like" r#"{"post_id":"{post}"}"# "" [] [];
    "post.unlike" DELETE "/posts/{post}/like" r#"{"post_id":"{post}"}"# "" [] [];
    "comment.create" POST "/posts/{post}/comments" r#"{"post_id":"{post}"}"# r#"{"body":"A"}"#
        ["body"] ["body": 10_000];
    "comment.update" PATCH "/comments/{comment}" r#"{"id":"{comment}"}"# r#"{"body":"A"}"# ["body"] ["body": 10_000];
    "comment.delete" DELETE "/comments/{comment}" r#"{"id":"{comment}"}"# "" [] [];
    "task_list.create" POST "/task-lists" "{}" r#"{"name":"A","description":"B"}"#
        ["name"] ["name": 50, "description": 10_000];
    "task_list.update" PATCH "/task-lists/{list}" r#"{"id":"{list}"}"# r#"{"name":"A","description":"B"}"#
        [] ["name": 50, "description": 10_000];
    "task_list.delete" DELETE "/task-lists/{list}" r#"{"id":"{list}"}"# "" [] [];
    "task.create" POST "/task-lists/{list}/tasks" r#"{"list_id":"{list}"}"#
        r#"{"description":"A","due_at":"2026-12-01T08:00:00Z"}"# ["description"] ["description": 10_000];
    "task.update" PATCH "/tasks/{task}" r#"{"id":"{task}"}"#
        r#"{"description":"A","is_completed":true,"due_at":"2026-12-01T08:00:00Z"}"# [] ["description": 10_000];
    "task.move" POST "/tasks/{task}/move" r#"{"id":"{task}"}"# r#"{"list_id":"{list}","after_id":"{task2}"}"# [] [];
    "task.delete" DELETE "/tasks/{task}" r#"{"id":"{task}"}"# "" [] [];
    "calendar_event.create" POST "/calendar-events" "{}"
        r#"{"event_date":"2026-12-01","title":"A","notes":"B","starts_at":"2026-12-01T08:00:00Z",
            "ends_at":"2026-12-01T09:00:00Z","source":"quick"}"#
        ["event_date"] ["title": 160, "notes": 10_000];
    "calendar_event.update" PATCH "/calendar-events/{event}" r#"{"id":"{event}"}"#
        r#"{"event_date":"2026-12-01","title":"A","notes":"B","starts_at":"2026-12-01T08:00:00Z",
            "ends_at":"2026-12-01T09:00:00Z"}"# [] ["title": 160, "notes": 10_000];
    "calendar_event.move" POST "/calendar-events/{event}/move" r#"{"id":"{event}"}"#
        r#"{"event_date":"2026-11-24","after_id":"{event2}"}"# [] [];
    "calendar_event.delete" DELETE "/calendar-events/{event}" r#"{"id":"{event}"}"# "" [] [];
    "reminder.create" POST "/calendar-events/{event}/reminders" r#"{"event_id":"{event}"}"#
        r#"{"remind_at":"2999-01-01T00:00:00Z"}"# ["remind_at"] [];
    "reminder.delete" DELETE "/reminders/{reminder}" r#"{"id":"{reminder}"}"# "" [] [];
    "notification.read" PUT "/notifications/{notification}/read" r#"{"id":"{notification}"}"# "" [] [];
    "notification.read_all" POST "/notifications/read" "{}" r#"{"up_to":"2026-12-01T08:00:00Z"}"# [] [];
    "workspace.create" POST "/workspaces" "{}"
        r##"{"name":"A","background_type":"image","background_value":"B","background_color":"#ffffff","settings":{}}"##
        ["name"] ["name": 80, "background_value": 2_000];
    "workspace.update" PATCH "/workspaces/{room}" r#"{"id":"{room}"}"#
        r##"{"name":"A","background_type":"image","background_value":"B","background_color":"#ffffff","settings":{}}"##
        [] ["name": 80, "background_value": 2_000];
    "workspace.delete" DELETE "/workspaces/{room}" r#"{"id":"{room}"}"# "" [] [];
    "member.add" PUT "/workspaces/{room}/members/{eve}" r#"{"workspace_id":"{room}","user_id":"{eve}"}"# "" [] [];
    "member.remove" DELETE "/workspaces/{room}/members/{bob}" r#"{"workspace_id":"{room}","user_id":"{bob}"}"# "" [] [];
    "widget.create" POST "/workspaces/{room}/widgets" r#"{"workspace_id":"{room}"}"#
        r#"{"type":"A","title_key":"B","title":"C","grid_x":1,"grid_y":1,"grid_w":1,"grid_h":1,"settings":{}}"#
        ["type", "grid_x", "grid_y", "grid_w", "grid_h"] ["type": 32, "title_key": 120, "title": 120];
    "widget.update" PATCH "/widgets/{widget}" r#"{"id":"{widget}"}"#
        r#"{"title_key":"B","title":"C","settings":{"a":1}}"# [] ["title_key": 120, "title": 120];
    "widget.move" POST "/widgets/{widget}/move" r#"{"id":"{widget}"}"#
        r#"{"drag_id":"{drag}","grid_x":1,"grid_y":1,"grid_w":1,"grid_h":1}"# ["grid_x", "grid_y"] [];
    "widget.delete" DELETE "/widgets/{widget}" r#"{"id":"{widget}"}"# "" [] [];
    "course.create" POST "/courses" "{}" r#"{"name":"A","emoji":"B"}"# ["name"] ["name": 120, "emoji": 8];
    "course.update" PATCH "/courses/{course}" r#"{"id":"{course}"}"# r#"{"name":"A","emoji":"B"}"#
        [] ["name": 120, "emoji": 8];
    "course.delete" DELETE "/courses/{course}" r#"{"id":"{course}"}"# "" [] [];
    "course_member.add" PUT "/courses/{course}/members/{eve}" r#"{"course_id":"{course}","user_id":"{eve}"}"# "" [] [];
    "course_member.remove" DELETE "/courses/{course}/members/{bob}" r#"{"course_id":"{course}","user_id":"{bob}"}"#
        "" [] [];
    "assignment.create" POST "/assignments" "{}"
        r#"{"course_id":"{course}","title":"A","status":"B","due_at":"2026-12-01","notes":"C"}"#
        ["title"] ["title": 160, "status": 40, "notes": 10_000];
    "assignment.update" PATCH "/assignments/{assignment}" r#"{"id":"{assignment}"}"#
        r#"{"course_id":"{course}","title":"A","status":"B","due_at":"2026-12-01","notes":"C"}"#
        [] ["title": 160, "status": 40, "notes": 10_000];
    "assignment.delete" DELETE "/assignments/{assignment}" r#"{"id":"{assignment}"}"# "" [] [];
    "resource.create" POST "/resources" "{}" r#"{"label":"A","emoji":"B","url":"https://e.example/a"}"#
        ["label"] ["label": 120, "emoji": 8];
    "resource.update" PATCH "/resources/{resource}" r#"{"id":"{resource}"}"#
        r#"{"label":"A","emoji":"B","url":"https://e.example/a"}"# [] ["label": 120, "emoji": 8];
    "resource.move" POST "/resources/{resource}/move" r#"{"id":"{resource}"}"# r#"{"after_id":"{resource2}"}"# [] [];
    "resource.delete" DELETE "/resources/{resource}" r#"{"id":"{resource}"}"# "" [] [];
    "focus_entry.create" POST "/focus-entries" "{}" r#"{"title":"A","description":"B"}"#
        ["title"] ["title": 120, "description": 10_000];
    "focus_entry.update" PATCH "/focus-entries/{focus}" r#"{"id":"{focus}"}"# r#"{"title":"A","description":"B"}"#
        [] ["title": 120, "description": 10_000];
    "focus_entry.move" POST "/focus-entries/{focus}/move" r#"{"id":"{focus}"}"# r#"{"after_id":"{focus2}"}"# [] [];
    "focus_entry.delete" DELETE "/focus-entries/{focus}" r#"{"id":"{focus}"}"# "" [] [];
    "playlist.create" POST "/playlists" "{}"
        r#"{"title":"A","provider":"vimeo","embed_url":"https://player.vimeo.com/video/1"}"#
        ["title", "provider", "embed_url"] ["title": 160];
    "playlist.update" PATCH "/playlists/{playlist}" r#"{"id":"{playlist}"}"#
        r#"{"title":"A","provider":"vimeo","embed_url":"https://player.vimeo.com/video/1"}"# [] ["title": 160];
    "playlist.move" POST "/playlists/{playlist}/move" r#"{"id":"{playlist}"}"# r#"{"after_id":"{playlist2}"}"# [] [];
    "playlist.delete" DELETE "/playlists/{playlist}" r#"{"id":"{playlist}"}"# "" [] [];
    "progress_metric.record" PUT "/progress-metrics" "{}"
        r#"{"scope":"A","value":1,"target_value":2,"captured_at":"2026-12-01"}"# ["scope", "value"] ["scope": 16];
    "progress_metric.delete" DELETE "/progress-metrics/{metric}" r#"{"id":"{metric}"}"# "" [] [];
    "user_tag.add" PUT "/me/tags/rust" r#"{"tag":"rust"}"# "" [] [];
    "user_tag.remove" DELETE "/me/tags/rust" r#"{"tag":"rust"}"# "" [] [];
    "attachment.link" POST "/attachments/{file}/link" r#"{"id":"{file}"}"#
        r#"{"parent":"workspace","parent_id":"{room}"}"# [] [];
    "attachment.delete" DELETE "/attachments/{file}" r#"{"id":"{file}"}"# "" [] [];
    "" POST "/accounts" "{}" r#"{"username":"zoe","password":"12345678","email":"z@e.example","full_name":"A"}"#
        ["username", "password"] ["full_name": 120];
    "" POST "/sessions" "{}" r#"{"username":"zoe","password":"12345678"}"# ["username", "password"] [];
    "" POST "/me/password" "{}" r#"{"current_password":"12345678","new_password":"123456789"}"#
        ["current_password", "new_password"] [];
    "" PUT "/me/presence" "{}" r#"{"status":"idle","activity":"A"}"# [] ["activity": 120];
    "" DELETE "/sessions/current" "{}" "" [] [];
    "" DELETE "/sessions/{session}" "{}" "" [] [];
}

/// Every address that is read, and whether it is a list with pages.
pub const READS: &[(&str, bool)] = &[
    ("/me", false),
    ("/users", true),
    ("/users/{bob}", false),
    ("/users/{bob}/followers", true),
    ("/users/{bob}/following", true),
    ("/me/settings", false),
    ("/presence", false),
    ("/me/blocks", true),
    ("/sessions", true),
    ("/dashboard", false),
    ("/feed", true),
    ("/posts", true),
    ("/posts/{post}", false),
    ("/posts/{post}/comments", true),
    ("/posts/{post}/likes", true),
    ("/users/{bob}/posts", true),
    ("/me/likes", true),
    ("/courses", true),
    ("/courses/{course}", false),
    ("/assignments", true),
    ("/assignments/{assignment}", false),
    ("/resources", true),
    ("/focus-entries", true),
    ("/playlists", true),
    ("/progress-metrics", true),
    ("/tags/rust", false),
    ("/tags/rust/people", true),
    ("/tags/rust/posts", true),
    ("/task-lists", true),
    ("/task-lists/{list}/tasks", true),
    ("/calendar-events", true),
    ("/calendar-events/{event}", false),
    ("/calendar-events/{event}/reminders", true),
    ("/notifications", true),
    ("/notifications/unread-count", false),
    ("/workspaces", true),
    ("/workspaces/{room}", false),
    ("/workspaces/{room}/members", true),
    ("/attachments", true),
    ("/attachments/{file}", false),
    ("/channels/workspace:{room}/events", true),
];

/// What takes something else than JSON, with a test of its own.
pub const ODD: &[(&str, &str)] = &[("POST", "/attachments")];

#[test]
fn the_table_has_every_command() {
    for name in studyhall_protocol::Command::NAMES {
        assert!(CALLS.iter().any(|call| call.command == *name), "{name}");
    }
}
