//! Every statement about the calendar and its reminders. Each is limited to the owner in itself: what belongs to
//! somebody else is zero rows.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::calendar::{CalendarEvent, NewCalendarEvent, NewReminder, Reminder};
use uuid::Uuid;

use super::{DAY_MAX, EVENTS_MAX, PENDING_MAX, REMINDERS_MAX};
use crate::domain::order::GAP;
use crate::domain::page::Rows;
use crate::error::Result;

/// Appends an event to its day; `None` when the day or the calendar is full.
pub async fn insert_event(db: &mut PgConnection, owner: Uuid, new: &NewCalendarEvent) -> Result<Option<CalendarEvent>> {
    let event = sqlx::query_scalar!(
        r#"with made as (
             insert into calendar_events
                 (user_id, event_date, title, notes, starts_at, ends_at, source, order_index)
             select $1::uuid, $2::date, $3::text, $4::text, $5::timestamptz, $6::timestamptz, $7::text,
                 least(coalesce(d.last, 0)::bigint + $8::integer, 2147483647)::integer
             from (select max(order_index) as last, count(*) as many
                   from calendar_events where user_id = $1 and event_date = $2) d
             where d.many < $9 and (select count(*) from calendar_events where user_id = $1) < $10
             returning *
         )
         select to_json(m) as "event!: Json<CalendarEvent>" from made m"#,
        owner,
        new.event_date,
        new.title as _,
        new.notes as _,
        new.starts_at as _,
        new.ends_at as _,
        new.source.unwrap_or_default().as_str(),
        GAP,
        DAY_MAX,
        EVENTS_MAX,
    );
    Ok(event.fetch_optional(db).await?.map(|event| event.0))
}

/// One event.
pub async fn event(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<Option<CalendarEvent>> {
    let event = sqlx::query_scalar!(
        r#"select to_json(e) as "event!: Json<CalendarEvent>"
           from calendar_events e where e.id = $1 and e.user_id = $2"#,
        id,
        owner,
    );
    Ok(event.fetch_optional(db).await?.map(|event| event.0))
}

/// Writes what an event says; on another day than before it goes to the end. `None` when that day is full.
pub async fn write_event(db: &mut PgConnection, owner: Uuid, event: &CalendarEvent) -> Result<Option<CalendarEvent>> {
    let event = sqlx::query_scalar!(
        r#"with changed as (
             update calendar_events e
             set event_date = $3, title = $4, notes = $5, starts_at = $6, ends_at = $7,
                 order_index = case when e.event_date = $3 then e.order_index
                     else least(coalesce(d.last, 0)::bigint + $8::integer, 2147483647)::integer end
             from (select max(order_index) as last, count(*) as many
                   from calendar_events where user_id = $2 and event_date = $3) d
             where e.id = $1 and e.user_id = $2 and (e.event_date = $3 or d.many < $9)
             returning e.*
         )
         select to_json(c) as "event!: Json<CalendarEvent>" from changed c"#,
        event.id,
        owner,
        event.event_date,
        event.title as _,
        event.notes as _,
        event.starts_at as _,
        event.ends_at as _,
        GAP,
        DAY_MAX,
    );
    Ok(event.fetch_optional(db).await?.map(|event| event.0))
}

/// Deletes an event, and by the foreign keys its reminders and notifications; whether there was one.
pub async fn delete_event(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<bool> {
    let gone = sqlx::query!("delete from calendar_events where id = $1 and user_id = $2", id, owner);
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// An event and, in their order, the ids and indices of a day: `date`, or the one that it is on.
pub async fn place(
    db: &mut PgConnection,
    owner: Uuid,
    id: Uuid,
    date: Option<NaiveDate>,
) -> Result<Option<(CalendarEvent, Vec<(Uuid, i32)>)>> {
    let place = sqlx::query!(
        r#"select to_json(e) as "event!: Json<CalendarEvent>",
             (select coalesce(json_agg(json_build_array(d.id, d.order_index)
                  order by d.order_index, d.created_at, d.id), '[]')
              from calendar_events d
              where d.user_id = $2 and d.event_date = coalesce($3, e.event_date)) as "day!: Json<Vec<(Uuid, i32)>>"
         from calendar_events e where e.id = $1 and e.user_id = $2"#,
        id,
        owner,
        date as _,
    );
    Ok(place.fetch_optional(db).await?.map(|place| (place.event.0, place.day.0)))
}

/// Puts an event into a day and gives rows of the day new indices. Returns all that were written.
pub async fn put(
    db: &mut PgConnection,
    owner: Uuid,
    id: Uuid,
    date: NaiveDate,
    indices: &[(Uuid, i32)],
) -> Result<Vec<CalendarEvent>> {
    let ids: Vec<Uuid> = indices.iter().map(|(id, _)| *id).collect();
    let indices: Vec<i32> = indices.iter().map(|(_, index)| *index).collect();
    let put = sqlx::query_scalar!(
        r#"with put as (
             update calendar_events e
             set order_index = w.order_index, event_date = case when e.id = $1 then $3 else e.event_date end
             from unnest($4::uuid[], $5::integer[]) as w (id, order_index)
             where e.id = w.id and e.user_id = $2
             returning e.*
         )
         select to_json(p) as "event!: Json<CalendarEvent>" from put p order by p.order_index"#,
        id,
        owner,
        date,
        &ids,
        &indices,
    );
    Ok(put.fetch_all(db).await?.into_iter().map(|event| event.0).collect())
}

/// Makes a reminder; `None` when there is no such event, it has as many as allowed, as many are pending as allowed, or
/// it is there already.
pub async fn insert_reminder(db: &mut PgConnection, owner: Uuid, new: &NewReminder) -> Result<Option<Reminder>> {
    let reminder = sqlx::query_as!(
        Reminder,
        "insert into calendar_event_reminders (event_id, user_id, remind_at)
         select e.id, e.user_id, $3
         from calendar_events e
         where e.id = $1 and e.user_id = $2
             and (select count(*) from calendar_event_reminders r where r.event_id = e.id) < $4
             and (select count(*) from calendar_event_reminders r where r.user_id = $2 and r.sent_at is null) < $5
         on conflict do nothing
         returning id, event_id, user_id, remind_at, delivery, sent_at, created_at, updated_at",
        new.event_id,
        owner,
        new.remind_at,
        REMINDERS_MAX,
        PENDING_MAX,
    );
    Ok(reminder.fetch_optional(db).await?)
}

/// The reminder of an event for this time, if it is there.
pub async fn same_reminder(db: &mut PgConnection, owner: Uuid, new: &NewReminder) -> Result<Option<Reminder>> {
    let reminder = sqlx::query_as!(
        Reminder,
        "select id, event_id, user_id, remind_at, delivery, sent_at, created_at, updated_at
         from calendar_event_reminders where event_id = $1 and user_id = $2 and remind_at = $3",
        new.event_id,
        owner,
        new.remind_at,
    );
    Ok(reminder.fetch_optional(db).await?)
}

/// Deletes a reminder; whether there was one.
pub async fn delete_reminder(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<bool> {
    let gone = sqlx::query!("delete from calendar_event_reminders where id = $1 and user_id = $2", id, owner);
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// Whose reminders are due, the longest overdue first, as far as the first `rows` reminders go.
pub async fn due_people(db: impl PgExecutor<'_>, rows: i64) -> Result<Vec<Uuid>> {
    let people = sqlx::query_scalar!(
        "select d.user_id
         from (select r.user_id, r.remind_at from calendar_event_reminders r
               where r.sent_at is null and r.remind_at <= now()
               order by r.remind_at
               limit $1) d
         group by d.user_id
         order by min(d.remind_at), d.user_id",
        rows,
    );
    Ok(people.fetch_all(db).await?)
}

/// Marks the due reminders of a person as sent, `limit` at most, and returns them in their order.
pub async fn send_due(db: &mut PgConnection, owner: Uuid, limit: i64) -> Result<Vec<Reminder>> {
    let sent = sqlx::query_as!(
        Reminder,
        r#"with due as (
             select r.id from calendar_event_reminders r
             where r.user_id = $1 and r.sent_at is null and r.remind_at <= now()
             order by r.remind_at, r.id
             limit $2
         ), sent as (
             update calendar_event_reminders r set sent_at = clock_timestamp()
             from due d where r.id = d.id and r.sent_at is null
             returning r.*
         )
         select id as "id!", event_id as "event_id!", user_id as "user_id!", remind_at as "remind_at!",
             delivery as "delivery!", sent_at, created_at as "created_at!", updated_at as "updated_at!"
         from sent order by remind_at, id"#,
        owner,
        limit,
    );
    Ok(sent.fetch_all(db).await?)
}

/// Columns of the last row of the page of the calendar before.
pub type After = Option<(NaiveDate, i32, DateTime<Utc>, Uuid)>;

/// A person's calendar between two days, by day and in the order of each.
pub async fn events_page(
    db: impl PgExecutor<'_>,
    owner: Uuid,
    (from, to): (Option<NaiveDate>, Option<NaiveDate>),
    after: After,
    limit: i64,
) -> Result<Rows<CalendarEvent>> {
    let rows = sqlx::query_as!(
        Rows::<CalendarEvent>,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(p), '[]') from (
                 select * from calendar_events
                 where user_id = $1 and event_date between coalesce($2::date, '-infinity') and coalesce($3::date, 'infinity')
                     and ($4::date is null
                         or (event_date, order_index, created_at, id) > ($4, $5::integer, $6::timestamptz, $7::uuid))
                 order by event_date, order_index, created_at, id
                 limit $8) p) as "items!: Json<Vec<CalendarEvent>>""#,
        owner,
        from as _,
        to as _,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        after.map(|row| row.2) as _,
        after.map(|row| row.3) as _,
        limit,
    );
    Ok(rows.fetch_one(db).await?)
}

/// One event, with the position of its owner's channel.
pub async fn event_now(
    db: impl PgExecutor<'_>,
    owner: Uuid,
    id: Uuid,
) -> Result<Option<(CalendarEvent, Vec<Position>)>> {
    let row = sqlx::query!(
        r#"select to_json(c) as "event!: Json<CalendarEvent>",
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>"
         from calendar_events c where c.id = $2 and c.user_id = $1"#,
        owner,
        id,
    );
    Ok(row.fetch_optional(db).await?.map(|row| (row.event.0, row.positions.0)))
}

/// The reminders of one event by their time; `None` when there is no such event.
pub async fn reminders_page(
    db: impl PgExecutor<'_>,
    owner: Uuid,
    event_id: Uuid,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Option<Rows<Reminder>>> {
    let rows = sqlx::query_as!(
        Rows::<Reminder>,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(r), '[]') from (
                 select * from calendar_event_reminders
                 where event_id = c.id and user_id = $1
                     and ($3::timestamptz is null or (remind_at, id) > ($3, $4))
                 order by remind_at, id
                 limit $5) r) as "items!: Json<Vec<Reminder>>"
         from calendar_events c
         where c.id = $2 and c.user_id = $1"#,
        owner,
        event_id,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
    );
    Ok(rows.fetch_optional(db).await?)
}
