//! Every statement about people.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use studyhall_protocol::accounts::{Me, User};
use uuid::Uuid;

use crate::error::Result;

/// A row of `users`, private columns included.
pub(super) struct UserRow {
    id: Uuid,
    email: Option<String>,
    username: String,
    full_name: Option<String>,
    bio: Option<String>,
    location: Option<String>,
    profile_image_url: Option<String>,
    banner_image_url: Option<String>,
    joined_at: NaiveDate,
    followers_count: i32,
    following_count: i32,
    posts_count: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<UserRow> for Me {
    fn from(row: UserRow) -> Self {
        let user = User {
            id: row.id,
            username: row.username,
            full_name: row.full_name,
            bio: row.bio,
            location: row.location,
            profile_image_url: row.profile_image_url,
            banner_image_url: row.banner_image_url,
            joined_at: row.joined_at,
            followers_count: row.followers_count,
            following_count: row.following_count,
            posts_count: row.posts_count,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        Me { user, email: row.email }
    }
}

/// Columns that the patch does not name keep their value; `null` clears.
pub(super) async fn update_user_row(conn: &mut PgConnection, me: Uuid, patch: &Value) -> Result<Option<Me>> {
    let row = sqlx::query_as!(
        UserRow,
        r#"
        update users u set (full_name, bio, location, profile_image_url, banner_image_url, email) = (
            select p.full_name, p.bio, p.location, p.profile_image_url, p.banner_image_url, p.email
            from jsonb_populate_record(u, $2) p
        )
        where u.id = $1
        returning u.id, u.email, u.username, u.full_name, u.bio, u.location, u.profile_image_url,
            u.banner_image_url, u.joined_at, u.followers_count, u.following_count, u.posts_count,
            u.created_at, u.updated_at"#,
        me,
        patch
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Me::from))
}
