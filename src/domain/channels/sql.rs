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
    /// `profile:` of somebody who exists, for them.
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

/// One row per channel, in the order of the argument.
pub(super) async fn select_admissions(db: &Db, who: Uuid, channels: &[Channel]) -> Result<Vec<AdmissionRow>> {
    let names: Vec<String> = channels.iter().map(Channel::to_string).collect();
    let kinds: Vec<String> = channels.iter().map(|channel| channel.kind().to_owned()).collect();
    let ids: Vec<Uuid> = channels.iter().map(Channel::id).collect();
    let rows = sqlx::query!(
        r#"
        select coalesce(h.head, 0) as "head!", coalesce(h.floor, 1) as "floor!", p.epoch as "epoch!",
               u.id is not null as "person!",
               m.user_id is not null as "member!",
               coalesce(w.settings -> 'guests' = 'true'::jsonb, false) as "guests!",
               c.kind <> 'profile' or seen.id is not null as "sees!",
               up.last_seen_at as "last_seen_at?"
        from unnest($2::text[], $3::text[], $4::uuid[]) with ordinality c (channel, kind, id, i)
        cross join log_epoch p
        left join channel_heads h on h.channel = c.channel
        left join users u on c.kind = 'profile' and u.id = c.id
            and u.id not in (select parted.id from parted_from($1) parted (id))
        left join (select distinct s.id from presence_seen_by($1, $4) s (id)) seen on seen.id = u.id
        left join user_presence up on up.user_id = u.id
        left join immersive_workspaces w on c.kind = 'workspace' and w.id = c.id
        left join workspace_members m on m.workspace_id = w.id and m.user_id = $1
        order by c.i"#,
        who,
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
