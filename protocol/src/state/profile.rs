//! The state behind `profile:<id>`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Misplaced;
use crate::accounts::User;
use crate::event::Event;
use crate::posts::{Comment, Post};

/// The state behind `profile:<id>`, as far as it was loaded: events of posts that were not are applied to nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProfileState {
    /// The person.
    pub user: Option<User>,
    /// Their posts by id.
    pub posts: BTreeMap<Uuid, Post>,
    /// Comments on their posts by id.
    pub comments: BTreeMap<Uuid, Comment>,
}

impl ProfileState {
    /// Moves the state one event on.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misplaced> {
        match event {
            Event::ProfileUpdated(user) => self.user = Some(user.clone()),
            Event::ProfileDeleted(_) => *self = Self::default(),
            Event::EventErased(_) => {}
            Event::PostCreated(post) | Event::PostUpdated(post) => {
                self.posts.insert(post.id, post.clone());
            }
            Event::PostDeleted(gone) => {
                self.posts.remove(&gone.id);
                self.comments.retain(|_, comment| comment.post_id != gone.id);
            }
            Event::PostLikesChanged(changed) => {
                for count in &changed.posts {
                    if let Some(post) = self.posts.get_mut(&count.post_id) {
                        post.like_count = count.like_count;
                    }
                }
            }
            Event::CommentCreated(changed) | Event::CommentUpdated(changed) => {
                self.comments.insert(changed.comment.id, changed.comment.clone());
                self.count_comments(changed.comment.post_id, changed.comment_count);
            }
            Event::CommentDeleted(gone) => {
                self.comments.remove(&gone.id);
                self.count_comments(gone.post_id, gone.comment_count);
            }
            _ => return Err(Misplaced),
        }
        Ok(())
    }

    fn count_comments(&mut self, post_id: Uuid, comment_count: i32) {
        if let Some(post) = self.posts.get_mut(&post_id) {
            post.comment_count = comment_count;
        }
    }
}
