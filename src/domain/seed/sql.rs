//! The statements of the demo world that no other domain has.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::Member;
use crate::auth::Token;
use crate::db::Db;
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

/// People without a password, each with a sign-in, and the rooms whose first member is among them.
pub(super) async fn insert_crowd(db: &Db, crowd: &[Member]) -> Result<()> {
    let ids: Vec<Uuid> = crowd.iter().map(|member| member.id).collect();
    let names: Vec<String> = crowd.iter().map(|member| format!("crowd-{}", member.id.simple())).collect();
    let hashes = crowd.iter().map(|member| Token::parse(&member.token).map(|token| token.hash().to_vec()));
    let hashes: Vec<Vec<u8>> = hashes.map(Option::unwrap_or_default).collect();
    let rooms: Vec<Option<Uuid>> = crowd.iter().map(|member| member.room).collect();
    sqlx::query!(
        "with crowd as materialized (
             select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[]) with ordinality c (id, name, hash, room, i)
         ), people as (
             insert into users (id, username, full_name, followers_count, following_count)
             select c.id, c.name, 'Crowd ' || c.i, $5, $5 from crowd c
         ), settings as (
             insert into user_settings (user_id) select c.id from crowd c
         ), presence as (
             insert into user_presence (user_id) select c.id from crowd c
         ), visibility as (
             insert into presence_settings (user_id) select c.id from crowd c
         ), passwords as (
             insert into credentials (user_id, password_hash) select c.id, 'none' from crowd c
         ), rooms as (
             insert into immersive_workspaces (id, user_id, name)
             select distinct on (c.room) c.room, c.id, 'Crowd' from crowd c where c.room is not null order by c.room, c.i
             on conflict do nothing
         )
         insert into sign_ins (user_id, token_hash, expires_at) select c.id, c.hash, now() + interval '30 days' from crowd c",
        &ids,
        &names,
        &hashes,
        &rooms as &[Option<Uuid>],
        crowd.first().map_or(0, |member| member.follows.len() as i32),
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Who of the crowd is in which room, and follows whom.
pub(super) async fn insert_crowd_ties(db: &Db, crowd: &[Member]) -> Result<()> {
    let (ids, rooms): (Vec<Uuid>, Vec<Option<Uuid>>) = crowd.iter().map(|member| (member.id, member.room)).unzip();
    let follows = crowd.iter().flat_map(|member| member.follows.iter().map(|other| (member.id, *other)));
    let (followers, followees): (Vec<Uuid>, Vec<Uuid>) = follows.unzip();
    sqlx::query!(
        "with members as (
             insert into workspace_members (workspace_id, user_id, role)
             select w.id, c.id, case when w.user_id = c.id then 'owner' else 'member' end
             from unnest($1::uuid[], $2::uuid[]) c (id, room) join immersive_workspaces w on w.id = c.room
         )
         insert into follows (follower_id, followee_id)
         select * from unnest($3::uuid[], $4::uuid[]) on conflict do nothing",
        &ids,
        &rooms as &[Option<Uuid>],
        &followers,
        &followees,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Has PostgreSQL look at its tables: until it does so by itself, a minute later, it takes them for as small as they were.
pub(super) async fn analyze(db: &Db) -> Result<()> {
    sqlx::query!("analyze").execute(db.pool()).await?;
    Ok(())
}
