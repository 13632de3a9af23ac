//! Task lists and tasks: what can be done with them. All of it happens on `user:<owner>`; nobody else learns of it.
//!
//! A command that changes nothing makes no event and answers with the row as it is.

pub mod routes;
mod sql;

use std::collections::HashMap;

use studyhall_protocol::check::FieldError;
use studyhall_protocol::rest::{Deleted, RowRef};
use studyhall_protocol::tasks::{NewTask, NewTaskList, Task, TaskList, TaskListPatch, TaskMove, TaskMoved, TaskPatch};
use studyhall_protocol::{Channel, Command, Event};
use uuid::Uuid;

use crate::db::{BatchTx, By, Tx, Wanted};
use crate::domain::order;
use crate::error::{Error, Result};

/// Lists per person.
pub const LISTS_MAX: i64 = 200;
/// Tasks per list.
pub const TASKS_MAX: i64 = 2_000;

/// Makes a list.
pub async fn create_task_list(tx: &mut Tx, new: &NewTaskList) -> Result<TaskList> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let Some(list) = sql::insert_list(tx.conn(), owner, new).await? else {
        return Err(Error::conflict("limit_reached", format!("a person can have at most {LISTS_MAX} lists")));
    };
    tx.emit(mine, Event::TaskListCreated(list.clone()));
    Ok(list)
}

/// Renames or describes a list.
pub async fn update_task_list(tx: &mut Tx, patch: &TaskListPatch) -> Result<TaskList> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let Some(list) = sql::patch_list(tx.conn(), owner, patch).await? else {
        return sql::list(tx.conn(), owner, patch.id).await?.ok_or_else(Error::not_found);
    };
    tx.emit(mine, Event::TaskListUpdated(list.clone()));
    Ok(list)
}

/// Deletes a list with its tasks.
pub async fn delete_task_list(tx: &mut Tx, list: &RowRef) -> Result<Deleted> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    if !sql::delete_list(tx.conn(), owner, list.id).await? {
        return Err(Error::not_found());
    }
    tx.emit(mine, Event::TaskListDeleted((*list).into()));
    Ok((*list).into())
}

/// Adds a task to the end of a list.
pub async fn create_task(tx: &mut Tx, new: &NewTask) -> Result<Task> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let Some(task) = sql::insert_task(tx.conn(), owner, new).await? else {
        return match sql::list(tx.conn(), owner, new.list_id).await? {
            Some(_) => Err(full()),
            None => Err(Error::not_found()),
        };
    };
    tx.emit(mine, Event::TaskCreated(task.clone()));
    Ok(task)
}

/// Changes or ticks a task; `completed_at` follows.
pub async fn update_task(tx: &mut Tx, patch: &TaskPatch) -> Result<Task> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let Some(task) = sql::patch_task(tx.conn(), owner, patch).await? else {
        return sql::task(tx.conn(), owner, patch.id).await?.ok_or_else(Error::not_found);
    };
    tx.emit(mine, Event::TaskUpdated(task.clone()));
    Ok(task)
}

/// Does all `task.update` of a batch; none where there is no such task of the actor's, or nothing would change.
pub async fn update_tasks(tx: &mut BatchTx, batch: &[&Wanted]) -> Result<HashMap<By, Event>> {
    let patches = batch.iter().filter_map(|wanted| match &wanted.command {
        Command::TaskUpdate(patch) => Some((patch.id, (wanted.by, patch))),
        _ => None,
    });
    let patches: HashMap<Uuid, _> = patches.collect();
    if patches.is_empty() {
        return Ok(HashMap::new());
    }
    let given: Vec<_> = patches.values().map(|(by, patch)| (by.actor, *patch)).collect();
    let changed = sql::patch_tasks(tx.conn(), &given).await?;
    let events = changed.into_iter().filter_map(|task| Some((patches.get(&task.id)?.0, Event::TaskUpdated(task))));
    Ok(events.collect())
}

/// Puts a task behind another one, or first, in its own list or another.
///
/// It gets the middle of its neighbours' indices. Only where they leave no room is the list numbered anew.
pub async fn move_task(tx: &mut Tx, to: &TaskMove) -> Result<TaskMoved> {
    if to.after_id == Some(to.id) {
        return Err(Error::invalid(FieldError::new("after_id", "must be another task")));
    }
    let mine = lock(tx).await?;
    let owner = tx.actor();
    let place = sql::place(tx.conn(), owner, to.id, to.list_id, to.after_id).await?.ok_or_else(Error::not_found)?;
    if !place.after_found {
        return Err(order::after_not_in_list());
    }
    if place.full {
        return Err(full());
    }
    if place.there {
        let task = sql::task(tx.conn(), owner, to.id).await?.ok_or_else(Error::not_found)?;
        return Ok(TaskMoved { task, reordered: Vec::new() });
    }
    let moved = match order::middle(place.before, place.behind) {
        Some(index) => {
            let task = sql::put(tx.conn(), owner, to.id, place.list_id, index).await?;
            TaskMoved { task: task.ok_or_else(Error::not_found)?, reordered: Vec::new() }
        }
        None => {
            let mut reordered = sql::renumber(tx.conn(), owner, to.id, place.list_id, to.after_id).await?;
            reordered.retain(|order| order.id != to.id);
            reordered.sort_unstable_by_key(|order| order.order_index);
            let task = sql::task(tx.conn(), owner, to.id).await?;
            TaskMoved { task: task.ok_or_else(Error::not_found)?, reordered }
        }
    };
    tx.emit(mine, Event::TaskMoved(moved.clone()));
    Ok(moved)
}

/// Deletes a task.
pub async fn delete_task(tx: &mut Tx, task: &RowRef) -> Result<Deleted> {
    let mine = lock(tx).await?;
    let owner = tx.actor();
    if !sql::delete_task(tx.conn(), owner, task.id).await? {
        return Err(Error::not_found());
    }
    tx.emit(mine, Event::TaskDeleted((*task).into()));
    Ok((*task).into())
}

/// Everything here waits for the same lock: two tabs that reorder at once do it one after the other.
async fn lock(tx: &mut Tx) -> Result<Channel> {
    let mine = Channel::User(tx.actor());
    tx.lock(&[mine]).await?;
    Ok(mine)
}

fn full() -> Error {
    Error::conflict("limit_reached", format!("a list can have at most {TASKS_MAX} tasks"))
}
