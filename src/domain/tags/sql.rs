//! Every statement about the tags of people. Case is the database's business: it knows more letters.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::tags::TaggedPerson;
use uuid::Uuid;

use super::TAGS_MAX;
use crate::domain::page::Rows;
use crate::error::Result;

/// Adds a tag; false when the person has it, or as many as allowed.
pub async fn insert(db: &mut PgConnection, person: Uuid, tag: &str) -> Result<bool> {
    let made = sqlx::query!(
        "insert into user_tags (user_id, tag)
         select $1::uuid, $2::text where (select count(*) from user_tags t where t.user_id = $1) < $3
         on conflict do nothing",
        person,
        tag,
        TAGS_MAX,
    );
    Ok(made.execute(db).await?.rows_affected() == 1)
}

/// Whether the person has it, in whatever case.
pub async fn has(db: &mut PgConnection, person: Uuid, tag: &str) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from user_tags where user_id = $1 and lower(tag) = lower($2::text)) as "found!""#,
        person,
        tag,
    );
    Ok(found.fetch_one(db).await?)
}

/// Takes a tag away; whether there was one.
pub async fn delete(db: &mut PgConnection, person: Uuid, tag: &str) -> Result<bool> {
    let gone = sqlx::query!("delete from user_tags where user_id = $1 and lower(tag) = lower($2::text)", person, tag);
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// How many people have a tag and how many posts carry it.
#[derive(Debug)]
pub struct Counts {
    /// People.
    pub people: i64,
    /// Posts.
    pub posts: i64,
}

/// How many there are of whom no block parts the viewer, up to `most`: a tag that everybody has is no long work.
pub async fn counts(db: impl PgExecutor<'_>, viewer: Uuid, tag: &str, most: i64) -> Result<Counts> {
    let counts = sqlx::query_as!(
        Counts,
        r#"with parted as materialized (
             select b.id from parted_from($1) b (id)
         )
         select
             (select count(*) from (
                 select from user_tags t
                 where lower(t.tag) = lower($2::text) and not exists (select from parted b where b.id = t.user_id)
                 limit $3) c) as "people!",
             (select count(*) from (
                 select from post_tags t
                 cross join lateral (select p.user_id from posts p where p.id = t.post_id limit 1) p
                 where lower(t.tag) = lower($2) and not exists (select from parted b where b.id = p.user_id)
                 limit $3) c) as "posts!""#,
        viewer,
        tag,
        most,
    );
    Ok(counts.fetch_one(db).await?)
}

/// The people who have a tag and whom no block parts from the viewer, newest first. `after` are the columns of the last row
/// of the page before; one row more than `limit` is read.
pub async fn people(
    db: impl PgExecutor<'_>,
    viewer: Uuid,
    tag: &str,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Rows<TaggedPerson>> {
    let rows = sqlx::query_as!(
        Rows::<TaggedPerson>,
        r#"with parted as materialized (
             select b.id from parted_from($1) b (id)
         ), page as materialized (
             select t.user_id, t.tag, t.created_at from user_tags t
             where lower(t.tag) = lower($2::text) and (t.created_at, t.user_id) < (coalesce($3::timestamptz, 'infinity'),
                     coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                 and not exists (select from parted b where b.id = t.user_id)
             order by t.created_at desc, t.user_id desc
             limit $5::bigint + 1
         ), channels as (
             select 'profile:' || g.user_id as name from page g order by g.created_at desc, g.user_id desc limit $5
         )
         select
             (select coalesce(json_agg(r order by r.created_at desc, r.user_id desc), '[]') from (
                 select g.*, (select json_build_object('id', u.id, 'username', u.username, 'full_name', u.full_name,
                     'profile_image_url', u.profile_image_url) from users u where u.id = g.user_id) as "user"
                 from page g) r) as "items!: Json<Vec<TaggedPerson>>",
             (select coalesce(json_agg(json_build_object('channel', c.name, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = c.name), 0), 'epoch', e.epoch)
                 order by c.name), '[]')
              from channels c cross join log_epoch e) as "positions!: Json<Vec<Position>>""#,
        viewer,
        tag,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
    );
    Ok(rows.fetch_one(db).await?)
}
