//! Erasing a person. First nobody can be them any more: the password and all sign-ins go. Then what they have in common
//! with others is taken apart by the same commands that they would have used, so that counts stay right and everybody is
//! told; rooms with others in them are handed over. At last the row goes, and all that is private goes with it.
//!
//! What they said in the logs of others is emptied; the numbers stay. Every step finds out by itself what is left to do, on
//! whatever node.

pub mod routes;
mod sql;

use std::sync::Arc;

use studyhall_protocol::accounts::{EndReason, Erasure, SessionsEnded};
use studyhall_protocol::posts::PostRef;
use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::social::UserRef;
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::{accounts, attachments, courses, feed, notifications, people, workspaces};
use crate::auth::{Credential, rows};
use crate::db::{Db, Tx, Writer};
use crate::error::{Error, Result};
use crate::http::{AppState, Caller};
use crate::live::backend::{Effect, LogEvent};

/// After so many rounds without an end another node may try, later.
const ROUNDS: usize = 10_000;

/// Begins to erase the caller. 403 `wrong_password`, 429 after too many of those.
pub async fn ask(state: &AppState, caller: &Caller, given: Erasure) -> Result<()> {
    let (this, asker) = (state.clone(), caller.asker());
    let work = async move {
        let checked = accounts::prove_password(&this, asker.person, given.password).await?;
        let checked = Arc::new(checked);
        let done = this.writer.run(asker.person, move |tx| {
            let checked = Arc::clone(&checked);
            Box::pin(async move {
                tx.record("account.erase", &asker);
                close_account(tx, &checked).await
            })
        });
        let ended = done.await?.data;
        this.sessions.forget(&ended.session_ids);
        Ok(())
    };
    state.writer.tracked(work).await
}

async fn close_account(tx: &mut Tx, checked: &Credential) -> Result<SessionsEnded> {
    let person = checked.user_id;
    tx.lock(&[Channel::User(person)]).await?;
    if !rows::delete_credentials(tx.conn(), person, &checked.password_hash).await? {
        return Err(accounts::wrong_password());
    }
    rows::forget_failures(tx.conn(), &checked.username).await?;
    sql::insert_erasure(tx.conn(), person).await?;
    let reason = EndReason::Erased;
    let session_ids = rows::end_other_sign_ins(tx.conn(), person, None, reason.as_str()).await?;
    let ended = SessionsEnded { session_ids, reason };
    tx.emit(Channel::User(person), Event::SessionEnded(ended.clone()));
    Ok(ended)
}

/// Works on whoever is to be erased and is not worked on elsewhere.
pub async fn work(db: &Db, writer: &Writer) -> Result<()> {
    while let Some(person) = sql::take(db.pool()).await? {
        erase(db, writer, person).await?;
    }
    Ok(())
}

async fn erase(db: &Db, writer: &Writer, person: Uuid) -> Result<()> {
    for _ in 0..ROUNDS {
        let left = sql::left(db.pool(), person).await?;
        if left.is_nothing() {
            sql::empty_events(db, person).await?;
            let done = writer.run(person, move |tx| Box::pin(finish(tx, person))).await;
            match done {
                Ok(_) => return Ok(()),
                // Something of theirs was still on its way.
                Err(error) if error.code() == "busy" => continue,
                Err(error) => return Err(error),
            }
        }
        take_apart(writer, person, left).await?;
        sql::go_on(db.pool(), person).await?;
    }
    Ok(())
}

/// One round. What is public goes first; the blocks go when there is nothing to be seen any more.
async fn take_apart(writer: &Writer, person: Uuid, left: sql::Left) -> Result<()> {
    each(writer, left.posts, |id| (person, Last::Post(id))).await?;
    each(writer, left.following, |id| (person, Last::Follow(id))).await?;
    each(writer, left.followers, |follower| (follower, Last::Follow(person))).await?;
    // Before the rooms: who is in them is told that a file goes.
    each(writer, left.files, |id| (person, Last::File(id))).await?;
    each(writer, left.rooms, |id| (person, Last::Room(id))).await?;
    each(writer, left.courses, |id| (person, Last::Course(id))).await?;
    each(writer, left.comments, |id| (person, Last::Comment(id))).await?;
    each(writer, left.likes, |id| (person, Last::Like(id))).await?;
    each(writer, left.notified, |other| (other, Last::Notification(person))).await?;
    each(writer, left.blocked, |id| (person, Last::Block(id))).await?;
    each(writer, left.blockers, |blocker| (blocker, Last::Block(person))).await
}

/// Something that ends with a person, by its id.
#[derive(Debug, Clone, Copy)]
enum Last {
    Post(Uuid),
    Follow(Uuid),
    File(Uuid),
    Room(Uuid),
    Course(Uuid),
    Comment(Uuid),
    Like(Uuid),
    /// By whom.
    Notification(Uuid),
    Block(Uuid),
}

/// Ends them one by one, on behalf of whom `of` says. What is gone by now, or out of sight because of a block, is looked for
/// again in the next round.
async fn each(writer: &Writer, ids: Vec<Uuid>, of: impl Fn(Uuid) -> (Uuid, Last)) -> Result<()> {
    for id in ids {
        let (actor, last) = of(id);
        match writer.run(actor, move |tx| Box::pin(end(tx, last))).await {
            Err(error) if error.code() != "not_found" => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

async fn end(tx: &mut Tx, last: Last) -> Result<()> {
    match last {
        Last::Post(id) => feed::delete_post(tx, &RowRef { id }).await.map(drop),
        Last::Follow(user_id) => people::unfollow(tx, &UserRef { user_id }).await.map(drop),
        Last::File(id) => attachments::delete(tx, &RowRef { id }).await.map(drop),
        Last::Room(id) => workspaces::leave_for_good(tx, id).await,
        Last::Course(id) => courses::leave_for_good(tx, id).await,
        Last::Comment(id) => feed::delete_comment(tx, &RowRef { id }).await.map(drop),
        Last::Like(post_id) => feed::likes::unlike(tx, &PostRef { post_id }).await.map(drop),
        Last::Notification(by) => notifications::forget(tx, by).await,
        Last::Block(user_id) => people::unblock(tx, &UserRef { user_id }).await.map(drop),
    }
}

async fn finish(tx: &mut Tx, person: Uuid) -> Result<()> {
    let (public, private) = (Channel::Profile(person), Channel::User(person));
    tx.lock(&[public, private]).await?;
    if !sql::left(tx.conn(), person).await?.is_nothing() {
        return Err(Error::changed_meanwhile());
    }
    sql::empty_channels(tx.conn(), &[public, private]).await?;
    if sql::delete_user(tx.conn(), person).await? {
        tx.emit(public, Event::ProfileDeleted(Deleted { id: person }));
    }
    Ok(())
}

/// What an event of `profile:` does besides being sent: nobody can subscribe to somebody who is gone.
pub fn effects(event: &LogEvent) -> Vec<Effect> {
    match &*event.name {
        "profile.deleted" => vec![Effect::RemoveAll(studyhall_protocol::error::Unsubscribed::ERASED)],
        _ => Vec::new(),
    }
}
