//! Who follows whom, and who wants nothing to do with whom.
//!
//! A command here is about two people and locks the channels of both, so the counters of each equal the rows whatever
//! happens at the same moment. A follow is told to the one who follows, a block to the one who blocks; the counters to
//! everybody. A command that changes nothing makes no event and answers as if it had.
//!
//! Whomever a block parts does not exist for the other: the same 404 as for somebody who was never there.

mod effects;
pub mod routes;
mod sql;

use studyhall_protocol::accounts::Me;
use studyhall_protocol::check::FieldError;
use studyhall_protocol::social::{Block, BlockRef, Follow, FollowRef, UserRef};
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use crate::db::Tx;
use crate::domain::notifications;
use crate::error::{Error, Result};

pub use effects::effects;

/// People whom one person may follow.
pub const FOLLOWING_MAX: i64 = 5_000;
/// People whom one person may block.
pub const BLOCKS_MAX: i64 = 5_000;

/// Follows somebody.
pub async fn follow(tx: &mut Tx, whom: &UserRef) -> Result<Follow> {
    let (me, other) = (tx.actor(), other(tx, whom, "follows")?);
    findable(tx, other).await?;
    lock(tx, other).await?;
    if let Some((follow, people)) = sql::insert_follow(tx.conn(), me, other).await? {
        tx.emit(Channel::User(me), Event::FollowCreated(follow.clone()));
        tell(tx, people);
        let told = notifications::followed(tx.conn(), other, me).await?;
        told.into_iter().for_each(|event| tx.emit(Channel::User(other), event));
        return Ok(follow);
    }
    // It was there already, or a block came first, or there are as many as there may be.
    findable(tx, other).await?;
    let known = sql::select_follow(tx.conn(), me, other).await?;
    known.ok_or_else(|| Error::conflict("limit_reached", format!("a person can follow at most {FOLLOWING_MAX} people")))
}

/// Follows somebody no longer.
pub async fn unfollow(tx: &mut Tx, whom: &UserRef) -> Result<FollowRef> {
    let (me, other) = (tx.actor(), other(tx, whom, "follows")?);
    findable(tx, other).await?;
    lock(tx, other).await?;
    let (gone, people) = sql::delete_follows(tx.conn(), me, other, false).await?;
    end_follows(tx, gone, people);
    let told = notifications::unfollowed(tx.conn(), other, me).await?;
    told.into_iter().for_each(|event| tx.emit(Channel::User(other), event));
    Ok(FollowRef { follower_id: me, followee_id: other })
}

/// Blocks somebody: follows between the two end, and neither finds the other any more.
pub async fn block(tx: &mut Tx, whom: &UserRef) -> Result<Block> {
    let (me, other) = (tx.actor(), other(tx, whom, "blocks")?);
    blockable(tx, other).await?;
    lock(tx, other).await?;
    let Some(block) = sql::insert_block(tx.conn(), me, other).await? else {
        blockable(tx, other).await?;
        let known = sql::select_block(tx.conn(), me, other).await?;
        let full = || Error::conflict("limit_reached", format!("a person can block at most {BLOCKS_MAX} people"));
        return known.ok_or_else(full);
    };
    // First, so that on this node they are out before they are told of the rest.
    tx.emit(Channel::User(me), Event::BlockCreated(block.clone()));
    let (gone, people) = sql::delete_follows(tx.conn(), me, other, true).await?;
    end_follows(tx, gone, people);
    for (person, other) in [(me, other), (other, me)] {
        let told = notifications::parted(tx.conn(), person, other).await?;
        told.into_iter().for_each(|event| tx.emit(Channel::User(person), event));
    }
    Ok(block)
}

/// Lets somebody find me again. Follows do not come back.
pub async fn unblock(tx: &mut Tx, whom: &UserRef) -> Result<BlockRef> {
    let (me, other) = (tx.actor(), other(tx, whom, "blocks")?);
    blockable(tx, other).await?;
    lock(tx, other).await?;
    let gone = BlockRef { blocker_id: me, blocked_id: other };
    if sql::delete_block(tx.conn(), me, other).await? {
        tx.emit(Channel::User(me), Event::BlockDeleted(gone));
    }
    Ok(gone)
}

/// The other of the two; 422 when it is the actor.
fn other(tx: &Tx, whom: &UserRef, verb: &str) -> Result<Uuid> {
    if whom.user_id == tx.actor() {
        return Err(Error::invalid(FieldError::new("user_id", format!("is your own; nobody {verb} themselves"))));
    }
    Ok(whom.user_id)
}

/// The private and the public channel of both.
async fn lock(tx: &mut Tx, other: Uuid) -> Result<()> {
    let me = tx.actor();
    tx.lock(&[Channel::User(me), Channel::Profile(me), Channel::User(other), Channel::Profile(other)]).await
}

/// 404 unless they exist and no block parts the two. Asked before the locks too, so that nobody makes the channels of
/// those wait who want nothing to do with them.
async fn findable(tx: &mut Tx, other: Uuid) -> Result<()> {
    let me = tx.actor();
    if sql::is_findable(tx.conn(), me, other).await? { Ok(()) } else { Err(Error::not_found()) }
}

/// 404 unless they exist and have not blocked the actor: whom I blocked I may still name.
async fn blockable(tx: &mut Tx, other: Uuid) -> Result<()> {
    let me = tx.actor();
    if sql::is_blockable(tx.conn(), me, other).await? { Ok(()) } else { Err(Error::not_found()) }
}

fn end_follows(tx: &mut Tx, gone: Vec<FollowRef>, people: Vec<Me>) {
    for follow in gone {
        tx.emit(Channel::User(follow.follower_id), Event::FollowDeleted(follow));
    }
    tell(tx, people);
}

/// New counters: each person's own account to themselves, what all may see to all.
fn tell(tx: &mut Tx, people: Vec<Me>) {
    for me in people {
        let id = me.user.id;
        tx.emit(Channel::Profile(id), Event::ProfileUpdated(me.user.clone()));
        tx.emit(Channel::User(id), Event::UserUpdated(me));
    }
}
