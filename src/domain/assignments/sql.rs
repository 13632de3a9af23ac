//! Every statement about assignments. Each is limited to the owner in itself: what belongs to somebody else is zero rows.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::assignments::{Assignment, AssignmentPatch, NewAssignment};
use uuid::Uuid;

use super::ASSIGNMENTS_MAX;
use crate::domain::page::Rows;
use crate::error::Result;

/// Makes one; `None` when the owner is not in that course, or has as many as allowed.
pub async fn insert(db: &mut PgConnection, owner: Uuid, new: &NewAssignment) -> Result<Option<Assignment>> {
    let assignment = sqlx::query_as!(
        Assignment,
        "insert into assignments (user_id, course_id, title, status, due_at, timeframe, notes)
         select $1::uuid, $2::uuid, $3::text, coalesce($4::text, 'Not started'), $5::date,
             timeframe_of($5, today_of($1)), $6::text
         where (select count(*) from assignments a where a.user_id = $1) < $7
             and ($2 is null or exists (select from course_members m where m.course_id = $2 and m.user_id = $1))
         returning id, user_id, course_id, title, status, due_at, timeframe, notes, created_at, updated_at",
        owner,
        new.course_id as _,
        new.title,
        new.status as _,
        new.due_at as _,
        new.notes as _,
        ASSIGNMENTS_MAX,
    );
    Ok(assignment.fetch_optional(db).await?)
}

/// Changes one; `None` when nothing would change, there is no such assignment, or the owner is not in that course.
pub async fn patch(db: &mut PgConnection, owner: Uuid, patch: &AssignmentPatch) -> Result<Option<Assignment>> {
    let assignment = sqlx::query_as!(
        Assignment,
        "update assignments a
         set (course_id, title, status, due_at, timeframe, notes) = (
             select p.course_id, p.title, p.status, p.due_at, timeframe_of(p.due_at, today_of(p.user_id)), p.notes
             from jsonb_populate_record(a, $3) p)
         where a.id = $1 and a.user_id = $2 and a is distinct from jsonb_populate_record(a, $3)
             and ($4::uuid is null or exists (select from course_members m where m.course_id = $4 and m.user_id = $2))
         returning a.id, a.user_id, a.course_id, a.title, a.status, a.due_at, a.timeframe, a.notes, a.created_at, a.updated_at",
        patch.id,
        owner,
        Json(patch) as _,
        patch.course_id.flatten() as _,
    );
    Ok(assignment.fetch_optional(db).await?)
}

/// One assignment.
pub async fn select(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<Option<Assignment>> {
    let assignment = sqlx::query_as!(
        Assignment,
        "select id, user_id, course_id, title, status, due_at, timeframe, notes, created_at, updated_at
         from assignments where id = $1 and user_id = $2",
        id,
        owner,
    );
    Ok(assignment.fetch_optional(db).await?)
}

/// Whether `person` is in that course.
pub async fn is_member(db: &mut PgConnection, person: Uuid, course_id: Uuid) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from course_members where course_id = $1 and user_id = $2) as "found!""#,
        course_id,
        person,
    );
    Ok(found.fetch_one(db).await?)
}

/// Deletes one; whether there was one.
pub async fn delete(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<bool> {
    let gone = sqlx::query!("delete from assignments where id = $1 and user_id = $2", id, owner);
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// Takes the assignments of these people out of a course.
pub async fn leave_course(db: &mut PgConnection, course_id: Uuid, people: &[Uuid]) -> Result<Vec<Assignment>> {
    let assignments = sqlx::query_as!(
        Assignment,
        "update assignments set course_id = null
         where course_id = $1 and user_id = any ($2)
         returning id, user_id, course_id, title, status, due_at, timeframe, notes, created_at, updated_at",
        course_id,
        people,
    );
    Ok(assignments.fetch_all(db).await?)
}

/// Puts a person's assignments into the timeframes of their today; those that were in another.
pub async fn follow_the_day(db: &mut PgConnection, owner: Uuid) -> Result<Vec<Assignment>> {
    let assignments = sqlx::query_as!(
        Assignment,
        "update assignments a set timeframe = timeframe_of(a.due_at, d.today)
         from (select today_of($1) as today) d
         where a.user_id = $1 and a.timeframe <> timeframe_of(a.due_at, d.today)
         returning a.id, a.user_id, a.course_id, a.title, a.status, a.due_at, a.timeframe, a.notes, a.created_at, a.updated_at",
        owner,
    );
    Ok(assignments.fetch_all(db).await?)
}

/// Looks a little later at what was looked at too early: a clock that was set back, a midnight that a time zone leaves out.
pub async fn put_off(db: &mut PgConnection, owner: Uuid) -> Result<()> {
    let put_off = sqlx::query!(
        "update assignment_turns t set turns_at = statement_timestamp() + interval '1 minute'
         from assignments a
         where a.user_id = $1 and t.assignment_id = a.id and t.turns_at <= statement_timestamp()",
        owner,
    );
    put_off.execute(db).await?;
    Ok(())
}

/// Whose assignments belong into another timeframe by now, those first that have been waiting the longest.
pub async fn whose_turn(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<Uuid>> {
    let people = sqlx::query_scalar!(
        "select a.user_id
         from (
             select t.assignment_id, t.turns_at from assignment_turns t
             where t.turns_at <= statement_timestamp()
             order by t.turns_at
             limit $1) t
         join assignments a on a.id = t.assignment_id
         group by a.user_id
         order by min(t.turns_at)",
        limit,
    );
    Ok(people.fetch_all(db).await?)
}

/// Which of a person's assignments; nothing: all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Only this one.
    pub id: Option<Uuid>,
    /// Only of this timeframe.
    pub timeframe: Option<&'static str>,
    /// Only of this course.
    pub course_id: Option<Uuid>,
}

/// A person's assignments, the next first, those without a day last; `after` are the columns of the last row of the page
/// before.
pub async fn page(
    db: impl PgExecutor<'_>,
    owner: Uuid,
    wanted: Wanted,
    after: Option<(Option<NaiveDate>, DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Rows<Assignment>> {
    let rows = sqlx::query_as!(
        Rows::<Assignment>,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(a), '[]') from (
                 select * from assignments
                 where user_id = $1 and ($6::uuid is null or id = $6) and ($7::text is null or timeframe = $7)
                     and ($8::uuid is null or course_id = $8)
                     and ($3::timestamptz is null or (coalesce(due_at, 'infinity'), created_at, id)
                         > (coalesce($2::date, 'infinity'), $3, $4::uuid))
                 order by coalesce(due_at, 'infinity'), created_at, id
                 limit $5) a) as "items!: Json<Vec<Assignment>>""#,
        owner,
        after.and_then(|row| row.0) as _,
        after.map(|row| row.1) as _,
        after.map(|row| row.2) as _,
        limit,
        wanted.id as _,
        wanted.timeframe as _,
        wanted.course_id as _,
    );
    Ok(rows.fetch_one(db).await?)
}
