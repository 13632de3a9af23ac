//! The record of what was done (`audit_logs` of the schema).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::describe::FreeObject;

/// A line of the record: that something was done, never what was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Grows with time.
    pub id: i64,
    /// When.
    pub created_at: DateTime<Utc>,
    /// The command, such as `task.create`; or `account.create`, `session.create`, `session.end`, `password.change`.
    pub action: String,
    /// Who did it; `null` when it was an operator, or somebody who is gone.
    pub actor_id: Option<Uuid>,
    /// What it was done to: `user`, or the first word of the command.
    pub subject_type: Option<String>,
    /// Which one; absent where it is the actor's own account.
    pub subject_id: Option<Uuid>,
    /// What else was named, by id.
    #[schemars(with = "FreeObject")]
    pub metadata: Value,
    /// From where; only of what I did myself.
    pub ip: Option<String>,
}
