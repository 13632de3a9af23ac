//! Statements about single comments.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use studyhall_protocol::posts::{CommentChanged, CommentDeleted, CommentPatch, NewComment};
use uuid::Uuid;

use crate::error::Result;

/// Whose a comment is.
#[derive(Debug)]
pub struct Place {
    /// Who said it.
    pub author_id: Uuid,
    /// Whose post it is about.
    pub post_author_id: Uuid,
    /// When it was said.
    pub created_at: DateTime<Utc>,
}

/// Whose a comment is; `None` when it is gone, or a block parts the viewer from the author of the post. On their own
/// post people find every comment, also of somebody whom they have blocked since: it is theirs to delete.
pub async fn place_for(db: &mut PgConnection, viewer: Uuid, id: Uuid) -> Result<Option<Place>> {
    let place = sqlx::query_as!(
        Place,
        "select c.author_id, p.user_id as post_author_id, c.created_at
         from post_comments c join posts p on p.id = c.post_id
         where c.id = $2 and not are_blocked($1, p.user_id)
             and (p.user_id = $1 or not are_blocked($1, c.author_id))",
        viewer,
        id,
    );
    Ok(place.fetch_optional(db).await?)
}

/// Makes a comment and counts it; `None` when the post is gone or a block parts the two. Its time is that of the lock,
/// so that a page, oldest first, never skips one that was committed late.
pub async fn insert_comment(
    db: &mut PgConnection,
    actor: Uuid,
    post_author: Uuid,
    new: &NewComment,
) -> Result<Option<CommentChanged>> {
    let made = sqlx::query_scalar!(
        r#"with made as (
             insert into post_comments (id, post_id, author_id, body, created_at, updated_at)
             select $1, f.id, $2, $5, f.at, f.at
             from (select p.id, clock_timestamp() as at from posts p
                   where p.id = $4 and p.user_id = $3 and not are_blocked($2, $3)) f
             returning *
         ), counted as (
             update posts p set comment_count = p.comment_count + 1 from made m where p.id = m.post_id
             returning p.comment_count
         )
         select to_json(r) as "comment!: Json<CommentChanged>" from (select m.*, c.comment_count from made m, counted c) r"#,
        Uuid::now_v7(),
        actor,
        post_author,
        new.post_id,
        new.body,
    );
    Ok(made.fetch_optional(db).await?.map(|made| made.0))
}

/// Changes a comment; `None` when nothing would change, or it is gone.
pub async fn patch_comment(db: &mut PgConnection, patch: &CommentPatch) -> Result<Option<CommentChanged>> {
    let changed = sqlx::query_scalar!(
        r#"with changed as (
             update post_comments c set body = $2 where c.id = $1 and c.body <> $2 returning c.*
         )
         select to_json(r) as "comment!: Json<CommentChanged>" from (
             select c.*, p.comment_count from changed c join posts p on p.id = c.post_id) r"#,
        patch.id,
        patch.body,
    );
    Ok(changed.fetch_optional(db).await?.map(|changed| changed.0))
}

/// One comment.
pub async fn comment(db: &mut PgConnection, id: Uuid) -> Result<Option<CommentChanged>> {
    let comment = sqlx::query_scalar!(
        r#"select to_json(r) as "comment!: Json<CommentChanged>" from (
             select c.*, p.comment_count from post_comments c join posts p on p.id = c.post_id where c.id = $1) r"#,
        id,
    );
    Ok(comment.fetch_optional(db).await?.map(|comment| comment.0))
}

/// Deletes a comment and counts it no longer; `None` when it is gone.
pub async fn delete_comment(db: &mut PgConnection, id: Uuid) -> Result<Option<CommentDeleted>> {
    let deleted = sqlx::query_as!(
        CommentDeleted,
        "with gone as (
             delete from post_comments where id = $1 returning id, post_id
         )
         update posts p set comment_count = greatest(p.comment_count - 1, 0) from gone g where p.id = g.post_id
         returning g.id, g.post_id, p.comment_count",
        id,
    );
    Ok(deleted.fetch_optional(db).await?)
}
