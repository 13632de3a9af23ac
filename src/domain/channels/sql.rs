//! The one statement of admission.

use chrono::{DateTime, Utc};
use studyhall_protocol::Channel;
use uuid::Uuid;

use crate::db::Db;
use crate::db::log::Head;
use crate::error::Result;

/// What decides about one channel.
pub(super) struct AdmissionRow {
    pub(super) head: Head,
    /// `profile:` of somebody who exists and whom no block parts from them.
    pub(super) person: bool,
    /// `workspace:` of a room that they are in.
    pub(super) member: bool,
    /// `workspace:` of a room that lets guests look on.
    pub(super) guests: bool,
    /// Not the `profile:` of somebody whose presence they may not see.
    pub(super) sees: bool,
    /// When the one whose `profile:` it is was here last.
    pub(super) last_seen_at: Option<DateTime<Utc>>,
}

/// One row per person and channel, in the order of the argument. Each person's rights are looked at once, with all of
/// their channels.
pub(super) async fn select_admissions(db: &Db, asked: &[(Uuid, Channel)]) -> Result<Vec<AdmissionRow>> {
    let viewers: Vec<Uuid> = asked.iter().map(|(viewer, _)| *viewer).collect();
    let names: Vec<String> = asked.iter().map(|(_, channel)| channel.to_string()).collect();
    let kinds: Vec<String> = asked.iter().map(|(_, channel)| channel.kind().to_owned()).collect();
    let ids: Vec<Uuid> = asked.iter().map(|(_, channel)| channel.id()).collect();
    let rows = sqlx::query!(
        r#"
        with asked as materialized (
            select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[])
                with ordinality a (viewer, channel, kind, id, i)
        ), people as materialized (
            select a.viewer, array_agg(a.id) as ids from asked a where a.kind = 'profile' group by a.viewer
        ), parted as materialized (
            select p.viewer, other.id from people p cross join lateral parted_from(p.viewer) other (id)
        ), seen as materialized (
            select distinct p.viewer, s.id from people p cross join lateral presence_seen_by(p.viewer, p.ids) s (id)
        )
        select coalesce(h.head, 0) as "head!", coalesce(h.floor, 1) as "floor!", l.epoch as "epoch!",
               u.id is not null and parted.id is null as "person!",
               m.user_id is not null as "member!",
               coalesce(w.settings -> 'guests' = 'true'::jsonb, false) as "guests!",
               a.kind <> 'profile' or seen.id is not null as "sees!",
               up.last_seen_at as "last_seen_at?"
        from asked a
        cross join log_epoch l
        left join channel_heads h on h.channel = a.channel
        left join users u on a.kind = 'profile' and u.id = a.id
        left join (select distinct viewer, id from parted) parted on parted.viewer = a.viewer and parted.id = u.id
        left join seen on seen.viewer = a.viewer and seen.id = u.id
        left join user_presence up on up.user_id = u.id and parted.id is null
        left join immersive_workspaces w on a.kind = 'workspace' and w.id = a.id
        left join workspace_members m on m.workspace_id = w.id and m.user_id = a.viewer
        order by a.i"#,
        &viewers,
        &names,
        &kinds,
        &ids
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(AdmissionRow {
                head: Head::new(row.head, row.floor, db.saw_epoch(&row.epoch))?,
                person: row.person,
                member: row.member,
                guests: row.guests,
                sees: row.sees,
                last_seen_at: row.last_seen_at,
            })
        })
        .collect()
}
