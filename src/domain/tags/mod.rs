//! The tags that people show on their profile, and what a tag leads to. They are a part of the person, so a change is told as
//! `profile.updated` to everybody and as `user.updated` to oneself.
//!
//! A command that changes nothing makes no event and answers with the person as they are.

pub mod routes;
mod sql;

use studyhall_protocol::accounts::Me;
use studyhall_protocol::tags::TagRef;
use studyhall_protocol::{Channel, Event};

use crate::db::Tx;
use crate::domain::accounts;
use crate::error::{Error, Result};

/// Tags per person.
pub const TAGS_MAX: i64 = 50;

/// Shows a tag on my profile. Whoever has it in another case keeps it as it is.
pub async fn add_tag(tx: &mut Tx, tag: &TagRef) -> Result<Me> {
    lock(tx).await?;
    let me = tx.actor();
    if sql::insert(tx.conn(), me, tag.plain()).await? {
        return tell(tx).await;
    }
    if !sql::has(tx.conn(), me, tag.plain()).await? {
        return Err(Error::conflict("limit_reached", format!("a person can have at most {TAGS_MAX} tags")));
    }
    accounts::read_me(tx, me).await
}

/// Shows it no longer, in whatever case it is.
pub async fn remove_tag(tx: &mut Tx, tag: &TagRef) -> Result<Me> {
    lock(tx).await?;
    let me = tx.actor();
    if sql::delete(tx.conn(), me, tag.plain()).await? {
        return tell(tx).await;
    }
    accounts::read_me(tx, me).await
}

async fn lock(tx: &mut Tx) -> Result<()> {
    let me = tx.actor();
    tx.lock(&[Channel::Profile(me), Channel::User(me)]).await
}

async fn tell(tx: &mut Tx) -> Result<Me> {
    let id = tx.actor();
    let me = accounts::read_me(tx, id).await?;
    tx.emit(Channel::Profile(id), Event::ProfileUpdated(me.user.clone()));
    tx.emit(Channel::User(id), Event::UserUpdated(me.clone()));
    Ok(me)
}
