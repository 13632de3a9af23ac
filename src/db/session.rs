//! A transaction that never leaves anything behind on its connection.
//!
//! sqlx counts that a connection is inside a transaction only after the answer to BEGIN, so a `begin` that is dropped
//! while it waits for that answer gives the connection back inside a transaction that nobody ends; what the next
//! borrower writes there is answered "done" and is gone when the connection is closed. Here a connection goes back to
//! the pool only when PostgreSQL has said that its transaction is over. In every other case it is closed, which costs
//! nothing as long as nothing goes wrong.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};

use super::pools::within;

/// For the answer to BEGIN, COMMIT and ROLLBACK: a disk may be slow, but a connection may also be dead without a word.
const END_WITHIN: Duration = Duration::from_secs(8);

/// An open transaction. Dropped before its end, it is rolled back by closing its connection.
#[derive(Debug)]
pub struct Session {
    connection: PoolConnection<Postgres>,
    /// PostgreSQL has not said that it is over.
    open: bool,
}

impl Session {
    /// `statement` begins a transaction, and may set things for it.
    pub(super) async fn begin(pool: &PgPool, statement: &'static str) -> Result<Self, sqlx::Error> {
        let mut session = Self { connection: pool.acquire().await?, open: true };
        within(END_WITHIN, sqlx::raw_sql(statement).execute(&mut *session.connection)).await?;
        Ok(session)
    }

    /// Commits. An error that is not PostgreSQL's own means that nobody knows whether it did.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        within(END_WITHIN, self.end("COMMIT")).await
    }

    /// Undoes all of it.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        within(END_WITHIN, self.end("ROLLBACK")).await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(statement).execute(&mut *self.connection).await?;
        self.open = false;
        Ok(())
    }
}

/// PostgreSQL says nothing at all.
pub(super) fn silence() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "PostgreSQL does not answer"))
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.open {
            self.connection.close_on_drop();
        }
    }
}
