//! Every statement about progress metrics. Each is limited to the owner in itself.

use chrono::NaiveDate;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::metrics::{MetricGone, MetricRecord, ProgressMetric};
use uuid::Uuid;

use super::{METRICS_MAX, SCOPES_MAX};
use crate::domain::page::Rows;
use crate::error::Result;

/// The day that it is for a person.
pub async fn today(db: &mut PgConnection, person: Uuid) -> Result<NaiveDate> {
    Ok(sqlx::query_scalar!(r#"select today_of($1) as "today!""#, person).fetch_one(db).await?)
}

/// Makes or replaces the one of a scope and day; `None` when it is the same, or the person has as many as allowed.
pub async fn record(
    db: &mut PgConnection,
    owner: Uuid,
    record: &MetricRecord,
    day: NaiveDate,
) -> Result<Option<ProgressMetric>> {
    let metric = sqlx::query_as!(
        ProgressMetric,
        "insert into progress_metrics as m (user_id, scope, value, target_value, captured_at)
         select $1::uuid, $2::text, $3::integer, case when $5::boolean then $4::integer else 100 end, $6::date
         where exists (select from progress_metrics o where o.user_id = $1 and o.scope = $2 and o.captured_at = $6)
             or ((select count(*) from progress_metrics o where o.user_id = $1) < $7
                 and (exists (select from progress_metrics o where o.user_id = $1 and o.scope = $2)
                     or (select count(*) from latest_metrics($1)) < $8))
         on conflict (user_id, scope, captured_at) do update
         set value = excluded.value,
             target_value = case when $5 then excluded.target_value else m.target_value end
         where m.value <> excluded.value or ($5 and m.target_value is distinct from excluded.target_value)
         returning m.id, m.user_id, m.scope, m.value, m.target_value, m.captured_at, m.created_at",
        owner,
        record.scope,
        record.value,
        record.target_value.flatten() as _,
        record.target_value.is_some(),
        day,
        METRICS_MAX,
        SCOPES_MAX,
    );
    Ok(metric.fetch_optional(db).await?)
}

/// The one of a scope and day.
pub async fn select(db: &mut PgConnection, owner: Uuid, scope: &str, day: NaiveDate) -> Result<Option<ProgressMetric>> {
    let metric = sqlx::query_as!(
        ProgressMetric,
        "select id, user_id, scope, value, target_value, captured_at, created_at
         from progress_metrics where user_id = $1 and scope = $2 and captured_at = $3",
        owner,
        scope,
        day,
    );
    Ok(metric.fetch_optional(db).await?)
}

/// Deletes one, and says which is the newest of its scope then; `None` when there is no such metric.
pub async fn delete(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<Option<MetricGone>> {
    let gone = sqlx::query!(
        r#"with gone as (
             delete from progress_metrics where id = $1 and user_id = $2 returning id, scope
         )
         select g.id, g.scope,
             (select to_json(l) from (
                 select m.* from progress_metrics m where m.user_id = $2 and m.scope = g.scope and m.id <> g.id
                 order by m.captured_at desc limit 1) l) as "latest?: Json<ProgressMetric>"
         from gone g"#,
        id,
        owner,
    );
    let gone = gone.fetch_optional(db).await?;
    Ok(gone.map(|row| MetricGone { id: row.id, scope: row.scope, latest: row.latest.map(|latest| latest.0) }))
}

/// Which of a person's metrics; nothing: all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Only of this scope.
    pub scope: Option<&'a str>,
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub to: Option<NaiveDate>,
}

/// A person's metrics, the newest day first; `after` are the columns of the last row of the page before.
pub async fn page(
    db: impl PgExecutor<'_>,
    owner: Uuid,
    wanted: Wanted<'_>,
    after: Option<(NaiveDate, Uuid)>,
    limit: i64,
) -> Result<Rows<ProgressMetric>> {
    let rows = sqlx::query_as!(
        Rows::<ProgressMetric>,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(m), '[]') from (
                 select * from progress_metrics
                 where user_id = $1 and ($5::text is null or scope = $5)
                     and captured_at between coalesce($6::date, '-infinity') and coalesce($7::date, 'infinity')
                     and captured_at <= coalesce($2::date, 'infinity')
                     and ($2 is null or (captured_at, id) < ($2, $3::uuid))
                 order by captured_at desc, id desc
                 limit $4) m) as "items!: Json<Vec<ProgressMetric>>""#,
        owner,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
        wanted.scope as _,
        wanted.from as _,
        wanted.to as _,
    );
    Ok(rows.fetch_one(db).await?)
}
