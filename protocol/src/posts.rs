//! The feed (`posts`, `post_media`, `post_tags`, `post_comments`, `post_likes` of the schema).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::check::{self, Check, FieldError, LONG_TEXT_MAX};
use crate::describe::FreeObject;
use crate::patch::{Clearable, not_null, present};
use crate::workspaces::Person;

/// What somebody posted, the same for everybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Post {
    /// Never changes.
    pub id: Uuid,
    /// The author.
    pub user_id: Uuid,
    /// Long-form text.
    pub content: String,
    /// A book or other resource.
    pub book_title: Option<String>,
    /// Such as "45m".
    pub study_duration: Option<String>,
    /// What was studied.
    pub subject: Option<String>,
    /// The one large image.
    pub image_url: Option<String>,
    /// How many people like it.
    pub like_count: i32,
    /// How many comments it has.
    pub comment_count: i32,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database; likes and comments do not move it.
    pub updated_at: DateTime<Utc>,
    /// Without `#`, in alphabetical order.
    pub tags: Vec<String>,
    /// In their order.
    pub media: Vec<PostMedia>,
}

/// Something shown with a post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PostMedia {
    /// Never changes.
    pub id: Uuid,
    /// `image`, `video`, or what a front-end adds.
    pub media_type: String,
    /// An http(s) address.
    pub url: String,
    /// Width, height, alternative text: free.
    #[schemars(with = "FreeObject")]
    pub metadata: Value,
}

/// A post in a list, as one person sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FeedPost {
    /// The same for everybody.
    #[serde(flatten)]
    pub post: Post,
    /// Whether I like it; later changes are told on `user:<me>`.
    pub liked_by_me: bool,
    /// Who posted it; changes of it are told on `profile:<id>`.
    pub author: Person,
}

/// `post.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPost {
    /// Long-form text.
    pub content: String,
    /// At most 160 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub book_title: Option<String>,
    /// At most 32 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study_duration: Option<String>,
    /// At most 80 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// An http(s) address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// At most 20; a leading `#` is dropped, case is kept and does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// At most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<NewMedia>,
}

/// Something to show with a post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMedia {
    /// At most 20 characters: `image`, `video`, or what a front-end adds.
    pub media_type: String,
    /// An http(s) address.
    pub url: String,
    /// Width, height, alternative text: free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<FreeObject>")]
    pub metadata: Option<Value>,
}

/// `post.update`: absent keeps, `null` clears; `tags` and `media` replace all that were there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostPatch {
    /// Which of my posts.
    pub id: Uuid,
    /// Long-form text.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub content: Option<String>,
    /// At most 160 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub book_title: Clearable<String>,
    /// At most 32 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub study_duration: Clearable<String>,
    /// At most 80 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub subject: Clearable<String>,
    /// An http(s) address.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub image_url: Clearable<String>,
    /// At most 20.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub tags: Option<Vec<String>>,
    /// At most 10.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<NewMedia>")]
    pub media: Option<Vec<NewMedia>>,
}

/// `post.like`, `post.unlike`: which post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostRef {
    /// The post.
    pub post_id: Uuid,
}

/// The answer to a like or its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostLikes {
    /// The post.
    pub post_id: Uuid,
    /// How many people like it now.
    pub like_count: i32,
    /// Whether I do.
    pub liked_by_me: bool,
}

/// On `profile:<author>`: how many people like these posts now. One event may sum up many likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LikesChanged {
    /// Each post once.
    pub posts: Vec<LikeCount>,
}

/// How many people like a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LikeCount {
    /// The post.
    pub post_id: Uuid,
    /// How many people.
    pub like_count: i32,
}

/// On `user:<me>`: a like of mine, or its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnLike {
    /// The post.
    pub post_id: Uuid,
    /// Whose post.
    pub author_id: Uuid,
}

/// Somebody who likes a post, in the list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Liker {
    /// Who.
    pub user: Person,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// What somebody said about a post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comment {
    /// Never changes.
    pub id: Uuid,
    /// The post.
    pub post_id: Uuid,
    /// Who said it.
    pub author_id: Uuid,
    /// Long-form text.
    pub body: String,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// A comment in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommentPerson {
    /// What was said.
    #[serde(flatten)]
    pub comment: Comment,
    /// Who said it; changes of it are told on `profile:<id>`.
    pub author: Person,
}

/// On `profile:<author of the post>`: a comment is new or was edited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommentChanged {
    /// As it is now.
    #[serde(flatten)]
    pub comment: Comment,
    /// How many comments the post has now.
    pub comment_count: i32,
}

/// On `profile:<author of the post>`: a comment is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommentDeleted {
    /// The comment.
    pub id: Uuid,
    /// The post.
    pub post_id: Uuid,
    /// How many comments the post has now.
    pub comment_count: i32,
}

/// `comment.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComment {
    /// The post.
    pub post_id: Uuid,
    /// Long-form text.
    pub body: String,
}

/// `comment.update`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentPatch {
    /// Which of my comments.
    pub id: Uuid,
    /// Long-form text.
    pub body: String,
}

/// Tags of one post.
pub const TAGS_MAX: usize = 20;
/// Media of one post.
pub const MEDIA_MAX: usize = 10;

/// The tags as they are stored: without `#`, each once whatever its case, in alphabetical order.
pub fn plain_tags(tags: &[String]) -> Vec<String> {
    let mut plain: Vec<String> = tags.iter().map(|tag| plain_tag(tag).to_owned()).collect();
    plain.sort_by_cached_key(|tag| tag.to_lowercase());
    plain.dedup_by_key(|tag| tag.to_lowercase());
    plain
}

/// A tag as it is stored: without `#`.
pub fn plain_tag(tag: &str) -> &str {
    tag.trim_start_matches(|c: char| c == '#' || c.is_whitespace()).trim_end()
}

fn tags(tags: &[String]) -> Result<(), FieldError> {
    if tags.len() > TAGS_MAX {
        return Err(FieldError::new("tags", format!("has {}; at most {TAGS_MAX} are allowed", tags.len())));
    }
    tags.iter().try_for_each(|tag| check::name("tags", plain_tag(tag), 50))
}

fn media(media: &[NewMedia]) -> Result<(), FieldError> {
    if media.len() > MEDIA_MAX {
        return Err(FieldError::new("media", format!("has {}; at most {MEDIA_MAX} are allowed", media.len())));
    }
    media.iter().try_for_each(|item| {
        check::name("media.media_type", &item.media_type, 20)?;
        check::file_address("media.url", &item.url)?;
        check::free_object("media.metadata", item.metadata.as_ref())
    })
}

impl Check for PostRef {}

impl Check for NewPost {
    fn check(&self) -> Result<(), FieldError> {
        check::name("content", &self.content, LONG_TEXT_MAX)?;
        check::optional_text("book_title", self.book_title.as_deref(), 160)?;
        check::optional_text("study_duration", self.study_duration.as_deref(), 32)?;
        check::optional_text("subject", self.subject.as_deref(), 80)?;
        self.image_url.as_deref().map_or(Ok(()), |url| check::file_address("image_url", url))?;
        tags(&self.tags)?;
        media(&self.media)
    }
}

impl Check for PostPatch {
    fn check(&self) -> Result<(), FieldError> {
        let inner = |field: &Clearable<String>| field.clone().flatten();
        self.content.as_deref().map_or(Ok(()), |content| check::name("content", content, LONG_TEXT_MAX))?;
        check::optional_text("book_title", inner(&self.book_title).as_deref(), 160)?;
        check::optional_text("study_duration", inner(&self.study_duration).as_deref(), 32)?;
        check::optional_text("subject", inner(&self.subject).as_deref(), 80)?;
        inner(&self.image_url).map_or(Ok(()), |url| check::file_address("image_url", &url))?;
        self.tags.as_deref().map_or(Ok(()), tags)?;
        self.media.as_deref().map_or(Ok(()), media)
    }
}

impl Check for NewComment {
    fn check(&self) -> Result<(), FieldError> {
        check::name("body", &self.body, LONG_TEXT_MAX)
    }
}

impl Check for CommentPatch {
    fn check(&self) -> Result<(), FieldError> {
        check::name("body", &self.body, LONG_TEXT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_plain_and_each_once() {
        let typed = ["#Rust", " rust", "# #Math ", "analysis"].map(str::to_owned);
        assert_eq!(plain_tags(&typed), ["analysis", "Math", "Rust"]);
        assert!(tags(&typed).is_ok());
        assert!(tags(&["#".to_owned()]).is_err());
        assert!(tags(&vec!["a".to_owned(); TAGS_MAX + 1]).is_err());
    }
}
