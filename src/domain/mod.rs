//! What people can do. One folder per domain: `mod.rs` says what, `sql.rs` has every statement, `routes.rs` the doors.
//!
//! This file has the only lists of domains: commands, routes, effects.

pub mod accounts;
pub mod channels;
pub mod dashboard;
pub mod documents;
mod page;
pub mod seed;
pub mod tasks;
pub mod workspaces;

use axum::Router;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use studyhall_protocol::{Channel, Command};

pub use channels::admit;

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::http::AppState;
use crate::live::backend::{Effect, LogEvent};

/// Runs a command inside its transaction and returns the `data` of its answer.
pub async fn perform(tx: &mut Tx, command: &Command) -> Result<Box<RawValue>> {
    match command {
        Command::ProfileUpdate(c) => data(accounts::update_profile(tx, c).await?),
        // The feed and the graph of people have no actions yet.
        Command::SettingsUpdate(_)
        | Command::UserFollow(_)
        | Command::UserUnfollow(_)
        | Command::UserBlock(_)
        | Command::UserUnblock(_)
        | Command::PostCreate(_)
        | Command::PostUpdate(_)
        | Command::PostDelete(_)
        | Command::PostLike(_)
        | Command::PostUnlike(_)
        | Command::CommentCreate(_)
        | Command::CommentUpdate(_)
        | Command::CommentDelete(_) => Err(Error::not_found()),
        Command::TaskListCreate(c) => data(tasks::create_task_list(tx, c).await?),
        Command::TaskListUpdate(c) => data(tasks::update_task_list(tx, c).await?),
        Command::TaskListDelete(c) => data(tasks::delete_task_list(tx, c).await?),
        Command::TaskCreate(c) => data(tasks::create_task(tx, c).await?),
        Command::TaskUpdate(c) => data(tasks::update_task(tx, c).await?),
        Command::TaskMove(c) => data(tasks::move_task(tx, c).await?),
        Command::TaskDelete(c) => data(tasks::delete_task(tx, c).await?),
        Command::WorkspaceCreate(c) => data(workspaces::create_workspace(tx, c).await?),
        Command::WorkspaceUpdate(c) => data(workspaces::update_workspace(tx, c).await?),
        Command::WorkspaceDelete(c) => data(workspaces::delete_workspace(tx, c).await?),
        Command::MemberAdd(c) => data(workspaces::add_member(tx, c).await?),
        Command::MemberRemove(c) => data(workspaces::remove_member(tx, c).await?),
        Command::WidgetCreate(c) => data(workspaces::create_widget(tx, c).await?),
        Command::WidgetUpdate(c) => data(workspaces::update_widget(tx, c).await?),
        Command::WidgetMove(c) => data(workspaces::move_widget(tx, c).await?),
        Command::WidgetDelete(c) => data(workspaces::delete_widget(tx, c).await?),
    }
}

fn data(value: impl Serialize) -> Result<Box<RawValue>> {
    to_raw_value(&value).map_err(Error::internal)
}

/// What an event does besides being sent; every node that sees it comes to the same.
pub fn effects(event: &LogEvent) -> Vec<Effect> {
    match event.channel {
        Channel::User(_) => accounts::effects(event),
        Channel::Workspace(_) => workspaces::effects(event),
        Channel::Profile(_) => Vec::new(),
    }
}

/// Every route of `/api/v1`, relative to it.
pub fn router() -> Router<AppState> {
    Router::new()
        .merge(accounts::routes::router())
        .merge(channels::routes::router())
        .merge(dashboard::routes::router())
        .merge(documents::routes::router())
        .merge(tasks::routes::router())
        .merge(workspaces::routes::router())
}
