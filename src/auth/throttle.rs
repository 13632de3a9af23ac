//! Slows down whoever guesses a password: per account name, for all nodes together, whether the name exists or not.

use sqlx::PgConnection;

use super::sql;
use crate::db::Db;
use crate::error::{Error, Result};

/// Failures that a name may have in a window.
const FAILURES_MAX: i32 = 10;
/// 15 minutes, in seconds.
const WINDOW_S: f64 = 900.0;

/// Counts failures.
#[derive(Clone)]
pub struct Throttle {
    db: Db,
}

impl Throttle {
    /// Counts in `db`.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// 429 with `Retry-After` when this name has failed too often. Asked while holding a turn to hash, so that not
    /// more guesses slip through at once than there are turns.
    pub async fn check(&self, username: &str) -> Result<()> {
        let (failures, left) = sql::select_failures(self.db.pool(), &account(username), WINDOW_S).await?;
        if failures < FAILURES_MAX {
            return Ok(());
        }
        // In range: at most the window.
        let seconds = left.ceil().clamp(1.0, WINDOW_S) as u32;
        let detail = format!("too many failed attempts for this name; try again in {seconds} s");
        Err(Error::too_many("too_many_attempts", detail, seconds))
    }

    /// Counts a wrong password.
    pub async fn failed(&self, username: &str) -> Result<()> {
        sql::count_failure(self.db.pool(), &account(username), WINDOW_S).await
    }
}

/// After the right password, in the transaction of the sign-in.
pub async fn forget_failures(conn: &mut PgConnection, username: &str) -> Result<()> {
    sql::delete_failures(conn, &account(username)).await
}

/// Names are compared without regard to case; no name of an account is longer.
fn account(username: &str) -> String {
    username.chars().take(60).collect::<String>().to_lowercase()
}
