//! Every statement about courses. Those that write are run under the locks of all members' channels.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::courses::{Course, CoursePatch, NewCourse};
use uuid::Uuid;

use super::COURSES_MAX;
use crate::domain::page::Rows;
use crate::error::Result;

/// Makes a course and its owner's place in it; `None` when the person is in as many as allowed.
pub async fn insert_course(db: &mut PgConnection, owner: Uuid, new: &NewCourse) -> Result<Option<Course>> {
    let course = sqlx::query_as!(
        Course,
        r#"with made as (
             insert into courses (user_id, name, emoji)
             select $1::uuid, $2::text, $3::text
             where (select count(*) from course_members m where m.user_id = $1) < $4
             returning *
         ), owner as (
             insert into course_members (course_id, user_id, role) select m.id, m.user_id, 'owner' from made m
         )
         select id, user_id, name, emoji, array[user_id] as "member_ids!", created_at, updated_at from made"#,
        owner,
        new.name,
        new.emoji as _,
        COURSES_MAX,
    );
    Ok(course.fetch_optional(db).await?)
}

/// Who is in a course.
#[derive(Debug, PartialEq)]
pub struct Standing {
    /// Who made it.
    pub owner: Uuid,
    /// Everybody, the owner too.
    pub members: Vec<Uuid>,
}

/// Keeps others who want to change a course, or who is in it, waiting until the end of the transaction; what refers to it may
/// be written meanwhile. False when `person` is in no such course.
pub async fn hold(db: &mut PgConnection, person: Uuid, id: Uuid) -> Result<bool> {
    let held = sqlx::query!(
        "select c.id from courses c
         where c.id = $1 and exists (select from course_members m where m.course_id = c.id and m.user_id = $2)
         for no key update of c",
        id,
        person,
    );
    Ok(held.fetch_optional(db).await?.is_some())
}

/// Who is in a course that `person` is in; `None` when there is none.
pub async fn standing(db: &mut PgConnection, person: Uuid, id: Uuid) -> Result<Option<Standing>> {
    let standing = sqlx::query_as!(
        Standing,
        r#"select c.user_id as owner, course_member_ids(c.id) as "members!"
         from courses c
         join course_members m on m.course_id = c.id and m.user_id = $2
         where c.id = $1"#,
        id,
        person,
    );
    Ok(standing.fetch_optional(db).await?)
}

/// Makes a member the owner, and the owner a member.
pub async fn hand_over(db: &mut PgConnection, course_id: Uuid, heir: Uuid) -> Result<()> {
    sqlx::query!(
        "with members as (
             update course_members m set role = case when m.user_id = $2 then 'owner' else 'member' end
             where m.course_id = $1 and (m.user_id = $2 or m.role = 'owner')
         )
         update courses c set user_id = $2 where c.id = $1",
        course_id,
        heir,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether `person` exists and no block parts the two.
pub async fn is_findable(db: &mut PgConnection, actor: Uuid, person: Uuid) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from users u where u.id = $2) and not are_blocked($1, $2) as "found!""#,
        actor,
        person,
    );
    Ok(found.fetch_one(db).await?)
}

/// Changes a course; `None` when nothing would change, or there is no such course.
pub async fn patch_course(db: &mut PgConnection, patch: &CoursePatch) -> Result<Option<Course>> {
    let course = sqlx::query_as!(
        Course,
        r#"update courses c
         set (name, emoji) = (select p.name, p.emoji from jsonb_populate_record(c, $2) p)
         where c.id = $1 and c is distinct from jsonb_populate_record(c, $2)
         returning c.id, c.user_id, c.name, c.emoji, course_member_ids(c.id) as "member_ids!", c.created_at, c.updated_at"#,
        patch.id,
        Json(patch) as _,
    );
    Ok(course.fetch_optional(db).await?)
}

/// One course.
pub async fn course(db: &mut PgConnection, id: Uuid) -> Result<Option<Course>> {
    let course = sqlx::query_as!(
        Course,
        r#"select id, user_id, name, emoji, course_member_ids(id) as "member_ids!", created_at, updated_at
         from courses where id = $1"#,
        id,
    );
    Ok(course.fetch_optional(db).await?)
}

/// Deletes a course; whether there was one.
pub async fn delete_course(db: &mut PgConnection, id: Uuid) -> Result<bool> {
    let gone = sqlx::query!("delete from courses where id = $1", id);
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// Lets `person` in; false when they are not there for the actor, or are in as many courses as allowed.
pub async fn insert_member(db: &mut PgConnection, actor: Uuid, course_id: Uuid, person: Uuid) -> Result<bool> {
    let made = sqlx::query!(
        "insert into course_members (course_id, user_id, role)
         select $1::uuid, u.id, 'member' from users u
         where u.id = $2 and not are_blocked($3, u.id)
             and (select count(*) from course_members m where m.user_id = $2) < $4
         on conflict do nothing",
        course_id,
        person,
        actor,
        COURSES_MAX,
    );
    Ok(made.execute(db).await?.rows_affected() == 1)
}

/// Puts `person` out.
pub async fn delete_member(db: &mut PgConnection, course_id: Uuid, person: Uuid) -> Result<()> {
    let gone = sqlx::query!("delete from course_members where course_id = $1 and user_id = $2", course_id, person);
    gone.execute(db).await?;
    Ok(())
}

/// The courses that a person is in, oldest first; only `id`, if it is given. `after` are the columns of the last row of the
/// page before.
pub async fn page(
    db: impl PgExecutor<'_>,
    person: Uuid,
    id: Option<Uuid>,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Rows<Course>> {
    let rows = sqlx::query_as!(
        Rows::<Course>,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(r order by r.created_at, r.id), '[]') from (
                 select c.*, course_member_ids(c.id) as member_ids
                 from course_members m
                 cross join lateral (select c.* from courses c where c.id = m.course_id limit 1) c
                 where m.user_id = $1 and ($5::uuid is null or m.course_id = $5)
                     and ($2::timestamptz is null or (c.created_at, c.id) > ($2, $3::uuid))
                 order by c.created_at, c.id
                 limit $4) r) as "items!: Json<Vec<Course>>""#,
        person,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
        id as _,
    );
    Ok(rows.fetch_one(db).await?)
}
