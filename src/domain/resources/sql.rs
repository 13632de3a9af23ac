//! Every statement about resources. Each is limited to the owner in itself: what belongs to somebody else is zero rows.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::resources::{NewStudyResource, StudyResource, StudyResourcePatch};
use uuid::Uuid;

use super::RESOURCES_MAX;
use crate::domain::order::GAP;
use crate::domain::page::Rows;
use crate::error::Result;

/// Appends one; `None` when the person has as many as allowed.
///
/// The last possible index is given out again and again rather than overflow: `created_at` orders within it.
pub async fn insert(db: &mut PgConnection, owner: Uuid, new: &NewStudyResource) -> Result<Option<StudyResource>> {
    let row = sqlx::query_as!(
        StudyResource,
        "insert into study_resources (user_id, label, emoji, url, order_index)
         select $1::uuid, $2::text, $3::text, $4::text, least(coalesce(t.last, 0)::bigint + $5::integer, 2147483647)::integer
         from (select max(order_index) as last, count(*) as many from study_resources where user_id = $1) t
         where t.many < $6
         returning id, user_id, label, emoji, url, order_index, created_at, updated_at",
        owner,
        new.label,
        new.emoji as _,
        new.url as _,
        GAP,
        RESOURCES_MAX,
    );
    Ok(row.fetch_optional(db).await?)
}

/// Changes one; `None` when nothing would change, or there is no such resource.
pub async fn patch(db: &mut PgConnection, owner: Uuid, patch: &StudyResourcePatch) -> Result<Option<StudyResource>> {
    let row = sqlx::query_as!(
        StudyResource,
        "update study_resources t
         set (label, emoji, url) = (select p.label, p.emoji, p.url from jsonb_populate_record(t, $3) p)
         where t.id = $1 and t.user_id = $2 and t is distinct from jsonb_populate_record(t, $3)
         returning t.id, t.user_id, t.label, t.emoji, t.url, t.order_index, t.created_at, t.updated_at",
        patch.id,
        owner,
        Json(patch) as _,
    );
    Ok(row.fetch_optional(db).await?)
}

/// One resource.
pub async fn select(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<Option<StudyResource>> {
    let row = sqlx::query_as!(
        StudyResource,
        "select id, user_id, label, emoji, url, order_index, created_at, updated_at from study_resources where id = $1 and user_id = $2",
        id,
        owner,
    );
    Ok(row.fetch_optional(db).await?)
}

/// Deletes one; whether there was one.
pub async fn delete(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<bool> {
    let gone = sqlx::query!("delete from study_resources where id = $1 and user_id = $2", id, owner);
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// The whole list in its order: ids and indices.
pub async fn siblings(db: &mut PgConnection, owner: Uuid) -> Result<Vec<(Uuid, i32)>> {
    let rows = sqlx::query!(
        "select id, order_index from study_resources where user_id = $1 order by order_index, created_at, id",
        owner,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.id, row.order_index)).collect())
}

/// Gives rows their places.
pub async fn put(db: &mut PgConnection, owner: Uuid, places: &[(Uuid, i32)]) -> Result<Vec<StudyResource>> {
    let (ids, indices): (Vec<Uuid>, Vec<i32>) = places.iter().copied().unzip();
    let rows = sqlx::query_as!(
        StudyResource,
        "update study_resources t set order_index = p.place
         from unnest($2::uuid[], $3::integer[]) p (id, place)
         where t.id = p.id and t.user_id = $1
         returning t.id, t.user_id, t.label, t.emoji, t.url, t.order_index, t.created_at, t.updated_at",
        owner,
        &ids,
        &indices,
    );
    Ok(rows.fetch_all(db).await?)
}

/// A person's resources in their order; `after` are the columns of the last row of the page before.
pub async fn page(
    db: impl PgExecutor<'_>,
    owner: Uuid,
    after: Option<(i32, DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Rows<StudyResource>> {
    let rows = sqlx::query_as!(
        Rows::<StudyResource>,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(t), '[]') from (
                 select * from study_resources
                 where user_id = $1
                     and ($2::integer is null or (order_index, created_at, id) > ($2, $3::timestamptz, $4::uuid))
                 order by order_index, created_at, id
                 limit $5) t) as "items!: Json<Vec<StudyResource>>""#,
        owner,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        after.map(|row| row.2) as _,
        limit,
    );
    Ok(rows.fetch_one(db).await?)
}
