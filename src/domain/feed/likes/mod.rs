//! Likes. A like happens on two channels: the author's `profile:` says how many there are, the liker's `user:` that it
//! is theirs. Liking twice is one like: the second time nothing happens, and the answer says how things stand.
//!
//! A post that many like at once is one row and one channel that all of them want. See [`drain`].

pub mod drain;
pub mod routes;
mod sql;

use std::collections::BTreeMap;

use studyhall_protocol::posts::{LikeCount, LikesChanged, OwnLike, PostLikes, PostRef};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use crate::db::Tx;
use crate::domain::notifications::{self, Kind, PostNews};
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
    // What the author is told of it happens on theirs.
    let theirs = Channel::User(author);
    tx.lock(&[profile, mine, theirs]).await?;
    let wish = sql::Wish { person, post_id, liked };
    let standing = sql::fulfil(tx.conn(), author, &[wish]).await?.pop().ok_or_else(Error::not_found)?;
    let like_count = standing.like_count;
    if standing.was_liked != liked {
        let posts = vec![LikeCount { post_id, like_count }];
        tx.emit(profile, Event::PostLikesChanged(LikesChanged { posts }));
        tx.emit(mine, own_event(liked, post_id, author));
        let news = news(author, [(wish, &standing)]);
        let told = notifications::about_posts(tx.conn(), author, Kind::Like, &news).await?;
        told.into_iter().for_each(|event| tx.emit(theirs, event));
    }
    Ok(PostLikes { post_id, like_count, liked_by_me: liked })
}

fn own_event(liked: bool, post_id: Uuid, author_id: Uuid) -> Event {
    let own = OwnLike { post_id, author_id };
    if liked { Event::PostLiked(own) } else { Event::PostUnliked(own) }
}

/// What wishes that were fulfilled come to for the author of the posts. Their own likes are no news.
fn news<'s>(
    author: Uuid,
    fulfilled: impl IntoIterator<Item = (sql::Wish, &'s sql::Standing)>,
) -> Vec<(Uuid, PostNews)> {
    let mut posts: BTreeMap<Uuid, PostNews> = BTreeMap::new();
    for (wish, standing) in fulfilled {
        if wish.person == author || wish.liked == standing.was_liked {
            continue;
        }
        let news = posts.entry(wish.post_id).or_default();
        if wish.liked {
            news.gained += 1;
            news.actor = Some(wish.person);
            news.since = Some(news.since.map_or(standing.liked_at, |since| since.min(standing.liked_at)));
        } else {
            news.lost.push(standing.liked_at);
        }
    }
    posts.into_iter().collect()
}
