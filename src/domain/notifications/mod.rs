//! Notifications: what others did that concerns somebody, and reminders that rang. They happen on `user:<person>`, told by
//! whichever command causes them.
//!
//! All notifications of a person are changed under the lock of their `profile:`, whatever for: likes of their posts are
//! done under it, many at once, before the `user:` channels are taken. So whoever changes any locks `profile:<person>`
//! and `user:<person>` together with everything else they need, or, in a batch of likes, raises `user:<person>` with the
//! others. The functions here write and say what is to be told; the caller tells it there.
//!
//! What goes with something else is not told by itself: an invitation with `membership.deleted`, a reminder with
//! `calendar_event.deleted`.

pub mod routes;
mod sql;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use studyhall_protocol::notifications::{Notification, NotificationsGone, NotificationsRead, ReadNotifications};
use studyhall_protocol::rest::RowRef;
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use crate::db::Tx;
use crate::error::{Error, Result};

/// Notifications of one person. The home page has them all; older ones are forgotten.
pub const NOTIFICATIONS_MAX: i64 = 100;

/// What collapses: everything of one kind about one post that was not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody likes a post.
    Like,
    /// Somebody said something about it.
    Comment,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Like => "like",
            Kind::Comment => "comment",
        }
    }
}

/// What likes, or comments, of a post came to. Those of its author are no news.
#[derive(Debug, Default)]
pub struct PostNews {
    /// How many are new.
    pub gained: i32,
    /// Whose is the latest of them.
    pub actor: Option<Uuid>,
    /// Which comment that is.
    pub comment: Option<Uuid>,
    /// When the first of them was made.
    pub since: Option<DateTime<Utc>>,
    /// When those were made that are over: one that was read of already lowers nothing.
    pub lost: Vec<DateTime<Utc>>,
}

/// Tells the author of posts what became of likes or comments, each post once.
pub async fn about_posts(
    db: &mut PgConnection,
    author: Uuid,
    kind: Kind,
    news: &[(Uuid, PostNews)],
) -> Result<Vec<Event>> {
    if news.is_empty() {
        return Ok(Vec::new());
    }
    let changes = sql::about_posts(&mut *db, author, kind.as_str(), news).await?;
    told(db, author, changes).await
}

/// Tells somebody of a new follower.
pub async fn followed(db: &mut PgConnection, person: Uuid, by: Uuid) -> Result<Vec<Event>> {
    let changes = sql::insert(&mut *db, person, "follow", Some(by), None, &[None]).await?;
    told(db, person, changes).await
}

/// Takes that back, unless it was read.
pub async fn unfollowed(db: &mut PgConnection, person: Uuid, by: Uuid) -> Result<Vec<Event>> {
    Ok(gone(sql::delete_follow(db, person, by).await?))
}

/// Tells somebody that they were let into a room.
pub async fn invited(db: &mut PgConnection, person: Uuid, by: Uuid, workspace_id: Uuid) -> Result<Vec<Event>> {
    let changes = sql::insert(&mut *db, person, "invitation", Some(by), Some(workspace_id), &[None]).await?;
    told(db, person, changes).await
}

/// Takes an invitation away, read or not; `membership.deleted` tells of it.
pub async fn left(db: &mut PgConnection, person: Uuid, workspace_id: Uuid) -> Result<()> {
    sql::delete_invitation(db, person, workspace_id).await
}

/// Tells somebody what they wanted to be reminded of, in this order.
pub async fn reminded(db: &mut PgConnection, person: Uuid, events: &[Uuid]) -> Result<Vec<Event>> {
    let events: Vec<Option<Uuid>> = events.iter().copied().map(Some).collect();
    let changes = sql::insert(&mut *db, person, "reminder", None, None, &events).await?;
    told(db, person, changes).await
}

/// Takes away what `other` alone caused for `person`, and names them nowhere else: when a block parts the two, and when
/// `other` is erased.
pub async fn parted(db: &mut PgConnection, person: Uuid, other: Uuid) -> Result<Vec<Event>> {
    let changes = sql::part(&mut *db, person, other).await?;
    told(db, person, changes).await
}

/// Takes away what `other` alone caused for the actor: they are being erased.
pub async fn forget(tx: &mut Tx, other: Uuid) -> Result<()> {
    let me = tx.actor();
    tx.lock(&[Channel::Profile(me), Channel::User(me)]).await?;
    for event in parted(tx.conn(), me, other).await? {
        tx.emit(Channel::User(me), event);
    }
    Ok(())
}

/// Takes away what is about a post of the person. Before it is deleted.
pub async fn post_goes(db: &mut PgConnection, person: Uuid, post_id: Uuid) -> Result<Vec<Event>> {
    Ok(gone(sql::delete_about_post(db, person, post_id).await?))
}

/// Names a comment no longer where it was read of. Before it is deleted; for those that were not, see [`about_posts`].
pub async fn comment_goes(db: &mut PgConnection, person: Uuid, comment_id: Uuid) -> Result<Vec<Event>> {
    let changed = sql::forget_comment(db, person, comment_id).await?;
    Ok(changed.into_iter().map(Event::NotificationUpdated).collect())
}

/// Marks one as read.
pub async fn read_one(tx: &mut Tx, one: &RowRef) -> Result<NotificationsRead> {
    let read = read(tx, Some(one.id), None).await?;
    if read.ids.is_empty() {
        let owner = tx.actor();
        if !sql::is_there(tx.conn(), owner, one.id).await? {
            return Err(Error::not_found());
        }
    }
    Ok(read)
}

/// Marks all as read, or those of a time.
pub async fn read_all(tx: &mut Tx, which: &ReadNotifications) -> Result<NotificationsRead> {
    read(tx, None, which.up_to).await
}

async fn read(tx: &mut Tx, id: Option<Uuid>, up_to: Option<DateTime<Utc>>) -> Result<NotificationsRead> {
    let owner = tx.actor();
    let mine = Channel::User(owner);
    tx.lock(&[Channel::Profile(owner), mine]).await?;
    let read = sql::read(tx.conn(), owner, id, up_to).await?;
    if !read.ids.is_empty() {
        tx.emit(mine, Event::NotificationsRead(read.clone()));
    }
    Ok(read)
}

/// What a statement wrote.
#[derive(Debug)]
struct Changes {
    made: Vec<Notification>,
    changed: Vec<Notification>,
    gone: Vec<Uuid>,
    /// At most so many does the person have now.
    many: i64,
}

/// The events for what was written, and for what has to go because there is too much.
async fn told(db: &mut PgConnection, person: Uuid, changes: Changes) -> Result<Vec<Event>> {
    let mut all_gone = changes.gone;
    if changes.many > NOTIFICATIONS_MAX {
        all_gone.extend(sql::trim(db, person, NOTIFICATIONS_MAX).await?);
    }
    let made = changes.made.into_iter().map(Event::NotificationCreated);
    let changed = changes.changed.into_iter().map(Event::NotificationUpdated);
    Ok(made.chain(changed).chain(gone(all_gone)).collect())
}

fn gone(ids: Vec<Uuid>) -> Vec<Event> {
    if ids.is_empty() { Vec::new() } else { vec![Event::NotificationDeleted(NotificationsGone { ids })] }
}
