//! Posts: what their authors do with them.

use serde_json::Value;
use studyhall_protocol::posts::{NewMedia, NewPost, Post, PostPatch, plain_tags};
use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::{author_only, sql};
use crate::db::Tx;
use crate::domain::{accounts, notifications};
use crate::error::{Error, Result};

/// Posts something.
pub async fn create_post(tx: &mut Tx, new: &NewPost) -> Result<Post> {
    let author = tx.actor();
    lock_with_count(tx, author).await?;
    let tags = plain_tags(&new.tags);
    let post = sql::posts::insert_post(tx.conn(), author, Uuid::now_v7(), new, &tags).await?;
    tx.emit(Channel::Profile(author), Event::PostCreated(post.clone()));
    tell_count(tx, author).await?;
    Ok(post)
}

/// Edits a post of mine.
pub async fn update_post(tx: &mut Tx, patch: &PostPatch) -> Result<Post> {
    mine(tx, patch.id).await?;
    let author = Channel::Profile(tx.actor());
    tx.lock(&[author]).await?;
    let old = sql::posts::post(tx.conn(), patch.id).await?.ok_or_else(Error::not_found)?;
    let tags = patch.tags.as_deref().map(plain_tags).filter(|tags| !same_tags(tags, &old.tags));
    let media = patch.media.as_deref().filter(|media| !same_media(media, &old));
    if !sql::posts::patch_post(tx.conn(), patch, tags.as_deref(), media).await? {
        return Ok(old);
    }
    let post = sql::posts::post(tx.conn(), patch.id).await?.ok_or_else(Error::not_found)?;
    tx.emit(author, Event::PostUpdated(post.clone()));
    Ok(post)
}

/// Deletes a post of mine, with its comments and likes.
pub async fn delete_post(tx: &mut Tx, gone: &RowRef) -> Result<Deleted> {
    mine(tx, gone.id).await?;
    let author = tx.actor();
    lock_with_count(tx, author).await?;
    let told = notifications::post_goes(tx.conn(), author, gone.id).await?;
    if !sql::posts::delete_post(tx.conn(), author, gone.id).await? {
        return Err(Error::not_found());
    }
    tx.emit(Channel::Profile(author), Event::PostDeleted((*gone).into()));
    told.into_iter().for_each(|event| tx.emit(Channel::User(author), event));
    tell_count(tx, author).await?;
    Ok((*gone).into())
}

/// A post as it is now; `None` when it is gone.
pub async fn read_post(tx: &mut Tx, id: Uuid) -> Result<Option<Post>> {
    sql::posts::post(tx.conn(), id).await
}

/// Refuses what is not the actor's, before any lock: nobody makes a stranger's channel wait. The author of a post
/// never changes; whether it is still there, whoever holds the lock finds out.
async fn mine(tx: &mut Tx, post_id: Uuid) -> Result<()> {
    let actor = tx.actor();
    let author = sql::posts::author_for(tx.conn(), actor, post_id).await?.ok_or_else(Error::not_found)?;
    if author != actor {
        return Err(author_only("only its author can change or delete a post"));
    }
    Ok(())
}

/// How many posts somebody has is in their profile and in their own account.
async fn lock_with_count(tx: &mut Tx, person: Uuid) -> Result<()> {
    tx.lock(&[Channel::Profile(person), Channel::User(person)]).await
}

async fn tell_count(tx: &mut Tx, person: Uuid) -> Result<()> {
    let me = accounts::read_me(tx, person).await?;
    tx.emit(Channel::Profile(person), Event::ProfileUpdated(me.user.clone()));
    tx.emit(Channel::User(person), Event::UserUpdated(me));
    Ok(())
}

/// The database may have another order.
fn same_tags(new: &[String], old: &[String]) -> bool {
    new.len() == old.len() && new.iter().all(|tag| old.contains(tag))
}

fn same_media(new: &[NewMedia], post: &Post) -> bool {
    let metadata = |given: &Option<Value>| given.clone().unwrap_or_else(|| Value::Object(Default::default()));
    new.len() == post.media.len()
        && new.iter().zip(&post.media).all(|(new, old)| {
            new.media_type == old.media_type && new.url == old.url && metadata(&new.metadata) == old.metadata
        })
}
