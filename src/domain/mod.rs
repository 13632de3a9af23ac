//! What people can do. One folder per domain: `mod.rs` says what, `sql.rs` has every statement, `routes.rs` the doors.
//!
//! This file has the only lists of domains: commands, routes, effects.

pub mod accounts;
pub mod channels;
pub mod dashboard;
pub mod feed;
mod page;
mod payload;
pub mod people;
pub mod presence;
pub mod seed;
pub mod settings;
pub mod tasks;
pub mod verify;
pub mod workspaces;

use std::sync::Arc;

use axum::Router;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use studyhall_protocol::{Channel, Command};

pub use channels::admit;

use crate::db::{Drain, Tx};
use crate::error::{Error, Result};
use crate::http::AppState;
use crate::live::backend::{Effect, LogEvent};

/// Runs a command inside its transaction and returns the `data` of its answer.
pub async fn perform(tx: &mut Tx, command: &Command) -> Result<Box<RawValue>> {
    match command {
        Command::ProfileUpdate(c) => data(accounts::update_profile(tx, c).await?),
        Command::SettingsUpdate(c) => data(settings::update_settings(tx, c).await?),
        Command::UserFollow(c) => data(people::follow(tx, c).await?),
        Command::UserUnfollow(c) => data(people::unfollow(tx, c).await?),
        Command::UserBlock(c) => data(people::block(tx, c).await?),
        Command::UserUnblock(c) => data(people::unblock(tx, c).await?),
        Command::PostLike(c) => data(feed::likes::like(tx, c).await?),
        Command::PostUnlike(c) => data(feed::likes::unlike(tx, c).await?),
        Command::PostCreate(c) => data(feed::create_post(tx, c).await?),
        Command::PostUpdate(c) => data(feed::update_post(tx, c).await?),
        Command::PostDelete(c) => data(feed::delete_post(tx, c).await?),
        Command::CommentCreate(c) => data(feed::create_comment(tx, c).await?),
        Command::CommentUpdate(c) => data(feed::update_comment(tx, c).await?),
        Command::CommentDelete(c) => data(feed::delete_comment(tx, c).await?),
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

/// The commands that are done together when there are many of them.
pub fn drain() -> Arc<dyn Drain> {
    Arc::new(feed::likes::drain::Likes::default())
}

fn data(value: impl Serialize) -> Result<Box<RawValue>> {
    to_raw_value(&value).map_err(Error::internal)
}

/// What an event does besides being sent; every node that sees it comes to the same.
pub fn effects(event: &LogEvent) -> Vec<Effect> {
    match event.channel {
        Channel::User(_) => {
            let all = [accounts::effects(event), people::effects(event), presence::effects(event)];
            all.into_iter().flatten().collect()
        }
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
        .merge(people::routes::router())
        .merge(presence::routes::router())
        .merge(settings::routes::router())
        .merge(feed::routes::router())
        .merge(feed::likes::routes::router())
        .merge(tasks::routes::router())
        .merge(workspaces::routes::router())
}
