//! The statements of the demo world that no other domain has.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
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
