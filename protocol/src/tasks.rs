//! Task lists and tasks (`task_lists`, `tasks` of the schema).

use chrono::{DateTime, Datelike, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{self, Check, FieldError, LONG_TEXT_MAX};
use crate::order::RowOrder;
use crate::patch::{Clearable, not_null, present};

/// A list of tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskList {
    /// Never changes.
    pub id: Uuid,
    /// The owner.
    pub user_id: Uuid,
    /// At most 50 characters.
    pub name: String,
    /// Long-form.
    pub description: Option<String>,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Never changes.
    pub id: Uuid,
    /// The list it is in.
    pub list_id: Uuid,
    /// The owner, the same as the list's.
    pub user_id: Uuid,
    /// What is to be done.
    pub description: String,
    /// Ticked.
    pub is_completed: bool,
    /// When it was ticked.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it is due.
    pub due_at: Option<DateTime<Utc>>,
    /// Lists are ordered by this, then by `created_at` and `id`.
    pub order_index: i32,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// `task_list.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTaskList {
    /// At most 50 characters.
    pub name: String,
    /// Long-form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `task_list.update`: absent keeps, `null` clears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskListPatch {
    /// Which list.
    pub id: Uuid,
    /// At most 50 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub name: Option<String>,
    /// Long-form.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub description: Clearable<String>,
}

/// `task.create`: the task goes to the end of its list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// One of my lists.
    pub list_id: Uuid,
    /// What is to be done.
    pub description: String,
    /// When it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<DateTime<Utc>>,
}

/// `task.update`: absent keeps, `null` clears. `completed_at` follows `is_completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskPatch {
    /// Which task.
    pub id: Uuid,
    /// What is to be done.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub description: Option<String>,
    /// Ticked or not.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub is_completed: Option<bool>,
    /// When it is due.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub due_at: Clearable<DateTime<Utc>>,
}

/// `task.move`: to another place in its list, or into another list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskMove {
    /// Which task.
    pub id: Uuid,
    /// The list to go to; absent: the one it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_id: Option<Uuid>,
    /// The task to stand behind; absent or `null`: first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_id: Option<Uuid>,
}

/// What a move changed: the task, and neighbours whose index had to give way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskMoved {
    /// The task in its new place.
    pub task: Task,
    /// Other tasks of the list that got a new index; usually none.
    pub reordered: Vec<RowOrder>,
}

/// Years that PostgreSQL, JavaScript and RFC 3339 all write the same way.
fn due_at(value: Option<DateTime<Utc>>) -> Result<(), FieldError> {
    match value {
        Some(value) if !(1..=9999).contains(&value.year()) => {
            Err(FieldError::new("due_at", "must be between the years 1 and 9999"))
        }
        _ => Ok(()),
    }
}

impl Check for TaskMove {}

impl Check for NewTaskList {
    fn check(&self) -> Result<(), FieldError> {
        check::name("name", &self.name, 50)?;
        check::optional_text("description", self.description.as_deref(), LONG_TEXT_MAX)
    }
}

impl Check for TaskListPatch {
    fn check(&self) -> Result<(), FieldError> {
        self.name.as_deref().map_or(Ok(()), |name| check::name("name", name, 50))?;
        check::optional_text("description", self.description.as_ref().and_then(Option::as_deref), LONG_TEXT_MAX)
    }
}

impl Check for NewTask {
    fn check(&self) -> Result<(), FieldError> {
        check::name("description", &self.description, LONG_TEXT_MAX)?;
        due_at(self.due_at)
    }
}

impl Check for TaskPatch {
    fn check(&self) -> Result<(), FieldError> {
        self.description.as_deref().map_or(Ok(()), |text| check::name("description", text, LONG_TEXT_MAX))?;
        due_at(self.due_at.flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_that_no_store_takes() {
        let task = |due_at: &str| -> NewTask {
            let json = serde_json::json!({"list_id": Uuid::nil(), "description": "read", "due_at": due_at});
            serde_json::from_value(json).unwrap()
        };
        assert!(task("2026-11-23T12:00:00+09:00").check().is_ok());
        assert!(task("9999-12-31T23:59:59Z").check().is_ok());
        assert!(task("-4800-01-01T00:00:00Z").check().is_err());
        assert!(task("+10000-01-01T00:00:00Z").check().is_err());
    }
}
