//! Likes. A like happens on two channels: the author's `profile:` says how many there are, the liker's `user:` that it
//! is theirs. Liking twice is one like: the second time nothing happens, and the answer says how things stand.
//!
//! A post that many like at once is one row and one channel that all of them want. See [`drain`].

pub mod drain;
pub mod routes;
mod sql;

use studyhall_protocol::posts::{LikeCount, LikesChanged, OwnLike, PostLikes, PostRef};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use crate::db::Tx;
use crate::error::{Error, Result};

/// Likes a post.
pub async fn like(tx: &mut Tx, post: &PostRef) -> Result<PostLikes> {
    fulfil(tx, post.post_id, true).await
}

/// Likes a post no longer.
pub async fn unlike(tx: &mut Tx, post: &PostRef) -> Result<PostLikes> {
    fulfil(tx, post.post_id, false).await
}

async fn fulfil(tx: &mut Tx, post_id: Uuid, liked: bool) -> Result<PostLikes> {
    let person = tx.actor();
    // Before the locks: whoever may not see the post cannot make its author's channel wait.
    let author = sql::author_for(tx.conn(), person, post_id).await?.ok_or_else(Error::not_found)?;
    let (profile, mine) = (Channel::Profile(author), Channel::User(person));
    tx.lock(&[profile, mine]).await?;
    let wish = sql::Wish { person, post_id, liked };
    let standing = sql::fulfil(tx.conn(), author, &[wish]).await?.pop().ok_or_else(Error::not_found)?;
    let like_count = standing.like_count;
    if standing.was_liked != liked {
        let posts = vec![LikeCount { post_id, like_count }];
        tx.emit(profile, Event::PostLikesChanged(LikesChanged { posts }));
        tx.emit(mine, own_event(liked, post_id, author));
    }
    Ok(PostLikes { post_id, like_count, liked_by_me: liked })
}

fn own_event(liked: bool, post_id: Uuid, author_id: Uuid) -> Event {
    let own = OwnLike { post_id, author_id };
    if liked { Event::PostLiked(own) } else { Event::PostUnliked(own) }
}
