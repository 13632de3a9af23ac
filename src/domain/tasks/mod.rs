//! Task lists and tasks.

pub mod routes;

use studyhall_protocol::rest::Deleted;
use studyhall_protocol::tasks::{NewTask, NewTaskList, Task, TaskList, TaskListPatch, TaskMove, TaskMoved, TaskPatch};

use crate::db::Tx;
use crate::error::{Error, Result};

/// Not yet.
pub async fn create_task_list(_tx: &mut Tx, _command: &NewTaskList) -> Result<TaskList> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn update_task_list(_tx: &mut Tx, _command: &TaskListPatch) -> Result<TaskList> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn delete_task_list(_tx: &mut Tx, _command: &Deleted) -> Result<Deleted> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn create_task(_tx: &mut Tx, _command: &NewTask) -> Result<Task> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn update_task(_tx: &mut Tx, _command: &TaskPatch) -> Result<Task> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn move_task(_tx: &mut Tx, _command: &TaskMove) -> Result<TaskMoved> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn delete_task(_tx: &mut Tx, _command: &Deleted) -> Result<Deleted> {
    Err(Error::not_found())
}
