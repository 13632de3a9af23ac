//! Statements about single posts.

use sqlx::PgConnection;
use sqlx::types::Json;
use studyhall_protocol::posts::{NewMedia, NewPost, Post, PostPatch};
use uuid::Uuid;

use crate::error::{Error, Result};

/// The author of a post; `None` when it is gone, or a block parts the viewer from its author.
pub async fn author_for(db: &mut PgConnection, viewer: Uuid, post_id: Uuid) -> Result<Option<Uuid>> {
    let author = sqlx::query_scalar!(
        "select p.user_id from posts p where p.id = $2 and not are_blocked($1, p.user_id)",
        viewer,
        post_id,
    );
    Ok(author.fetch_optional(db).await?)
}

/// Makes a post with its tags and media, and counts it.
///
/// Its time is that of the lock and not of the transaction's begin, so that an author's posts have the order of their
/// events and no page finds a new one between two older ones.
pub async fn insert_post(
    db: &mut PgConnection,
    author: Uuid,
    id: Uuid,
    new: &NewPost,
    tags: &[String],
) -> Result<Post> {
    let post = sqlx::query_scalar!(
        r#"with made as (
             insert into posts
                 (id, user_id, content, book_title, study_duration, subject, image_url, created_at, updated_at)
             select $1, $2, $3, $4, $5, $6, $7, t.at, t.at from (select clock_timestamp() as at) t
             returning *
         ), tagged as (
             insert into post_tags (post_id, tag) select m.id, t from made m cross join unnest($8::text[]) t
             returning tag
         ), shown as (
             insert into post_media (post_id, media_type, url, order_index, metadata)
             select m.id, i.media_type, i.url, i.place, coalesce(i.metadata, '{}')
             from made m cross join rows from
                 (jsonb_to_recordset($9) as (media_type text, url text, metadata jsonb))
                 with ordinality i (media_type, url, metadata, place)
             returning id, media_type, url, order_index, metadata
         ), counted as (
             update users set posts_count = posts_count + 1 where id = $2
         )
         select to_json(r) as "post!: Json<Post>" from (
             select m.*, array(select t.tag from tagged t order by lower(t.tag), t.tag) as tags,
                 (select coalesce(json_agg(s order by s.order_index), '[]') from shown s) as media
             from made m) r"#,
        id,
        author,
        new.content,
        new.book_title as _,
        new.study_duration as _,
        new.subject as _,
        new.image_url as _,
        tags,
        Json(&new.media) as _,
    );
    Ok(post.fetch_one(db).await?.0)
}

/// One post.
pub async fn post(db: &mut PgConnection, id: Uuid) -> Result<Option<Post>> {
    let post = sqlx::query_scalar!(
        r#"select to_json(r) as "post!: Json<Post>" from (
             select p.*,
                 array(select t.tag from post_tags t where t.post_id = p.id order by lower(t.tag), t.tag) as tags,
                 (select coalesce(json_agg(i order by i.order_index, i.id), '[]')
                  from post_media i where i.post_id = p.id) as media
             from posts p where p.id = $1) r"#,
        id,
    );
    Ok(post.fetch_optional(db).await?.map(|post| post.0))
}

/// Changes a post; `tags` and `media` replace what was there, if they are given. False when nothing would change.
pub async fn patch_post(
    db: &mut PgConnection,
    patch: &PostPatch,
    tags: Option<&[String]>,
    media: Option<&[NewMedia]>,
) -> Result<bool> {
    // `updated_at` is named because tags and media alone change no other column.
    let changed = sqlx::query_scalar!(
        r#"with changed as (
             update posts p set updated_at = clock_timestamp(), (content, book_title, study_duration, subject, image_url) =
                 (select n.content, n.book_title, n.study_duration, n.subject, n.image_url
                  from jsonb_populate_record(p, $2) n)
             where p.id = $1
                 and ($3::text[] is not null or $4::jsonb is not null or p is distinct from jsonb_populate_record(p, $2))
             returning p.id
         ), untagged as (
             delete from post_tags t using changed c where t.post_id = c.id and t.tag <> all($3)
         ), tagged as (
             insert into post_tags (post_id, tag) select c.id, t from changed c cross join unnest($3) t
             on conflict do nothing
         ), hidden as (
             delete from post_media i using changed c where i.post_id = c.id and $4 is not null
         ), shown as (
             insert into post_media (post_id, media_type, url, order_index, metadata)
             select c.id, i.media_type, i.url, i.place, coalesce(i.metadata, '{}')
             from changed c cross join rows from
                 (jsonb_to_recordset($4) as (media_type text, url text, metadata jsonb))
                 with ordinality i (media_type, url, metadata, place)
         )
         select count(*) as "count!" from changed"#,
        patch.id,
        Json(fields(patch)?) as _,
        tags as _,
        media.map(Json) as _,
    );
    Ok(changed.fetch_one(db).await? == 1)
}

/// The part of a patch that is columns of `posts`.
fn fields(patch: &PostPatch) -> Result<serde_json::Value> {
    let mut fields = serde_json::to_value(patch).map_err(Error::internal)?;
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("tags");
        fields.remove("media");
    }
    Ok(fields)
}

/// Deletes a post, by the foreign keys with all that is about it, and counts it no longer; whether there was one.
pub async fn delete_post(db: &mut PgConnection, author: Uuid, id: Uuid) -> Result<bool> {
    // A count that is wrong already must not keep a post from being deleted; `studyhall verify` finds it.
    let gone = sqlx::query_scalar!(
        r#"with gone as (
             delete from posts where id = $2 and user_id = $1 returning user_id
         ), counted as (
             update users u set posts_count = greatest(u.posts_count - 1, 0) from gone g where u.id = g.user_id
         )
         select count(*) as "count!" from gone"#,
        author,
        id,
    );
    Ok(gone.fetch_one(db).await? == 1)
}
