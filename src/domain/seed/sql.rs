//! The statements of the demo world that no other domain has.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::error::Result;

/// Who has a username.
pub struct Holder {
    /// The person.
    pub id: Uuid,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
    /// Whether the operations of that time are still remembered for certain.
    pub recent: bool,
    /// Whether the password is the one that the account was made with.
    pub first_password: bool,
}

/// Whether nobody has an account.
pub async fn is_empty(db: impl PgExecutor<'_>) -> Result<bool> {
    Ok(sqlx::query_scalar!(r#"select not exists (select from users) as "empty!""#).fetch_one(db).await?)
}

/// Who has this username, in any case.
pub async fn holder(db: impl PgExecutor<'_>, username: &str) -> Result<Option<Holder>> {
    let holder = sqlx::query_as!(
        Holder,
        r#"select u.id, u.created_at, u.created_at > now() - interval '24 hours' as "recent!",
             exists (select from credentials c where c.user_id = u.id and c.updated_at = u.created_at)
                 as "first_password!"
         from users u where lower(u.username) = lower($1)"#,
        username,
    );
    Ok(holder.fetch_optional(db).await?)
}

/// Makes an account under a given id, without a password; whether the name was free.
pub async fn insert_person(db: &mut PgConnection, id: Uuid, username: &str) -> Result<bool> {
    let made = sqlx::query!(
        "insert into users (id, username) values ($1, $2) on conflict do nothing",
        id,
        username,
    );
    Ok(made.execute(db).await?.rows_affected() == 1)
}
