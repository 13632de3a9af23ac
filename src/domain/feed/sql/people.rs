//! Pages of the people around a post: who said something, who likes it.

use sqlx::PgExecutor;
use sqlx::types::Json;
use studyhall_protocol::Position;
use studyhall_protocol::posts::{CommentPerson, Liker};
use uuid::Uuid;

use super::pages::Wanted;
use crate::domain::page::Rows;
use crate::error::Result;

/// As the pages of posts: `$1` is the viewer, `$2` and `$3` the row to go on after, `$4` the limit, `$5` the post. The
/// first literal selects the rows of the page, with whom they are of as `person_id`; the second is their order, the
/// third what an item has beside the person. No row when there is no such post for the viewer.
macro_rules! people {
    ($item:ident, $page:tt, $order:tt, $columns:tt, $wanted:expr, $post:expr) => {
        sqlx::query_as!(
            Rows::<$item>,
            "with parted as materialized (
                 select b.id from parted_from($1) b (id)
             ), post as (
                 select p.id, p.user_id from posts p
                 where p.id = $5 and not exists (select from parted b where b.id = p.user_id)
             ), page as materialized ("
                + $page
                + "
             ), shown as (
                 select g.person_id from page g order by "
                + $order
                + " limit $4
             ), channels as (
                 select 'profile:' || p.user_id as name from post p
                 union select 'profile:' || s.person_id from shown s
             )
             select
                 (select coalesce(json_agg(g order by "
                + $order
                + "), '[]') from (
                     select g.*, "
                + $columns
                + r#" from page g
                     cross join lateral (
                         select json_build_object('id', u.id, 'username', u.username, 'full_name', u.full_name,
                             'profile_image_url', u.profile_image_url) as person
                         from users u where u.id = g.person_id limit 1) u) g) as "items!: Json<Vec<_>>",
                 (select json_agg(json_build_object('channel', c.name, 'offset',
                     coalesce((select h.head from channel_heads h where h.channel = c.name), 0), 'epoch', e.epoch)
                     order by c.name)
                  from channels c cross join log_epoch e) as "positions!: Json<Vec<Position>>"
             from post"#,
            $wanted.viewer,
            $wanted.after.map(|row| row.0) as _,
            $wanted.after.map(|row| row.1) as _,
            $wanted.limit,
            $post,
        )
    };
}

/// What was said about a post, oldest first.
pub async fn comments(db: impl PgExecutor<'_>, wanted: Wanted, post: Uuid) -> Result<Option<Rows<CommentPerson>>> {
    let rows = people!(
        CommentPerson,
        "select c.*, c.author_id as person_id from post_comments c
         where c.post_id = $5 and (c.created_at, c.id) > (coalesce($2::timestamptz, '-infinity'),
                 coalesce($3::uuid, '00000000-0000-0000-0000-000000000000'))
             and not exists (select from parted b where b.id = c.author_id)
         order by c.created_at, c.id
         limit $4::bigint + 1",
        "g.created_at, g.id",
        "u.person as author",
        wanted,
        post
    );
    Ok(rows.fetch_optional(db).await?)
}

/// Who likes a post, the newest like first.
pub async fn likers(db: impl PgExecutor<'_>, wanted: Wanted, post: Uuid) -> Result<Option<Rows<Liker>>> {
    let rows = people!(
        Liker,
        "select l.created_at, l.user_id as person_id from post_likes l
         where l.post_id = $5 and (l.created_at, l.user_id) < (coalesce($2::timestamptz, 'infinity'),
                 coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
             and not exists (select from parted b where b.id = l.user_id)
         order by l.created_at desc, l.user_id desc
         limit $4::bigint + 1",
        "g.created_at desc, g.person_id desc",
        r#"u.person as "user""#,
        wanted,
        post
    );
    Ok(rows.fetch_optional(db).await?)
}
