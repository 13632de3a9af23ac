//! A crowd for load tests: people who are signed in already, their rooms and whom they follow.
//!
//! Written as rows and not by commands, because ten thousand passwords would take minutes to hash: nobody of the crowd has
//! a password, and nothing of this is in any log. For databases that are thrown away.

use serde::Serialize;
use uuid::Uuid;

use super::sql;
use crate::auth::Token;
use crate::db::Db;
use crate::error::Result;

/// Rows in one statement.
const ROWS_AT_ONCE: usize = 5_000;

/// Who comes.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How many people.
    pub people: usize,
    /// People in each room, neighbours; 0 for no rooms.
    pub room: usize,
    /// How many neighbours on either side each person follows, and is followed by.
    pub follows: usize,
}

/// Somebody of the crowd.
#[derive(Debug, Serialize)]
pub struct Member {
    /// The person.
    pub id: Uuid,
    /// Of their one sign-in.
    pub token: String,
    /// Their room.
    pub room: Option<Uuid>,
    /// Whom they follow.
    pub follows: Vec<Uuid>,
}

/// Makes a crowd. Each call makes another one.
pub async fn make_crowd(db: &Db, wanted: Wanted) -> Result<Vec<Member>> {
    let ids: Vec<Uuid> = (0..wanted.people).map(|_| Uuid::now_v7()).collect();
    let mut crowd = Vec::with_capacity(ids.len());
    let mut room = None;
    for (number, id) in ids.iter().enumerate() {
        if wanted.room > 0 && number % wanted.room == 0 {
            room = Some(Uuid::now_v7());
        }
        let neighbours = (1..=wanted.follows.min(ids.len().saturating_sub(1) / 2))
            .flat_map(|step| [ids[(number + step) % ids.len()], ids[(number + ids.len() - step) % ids.len()]]);
        let (token, follows) = (Token::generate()?.secret().to_owned(), neighbours.collect());
        crowd.push(Member { id: *id, token, room, follows });
    }
    for some in crowd.chunks(ROWS_AT_ONCE) {
        sql::insert_crowd(db, some).await?;
    }
    // When all of them are there: follows and rooms reach across the parts.
    for some in crowd.chunks(ROWS_AT_ONCE) {
        sql::insert_crowd_ties(db, some).await?;
    }
    sql::analyze(db).await?;
    Ok(crowd)
}
