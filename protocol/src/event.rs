//! The events: what happened, in the words of the past.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::accounts::{Me, SessionsEnded, User};
use crate::posts::{CommentChanged, CommentDeleted, LikesChanged, OwnLike, Post};
use crate::rest::Deleted;
use crate::settings::Settings;
use crate::social::{Block, BlockRef, Follow, FollowRef};
use crate::table::message_table;
use crate::tasks::{Task, TaskList, TaskMoved};
use crate::widgets::{Widget, WidgetMoved};
use crate::workspaces::{Member, MemberRef, Workspace};

message_table! {
    /// What happened: the full new state of what changed, or its id when it is gone.
    pub enum Event {
        /// On `user:` — my own account, private fields included.
        "user.updated" => UserUpdated(Me),
        /// On `user:` — these sign-ins are over.
        "session.ended" => SessionEnded(SessionsEnded),
        /// On `user:`
        "settings.updated" => SettingsUpdated(Settings),
        /// On `user:` of the follower.
        "follow.created" => FollowCreated(Follow),
        /// On `user:` of the follower.
        "follow.deleted" => FollowDeleted(FollowRef),
        /// On `user:` of the blocker.
        "block.created" => BlockCreated(Block),
        /// On `user:` of the blocker.
        "block.deleted" => BlockDeleted(BlockRef),
        /// On `user:` — I like a post, on whatever device I said so.
        "post.liked" => PostLiked(OwnLike),
        /// On `user:` — I like it no longer.
        "post.unliked" => PostUnliked(OwnLike),
        /// On `user:`
        "task_list.created" => TaskListCreated(TaskList),
        /// On `user:`
        "task_list.updated" => TaskListUpdated(TaskList),
        /// On `user:` — its tasks are gone with it.
        "task_list.deleted" => TaskListDeleted(Deleted),
        /// On `user:`
        "task.created" => TaskCreated(Task),
        /// On `user:`
        "task.updated" => TaskUpdated(Task),
        /// On `user:`
        "task.moved" => TaskMoved(TaskMoved),
        /// On `user:`
        "task.deleted" => TaskDeleted(Deleted),
        /// On `user:` — I am in a room now.
        "membership.created" => MembershipCreated(Member),
        /// On `user:` — I am not in that room any more.
        "membership.deleted" => MembershipDeleted(MemberRef),
        /// On `profile:` — what everybody may see.
        "profile.updated" => ProfileUpdated(User),
        /// On `profile:` of the author.
        "post.created" => PostCreated(Post),
        /// On `profile:` of the author.
        "post.updated" => PostUpdated(Post),
        /// On `profile:` of the author — its comments and likes are gone with it.
        "post.deleted" => PostDeleted(Deleted),
        /// On `profile:` of the author — how many people like these posts now.
        "post.likes_changed" => PostLikesChanged(LikesChanged),
        /// On `profile:` of the post's author.
        "comment.created" => CommentCreated(CommentChanged),
        /// On `profile:` of the post's author.
        "comment.updated" => CommentUpdated(CommentChanged),
        /// On `profile:` of the post's author.
        "comment.deleted" => CommentDeleted(CommentDeleted),
        /// On `workspace:`
        "workspace.created" => WorkspaceCreated(Workspace),
        /// On `workspace:`
        "workspace.updated" => WorkspaceUpdated(Workspace),
        /// On `workspace:` — nothing comes after this.
        "workspace.deleted" => WorkspaceDeleted(Deleted),
        /// On `workspace:`
        "member.added" => MemberAdded(Member),
        /// On `workspace:` — they see nothing after this.
        "member.removed" => MemberRemoved(MemberRef),
        /// On `workspace:`
        "widget.created" => WidgetCreated(Widget),
        /// On `workspace:`
        "widget.updated" => WidgetUpdated(Widget),
        /// On `workspace:` — the drop; values of its drag are void from here on.
        "widget.moved" => WidgetMoved(WidgetMoved),
        /// On `workspace:`
        "widget.deleted" => WidgetDeleted(Deleted),
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
