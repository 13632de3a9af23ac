//! Every statement about widgets. Whoever writes is checked in the statement that writes: not a member is zero rows.

use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::widgets::{NewWidget, Widget, WidgetMove, WidgetPatch};
use uuid::Uuid;

use super::WIDGETS_MAX;
use crate::error::Result;

/// The room that a widget hangs in; it never changes.
pub async fn room_of_widget(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Uuid>> {
    let room = sqlx::query_scalar!("select workspace_id from immersive_widgets where id = $1", id);
    Ok(room.fetch_optional(db).await?)
}

/// Adds a widget on behalf of a member; `None` when they are none, or the room is full.
pub async fn insert_widget(db: &mut PgConnection, actor: Uuid, new: &NewWidget) -> Result<Option<Widget>> {
    let widget = sqlx::query_as!(
        Widget,
        "insert into immersive_widgets
             (workspace_id, type, title_key, title, grid_x, grid_y, grid_w, grid_h, settings)
         select m.workspace_id, $3::text, $4::text, $5::text, $6::integer, $7::integer, $8::integer, $9::integer,
             coalesce($10::jsonb, '{}')
         from workspace_members m
         where m.workspace_id = $1 and m.user_id = $2
             and (select count(*) from immersive_widgets w where w.workspace_id = $1) < $11
         returning id, workspace_id, type, title_key, title, grid_x, grid_y, grid_w, grid_h, settings, created_at,
             updated_at",
        new.workspace_id,
        actor,
        new.r#type,
        new.title_key as _,
        new.title as _,
        new.grid_x,
        new.grid_y,
        new.grid_w,
        new.grid_h,
        new.settings as _,
        WIDGETS_MAX,
    );
    Ok(widget.fetch_optional(db).await?)
}

/// Changes a widget on behalf of a member; `None` when they are none, it is gone, or nothing would change.
pub async fn patch_widget(
    db: &mut PgConnection,
    actor: Uuid,
    workspace_id: Uuid,
    patch: &WidgetPatch,
) -> Result<Option<Widget>> {
    let widget = sqlx::query_as!(
        Widget,
        "update immersive_widgets w
         set (title_key, title, settings) =
             (select p.title_key, p.title, p.settings from jsonb_populate_record(w, $4) p)
         where w.id = $1 and w.workspace_id = $2 and w is distinct from jsonb_populate_record(w, $4)
             and exists (select from workspace_members m where m.workspace_id = $2 and m.user_id = $3)
         returning w.id, w.workspace_id, w.type, w.title_key, w.title, w.grid_x, w.grid_y, w.grid_w, w.grid_h,
             w.settings, w.created_at, w.updated_at",
        patch.id,
        workspace_id,
        actor,
        Json(patch) as _,
    );
    Ok(widget.fetch_optional(db).await?)
}

/// Changes widgets, each on behalf of somebody, as [`patch_widget`] changes one; each widget once.
pub async fn patch_widgets(db: &mut PgConnection, patches: &[(Uuid, &WidgetPatch)]) -> Result<Vec<Widget>> {
    let ids: Vec<Uuid> = patches.iter().map(|(_, patch)| patch.id).collect();
    let actors: Vec<Uuid> = patches.iter().map(|(actor, _)| *actor).collect();
    let patches: Vec<Json<&WidgetPatch>> = patches.iter().map(|(_, patch)| Json(*patch)).collect();
    let widgets = sqlx::query_as!(
        Widget,
        "update immersive_widgets w
         set (title_key, title, settings) =
             (select p.title_key, p.title, p.settings from jsonb_populate_record(w, g.patch) p)
         from unnest($1::uuid[], $2::uuid[], $3::jsonb[]) as g (id, actor, patch)
         where w.id = g.id and w is distinct from jsonb_populate_record(w, g.patch)
             and exists (select from workspace_members m where m.workspace_id = w.workspace_id and m.user_id = g.actor)
         returning w.id, w.workspace_id, w.type, w.title_key, w.title, w.grid_x, w.grid_y, w.grid_w, w.grid_h,
             w.settings, w.created_at, w.updated_at",
        &ids,
        &actors,
        &patches as _,
    );
    Ok(widgets.fetch_all(db).await?)
}

/// Puts widgets in their places, each on behalf of somebody, as [`move_widget`] does one; each widget once.
pub async fn move_widgets(db: &mut PgConnection, drops: &[(Uuid, &WidgetMove)]) -> Result<Vec<Widget>> {
    let ids: Vec<Uuid> = drops.iter().map(|(_, to)| to.id).collect();
    let actors: Vec<Uuid> = drops.iter().map(|(actor, _)| *actor).collect();
    let xs: Vec<i32> = drops.iter().map(|(_, to)| to.grid_x).collect();
    let ys: Vec<i32> = drops.iter().map(|(_, to)| to.grid_y).collect();
    let ws: Vec<Option<i32>> = drops.iter().map(|(_, to)| to.grid_w).collect();
    let hs: Vec<Option<i32>> = drops.iter().map(|(_, to)| to.grid_h).collect();
    let drags: Vec<Option<Uuid>> = drops.iter().map(|(_, to)| to.drag_id).collect();
    let widgets = sqlx::query_as!(
        Widget,
        "with moved as (
             update immersive_widgets w
             set grid_x = g.x, grid_y = g.y, grid_w = coalesce(g.w, w.grid_w), grid_h = coalesce(g.h, w.grid_h)
             from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::uuid[])
                 as g (id, actor, x, y, w, h, drag_id)
             where w.id = g.id
                 and exists (
                     select from workspace_members m where m.workspace_id = w.workspace_id and m.user_id = g.actor)
                 and (g.drag_id is not null or (w.grid_x, w.grid_y, w.grid_w, w.grid_h)
                     <> (g.x, g.y, coalesce(g.w, w.grid_w), coalesce(g.h, w.grid_h)))
             returning w.*, g.drag_id
         ), closed as (
             insert into widget_drags (drag_id, workspace_id, widget_id)
             select m.drag_id, m.workspace_id, m.id from moved m where m.drag_id is not null
             on conflict do nothing
         )
         select id, workspace_id, type, title_key, title, grid_x, grid_y, grid_w, grid_h, settings, created_at,
             updated_at
         from moved",
        &ids,
        &actors,
        &xs,
        &ys,
        &ws as &[Option<i32>],
        &hs as &[Option<i32>],
        &drags as &[Option<Uuid>],
    );
    Ok(widgets.fetch_all(db).await?)
}

/// Puts a widget in its place on behalf of a member, and closes the drag that brought it there; `None` when they are
/// none, it is gone, or it is there already and no drag ends.
pub async fn move_widget(
    db: &mut PgConnection,
    actor: Uuid,
    workspace_id: Uuid,
    to: &WidgetMove,
) -> Result<Option<Widget>> {
    let widget = sqlx::query_as!(
        Widget,
        "with moved as (
             update immersive_widgets w
             set grid_x = $4, grid_y = $5, grid_w = coalesce($6, w.grid_w), grid_h = coalesce($7, w.grid_h)
             where w.id = $1 and w.workspace_id = $2
                 and exists (select from workspace_members m where m.workspace_id = $2 and m.user_id = $3)
                 and ($8::uuid is not null or (w.grid_x, w.grid_y, w.grid_w, w.grid_h)
                     <> ($4, $5, coalesce($6, w.grid_w), coalesce($7, w.grid_h)))
             returning w.*
         ), closed as (
             insert into widget_drags (drag_id, workspace_id, widget_id)
             select $8, m.workspace_id, m.id from moved m where $8 is not null
             on conflict do nothing
         )
         select id, workspace_id, type, title_key, title, grid_x, grid_y, grid_w, grid_h, settings, created_at,
             updated_at
         from moved",
        to.id,
        workspace_id,
        actor,
        to.grid_x,
        to.grid_y,
        to.grid_w as _,
        to.grid_h as _,
        to.drag_id as _,
    );
    Ok(widget.fetch_optional(db).await?)
}

/// Commits a drag whose author vanished; `None` when it is over already, the widget is gone, or the author is not a
/// member any more. The primary key of the closed drags lets one node through.
pub async fn adopt_drag(
    db: &mut PgConnection,
    author: Uuid,
    workspace_id: Uuid,
    drag_id: Uuid,
    to: &WidgetMove,
) -> Result<Option<Widget>> {
    let widget = sqlx::query_as!(
        Widget,
        "with closed as (
             insert into widget_drags (drag_id, workspace_id, widget_id)
             select $4, w.workspace_id, w.id
             from immersive_widgets w
             join workspace_members m on m.workspace_id = w.workspace_id and m.user_id = $3
             where w.id = $1 and w.workspace_id = $2
             on conflict do nothing
             returning widget_id
         )
         update immersive_widgets w
         set grid_x = $5, grid_y = $6, grid_w = coalesce($7, w.grid_w), grid_h = coalesce($8, w.grid_h)
         from closed c
         where w.id = c.widget_id
         returning w.id, w.workspace_id, w.type, w.title_key, w.title, w.grid_x, w.grid_y, w.grid_w, w.grid_h,
             w.settings, w.created_at, w.updated_at",
        to.id,
        workspace_id,
        author,
        drag_id,
        to.grid_x,
        to.grid_y,
        to.grid_w as _,
        to.grid_h as _,
    );
    Ok(widget.fetch_optional(db).await?)
}

/// Takes a widget away on behalf of a member.
pub async fn delete_widget(db: &mut PgConnection, actor: Uuid, workspace_id: Uuid, id: Uuid) -> Result<bool> {
    let gone = sqlx::query!(
        "delete from immersive_widgets w
         where w.id = $1 and w.workspace_id = $2
             and exists (select from workspace_members m where m.workspace_id = $2 and m.user_id = $3)",
        id,
        workspace_id,
        actor,
    );
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// One widget.
pub async fn widget(db: &mut PgConnection, workspace_id: Uuid, id: Uuid) -> Result<Option<Widget>> {
    let widget = sqlx::query_as!(
        Widget,
        "select id, workspace_id, type, title_key, title, grid_x, grid_y, grid_w, grid_h, settings, created_at,
             updated_at
         from immersive_widgets where id = $1 and workspace_id = $2",
        id,
        workspace_id,
    );
    Ok(widget.fetch_optional(db).await?)
}
