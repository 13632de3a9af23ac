//! Pages of posts. Each is one statement, so rows and positions are of one snapshot.
//!
//! They differ in which posts are on the page and share the rest, so the statement is put together here: sqlx reads
//! literals only.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgExecutor;
use sqlx::types::Json;
use studyhall_protocol::Position;
use studyhall_protocol::posts::FeedPost;
use uuid::Uuid;

use crate::domain::page::Rows;
use crate::error::Result;

/// A post and the time that the page is ordered by.
#[derive(Debug, Deserialize)]
pub struct Placed {
    /// When it was posted; when it was liked, in the page of those that somebody likes.
    pub at: DateTime<Utc>,
    /// The post.
    #[serde(flatten)]
    pub post: FeedPost,
}

/// Which page, for whom.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Who looks.
    pub viewer: Uuid,
    /// The last row of the page before.
    pub after: Option<(DateTime<Utc>, Uuid)>,
    /// Rows of the page; one more is read.
    pub limit: i64,
}

/// `$1` is the viewer, `$2` and `$3` the row to go on after, `$4` the limit, `$5` and more belong to the page.
///
/// The first literal selects `at`, `id` and `user_id` of the posts, one more than the limit, newest first; `parted` in
/// it are the people whom a block parts from the viewer. The second names channels beyond those of the viewer and of
/// the authors shown, the third what must be there for the page to be.
///
/// Everything beside the page itself is a subselect by key: whatever the planner expects of the limit, it looks up as
/// many people and channels as there are on the page, and reads no table from end to end.
macro_rules! posts {
    ($page:tt, $channels:tt, $there:tt, $wanted:expr $(, $more:expr)*) => {
        sqlx::query_as!(
            Rows::<Placed>,
            "with parted as materialized (
                 select b.id from parted_from($1) b (id)
             ), page as materialized ("
                + $page
                + r#"
             ), shown as (
                 select g.user_id from page g order by g.at desc, g.id desc limit $4
             ), channels as (
                 select 'user:' || $1::uuid as name
                 union select 'profile:' || s.user_id from shown s "#
                + $channels
                + r#"
             )
             select
                 (select coalesce(json_agg(r order by r.at desc, r.id desc), '[]') from (
                     select g.at, p.*,
                         array(select t.tag from post_tags t where t.post_id = p.id order by lower(t.tag), t.tag) as tags,
                         (select coalesce(json_agg(i order by i.order_index, i.id), '[]')
                          from post_media i where i.post_id = p.id) as media,
                         exists (select from post_likes l where l.post_id = p.id and l.user_id = $1) as liked_by_me,
                         (select json_build_object('id', u.id, 'username', u.username, 'full_name', u.full_name,
                             'profile_image_url', u.profile_image_url) from users u where u.id = p.user_id) as author
                     from page g
                     cross join lateral (select * from posts p where p.id = g.id limit 1) p) r) as "items!: Json<Vec<Placed>>",
                 (select json_agg(json_build_object('channel', c.name, 'offset',
                     coalesce((select h.head from channel_heads h where h.channel = c.name), 0), 'epoch', e.epoch)
                     order by c.name)
                  from channels c cross join log_epoch e) as "positions!: Json<Vec<Position>>" "#
                + $there,
            $wanted.viewer,
            $wanted.after.map(|row| row.0) as _,
            $wanted.after.map(|row| row.1) as _,
            $wanted.limit,
            $($more),*
        )
    };
}

/// The posts of the people whom the viewer follows, and the viewer's own.
///
/// A post among the newest `n` belongs to one of the `n` people whose newest posts are the newest; and of whoever is
/// in the `k`th place among them, at most `n - k` further ones can be among them. So the newest post of each followed
/// person is looked up, and then no more than a page's worth of posts, however many there are.
pub async fn home(db: impl PgExecutor<'_>, wanted: Wanted) -> Result<Rows<Placed>> {
    let rows = posts!(
        "select q.at, q.id, a.user_id
         from (
             select f.user_id, row_number() over (order by n.at desc, n.id desc) as place
             from (
                 select $1::uuid as user_id
                 union all
                 select f.followee_id from follows f
                 where f.follower_id = $1 and not exists (select from parted b where b.id = f.followee_id)
             ) f
             cross join lateral (
                 select p.created_at as at, p.id from posts p
                 where p.user_id = f.user_id and (p.created_at, p.id) < (coalesce($2::timestamptz, 'infinity'),
                     coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                 order by p.created_at desc, p.id desc
                 limit 1) n
             order by n.at desc, n.id desc
             limit $4::bigint + 1
         ) a
         cross join lateral (
             select p.created_at as at, p.id from posts p
             where p.user_id = a.user_id and (p.created_at, p.id) < (coalesce($2::timestamptz, 'infinity'),
                 coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
             order by p.created_at desc, p.id desc
             limit $4 + 2 - a.place) q
         order by q.at desc, q.id desc
         limit $4 + 1",
        // Who is not on the page yet may be the next to post: whoever goes on from the first page misses nobody. More
        // than that no connection subscribes to.
        "union select 'profile:' || $1::uuid where $2::timestamptz is null
         union select w.name from (
             select 'profile:' || f.followee_id as name from follows f
             where f.follower_id = $1 and $2::timestamptz is null
                 and not exists (select from parted b where b.id = f.followee_id)
             order by f.created_at desc, f.followee_id
             limit 500) w ",
        "",
        wanted
    );
    Ok(rows.fetch_one(db).await?)
}

/// Everybody's posts.
pub async fn explore(db: impl PgExecutor<'_>, wanted: Wanted) -> Result<Rows<Placed>> {
    let rows = posts!(
        "select p.created_at as at, p.id, p.user_id from posts p
         where (p.created_at, p.id) < (coalesce($2::timestamptz, 'infinity'),
                 coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
             and not exists (select from parted b where b.id = p.user_id)
         order by p.created_at desc, p.id desc
         limit $4::bigint + 1",
        "",
        "",
        wanted
    );
    Ok(rows.fetch_one(db).await?)
}

/// Everybody's posts about `subject`, in any case.
pub async fn explore_subject(db: impl PgExecutor<'_>, wanted: Wanted, subject: &str) -> Result<Rows<Placed>> {
    let rows = posts!(
        "select p.created_at as at, p.id, p.user_id from posts p
         where lower(p.subject) = lower($5::text) and (p.created_at, p.id) < (coalesce($2::timestamptz, 'infinity'),
                 coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
             and not exists (select from parted b where b.id = p.user_id)
         order by p.created_at desc, p.id desc
         limit $4::bigint + 1",
        "",
        "",
        wanted,
        subject
    );
    Ok(rows.fetch_one(db).await?)
}

/// Everybody's posts that carry `tag`, in any case, and are about `subject`, if one is given.
pub async fn explore_tag(
    db: impl PgExecutor<'_>,
    wanted: Wanted,
    tag: &str,
    subject: Option<&str>,
) -> Result<Rows<Placed>> {
    let rows = posts!(
        "select p.created_at as at, p.id, p.user_id from posts p
         where p.id in (select t.post_id from post_tags t where lower(t.tag) = lower($5::text))
             and ($6::text is null or lower(p.subject) = lower($6))
             and (p.created_at, p.id) < (coalesce($2::timestamptz, 'infinity'),
                 coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
             and not exists (select from parted b where b.id = p.user_id)
         order by p.created_at desc, p.id desc
         limit $4::bigint + 1",
        "",
        "",
        wanted,
        tag,
        subject as _
    );
    Ok(rows.fetch_one(db).await?)
}

/// One person's posts; `None` when there is no such person for the viewer.
pub async fn of_person(db: impl PgExecutor<'_>, wanted: Wanted, person: Uuid) -> Result<Option<Rows<Placed>>> {
    let rows = posts!(
        "select p.created_at as at, p.id, p.user_id from posts p
         where p.user_id = $5 and (p.created_at, p.id) < (coalesce($2::timestamptz, 'infinity'),
                 coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
         order by p.created_at desc, p.id desc
         limit $4::bigint + 1",
        "union select 'profile:' || $5::uuid",
        "from users u where u.id = $5 and not exists (select from parted b where b.id = u.id)",
        wanted,
        person
    );
    Ok(rows.fetch_optional(db).await?)
}

/// The posts that the viewer likes, the newest like first.
pub async fn liked(db: impl PgExecutor<'_>, wanted: Wanted) -> Result<Rows<Placed>> {
    let rows = posts!(
        "select l.created_at as at, l.post_id as id, p.user_id
         from post_likes l
         cross join lateral (select p.user_id from posts p where p.id = l.post_id limit 1) p
         where l.user_id = $1 and (l.created_at, l.post_id) < (coalesce($2::timestamptz, 'infinity'),
                 coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
             and not exists (select from parted b where b.id = p.user_id)
         order by l.created_at desc, l.post_id desc
         limit $4::bigint + 1",
        "",
        "",
        wanted
    );
    Ok(rows.fetch_one(db).await?)
}

/// One post as a page of one; `None` when there is no such post for the viewer.
pub async fn one(db: impl PgExecutor<'_>, viewer: Uuid, id: Uuid) -> Result<Option<Rows<Placed>>> {
    let wanted = Wanted { viewer, after: None, limit: 1 };
    let rows = posts!(
        "select p.created_at as at, p.id, p.user_id from posts p
         where p.id = $5 and $2::timestamptz is null and $3::uuid is null
         limit $4::bigint",
        "",
        "from posts p where p.id = $5 and not exists (select from parted b where b.id = p.user_id)",
        wanted,
        id
    );
    Ok(rows.fetch_optional(db).await?)
}
