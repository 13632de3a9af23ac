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
        -- A person at a time, and each row of a table by its key, which `limit` insists on: the planner knows nothing of
        -- how many are asked for, and would rather read whole tables. Nor is it shown the arrays themselves, or it would
        -- plan anew for every one of them, which takes longer than to answer for somebody alone.
        with people as (
            select a.viewer, array_agg(a.channel) as channels, array_agg(a.kind) as kinds, array_agg(a.id) as ids,
                   array_agg(a.i) as numbers
            from unnest((select $1::uuid[]), (select $2::text[]), (select $3::text[]), (select $4::uuid[]))
                 with ordinality a (viewer, channel, kind, id, i)
            group by a.viewer
        )
        select coalesce(h.head, 0) as "head!", coalesce(h.floor, 1) as "floor!", l.epoch as "epoch!",
               u.id is not null as "person!",
               m.user_id is not null as "member!",
               coalesce(w.settings -> 'guests' = 'true'::jsonb, false) as "guests!",
               a.kind <> 'profile' or coalesce(u.id = any (rights.seen), false) as "sees!",
               up.last_seen_at as "last_seen_at?"
        from people p
        cross join log_epoch l
        cross join lateral (
            -- In the list and not after `from`, so that these are calls: put into this statement, the rule about rooms
            -- would be answered for one person and kept for the next (a hashed subplan, PostgreSQL 15). Only profiles
            -- need them.
            select case when 'profile' = any (p.kinds) then array(select presence_seen_by(p.viewer, p.ids)) end as seen,
                   case when 'profile' = any (p.kinds) then array(select parted_from(p.viewer)) end as parted
            offset 0
        ) rights
        cross join lateral unnest(p.channels, p.kinds, p.ids, p.numbers) a (channel, kind, id, i)
        left join lateral (select * from channel_heads h where h.channel = a.channel limit 1) h on true
        left join lateral (
            select u.id from users u where a.kind = 'profile' and u.id = a.id and u.id <> all (rights.parted) limit 1
        ) u on true
        left join lateral (select up.last_seen_at from user_presence up where up.user_id = u.id limit 1) up on true
        left join lateral (
            select w.id, w.settings from immersive_workspaces w where a.kind = 'workspace' and w.id = a.id limit 1
        ) w on true
        left join lateral (
            select m.user_id from workspace_members m where m.workspace_id = w.id and m.user_id = p.viewer limit 1
        ) m on true
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
