//! Every statement about follows and blocks. Those that write are run under the locks of both people's channels.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::accounts::Me;
use studyhall_protocol::social::{Block, BlockPerson, Follow, FollowPerson, FollowRef};
use uuid::Uuid;

use super::{BLOCKS_MAX, FOLLOWING_MAX};
use crate::domain::page::Rows;
use crate::error::Result;

/// Where a page of people goes on: since when, and who.
pub type After = Option<(DateTime<Utc>, Uuid)>;

/// Whether `other` exists and no block parts the two.
pub async fn is_findable(db: &mut PgConnection, me: Uuid, other: Uuid) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from users u where u.id = $2) and not are_blocked($1, $2) as "found!""#,
        me,
        other,
    );
    Ok(found.fetch_one(db).await?)
}

/// Whether `other` exists and has not blocked `me`.
pub async fn is_blockable(db: &mut PgConnection, me: Uuid, other: Uuid) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from users u where u.id = $2)
             and not exists (select from blocks b where b.blocker_id = $2 and b.blocked_id = $1) as "found!""#,
        me,
        other,
    );
    Ok(found.fetch_one(db).await?)
}

/// Makes a follow and counts it; `None` when any condition of `user.follow` is not met, or it is there already.
pub async fn insert_follow(db: &mut PgConnection, me: Uuid, other: Uuid) -> Result<Option<(Follow, Vec<Me>)>> {
    let row = sqlx::query!(
        r#"with follow as (
             insert into follows (follower_id, followee_id)
             select m.id, o.id from users m join users o on o.id = $2
             where m.id = $1 and m.following_count < $3::bigint and not are_blocked(m.id, o.id)
             on conflict do nothing
             returning follower_id, followee_id, created_at
         ), counted as (
             update users u
             set following_count = u.following_count + (u.id = f.follower_id)::integer,
                 followers_count = u.followers_count + (u.id = f.followee_id)::integer
             from follow f where u.id in (f.follower_id, f.followee_id)
             returning u.*, tags_of(u.id) as tags
         )
         select to_json(f) as "follow!: Json<Follow>",
             (select json_agg(c order by c.id = $1 desc) from counted c) as "people!: Json<Vec<Me>>"
         from follow f"#,
        me,
        other,
        FOLLOWING_MAX,
    );
    Ok(row.fetch_optional(db).await?.map(|row| (row.follow.0, row.people.0)))
}

/// A follow that is there.
pub async fn select_follow(db: &mut PgConnection, me: Uuid, other: Uuid) -> Result<Option<Follow>> {
    let follow = sqlx::query_as!(
        Follow,
        "select follower_id, followee_id, created_at from follows where follower_id = $1 and followee_id = $2",
        me,
        other,
    );
    Ok(follow.fetch_optional(db).await?)
}

/// Ends the follow of `me`, with `both` also the one the other way round, and counts: what ended, and those whose
/// counters changed.
pub async fn delete_follows(
    db: &mut PgConnection,
    me: Uuid,
    other: Uuid,
    both: bool,
) -> Result<(Vec<FollowRef>, Vec<Me>)> {
    let row = sqlx::query!(
        r#"with gone as (
             delete from follows f
             where (f.follower_id = $1 and f.followee_id = $2)
                 or ($3 and f.follower_id = $2 and f.followee_id = $1)
             returning f.follower_id, f.followee_id
         ), counted as (
             update users u
             set following_count = u.following_count - n.following, followers_count = u.followers_count - n.followers
             from (
                 select p.id, count(*) filter (where g.follower_id = p.id)::integer as following,
                     count(*) filter (where g.followee_id = p.id)::integer as followers
                 from gone g join unnest(array[$1, $2]) p (id) on p.id in (g.follower_id, g.followee_id)
                 group by p.id) n
             where u.id = n.id
             returning u.*, tags_of(u.id) as tags
         )
         select (select coalesce(json_agg(g order by g.follower_id = $1 desc), '[]') from gone g)
                 as "gone!: Json<Vec<FollowRef>>",
             (select coalesce(json_agg(c order by c.id = $1 desc), '[]') from counted c)
                 as "people!: Json<Vec<Me>>""#,
        me,
        other,
        both,
    );
    let row = row.fetch_one(db).await?;
    Ok((row.gone.0, row.people.0))
}

/// Makes a block; `None` when any condition of `user.block` is not met, or it is there already.
pub async fn insert_block(db: &mut PgConnection, me: Uuid, other: Uuid) -> Result<Option<Block>> {
    let block = sqlx::query_as!(
        Block,
        "insert into blocks (blocker_id, blocked_id)
         select $1, o.id from users o
         where o.id = $2 and not are_blocked($1, o.id)
             and (select count(*) from blocks b where b.blocker_id = $1) < $3
         on conflict do nothing
         returning blocker_id, blocked_id, created_at",
        me,
        other,
        BLOCKS_MAX,
    );
    Ok(block.fetch_optional(db).await?)
}

/// A block that is there.
pub async fn select_block(db: &mut PgConnection, me: Uuid, other: Uuid) -> Result<Option<Block>> {
    let block = sqlx::query_as!(
        Block,
        "select blocker_id, blocked_id, created_at from blocks where blocker_id = $1 and blocked_id = $2",
        me,
        other,
    );
    Ok(block.fetch_optional(db).await?)
}

/// Ends a block; whether there was one.
pub async fn delete_block(db: &mut PgConnection, me: Uuid, other: Uuid) -> Result<bool> {
    let gone = sqlx::query!("delete from blocks where blocker_id = $1 and blocked_id = $2", me, other);
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// A page of follows, newest first. The first literal is the column of the people shown, the second that of the one whose
/// page it is. The bound on the time alone is what the index can begin at.
macro_rules! follows {
    ($shown:tt, $whose:tt, $me:expr, $person:expr, $after:expr, $limit:expr) => {
        sqlx::query_as!(
            Rows::<FollowPerson>,
            "select
                 (select coalesce(json_agg(p order by p.created_at desc, p."
                + $shown
                + r#" desc), '[]') from (
                     select f.*, json_build_object('id', u.id, 'username', u.username, 'full_name', u.full_name,
                         'profile_image_url', u.profile_image_url) as "user"
                     from follows f join users u on u.id = f."#
                + $shown
                + " where f."
                + $whose
                + " = o.id and u.id not in (select parted.id from parted_from($1) parted (id))
                         and f.created_at <= coalesce($3::timestamptz, 'infinity')
                         and ($3 is null or (f.created_at, f."
                + $shown
                + ") < ($3, $4))
                     order by f.created_at desc, f."
                + $shown
                + r#" desc
                     limit $5) p) as "items!: Json<Vec<FollowPerson>>",
                 (select json_build_array(json_build_object('channel', 'profile:' || o.id, 'offset',
                     coalesce((select h.head from channel_heads h where h.channel = 'profile:' || o.id), 0),
                     'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>"
             from users o
             where o.id = $2 and not are_blocked($1, o.id)"#,
            $me,
            $person,
            $after.map(|row| row.0) as _,
            $after.map(|row| row.1) as _,
            $limit,
        )
    };
}

/// Who follows `person`, newest first, without those whom a block parts from `me`; `None` when there is no such person
/// for `me`.
pub async fn followers_page(
    db: impl PgExecutor<'_>,
    me: Uuid,
    person: Uuid,
    after: After,
    limit: i64,
) -> Result<Option<Rows<FollowPerson>>> {
    let rows = follows!("follower_id", "followee_id", me, person, after, limit);
    Ok(rows.fetch_optional(db).await?)
}

/// Whom `person` follows; otherwise as [`followers_page`].
pub async fn following_page(
    db: impl PgExecutor<'_>,
    me: Uuid,
    person: Uuid,
    after: After,
    limit: i64,
) -> Result<Option<Rows<FollowPerson>>> {
    let rows = follows!("followee_id", "follower_id", me, person, after, limit);
    Ok(rows.fetch_optional(db).await?)
}

/// Whom `me` blocked, newest first, with the position of `user:<me>`.
pub async fn blocks_page(db: impl PgExecutor<'_>, me: Uuid, after: After, limit: i64) -> Result<Rows<BlockPerson>> {
    let rows = sqlx::query_as!(
        Rows::<BlockPerson>,
        r#"select
             (select coalesce(json_agg(p order by p.created_at desc, p.blocked_id desc), '[]') from (
                 select b.*, json_build_object('id', u.id, 'username', u.username, 'full_name', u.full_name,
                     'profile_image_url', u.profile_image_url) as "user"
                 from blocks b join users u on u.id = b.blocked_id
                 where b.blocker_id = $1 and ($2::timestamptz is null or (b.created_at, b.blocked_id) < ($2, $3))
                 order by b.created_at desc, b.blocked_id desc
                 limit $4) p) as "items!: Json<Vec<BlockPerson>>",
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>""#,
        me,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
    );
    Ok(rows.fetch_one(db).await?)
}
