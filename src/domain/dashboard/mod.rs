//! The home page: everything that a person sees first, in one snapshot.

pub mod routes;
mod sql;

use sqlx::PgExecutor;
use studyhall_protocol::dashboard::Dashboard;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Everything that the home page of this person shows, with the position of every channel in it.
pub async fn dashboard(db: impl PgExecutor<'_>, person: Uuid) -> Result<Dashboard> {
    let row = sql::dashboard(db, person).await?.ok_or_else(Error::unauthorized)?;
    Ok(Dashboard {
        me: row.me.0,
        settings: row.settings.0,
        following: row.following,
        blocked: row.blocked,
        task_lists: row.task_lists.0,
        tasks: row.tasks.0,
        memberships: row.memberships.0,
        workspaces: row.workspaces.0,
        courses: row.courses.0,
        assignments: row.assignments.0,
        resources: row.resources.0,
        focus_entries: row.focus_entries.0,
        playlists: row.playlists.0,
        progress_metrics: row.progress_metrics.0,
        calendar_from: row.calendar_from,
        calendar_to: row.calendar_to,
        calendar_events: row.calendar_events.0,
        reminders: row.reminders.0,
        unread_count: row.notifications.iter().filter(|one| one.read_at.is_none()).count() as i64,
        notifications: row.notifications.0,
        positions: row.positions.0,
    })
}
