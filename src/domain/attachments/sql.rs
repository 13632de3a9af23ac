//! Every statement about files.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::attachments::{Attachment, AttachmentLink, ParentKind};
use uuid::Uuid;

use super::sniff::Found;
use super::{FILES_MAX, ROOM_FILES_MAX};
use crate::error::{Error, Result};

/// A file on its way to becoming a row.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Where the store has it.
    pub key: String,
    /// For people.
    pub file_name: String,
    /// What is in it.
    pub found: Found,
    /// Bytes.
    pub size: i64,
    /// Of the bytes.
    pub sha256: [u8; 32],
}

/// Notes that an object may come into being, for whoever removes what nobody refers to. `false` when `bytes` more, or one
/// file more, would be too many: nothing is noted then.
pub async fn announce(
    db: &mut PgConnection,
    owner: Uuid,
    key: &str,
    bytes: i64,
    quota: i64,
    due_s: f64,
) -> Result<bool> {
    let noted = sqlx::query!(
        "insert into attachment_removals (storage_key, due_at)
         select $2::text, now() + make_interval(secs => $5)
         from (select count(*) as files, coalesce(sum(a.size_bytes), 0) as bytes from attachments a
               where a.user_id = $1) has
         where has.files < $6 and has.bytes + $3::bigint <= $4::bigint",
        owner,
        key,
        bytes,
        quota,
        due_s,
        FILES_MAX,
    );
    Ok(noted.execute(db).await?.rows_affected() == 1)
}

/// How many files somebody has, and their bytes.
pub async fn used(db: &mut PgConnection, owner: Uuid) -> Result<(i64, i64)> {
    let used = sqlx::query!(
        r#"select count(*) as "files!", coalesce(sum(size_bytes), 0)::bigint as "bytes!"
           from attachments where user_id = $1"#,
        owner,
    );
    let used = used.fetch_one(db).await?;
    Ok((used.files, used.bytes))
}

/// The uploaded object is wanted: it will not be removed. `false` when whoever removes has been quicker.
pub async fn keep(db: &mut PgConnection, key: &str) -> Result<bool> {
    let kept = sqlx::query!("delete from attachment_removals where storage_key = $1 and attempts = 0", key);
    Ok(kept.execute(db).await?.rows_affected() == 1)
}

/// Makes the row of a file; `None` when the person has as many files, or bytes, as they may. For whoever has their lock.
pub async fn insert(db: &mut PgConnection, owner: Uuid, new: &Arrived, quota: i64) -> Result<Option<Attachment>> {
    let file = sqlx::query_as!(
        Attachment,
        r#"insert into attachments
             (id, user_id, kind, file_name, content_type, size_bytes, width, height, storage_key, sha256)
         select $1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::bigint, $7::integer, $8::integer, $9::text, $10::bytea
         from (select count(*) as files, coalesce(sum(a.size_bytes), 0) as bytes from attachments a
               where a.user_id = $2) has
         where has.files < $12 and has.bytes + $6 <= $11::bigint
         returning id, user_id, kind, file_name, content_type, size_bytes, width, height,
             encode(sha256, 'hex') as "sha256!", post_id, calendar_event_id, workspace_id, profile_user_id, created_at"#,
        Uuid::now_v7(),
        owner,
        new.found.kind,
        new.file_name,
        new.found.content_type,
        new.size,
        new.found.width as _,
        new.found.height as _,
        new.key,
        &new.sha256[..],
        quota,
        FILES_MAX,
    );
    Ok(file.fetch_optional(db).await?)
}

/// Claims an operation id for this transaction. The answer of the upload that has it already, if there is one; 422
/// `op_reused` when it belongs to something else.
pub async fn claim(db: &mut PgConnection, owner: Uuid, op: Uuid, fingerprint: &[u8]) -> Result<Option<String>> {
    let claimed = sqlx::query!(
        "insert into operations (user_id, op, fingerprint) values ($1, $2, $3) on conflict do nothing",
        owner,
        op,
        fingerprint,
    );
    if claimed.execute(&mut *db).await?.rows_affected() == 1 {
        return Ok(None);
    }
    let before = sqlx::query!(
        "select fingerprint, answer::text as answer from operations where user_id = $1 and op = $2",
        owner,
        op,
    );
    let before = before.fetch_optional(db).await?;
    // Gone between the two statements: the sweep of old ids took it.
    let before = before.ok_or_else(|| Error::unavailable("busy", "try again"))?;
    match before.answer {
        Some(answer) if before.fingerprint == fingerprint => Ok(Some(answer)),
        _ => Err(Error::op_reused()),
    }
}

/// Keeps the answer for whoever asks again under the same operation id.
pub async fn remember(db: &mut PgConnection, owner: Uuid, op: Uuid, answer: &str) -> Result<()> {
    let kept = sqlx::query!(
        "update operations set answer = $3::text::json where user_id = $1 and op = $2",
        owner,
        op,
        answer,
    );
    kept.execute(db).await?;
    Ok(())
}

/// A file of `owner`.
pub async fn own(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<Option<Attachment>> {
    let file = sqlx::query_as!(
        Attachment,
        r#"select id as "id!", user_id as "user_id!", kind as "kind!", file_name as "file_name!",
             content_type as "content_type!", size_bytes as "size_bytes!", width, height, sha256 as "sha256!", post_id,
             calendar_event_id, workspace_id, profile_user_id, created_at as "created_at!"
         from shown_attachments where id = $1 and user_id = $2"#,
        id,
        owner,
    );
    Ok(file.fetch_optional(db).await?)
}

/// Gives a file its parent, or takes it away; `None` when the parent is none of the owner's, or a room that is full.
pub async fn link(db: &mut PgConnection, owner: Uuid, link: &AttachmentLink) -> Result<Option<Attachment>> {
    let file = sqlx::query_as!(
        Attachment,
        r#"update attachments a
         set post_id = $3, calendar_event_id = $4, workspace_id = $5, profile_user_id = case when $6 then a.user_id end
         where a.id = $1 and a.user_id = $2
             and ($3::uuid is null or exists (select from posts p where p.id = $3 and p.user_id = $2))
             and ($4::uuid is null or exists (select from calendar_events e where e.id = $4 and e.user_id = $2))
             and ($5::uuid is null or a.workspace_id = $5
                 and exists (select from workspace_members m where m.workspace_id = $5 and m.user_id = $2)
                 or exists (select from workspace_members m where m.workspace_id = $5 and m.user_id = $2)
                     and (select count(*) from attachments f where f.workspace_id = $5) < $7)
         returning id, user_id, kind, file_name, content_type, size_bytes, width, height,
             encode(sha256, 'hex') as "sha256!", post_id, calendar_event_id, workspace_id, profile_user_id, created_at"#,
        link.id,
        owner,
        link.parent_of(ParentKind::Post) as _,
        link.parent_of(ParentKind::CalendarEvent) as _,
        link.parent_of(ParentKind::Workspace) as _,
        link.parent == Some(ParentKind::Profile),
        ROOM_FILES_MAX,
    );
    Ok(file.fetch_optional(db).await?)
}

/// What keeps somebody from linking a file to a parent.
#[derive(Debug)]
pub struct Parent {
    /// There is none, or none that they may know of.
    pub unknown: bool,
    /// It is a room at which they only look.
    pub guest: bool,
}

/// What `person` is to the parent that `link` names; nothing stands in the way where it names none.
pub async fn parent(db: &mut PgConnection, person: Uuid, link: &AttachmentLink) -> Result<Parent> {
    let parent = sqlx::query_as!(
        Parent,
        r#"select
             $2::uuid is not null and not exists (select from posts p where p.id = $2 and p.user_id = $1)
                 or $3::uuid is not null
                     and not exists (select from calendar_events e where e.id = $3 and e.user_id = $1)
                 or $4::uuid is not null and not exists (
                     select from immersive_workspaces w
                     left join workspace_members m on m.workspace_id = w.id and m.user_id = $1
                     where w.id = $4 and (m.user_id is not null or w.settings @> '{"guests": true}'))
                 as "unknown!",
             $4::uuid is not null
                 and not exists (select from workspace_members m where m.workspace_id = $4 and m.user_id = $1)
                 as "guest!""#,
        person,
        link.parent_of(ParentKind::Post) as _,
        link.parent_of(ParentKind::CalendarEvent) as _,
        link.parent_of(ParentKind::Workspace) as _,
    );
    Ok(parent.fetch_one(db).await?)
}

/// Deletes a file.
pub async fn delete(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<()> {
    sqlx::query!("delete from attachments where id = $1 and user_id = $2", id, owner).execute(db).await?;
    Ok(())
}

/// A file and where it is, for somebody who may see it.
#[derive(Debug)]
pub struct Seen {
    /// The file.
    pub file: Json<Attachment>,
    /// Of the channel that tells whoever asks about it, if one does.
    pub positions: Json<Vec<Position>>,
    /// In the store.
    pub storage_key: String,
}

/// The one place that decides who may see a file: its owner; of a post or a profile everybody whom no block parts from the
/// owner; of a room whoever may see the room. `None` for everybody else.
pub async fn seen(db: impl PgExecutor<'_>, person: Uuid, id: Uuid) -> Result<Option<Seen>> {
    let seen = sqlx::query_as!(
        Seen,
        r#"select a.storage_key,
             (select to_json(f) from shown_attachments f where f.id = a.id) as "file!: Json<Attachment>",
             (select coalesce(json_agg(json_build_object('channel', c.channel, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = c.channel), 0), 'epoch', e.epoch)), '[]')
              from log_epoch e, lateral (
                  select 'user:' || a.user_id as channel where a.user_id = $2
                  union all
                  select 'workspace:' || a.workspace_id where a.user_id <> $2 and a.workspace_id is not null) c)
                 as "positions!: Json<Vec<Position>>"
         from attachments a
         where a.id = $1 and (
             a.user_id = $2
             or num_nonnulls(a.post_id, a.profile_user_id) > 0 and not are_blocked(a.user_id, $2)
             or exists (
                 select from immersive_workspaces w
                 left join workspace_members m on m.workspace_id = w.id and m.user_id = $2
                 where w.id = a.workspace_id and (m.user_id is not null or w.settings @> '{"guests": true}')))"#,
        id,
        person,
    );
    Ok(seen.fetch_optional(db).await?)
}

/// A page of somebody's files.
#[derive(Debug)]
pub struct PageRow {
    /// The newest first.
    pub items: Json<Vec<Attachment>>,
    /// Of `user:<owner>`.
    pub positions: Json<Vec<Position>>,
    /// Bytes of all their files.
    pub used_bytes: i64,
}

/// A person's files, newest first; `after` are the columns of the last row of the page before.
pub async fn page(
    db: impl PgExecutor<'_>,
    owner: Uuid,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<PageRow> {
    let page = sqlx::query_as!(
        PageRow,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(f), '[]') from (
                 select * from shown_attachments
                 where user_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3))
                 order by created_at desc, id desc
                 limit $4) f) as "items!: Json<Vec<Attachment>>",
             (select coalesce(sum(size_bytes), 0)::bigint from attachments where user_id = $1) as "used_bytes!""#,
        owner,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
    );
    Ok(page.fetch_one(db).await?)
}

/// Files that belong to nothing for so long, and whose they are; the oldest first.
pub async fn orphans(db: impl PgExecutor<'_>, hours: i32, limit: i64) -> Result<Vec<(Uuid, Uuid)>> {
    let found = sqlx::query!(
        "select id, user_id from attachments
         where num_nonnulls(post_id, calendar_event_id, workspace_id, profile_user_id) = 0
             and created_at < now() - make_interval(hours => $1)
         order by created_at limit $2",
        hours,
        limit,
    );
    let found = found.fetch_all(db).await?;
    Ok(found.into_iter().map(|row| (row.id, row.user_id)).collect())
}

/// Deletes a file that belongs to nothing for so long; whether there still was one. For whoever has the owner's lock.
pub async fn delete_orphan(db: &mut PgConnection, owner: Uuid, id: Uuid, hours: i32) -> Result<bool> {
    let gone = sqlx::query!(
        "delete from attachments
         where id = $1 and user_id = $2
             and num_nonnulls(post_id, calendar_event_id, workspace_id, profile_user_id) = 0
             and created_at < now() - make_interval(hours => $3)",
        id,
        owner,
        hours,
    );
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// Takes objects that are to be removed: nobody else gets them for `again_s` seconds, and then only if they are not done.
pub async fn take_removals(db: impl PgExecutor<'_>, limit: i64, again_s: f64) -> Result<Vec<String>> {
    let taken = sqlx::query_scalar!(
        "update attachment_removals r set attempts = r.attempts + 1, due_at = now() + make_interval(secs => $2)
         from (select storage_key from attachment_removals where due_at <= now()
               order by due_at limit $1 for update skip locked) due
         where r.storage_key = due.storage_key
         returning r.storage_key",
        limit,
        again_s,
    );
    Ok(taken.fetch_all(db).await?)
}

/// These objects are gone.
pub async fn forget_removals(db: impl PgExecutor<'_>, keys: &[String]) -> Result<()> {
    sqlx::query!("delete from attachment_removals where storage_key = any($1)", keys).execute(db).await?;
    Ok(())
}
