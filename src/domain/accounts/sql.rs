//! Every statement about people.

use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::accounts::{Me, NewAccount, User};
use studyhall_protocol::social::UserView;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use crate::db::position;
use crate::error::Result;

/// A person out of any row with all columns of `users`.
macro_rules! user {
    ($row:expr) => {
        User {
            id: $row.id,
            username: $row.username,
            full_name: $row.full_name,
            bio: $row.bio,
            location: $row.location,
            profile_image_url: $row.profile_image_url,
            banner_image_url: $row.banner_image_url,
            joined_at: $row.joined_at,
            followers_count: $row.followers_count,
            following_count: $row.following_count,
            posts_count: $row.posts_count,
            tags: $row.tags,
            created_at: $row.created_at,
            updated_at: $row.updated_at,
        }
    };
}

/// Everything that a person has from the first moment on, but the password.
pub(super) async fn insert_user(conn: &mut PgConnection, id: Uuid, new: &NewAccount) -> Result<Me> {
    let row = sqlx::query!(
        r#"
        with u as (
            insert into users (id, username, email, full_name) values ($1, $2, $3, $4) returning *
        ), settings as (
            insert into user_settings (user_id) select u.id from u
        ), presence as (
            insert into user_presence (user_id) select u.id from u
        ), visibility as (
            insert into presence_settings (user_id) select u.id from u
        )
        select u.id, u.email, u.username, u.full_name, u.bio, u.location, u.profile_image_url, u.banner_image_url,
               u.joined_at, u.followers_count, u.following_count, u.posts_count, u.created_at, u.updated_at,
               array[]::text[] as "tags!"
        from u"#,
        id,
        new.username,
        new.email,
        new.full_name
    )
    .fetch_one(conn)
    .await?;
    Ok(Me { email: row.email, user: user!(row) })
}

/// Me, inside a transaction.
pub(super) async fn select_me(conn: &mut PgConnection, id: Uuid) -> Result<Option<Me>> {
    let row = sqlx::query!(
        r#"select u.id, u.email, u.username, u.full_name, u.bio, u.location, u.profile_image_url, u.banner_image_url,
                u.joined_at, u.followers_count, u.following_count, u.posts_count, u.created_at, u.updated_at,
                tags_of(u.id) as "tags!"
         from users u where u.id = $1"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Me { email: row.email, user: user!(row) }))
}

/// Me, with where `user:` and `profile:` stand.
pub(super) async fn select_me_with_positions(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<(Me, Vec<Position>)>> {
    let (private, public) = (Channel::User(id), Channel::Profile(id));
    let row = sqlx::query!(
        r#"
        select u.id, u.email, u.username, u.full_name, u.bio, u.location, u.profile_image_url, u.banner_image_url,
               u.joined_at, u.followers_count, u.following_count, u.posts_count, u.created_at, u.updated_at,
               tags_of(u.id) as "tags!", coalesce(private.head, 0) as "private_head!", coalesce(public.head, 0) as "public_head!",
               p.epoch as "epoch!"
        from users u
        cross join log_epoch p
        left join channel_heads private on private.channel = $2
        left join channel_heads public on public.channel = $3
        where u.id = $1"#,
        id,
        private.to_string(),
        public.to_string()
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let positions =
        vec![position(private, row.private_head, row.epoch.clone())?, position(public, row.public_head, row.epoch)?];
    Ok(Some((Me { email: row.email, user: user!(row) }, positions)))
}

/// Anybody whom no block parts from `me`, with where their `profile:` and my own channel stand.
pub(super) async fn select_user(
    db: impl PgExecutor<'_>,
    me: Uuid,
    id: Uuid,
) -> Result<Option<(UserView, Vec<Position>)>> {
    let (public, private) = (Channel::Profile(id), Channel::User(me));
    let row = sqlx::query!(
        r#"
        select u.id, u.username, u.full_name, u.bio, u.location, u.profile_image_url, u.banner_image_url,
               u.joined_at, u.followers_count, u.following_count, u.posts_count, u.created_at, u.updated_at,
               tags_of(u.id) as "tags!",
               exists (select from follows f where f.follower_id = $1 and f.followee_id = u.id) as "followed_by_me!",
               exists (select from follows f where f.follower_id = u.id and f.followee_id = $1) as "follows_me!",
               coalesce(public.head, 0) as "public_head!", coalesce(private.head, 0) as "private_head!",
               p.epoch as "epoch!"
        from users u
        cross join log_epoch p
        left join channel_heads public on public.channel = $3
        left join channel_heads private on private.channel = $4
        where u.id = $2 and not are_blocked($1, u.id)"#,
        me,
        id,
        public.to_string(),
        private.to_string()
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let positions =
        vec![position(public, row.public_head, row.epoch.clone())?, position(private, row.private_head, row.epoch)?];
    let (followed_by_me, follows_me) = (row.followed_by_me, row.follows_me);
    Ok(Some((UserView { user: user!(row), followed_by_me, follows_me }, positions)))
}

/// People whom no block parts from `me` and whose username or full name begins with `prefix`, in any case, by username.
/// `prefix` is a `like` pattern without its last `%`; `after` a username in lower case.
pub(super) async fn search_users(
    db: impl PgExecutor<'_>,
    me: Uuid,
    prefix: &str,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<(User, Position)>> {
    // The order of the index, whatever the database's locale is.
    let rows = sqlx::query!(
        r#"
        select u.id, u.username, u.full_name, u.bio, u.location, u.profile_image_url, u.banner_image_url,
               u.joined_at, u.followers_count, u.following_count, u.posts_count, u.created_at, u.updated_at,
               tags_of(u.id) as "tags!", coalesce(h.head, 0) as "head!", p.epoch as "epoch!"
        from users u
        cross join log_epoch p
        left join channel_heads h on h.channel = 'profile:' || u.id::text
        where (lower(u.username) like lower($1) || '%' or lower(u.full_name) like lower($1) || '%')
            and ($2::text is null or lower(u.username) ~>~ $2)
            and u.id not in (select parted.id from parted_from($4) parted (id))
        order by lower(u.username) using ~<~ limit $3"#,
        prefix,
        after,
        limit,
        me
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let position = position(Channel::Profile(row.id), row.head, row.epoch)?;
            Ok((user!(row), position))
        })
        .collect()
}

/// Columns that the patch does not name keep their value; `null` clears.
pub(super) async fn update_user_row(conn: &mut PgConnection, id: Uuid, patch: &Value) -> Result<Option<Me>> {
    let row = sqlx::query!(
        r#"update users u set (full_name, bio, location, profile_image_url, banner_image_url, email) = (
             select p.full_name, p.bio, p.location, p.profile_image_url, p.banner_image_url, p.email
             from jsonb_populate_record(u, $2) p
         )
         where u.id = $1
         returning u.id, u.email, u.username, u.full_name, u.bio, u.location, u.profile_image_url,
             u.banner_image_url, u.joined_at, u.followers_count, u.following_count, u.posts_count,
             u.created_at, u.updated_at, tags_of(u.id) as "tags!""#,
        id,
        patch
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Me { email: row.email, user: user!(row) }))
}
