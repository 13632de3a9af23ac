//! Whether what is kept twice agrees: cached counts with the rows they count, heads and floors with the log.
//!
//! Each look is one statement and so one snapshot, and whoever changes a count changes its rows in the same
//! transaction: people may write meanwhile. A repair counts again under the lock of whoever writes there, and tells the
//! open tabs.

mod sql;

use std::fmt;

use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::{accounts, feed};
use crate::db::{Db, Tx, Writer};
use crate::error::Result;

/// Where something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A post, and its author.
    Post(Uuid, Uuid),
    /// A person.
    Person(Uuid),
    /// A channel's log.
    Log(Channel),
}

/// One number that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub place: Place,
    /// Which number.
    pub field: &'static str,
    /// What it is.
    pub stored: i64,
    /// What it should be.
    pub counted: i64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Post(id, author) => write!(f, "post {id} of {author}")?,
            Place::Person(id) => write!(f, "person {id}")?,
            Place::Log(channel) => write!(f, "log of {channel}")?,
        }
        write!(f, ": {} is {} and should be {}", self.field, self.stored, self.counted)
    }
}

/// Everything that differs, posts first.
pub async fn differences(db: &Db) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    sql::posts(db, &mut found).await?;
    sql::people(db, &mut found).await?;
    sql::logs(db, &mut found).await?;
    Ok(found)
}

/// Counts again what differs; true when it was so still, and is right now. A log cannot be repaired: what is missing
/// in it is nowhere else.
pub async fn repair(writer: &Writer, place: Place) -> Result<bool> {
    match place {
        Place::Post(id, author) => {
            let work = writer.run(author, move |tx| Box::pin(repair_post(tx, author, id)));
            Ok(work.await?.data)
        }
        Place::Person(id) => Ok(writer.run(id, move |tx| Box::pin(repair_person(tx, id))).await?.data),
        Place::Log(_) => Ok(false),
    }
}

async fn repair_post(tx: &mut Tx, author: Uuid, id: Uuid) -> Result<bool> {
    let channel = Channel::Profile(author);
    tx.lock(&[channel]).await?;
    if !sql::recount_post(tx.conn(), id).await? {
        return Ok(false);
    }
    if let Some(post) = feed::read_post(tx, id).await? {
        tx.emit(channel, Event::PostUpdated(post));
    }
    Ok(true)
}

async fn repair_person(tx: &mut Tx, id: Uuid) -> Result<bool> {
    tx.lock(&[Channel::Profile(id), Channel::User(id)]).await?;
    if !sql::recount_person(tx.conn(), id).await? {
        return Ok(false);
    }
    let me = accounts::read_me(tx, id).await?;
    tx.emit(Channel::Profile(id), Event::ProfileUpdated(me.user.clone()));
    tx.emit(Channel::User(id), Event::UserUpdated(me));
    Ok(true)
}
