//! Every statement about notifications. Those that write are run under the lock of the person's `profile:`.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::notifications::{Notification, NotificationsRead};
use uuid::Uuid;

use super::{Changes, PostNews};
use crate::domain::page::Rows;
use crate::error::Result;

/// What a statement wrote, in one row.
struct Row {
    made: Json<Vec<Notification>>,
    changed: Json<Vec<Notification>>,
    gone: Vec<Uuid>,
    many: i64,
}

impl From<Row> for Changes {
    fn from(row: Row) -> Self {
        Self { made: row.made.0, changed: row.changed.0, gone: row.gone, many: row.many }
    }
}

/// Adds likes or comments to what the author has not read of them, or begins anew; takes off what is over. Who is named
/// is the latest of those that are counted.
pub async fn about_posts(
    db: &mut PgConnection,
    author: Uuid,
    kind: &str,
    news: &[(Uuid, PostNews)],
) -> Result<Changes> {
    let (posts, gained): (Vec<Uuid>, Vec<i32>) = news.iter().map(|(post, news)| (*post, news.gained)).unzip();
    let actors: Vec<Option<Uuid>> = news.iter().map(|(_, news)| news.actor).collect();
    let comments: Vec<Option<Uuid>> = news.iter().map(|(_, news)| news.comment).collect();
    let since: Vec<Option<DateTime<Utc>>> = news.iter().map(|(_, news)| news.since).collect();
    let lost = news.iter().flat_map(|(post, news)| news.lost.iter().map(|at| (*post, *at)));
    let (lost_posts, lost_at): (Vec<Uuid>, Vec<DateTime<Utc>>) = lost.unzip();
    let row = sqlx::query_as!(
        Row,
        r#"with news as (
             select * from unnest($3::uuid[], $4::integer[], $5::uuid[], $6::uuid[], $7::timestamptz[])
                 as n (post_id, gained, actor_id, comment_id, since)
         ), lost as (
             select * from unnest($8::uuid[], $9::timestamptz[]) as l (post_id, at)
         ), old as (
             select n.id, n.post_id, n.created_at, w.gained, w.actor_id, w.comment_id,
                 greatest(w.gained, n.count + w.gained - (
                     select count(*) from lost l where l.post_id = n.post_id and l.at >= n.created_at))::integer as count
             from news w
             join notifications n
                 on n.user_id = $1 and n.kind = $2 and n.post_id = w.post_id and n.read_at is null
         ), gone as (
             delete from notifications n using old o where n.id = o.id and o.count = 0 returning n.id
         ), changed as (
             update notifications n
             set count = o.count,
                 actor_id = case when o.gained > 0 then o.actor_id else t.actor_id end,
                 comment_id = case when o.gained > 0 then o.comment_id else t.comment_id end
             from old o
             left join lateral (
                 (select l.user_id as actor_id, null::uuid as comment_id from post_likes l
                  where $2 = 'like' and o.gained = 0 and l.post_id = o.post_id and l.created_at >= o.created_at
                      and l.user_id <> $1 and not exists (select from parted_from($1) b (id) where b.id = l.user_id)
                  order by l.created_at desc, l.user_id desc limit 1)
                 union all
                 (select c.author_id, c.id from post_comments c
                  where $2 = 'comment' and o.gained = 0 and c.post_id = o.post_id and c.created_at >= o.created_at
                      and c.author_id <> $1 and not exists (select from parted_from($1) b (id) where b.id = c.author_id)
                  order by c.created_at desc, c.id desc limit 1)) t on true
             where n.id = o.id and o.count > 0 and (o.gained > 0 or o.count <> n.count)
             returning n.*
         ), made as (
             insert into notifications
                 (user_id, kind, actor_id, count, post_id, comment_id, created_at, updated_at)
             select $1, $2, w.actor_id, w.gained, w.post_id, w.comment_id, w.since, w.since
             from news w
             where w.gained > 0 and not exists (select from old o where o.post_id = w.post_id)
             returning *
         )
         select (select coalesce(json_agg(m), '[]') from made m) as "made!: Json<Vec<Notification>>",
             (select coalesce(json_agg(c), '[]') from changed c) as "changed!: Json<Vec<Notification>>",
             array(select g.id from gone g) as "gone!",
             (select count(*) from notifications n where n.user_id = $1) + (select count(*) from made) as "many!""#,
        author,
        kind,
        &posts,
        &gained,
        &actors as &[Option<Uuid>],
        &comments as &[Option<Uuid>],
        &since as &[Option<DateTime<Utc>>],
        &lost_posts,
        &lost_at,
    );
    Ok(row.fetch_one(db).await?.into())
}

/// Makes notifications of what does not collapse, one for each of `events`.
pub async fn insert(
    db: &mut PgConnection,
    person: Uuid,
    kind: &str,
    actor: Option<Uuid>,
    workspace_id: Option<Uuid>,
    events: &[Option<Uuid>],
) -> Result<Changes> {
    let row = sqlx::query_as!(
        Row,
        r#"with made as (
             insert into notifications
                 (user_id, kind, actor_id, workspace_id, calendar_event_id, created_at, updated_at)
             select $1, $2, $3, $4, n.event_id, n.at, n.at
             from (select e.event_id, clock_timestamp() as at
                   from unnest($5::uuid[]) with ordinality e (event_id, number) order by e.number) n
             returning *
         )
         select (select coalesce(json_agg(m order by m.updated_at), '[]') from made m)
                 as "made!: Json<Vec<Notification>>",
             '[]'::json as "changed!: Json<Vec<Notification>>", '{}'::uuid[] as "gone!",
             (select count(*) from notifications n where n.user_id = $1) + (select count(*) from made) as "many!""#,
        person,
        kind,
        actor as _,
        workspace_id as _,
        events as &[Option<Uuid>],
    );
    Ok(row.fetch_one(db).await?.into())
}

/// Takes away what only `other` caused, and names them nowhere else.
pub async fn part(db: &mut PgConnection, person: Uuid, other: Uuid) -> Result<Changes> {
    let row = sqlx::query_as!(
        Row,
        r#"with gone as (
             delete from notifications n where n.user_id = $1 and n.actor_id = $2 and n.count = 1 returning n.id
         ), changed as (
             update notifications n set actor_id = null, comment_id = null
             where n.user_id = $1 and n.actor_id = $2 and n.count > 1
             returning n.*
         )
         select '[]'::json as "made!: Json<Vec<Notification>>",
             (select coalesce(json_agg(c), '[]') from changed c) as "changed!: Json<Vec<Notification>>",
             array(select g.id from gone g) as "gone!", 0::bigint as "many!""#,
        person,
        other,
    );
    Ok(row.fetch_one(db).await?.into())
}

/// Deletes all but the newest `keep`; which.
pub async fn trim(db: &mut PgConnection, person: Uuid, keep: i64) -> Result<Vec<Uuid>> {
    let gone = sqlx::query_scalar!(
        "delete from notifications n
         where n.id in (select o.id from notifications o where o.user_id = $1
                        order by o.updated_at desc, o.id desc offset $2)
         returning n.id",
        person,
        keep,
    );
    Ok(gone.fetch_all(db).await?)
}

/// Takes back that `by` follows, if that was not read.
pub async fn delete_follow(db: &mut PgConnection, person: Uuid, by: Uuid) -> Result<Vec<Uuid>> {
    let gone = sqlx::query_scalar!(
        "delete from notifications where user_id = $1 and actor_id = $2 and kind = 'follow' and read_at is null
         returning id",
        person,
        by,
    );
    Ok(gone.fetch_all(db).await?)
}

/// Takes an invitation to a room away.
pub async fn delete_invitation(db: &mut PgConnection, person: Uuid, workspace_id: Uuid) -> Result<()> {
    let gone = sqlx::query!("delete from notifications where user_id = $1 and workspace_id = $2", person, workspace_id);
    gone.execute(db).await?;
    Ok(())
}

/// Takes away what is about a post; which.
pub async fn delete_about_post(db: &mut PgConnection, person: Uuid, post_id: Uuid) -> Result<Vec<Uuid>> {
    let gone = sqlx::query_scalar!(
        "delete from notifications where user_id = $1 and post_id = $2 returning id",
        person,
        post_id,
    );
    Ok(gone.fetch_all(db).await?)
}

/// Names a comment no longer where it was read of.
pub async fn forget_comment(db: &mut PgConnection, person: Uuid, comment_id: Uuid) -> Result<Vec<Notification>> {
    let changed = sqlx::query_scalar!(
        r#"with changed as (
             update notifications n set comment_id = null
             where n.user_id = $1 and n.comment_id = $2 and n.read_at is not null
             returning n.*
         )
         select to_json(c) as "notification!: Json<Notification>" from changed c"#,
        person,
        comment_id,
    );
    Ok(changed.fetch_all(db).await?.into_iter().map(|changed| changed.0).collect())
}

/// Whether the person has this one.
pub async fn is_there(db: &mut PgConnection, person: Uuid, id: Uuid) -> Result<bool> {
    let there = sqlx::query_scalar!(
        r#"select exists (select from notifications where id = $2 and user_id = $1) as "there!""#,
        person,
        id,
    );
    Ok(there.fetch_one(db).await?)
}

/// Marks as read: one, those up to a time, or all. Which were not yet, newest first, and how many are unread still.
pub async fn read(
    db: &mut PgConnection,
    person: Uuid,
    id: Option<Uuid>,
    up_to: Option<DateTime<Utc>>,
) -> Result<NotificationsRead> {
    let read = sqlx::query_as!(
        NotificationsRead,
        r#"with now as materialized (
             select clock_timestamp() as at
         ), read as (
             update notifications set read_at = n.at
             from now n
             where user_id = $1 and read_at is null and ($2::uuid is null or id = $2)
                 and ($3::timestamptz is null or updated_at <= $3)
             returning id, updated_at
         )
         select array(select r.id from read r order by r.updated_at desc, r.id desc) as "ids!", n.at as "read_at!",
             (select count(*) from notifications n where n.user_id = $1 and n.read_at is null)
                 - (select count(*) from read) as "unread_count!"
         from now n"#,
        person,
        id as _,
        up_to as _,
    );
    Ok(read.fetch_one(db).await?)
}

/// A person's notifications, newest first; `after` are the columns of the last row of the page before.
pub async fn page(
    db: impl PgExecutor<'_>,
    person: Uuid,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Rows<Notification>> {
    let rows = sqlx::query_as!(
        Rows::<Notification>,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(n), '[]') from (
                 select * from notifications
                 where user_id = $1 and ($2::timestamptz is null or (updated_at, id) < ($2, $3))
                 order by updated_at desc, id desc
                 limit $4) n) as "items!: Json<Vec<Notification>>""#,
        person,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
    );
    Ok(rows.fetch_one(db).await?)
}

/// How many a person has not read, with the position of their channel.
pub async fn unread(db: impl PgExecutor<'_>, person: Uuid) -> Result<(i64, Vec<Position>)> {
    let row = sqlx::query!(
        r#"select (select count(*) from notifications where user_id = $1 and read_at is null) as "unread!",
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>""#,
        person,
    );
    let row = row.fetch_one(db).await?;
    Ok((row.unread, row.positions.0))
}
