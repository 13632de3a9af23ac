//! Every statement about task lists and tasks. Each is limited to the owner in itself: what belongs to somebody
//! else is zero rows.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Position;
use studyhall_protocol::order::RowOrder;
use studyhall_protocol::tasks::{NewTask, NewTaskList, Task, TaskList, TaskListPatch, TaskPatch};
use uuid::Uuid;

use super::{LISTS_MAX, TASKS_MAX};
use crate::domain::order::GAP;
use crate::domain::page::Rows;
use crate::error::Result;

/// Makes a list; `None` when the person has as many as allowed.
pub async fn insert_list(db: &mut PgConnection, owner: Uuid, new: &NewTaskList) -> Result<Option<TaskList>> {
    let list = sqlx::query_as!(
        TaskList,
        "insert into task_lists (user_id, name, description)
         select $1::uuid, $2::text, $3::text
         where (select count(*) from task_lists l where l.user_id = $1) < $4
         returning id, user_id, name, description, created_at, updated_at",
        owner,
        new.name,
        new.description as _,
        LISTS_MAX,
    );
    Ok(list.fetch_optional(db).await?)
}

/// Changes a list; `None` when nothing would change, or there is no such list.
pub async fn patch_list(db: &mut PgConnection, owner: Uuid, patch: &TaskListPatch) -> Result<Option<TaskList>> {
    let list = sqlx::query_as!(
        TaskList,
        "update task_lists l
         set (name, description) = (select p.name, p.description from jsonb_populate_record(l, $3) p)
         where l.id = $1 and l.user_id = $2 and l is distinct from jsonb_populate_record(l, $3)
         returning l.id, l.user_id, l.name, l.description, l.created_at, l.updated_at",
        patch.id,
        owner,
        Json(patch) as _,
    );
    Ok(list.fetch_optional(db).await?)
}

/// One list.
pub async fn list(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<Option<TaskList>> {
    let list = sqlx::query_as!(
        TaskList,
        "select id, user_id, name, description, created_at, updated_at
         from task_lists where id = $1 and user_id = $2",
        id,
        owner,
    );
    Ok(list.fetch_optional(db).await?)
}

/// Deletes a list, and by the foreign key its tasks; whether there was one.
pub async fn delete_list(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<bool> {
    let gone = sqlx::query!("delete from task_lists where id = $1 and user_id = $2", id, owner);
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// Appends a task; `None` when there is no such list, or it is full.
///
/// The last possible index is given out again and again rather than overflow: `created_at` orders within it.
pub async fn insert_task(db: &mut PgConnection, owner: Uuid, new: &NewTask) -> Result<Option<Task>> {
    let task = sqlx::query_as!(
        Task,
        "insert into tasks (list_id, user_id, description, due_at, order_index)
         select l.id, l.user_id, $3::text, $4::timestamptz,
             least(coalesce(t.last, 0)::bigint + $5::integer, 2147483647)::integer
         from task_lists l
         cross join lateral
             (select max(order_index) as last, count(*) as many from tasks where list_id = l.id) t
         where l.id = $1 and l.user_id = $2 and t.many < $6
         returning id, list_id, user_id, description, is_completed, completed_at, due_at, order_index,
             created_at, updated_at",
        new.list_id,
        owner,
        new.description,
        new.due_at as _,
        GAP,
        TASKS_MAX,
    );
    Ok(task.fetch_optional(db).await?)
}

/// Changes a task; `None` when nothing would change, or there is no such task.
pub async fn patch_task(db: &mut PgConnection, owner: Uuid, patch: &TaskPatch) -> Result<Option<Task>> {
    let task = sqlx::query_as!(
        Task,
        "update tasks t
         set (description, is_completed, completed_at, due_at) = (
             select p.description, p.is_completed,
                 case when p.is_completed then coalesce(t.completed_at, now()) end, p.due_at
             from jsonb_populate_record(t, $3) p)
         where t.id = $1 and t.user_id = $2 and t is distinct from jsonb_populate_record(t, $3)
         returning t.id, t.list_id, t.user_id, t.description, t.is_completed, t.completed_at, t.due_at,
             t.order_index, t.created_at, t.updated_at",
        patch.id,
        owner,
        Json(patch) as _,
    );
    Ok(task.fetch_optional(db).await?)
}

/// Changes tasks, each of its own person's, as [`patch_task`] changes one; each task once.
pub async fn patch_tasks(db: &mut PgConnection, patches: &[(Uuid, &TaskPatch)]) -> Result<Vec<Task>> {
    let ids: Vec<Uuid> = patches.iter().map(|(_, patch)| patch.id).collect();
    let owners: Vec<Uuid> = patches.iter().map(|(owner, _)| *owner).collect();
    let patches: Vec<Json<&TaskPatch>> = patches.iter().map(|(_, patch)| Json(*patch)).collect();
    let tasks = sqlx::query_as!(
        Task,
        "update tasks t
         set (description, is_completed, completed_at, due_at) = (
             select p.description, p.is_completed,
                 case when p.is_completed then coalesce(t.completed_at, now()) end, p.due_at
             from jsonb_populate_record(t, g.patch) p)
         from unnest($1::uuid[], $2::uuid[], $3::jsonb[]) as g (id, owner, patch)
         where t.id = g.id and t.user_id = g.owner and t is distinct from jsonb_populate_record(t, g.patch)
         returning t.id, t.list_id, t.user_id, t.description, t.is_completed, t.completed_at, t.due_at,
             t.order_index, t.created_at, t.updated_at",
        &ids,
        &owners,
        &patches as _,
    );
    Ok(tasks.fetch_all(db).await?)
}

/// One task.
pub async fn task(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<Option<Task>> {
    let task = sqlx::query_as!(
        Task,
        "select id, list_id, user_id, description, is_completed, completed_at, due_at, order_index, created_at,
             updated_at
         from tasks where id = $1 and user_id = $2",
        id,
        owner,
    );
    Ok(task.fetch_optional(db).await?)
}

/// Deletes a task; whether there was one.
pub async fn delete_task(db: &mut PgConnection, owner: Uuid, id: Uuid) -> Result<bool> {
    let gone = sqlx::query!("delete from tasks where id = $1 and user_id = $2", id, owner);
    Ok(gone.execute(db).await?.rows_affected() == 1)
}

/// What a move has to know about the place that the task goes to.
#[derive(Debug)]
pub struct Place {
    /// The list that the task goes to.
    pub list_id: Uuid,
    /// Whether the task comes from another list, and this one has no room for it.
    pub full: bool,
    /// Whether the task to stand behind is in the list; also true when there is none to stand behind.
    pub after_found: bool,
    /// The index of the task to stand behind.
    pub before: Option<i32>,
    /// The index of the task that will stand behind the moved one.
    pub behind: Option<i32>,
    /// Whether the task stands there already.
    pub there: bool,
}

/// Looks at the place between the task `after` (or the start) and the one behind it, as if the moved task were
/// nowhere; `None` when there is no such task or no such list.
pub async fn place(
    db: &mut PgConnection,
    owner: Uuid,
    id: Uuid,
    list_id: Option<Uuid>,
    after: Option<Uuid>,
) -> Result<Option<Place>> {
    let place = sqlx::query_as!(
        Place,
        r#"select l.id as list_id,
             t.list_id <> l.id and (select count(*) from tasks where list_id = l.id) >= $5 as "full!",
             $4::uuid is null or a.id is not null as "after_found!",
             a.order_index as "before?", b.order_index as "behind?",
             t.list_id = l.id
                 and (a.id is null or (t.order_index, t.created_at, t.id) > (a.order_index, a.created_at, a.id))
                 and (b.id is null or (t.order_index, t.created_at, t.id) < (b.order_index, b.created_at, b.id))
                 as "there!"
         from tasks t
         join task_lists l on l.id = coalesce($3, t.list_id) and l.user_id = $2
         left join tasks a on a.id = $4 and a.list_id = l.id and a.id <> t.id
         left join lateral (
             select n.id, n.order_index, n.created_at
             from tasks n
             where n.list_id = l.id and n.id <> t.id
                 and (a.id is null or (n.order_index, n.created_at, n.id) > (a.order_index, a.created_at, a.id))
             order by n.order_index, n.created_at, n.id
             limit 1) b on true
         where t.id = $1 and t.user_id = $2"#,
        id,
        owner,
        list_id as _,
        after as _,
        TASKS_MAX,
    );
    Ok(place.fetch_optional(db).await?)
}

/// Puts a task into a list at an index.
pub async fn put(db: &mut PgConnection, owner: Uuid, id: Uuid, list_id: Uuid, index: i32) -> Result<Option<Task>> {
    let task = sqlx::query_as!(
        Task,
        "update tasks set list_id = $3, order_index = $4
         where id = $1 and user_id = $2
         returning id, list_id, user_id, description, is_completed, completed_at, due_at, order_index, created_at,
             updated_at",
        id,
        owner,
        list_id,
        index,
    );
    Ok(task.fetch_optional(db).await?)
}

/// Numbers a list anew, with the task behind `after` (or first), and returns every new index.
pub async fn renumber(
    db: &mut PgConnection,
    owner: Uuid,
    id: Uuid,
    list_id: Uuid,
    after: Option<Uuid>,
) -> Result<Vec<RowOrder>> {
    let changed = sqlx::query_as!(
        RowOrder,
        "with others as (
             select t.id, row_number() over (order by t.order_index, t.created_at, t.id) as place
             from tasks t
             where t.list_id = $3 and t.user_id = $2 and t.id <> $1
         ), placed as (
             select o.id, o.place * 2 as place from others o
             union all
             select $1, coalesce((select o.place * 2 + 1 from others o where o.id = $4), 1)
         ), numbered as (
             select p.id, (row_number() over (order by p.place) * $5::integer)::integer as order_index from placed p
         )
         update tasks t set list_id = $3, order_index = n.order_index
         from numbered n
         where t.id = n.id and t.user_id = $2 and (t.id = $1 or t.order_index <> n.order_index)
         returning t.id, t.order_index, t.updated_at",
        id,
        owner,
        list_id,
        after as _,
        GAP,
    );
    Ok(changed.fetch_all(db).await?)
}

/// A person's lists, oldest first; `after` are the columns of the last row of the page before.
pub async fn task_lists_page(
    db: impl PgExecutor<'_>,
    owner: Uuid,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Rows<TaskList>> {
    let rows = sqlx::query_as!(
        Rows::<TaskList>,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(l), '[]') from (
                 select * from task_lists
                 where user_id = $1 and ($2::timestamptz is null or (created_at, id) > ($2, $3))
                 order by created_at, id
                 limit $4) l) as "items!: Json<Vec<TaskList>>""#,
        owner,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        limit,
    );
    Ok(rows.fetch_one(db).await?)
}

/// The tasks of one list in their order; `None` when there is no such list. `after` as in [`task_lists_page`].
pub async fn tasks_page(
    db: impl PgExecutor<'_>,
    owner: Uuid,
    list_id: Uuid,
    after: Option<(i32, DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Option<Rows<Task>>> {
    let rows = sqlx::query_as!(
        Rows::<Task>,
        r#"select
             (select json_build_array(json_build_object('channel', 'user:' || $1::uuid, 'offset',
                 coalesce((select h.head from channel_heads h where h.channel = 'user:' || $1::uuid), 0),
                 'epoch', e.epoch)) from log_epoch e) as "positions!: Json<Vec<Position>>",
             (select coalesce(json_agg(t), '[]') from (
                 select * from tasks
                 where list_id = l.id
                     and ($3::integer is null or (order_index, created_at, id) > ($3, $4::timestamptz, $5::uuid))
                 order by order_index, created_at, id
                 limit $6) t) as "items!: Json<Vec<Task>>"
         from task_lists l
         where l.id = $2 and l.user_id = $1"#,
        owner,
        list_id,
        after.map(|row| row.0) as _,
        after.map(|row| row.1) as _,
        after.map(|row| row.2) as _,
        limit,
    );
    Ok(rows.fetch_optional(db).await?)
}
