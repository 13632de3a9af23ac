//! Every statement about rooms and members. Whoever writes is checked in the statement that writes: not a member is
//! zero rows.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::attachments::Attachment;
use studyhall_protocol::widgets::Widget;
use studyhall_protocol::workspaces::{
    Member, MemberPerson, MyWorkspace, NewWorkspace, Person, Workspace, WorkspacePatch,
};
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use super::{MEMBERS_MAX, ROOMS_MAX};
use crate::domain::page::Rows;
use crate::error::Result;

/// Makes a room; `None` when the person is in as many as allowed.
pub async fn insert_workspace(
    db: &mut PgConnection,
    owner: Uuid,
    id: Uuid,
    new: &NewWorkspace,
) -> Result<Option<Workspace>> {
    let room = sqlx::query_as!(
        Workspace,
        "insert into immersive_workspaces
             (id, user_id, name, background_type, background_value, background_color, settings)
         select $1::uuid, $2::uuid, $3::text, coalesce($4::text, 'color'), $5::text, $6::text,
             coalesce($7::jsonb, '{}')
         where (select count(*) from workspace_members m where m.user_id = $2) < $8
         returning id, user_id, name, background_type, background_value, background_color, settings, created_at,
             updated_at",
        id,
        owner,
        new.name,
        new.background_type.map(|word| word.as_str()) as _,
        new.background_value as _,
        new.background_color as _,
        new.settings as _,
        ROOMS_MAX,
    );
    Ok(room.fetch_optional(db).await?)
}

/// Makes the owner of a new room its first member.
pub async fn insert_owner(db: &mut PgConnection, workspace_id: Uuid, owner: Uuid) -> Result<Member> {
    let member = sqlx::query_as!(
        Member,
        "insert into workspace_members (workspace_id, user_id, role) values ($1, $2, 'owner')
         returning workspace_id, user_id, role, created_at",
        workspace_id,
        owner,
    );
    Ok(member.fetch_one(db).await?)
}

/// Changes a room on behalf of a member; `None` when they are none, nothing would change, or a member who is not
/// the owner would change whether guests may look on.
pub async fn patch_workspace(db: &mut PgConnection, actor: Uuid, patch: &WorkspacePatch) -> Result<Option<Workspace>> {
    let room = sqlx::query_as!(
        Workspace,
        r#"update immersive_workspaces w
         set (name, background_type, background_value, background_color, settings) = (
             select p.name, p.background_type, p.background_value, p.background_color, p.settings
             from jsonb_populate_record(w, $3) p)
         where w.id = $1 and w is distinct from jsonb_populate_record(w, $3)
             and exists (
                 select from workspace_members m
                 where m.workspace_id = w.id and m.user_id = $2
                     and (m.role = 'owner' or (w.settings @> '{"guests": true}')
                         = (coalesce($3 -> 'settings', w.settings) @> '{"guests": true}')))
         returning w.id, w.user_id, w.name, w.background_type, w.background_value, w.background_color, w.settings,
             w.created_at, w.updated_at"#,
        patch.id,
        actor,
        Json(patch) as _,
    );
    Ok(room.fetch_optional(db).await?)
}

/// Deletes a room on behalf of its owner; whether that was done.
pub async fn delete_workspace(db: &mut PgConnection, actor: Uuid, id: Uuid) -> Result<bool> {
    let gone = sqlx::query!(
        "delete from immersive_workspaces w
         where w.id = $1 and exists (
             select from workspace_members m where m.workspace_id = w.id and m.user_id = $2 and m.role = 'owner')",
        id,
        actor,
    );
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// One room.
pub async fn workspace(db: &mut PgConnection, id: Uuid) -> Result<Option<Workspace>> {
    let room = sqlx::query_as!(
        Workspace,
        "select id, user_id, name, background_type, background_value, background_color, settings, created_at,
             updated_at
         from immersive_workspaces where id = $1",
        id,
    );
    Ok(room.fetch_optional(db).await?)
}

/// Who is in a room.
pub async fn member_ids(db: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        "select user_id from workspace_members where workspace_id = $1 order by user_id",
        workspace_id,
    );
    Ok(ids.fetch_all(db).await?)
}

/// Who still has a notification of being let into a room.
pub async fn invited_ids(db: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!("select distinct user_id from notifications where workspace_id = $1", workspace_id);
    Ok(ids.fetch_all(db).await?)
}

/// What somebody is in a room.
#[derive(Debug)]
pub struct Standing {
    /// `owner`, `member`, or nothing.
    pub role: Option<String>,
    /// Whether people who are not members may look on.
    pub guests: bool,
}

/// What `person` is in a room; `None` when there is no such room.
pub async fn standing(db: &mut PgConnection, workspace_id: Uuid, person: Uuid) -> Result<Option<Standing>> {
    let standing = sqlx::query_as!(
        Standing,
        r#"select m.role as "role?", w.settings @> '{"guests": true}' as "guests!"
         from immersive_workspaces w
         left join workspace_members m on m.workspace_id = w.id and m.user_id = $2
         where w.id = $1"#,
        workspace_id,
        person,
    );
    Ok(standing.fetch_optional(db).await?)
}

/// Lets `person` in on behalf of the owner; `None` when any condition of `member.add` is not met.
pub async fn insert_member(
    db: &mut PgConnection,
    actor: Uuid,
    workspace_id: Uuid,
    person: Uuid,
) -> Result<Option<Member>> {
    let member = sqlx::query_as!(
        Member,
        "insert into workspace_members (workspace_id, user_id, role)
         select o.workspace_id, u.id, 'member'
         from workspace_members o
         join users u on u.id = $3
         where o.workspace_id = $1 and o.user_id = $2 and o.role = 'owner' and not are_blocked(o.user_id, u.id)
             and (select count(*) from workspace_members m where m.workspace_id = $1) < $4
             and (select count(*) from workspace_members m where m.user_id = $3) < $5
         on conflict do nothing
         returning workspace_id, user_id, role, created_at",
        workspace_id,
        actor,
        person,
        MEMBERS_MAX,
        ROOMS_MAX,
    );
    Ok(member.fetch_optional(db).await?)
}

/// Why a person cannot be let in.
#[derive(Debug)]
pub struct Obstacle {
    /// There is no such person, or a block parts them from the actor.
    pub unknown: bool,
    /// They are in the room already.
    pub inside: bool,
    /// The room has as many members as allowed.
    pub full: bool,
}

/// What stands in the way of letting `person` in, apart from the right to do so.
pub async fn obstacle(db: &mut PgConnection, actor: Uuid, workspace_id: Uuid, person: Uuid) -> Result<Obstacle> {
    let obstacle = sqlx::query_as!(
        Obstacle,
        r#"select
             not exists (select from users u where u.id = $2) or are_blocked($4, $2) as "unknown!",
             exists (select from workspace_members m where m.workspace_id = $1 and m.user_id = $2) as "inside!",
             (select count(*) from workspace_members m where m.workspace_id = $1) >= $3 as "full!""#,
        workspace_id,
        person,
        MEMBERS_MAX,
        actor,
    );
    Ok(obstacle.fetch_one(db).await?)
}

/// Puts `person` out on behalf of the owner or of themselves; the owner stays.
pub async fn delete_member(db: &mut PgConnection, actor: Uuid, workspace_id: Uuid, person: Uuid) -> Result<bool> {
    let gone = sqlx::query!(
        "delete from workspace_members m
         where m.workspace_id = $1 and m.user_id = $3 and m.role <> 'owner'
             and ($2 = $3 or exists (
                 select from workspace_members o
                 where o.workspace_id = $1 and o.user_id = $2 and o.role = 'owner'))",
        workspace_id,
        actor,
        person,
    );
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// Who has been in a room longest, its owner excepted.
pub async fn heir(db: &mut PgConnection, workspace_id: Uuid) -> Result<Option<Uuid>> {
    let heir = sqlx::query_scalar!(
        "select m.user_id from workspace_members m where m.workspace_id = $1 and m.role <> 'owner'
         order by m.created_at, m.user_id limit 1",
        workspace_id,
    );
    Ok(heir.fetch_optional(db).await?)
}

/// Makes a member the owner, and the owner a member.
pub async fn hand_over(db: &mut PgConnection, workspace_id: Uuid, heir: Uuid) -> Result<(Workspace, Member)> {
    let row = sqlx::query!(
        r#"with members as (
             update workspace_members m set role = case when m.user_id = $2 then 'owner' else 'member' end
             where m.workspace_id = $1 and (m.user_id = $2 or m.role = 'owner')
             returning m.*
         ), room as (
             update immersive_workspaces w set user_id = $2 where w.id = $1 returning w.*
         )
         select to_json(r) as "workspace!: Json<Workspace>", to_json(m) as "member!: Json<Member>"
         from room r join members m on m.user_id = r.user_id"#,
        workspace_id,
        heir,
    );
    let row = row.fetch_one(db).await?;
    Ok((row.workspace.0, row.member.0))
}

/// Says that rights in this channel changed, so that whoever remembers one asks again.
pub async fn raise_acl(db: &mut PgConnection, channel: Channel) -> Result<()> {
    let raised =
        sqlx::query!("update channel_heads set acl_version = acl_version + 1 where channel = $1", channel.to_string(),);
    raised.execute(db).await?;
    Ok(())
}

/// The rooms that a person is in, oldest first, one more than `limit`, with the positions of the person's channel and
/// of each room but the one too many.
pub async fn workspaces_page(
    db: impl PgExecutor<'_>,
    person: Uuid,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Rows<MyWorkspace>> {
    let rows = sqlx::query_as!(
        Rows::<MyWorkspace>,
        r#"with page as (
             select w.*, m.role
             from workspace_members m
             join immersive_workspaces w on w.id = m.workspace_id
             where m.user_id = $1 and ($2::timestamptz is null or (w.created_at, w.id) > ($2, $3))
             order by w.created_at, w.id
             limit $4::bigint + 1
         ), shown as (
             select p.id from page p order by p.created_at, p.id limit $4
         )
         select
             (select coalesce(json_agg(p order by p.created_at, p.id), '[]') from page p)
                 as "items!: Json<Vec<MyWorkspace>>",
             (select json_agg(json_build_object('channel', c.channel, 'offset', coalesce(h.head, 0), 'epoch', e.epoch)
                 order by c.channel)
              from (select 'user:' || $1::uuid as channel union all select 'workspace:' || s.id from shown s) c
              cross join log_epoch e
              left join channel_heads h on h.channel = c.channel) as "positions!: Json<Vec<Position>>""#,
        person,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
    );
    Ok(rows.fetch_one(db).await?)
}

/// A whole room as it is read.
#[derive(Debug)]
pub struct RoomRow {
    /// `owner`, `member`, or nothing for a guest.
    pub role: Option<String>,
    /// The room.
    pub workspace: Json<Workspace>,
    /// Everybody in it.
    pub members: Json<Vec<Member>>,
    /// Who they are.
    pub people: Json<Vec<Person>>,
    /// Everything in it.
    pub widgets: Json<Vec<Widget>>,
    /// What belongs to it.
    pub attachments: Json<Vec<Attachment>>,
    /// Of the room's channel.
    pub positions: Json<Vec<Position>>,
}

/// A whole room, for its members, and for guests where it lets them; `None` for everybody else.
pub async fn room(db: impl PgExecutor<'_>, person: Uuid, id: Uuid) -> Result<Option<RoomRow>> {
    let room = sqlx::query_as!(
        RoomRow,
        r#"select me.role as "role?",
             to_json(w) as "workspace!: Json<Workspace>",
             (select coalesce(json_agg(m order by m.created_at, m.user_id), '[]')
              from workspace_members m where m.workspace_id = w.id) as "members!: Json<Vec<Member>>",
             (select coalesce(json_agg(json_build_object('id', u.id, 'username', u.username, 'full_name', u.full_name,
                 'profile_image_url', u.profile_image_url) order by m.created_at, m.user_id), '[]')
              from workspace_members m join users u on u.id = m.user_id
              where m.workspace_id = w.id) as "people!: Json<Vec<Person>>",
             (select coalesce(json_agg(g order by g.grid_y, g.grid_x, g.id), '[]')
              from immersive_widgets g where g.workspace_id = w.id) as "widgets!: Json<Vec<Widget>>",
             (select coalesce(json_agg(f order by f.created_at, f.id), '[]')
              from shown_attachments f where f.workspace_id = w.id) as "attachments!: Json<Vec<Attachment>>",
             (select json_build_array(json_build_object('channel', 'workspace:' || w.id, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'workspace:' || w.id), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>"
         from immersive_workspaces w
         left join workspace_members me on me.workspace_id = w.id and me.user_id = $2
         where w.id = $1 and (me.user_id is not null or w.settings @> '{"guests": true}')"#,
        id,
        person,
    );
    Ok(room.fetch_optional(db).await?)
}

/// Who is in a room, the longest there first, for whoever may see the room; `None` for everybody else.
pub async fn members_page(
    db: impl PgExecutor<'_>,
    person: Uuid,
    id: Uuid,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Option<Rows<MemberPerson>>> {
    let rows = sqlx::query_as!(
        Rows::<MemberPerson>,
        r#"select
             (select coalesce(json_agg(p order by p.created_at, p.user_id), '[]') from (
                 select m.*, json_build_object('id', u.id, 'username', u.username, 'full_name', u.full_name,
                     'profile_image_url', u.profile_image_url) as "user"
                 from workspace_members m join users u on u.id = m.user_id
                 where m.workspace_id = w.id and ($3::timestamptz is null or (m.created_at, m.user_id) > ($3, $4))
                 order by m.created_at, m.user_id
                 limit $5) p) as "items!: Json<Vec<MemberPerson>>",
             (select json_build_array(json_build_object('channel', 'workspace:' || w.id, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'workspace:' || w.id), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>"
         from immersive_workspaces w
         left join workspace_members me on me.workspace_id = w.id and me.user_id = $2
         where w.id = $1 and (me.user_id is not null or w.settings @> '{"guests": true}')"#,
        id,
        person,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
    );
    Ok(rows.fetch_optional(db).await?)
}
