//! Every statement about presence.

use chrono::{DateTime, Utc};
use studyhall_protocol::presence::Presence;
use uuid::Uuid;

use crate::db::Db;
use crate::error::Result;
use crate::live::backend::Standing;

/// What the database knows of somebody's presence.
pub(super) struct Seen {
    pub(super) user_id: Uuid,
    /// Whether the one who asks may see it.
    pub(super) sees: bool,
    pub(super) last_seen_at: Option<DateTime<Utc>>,
}

/// Somebody who is written down as here, since when.
pub(super) struct NotOffline {
    pub(super) user_id: Uuid,
    pub(super) last_seen_at: Option<DateTime<Utc>>,
}

/// A row for each, in order, whether they exist or not.
pub(super) async fn select_seen(db: &Db, viewer: Uuid, people: &[Uuid]) -> Result<Vec<Seen>> {
    let rows = sqlx::query_as!(
        Seen,
        r#"
        select i.id as "user_id!", seen.id is not null as "sees!", p.last_seen_at as "last_seen_at?"
        from unnest($2::uuid[]) with ordinality i (id, n)
        left join (select distinct s.id from presence_seen_by($1, $2) s (id)) seen on seen.id = i.id
        left join user_presence p on p.user_id = i.id
        order by i.n"#,
        viewer,
        people
    );
    Ok(rows.fetch_all(db.pool()).await?)
}

/// How these people stand; who does not exist is left out.
pub async fn select_standings(db: &Db, people: &[Uuid]) -> Result<Vec<Standing>> {
    let rows = sqlx::query!(
        r#"
        select s.user_id, s.visibility, s.invisible,
               array(select distinct parted.id from parted_from(s.user_id) parted (id)) as "hidden!: Vec<Uuid>"
        from presence_settings s where s.user_id = any($1)"#,
        people
    )
    .fetch_all(db.pool())
    .await?;
    let standing = rows.into_iter().map(|row| Standing {
        user_id: row.user_id,
        audience: row.visibility.into(),
        invisible: row.invisible,
        hidden: row.hidden,
    });
    Ok(standing.collect())
}

/// Whether the first of each pair may see the presence of the second, in order.
pub async fn select_sees(db: &Db, pairs: &[(Uuid, Uuid)]) -> Result<Vec<bool>> {
    let (viewers, authors): (Vec<Uuid>, Vec<Uuid>) = pairs.iter().copied().unzip();
    let rows = sqlx::query_scalar!(
        r#"
        select may_see_presence(p.viewer, p.author) as "sees!"
        from unnest($1::uuid[], $2::uuid[]) with ordinality p (viewer, author, n) order by p.n"#,
        &viewers,
        &authors
    );
    Ok(rows.fetch_all(db.pool()).await?)
}

/// Writes down what was last to be seen of these people. In the order of their ids, so that two nodes never wait for
/// each other.
pub async fn store(db: &Db, people: &[Presence]) -> Result<()> {
    let ids: Vec<Uuid> = people.iter().map(|person| person.user_id).collect();
    let statuses: Vec<String> = people.iter().map(|person| person.status.as_str().to_owned()).collect();
    let activities: Vec<Option<String>> = people.iter().map(|person| person.activity.clone()).collect();
    let times: Vec<Option<DateTime<Utc>>> = people.iter().map(|person| person.last_seen_at).collect();
    let mut tx = db.begin().await?;
    sqlx::query!(
        "insert into user_presence as p (user_id, status, activity, last_seen_at)
         select n.user_id, n.status, n.activity, n.last_seen_at
         from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
             n (user_id, status, activity, last_seen_at)
         join users u on u.id = n.user_id
         order by n.user_id
         on conflict (user_id) do update set
             status = excluded.status,
             activity = excluded.activity,
             last_seen_at = coalesce(excluded.last_seen_at, p.last_seen_at)",
        &ids,
        &statuses,
        &activities as &[Option<String>],
        &times as &[Option<DateTime<Utc>>]
    )
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// Those who are written down as here, after this one.
pub(super) async fn select_not_offline(db: &Db, after: Uuid, limit: i64) -> Result<Vec<NotOffline>> {
    let rows = sqlx::query_as!(
        NotOffline,
        "select user_id, last_seen_at from user_presence
         where status <> 'offline' and user_id > $1 order by user_id limit $2",
        after,
        limit
    );
    Ok(rows.fetch_all(db.pool()).await?)
}

/// Sets these offline, unless something of them was written since they were read.
pub(super) async fn set_offline(db: &Db, people: &[NotOffline]) -> Result<u64> {
    let ids: Vec<Uuid> = people.iter().map(|row| row.user_id).collect();
    let times: Vec<Option<DateTime<Utc>>> = people.iter().map(|row| row.last_seen_at).collect();
    let mut tx = db.begin().await?;
    let done = sqlx::query!(
        "with gone as (
             select p.user_id from user_presence p
             join unnest($1::uuid[], $2::timestamptz[]) n (user_id, last_seen_at) on n.user_id = p.user_id
             where p.status <> 'offline' and p.last_seen_at is not distinct from n.last_seen_at
             order by p.user_id for update of p
         )
         update user_presence p set status = 'offline', activity = null from gone where p.user_id = gone.user_id",
        &ids,
        &times as &[Option<DateTime<Utc>>]
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
