//! Who follows whom, and who wants nothing to do with whom (`follows` of the schema, and `blocks`).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::accounts::User;
use crate::check::Check;
use crate::workspaces::Person;

/// `user.follow`, `user.unfollow`, `user.block`, `user.unblock`: whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRef {
    /// The other person.
    pub user_id: Uuid,
}

impl Check for UserRef {}

/// One person follows another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Follow {
    /// Who follows.
    pub follower_id: Uuid,
    /// Whom.
    pub followee_id: Uuid,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// A follow that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowRef {
    /// Who followed.
    pub follower_id: Uuid,
    /// Whom.
    pub followee_id: Uuid,
}

/// One person blocks another: neither finds, sees, follows or subscribes to the other any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Block {
    /// Who blocks.
    pub blocker_id: Uuid,
    /// Whom.
    pub blocked_id: Uuid,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// A block that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockRef {
    /// Who blocked.
    pub blocker_id: Uuid,
    /// Whom.
    pub blocked_id: Uuid,
}

/// `GET /users/{id}`: a person, and how they and I stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    /// What anyone signed in may see.
    #[serde(flatten)]
    pub user: User,
    /// Events of my own `user:` keep it up to date.
    pub followed_by_me: bool,
    /// As of now: no event of mine tells of a change.
    pub follows_me: bool,
}

/// A row of `GET /users/{id}/followers` and `/following`: the follow, and the one of the two who is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FollowPerson {
    /// The follow.
    #[serde(flatten)]
    pub follow: Follow,
    /// Among followers who follows, among those followed whom.
    pub user: Person,
}

/// A row of `GET /me/blocks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockPerson {
    /// The block.
    #[serde(flatten)]
    pub block: Block,
    /// Whom: the one place where I find them.
    pub user: Person,
}
