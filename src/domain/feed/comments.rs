//! Comments: they belong to the post, so they happen on the channel of its author.

use studyhall_protocol::posts::{CommentChanged, CommentDeleted, CommentPatch, NewComment};
use studyhall_protocol::rest::RowRef;
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::{author_only, sql};
use crate::db::Tx;
use crate::domain::notifications::{self, Kind, PostNews};
use crate::error::{Error, Result};

/// Says something about a post.
pub async fn create_comment(tx: &mut Tx, new: &NewComment) -> Result<CommentChanged> {
    let actor = tx.actor();
    // Named by the post, which is looked up before the lock; the statement that writes looks again.
    let author = sql::posts::author_for(tx.conn(), actor, new.post_id).await?.ok_or_else(Error::not_found)?;
    let (channel, theirs) = (Channel::Profile(author), Channel::User(author));
    let news = author != actor;
    tx.lock(&[channel, theirs]).await?;
    let made = sql::comments::insert_comment(tx.conn(), actor, author, new).await?.ok_or_else(Error::not_found)?;
    tx.emit(channel, Event::CommentCreated(made.clone()));
    if news {
        let (comment, since) = (Some(made.comment.id), Some(made.comment.created_at));
        let news = PostNews { gained: 1, actor: Some(actor), comment, since, lost: Vec::new() };
        let told = notifications::about_posts(tx.conn(), author, Kind::Comment, &[(new.post_id, news)]).await?;
        told.into_iter().for_each(|event| tx.emit(theirs, event));
    }
    Ok(made)
}

/// Edits a comment of mine.
pub async fn update_comment(tx: &mut Tx, patch: &CommentPatch) -> Result<CommentChanged> {
    let (actor, place) = (tx.actor(), find(tx, patch.id).await?);
    if place.author_id != actor {
        return Err(author_only("only its author can change a comment"));
    }
    let channel = Channel::Profile(place.post_author_id);
    tx.lock(&[channel]).await?;
    // What may have ended while this waited for the lock.
    find(tx, patch.id).await?;
    let Some(changed) = sql::comments::patch_comment(tx.conn(), patch).await? else {
        return sql::comments::comment(tx.conn(), patch.id).await?.ok_or_else(Error::not_found);
    };
    tx.emit(channel, Event::CommentUpdated(changed.clone()));
    Ok(changed)
}

/// Deletes a comment of mine, or any on a post of mine.
pub async fn delete_comment(tx: &mut Tx, gone: &RowRef) -> Result<CommentDeleted> {
    let (actor, place) = (tx.actor(), find(tx, gone.id).await?);
    if ![place.author_id, place.post_author_id].contains(&actor) {
        return Err(author_only("only its author and the author of the post can delete a comment"));
    }
    let author = place.post_author_id;
    let (channel, theirs) = (Channel::Profile(author), Channel::User(author));
    let news = author != place.author_id;
    tx.lock(&[channel, theirs]).await?;
    find(tx, gone.id).await?;
    let mut told = Vec::new();
    if news {
        told = notifications::comment_goes(tx.conn(), author, gone.id).await?;
    }
    let deleted = sql::comments::delete_comment(tx.conn(), gone.id).await?.ok_or_else(Error::not_found)?;
    tx.emit(channel, Event::CommentDeleted(deleted));
    if news {
        let news = PostNews { lost: vec![place.created_at], ..PostNews::default() };
        told.extend(notifications::about_posts(tx.conn(), author, Kind::Comment, &[(deleted.post_id, news)]).await?);
        told.into_iter().for_each(|event| tx.emit(theirs, event));
    }
    Ok(deleted)
}

/// Whose comment it is and on whose post, for an actor who may see it.
async fn find(tx: &mut Tx, id: Uuid) -> Result<sql::comments::Place> {
    let actor = tx.actor();
    sql::comments::place_for(tx.conn(), actor, id).await?.ok_or_else(Error::not_found)
}
