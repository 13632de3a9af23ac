//! Every statement about credentials and sign-ins. Those that write take the connection of a transaction.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::accounts::SignIn;
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use crate::db::position;
use crate::error::Result;

/// What is needed to check a password.
pub struct Credential {
    /// The person.
    pub user_id: Uuid,
    /// As they write it.
    pub username: String,
    /// Of the password in force.
    pub password_hash: String,
    /// The account is disabled.
    pub disabled: bool,
}

/// A sign-in to be made.
pub struct NewSignIn {
    /// Its id.
    pub id: Uuid,
    /// The person.
    pub user_id: Uuid,
    /// Of the token.
    pub token_hash: [u8; 32],
    /// How long it lasts.
    pub days: i32,
}

/// A token's sign-in with what a connection needs to know of the person.
pub(super) struct Authenticated {
    /// Which of the tokens, from 1.
    pub(super) number: i64,
    pub(super) session_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) expired: bool,
    pub(super) ended: bool,
    pub(super) username: String,
    pub(super) full_name: Option<String>,
    pub(super) profile_image_url: Option<String>,
}

/// Whose tokens these are; those that nobody knows are left out.
pub(super) async fn select_by_tokens(db: impl PgExecutor<'_>, hashes: &[[u8; 32]]) -> Result<Vec<Authenticated>> {
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.to_vec()).collect();
    let found = sqlx::query_as!(
        Authenticated,
        r#"
        select t.number as "number!", s.id as session_id, s.user_id, s.expires_at, u.username, u.full_name,
               u.profile_image_url,
               coalesce(s.end_reason = 'expired', false) or (s.ended_at is null and s.expires_at <= now()) as "expired!",
               s.ended_at is not null or c.disabled_at is not null as "ended!"
        -- Not shown to the planner, or it would plan anew for every array.
        from unnest((select $1::bytea[])) with ordinality t (hash, number)
        join sign_ins s on s.token_hash = t.hash
        join users u on u.id = s.user_id
        join credentials c on c.user_id = s.user_id"#,
        &hashes
    )
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// The credential of a name, in any case.
pub async fn select_credential_by_name(db: impl PgExecutor<'_>, name: &str) -> Result<Option<Credential>> {
    let found = sqlx::query_as!(
        Credential,
        r#"
        select c.user_id, u.username, c.password_hash, c.disabled_at is not null as "disabled!"
        from users u join credentials c on c.user_id = u.id
        where lower(u.username) = lower($1)"#,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// The credential of a person.
pub async fn select_credential_by_id(db: impl PgExecutor<'_>, user_id: Uuid) -> Result<Option<Credential>> {
    let found = sqlx::query_as!(
        Credential,
        r#"
        select c.user_id, u.username, c.password_hash, c.disabled_at is not null as "disabled!"
        from users u join credentials c on c.user_id = u.id
        where u.id = $1"#,
        user_id
    )
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// Stores a new account's password.
pub async fn insert_credentials(conn: &mut PgConnection, user_id: Uuid, password_hash: &str) -> Result<()> {
    sqlx::query!("insert into credentials (user_id, password_hash) values ($1, $2)", user_id, password_hash)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes the password away, unless it is not the one any more that was checked. False then.
pub async fn delete_credentials(conn: &mut PgConnection, user_id: Uuid, checked: &str) -> Result<bool> {
    let gone = sqlx::query!("delete from credentials where user_id = $1 and password_hash = $2", user_id, checked);
    Ok(gone.execute(conn).await?.rows_affected() == 1)
}

/// Replaces the password, unless it is not the one any more that was checked. False then.
pub async fn update_password(conn: &mut PgConnection, user_id: Uuid, checked: &str, new: &str) -> Result<bool> {
    let updated = sqlx::query!(
        "update credentials set password_hash = $3 where user_id = $1 and password_hash = $2",
        user_id,
        checked,
        new
    )
    .execute(conn)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Makes a sign-in and returns when it ends; `None` if the password that was checked is not in force any more or the
/// account was disabled meanwhile.
pub async fn insert_sign_in(
    conn: &mut PgConnection,
    new: &NewSignIn,
    checked_hash: &str,
) -> Result<Option<DateTime<Utc>>> {
    let expires_at = sqlx::query_scalar!(
        "insert into sign_ins (id, user_id, token_hash, expires_at)
         select $1, c.user_id, $3, now() + make_interval(days => $4)
         from credentials c
         where c.user_id = $2 and c.password_hash = $5 and c.disabled_at is null
         returning expires_at",
        new.id,
        new.user_id,
        &new.token_hash[..],
        new.days,
        checked_hash
    )
    .fetch_optional(conn)
    .await?;
    Ok(expires_at)
}

/// Ends one live sign-in of this person. False if there is none of that id.
pub async fn end_sign_in(conn: &mut PgConnection, user_id: Uuid, id: Uuid, reason: &str) -> Result<bool> {
    let ended = sqlx::query!(
        "update sign_ins set ended_at = now(), end_reason = $3
         where id = $2 and user_id = $1 and ended_at is null and expires_at > now()",
        user_id,
        id,
        reason
    )
    .execute(conn)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends every live sign-in of this person but `keep`, and names them.
pub async fn end_other_sign_ins(
    conn: &mut PgConnection,
    user_id: Uuid,
    keep: Option<Uuid>,
    reason: &str,
) -> Result<Vec<Uuid>> {
    let ended = sqlx::query_scalar!(
        "update sign_ins set ended_at = now(), end_reason = $3
         where user_id = $1 and id is distinct from $2 and ended_at is null and expires_at > now()
         returning id",
        user_id,
        keep,
        reason
    )
    .fetch_all(conn)
    .await?;
    Ok(ended)
}

/// The live sign-ins of a person, newest first, after the given one; and where `user:<id>` stands in the same snapshot.
pub async fn select_sign_ins(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    current: Uuid,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<(Vec<SignIn>, Vec<Position>)> {
    let (after_at, after_id) = after.unzip();
    let channel = Channel::User(user_id);
    let rows = sqlx::query!(
        r#"
        select coalesce(h.head, 0) as "head!", p.epoch as "epoch!", s.id as "id?", s.created_at as "created_at?",
               s.expires_at as "expires_at?"
        from log_epoch p
        left join channel_heads h on h.channel = $2
        left join lateral (
            select * from sign_ins s
            where s.user_id = $1 and s.ended_at is null and s.expires_at > now()
                and ($3::timestamptz is null or (s.created_at, s.id) < ($3, $4::uuid))
            order by s.created_at desc, s.id desc limit $5
        ) s on true
        order by s.created_at desc, s.id desc"#,
        user_id,
        channel.to_string(),
        after_at,
        after_id,
        limit
    )
    .fetch_all(db)
    .await?;
    let mut positions = Vec::new();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        if positions.is_empty() {
            positions.push(position(channel, row.head, row.epoch)?);
        }
        if let (Some(id), Some(created_at), Some(expires_at)) = (row.id, row.created_at, row.expires_at) {
            found.push(SignIn { id, created_at, expires_at, current: id == current });
        }
    }
    Ok((found, positions))
}

/// How many failures this name has in its window, and the seconds until that is over.
pub(super) async fn select_failures(db: impl PgExecutor<'_>, account: &str, window_s: f64) -> Result<(i32, f64)> {
    let found = sqlx::query!(
        r#"
        select failures,
               extract(epoch from window_started_at + make_interval(secs => $2) - now())::float8 as "left!"
        from sign_in_attempts where account = $1 and window_started_at > now() - make_interval(secs => $2)"#,
        account,
        window_s
    )
    .fetch_optional(db)
    .await?;
    Ok(found.map_or((0, 0.0), |row| (row.failures, row.left)))
}

/// One more failure; a window that is over begins anew.
pub(super) async fn count_failure(db: impl PgExecutor<'_>, account: &str, window_s: f64) -> Result<()> {
    sqlx::query!(
        "insert into sign_in_attempts as a (account, failures) values ($1, 1)
         on conflict (account) do update set
             failures = case when a.window_started_at > now() - make_interval(secs => $2)
                 then a.failures + 1 else 1 end,
             window_started_at = case when a.window_started_at > now() - make_interval(secs => $2)
                 then a.window_started_at else now() end",
        account,
        window_s
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The right password: what failed before does not matter any more.
pub(super) async fn delete_failures(conn: &mut PgConnection, account: &str) -> Result<()> {
    sqlx::query!("delete from sign_in_attempts where account = $1", account).execute(conn).await?;
    Ok(())
}
