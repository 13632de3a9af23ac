//! What people can do. One folder per domain: `mod.rs` says what, `sql.rs` has every statement, `routes.rs` the doors.
//!
//! This file has the only lists of domains: commands, routes, effects.

pub mod accounts;
pub mod assignments;
pub mod attachments;
pub mod audit;
pub mod calendar;
pub mod channels;
pub mod courses;
pub mod dashboard;
pub mod documents;
pub mod duties;
pub mod erasure;
pub mod export;
pub mod feed;
pub mod focus;
pub mod metrics;
pub mod notifications;
mod order;
mod page;
mod payload;
pub mod people;
pub mod playlists;
pub mod presence;
pub mod resources;
pub mod seed;
pub mod settings;
pub mod tags;
pub mod tasks;
mod together;
pub mod verify;
pub mod workspaces;

use std::sync::Arc;

use axum::Router;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use studyhall_protocol::command::answer;
use studyhall_protocol::{Channel, Command};

pub use channels::{admit, admit_all};

use crate::db::{Drain, Tx};
use crate::error::{Error, Result};
use crate::http::AppState;
use crate::live::backend::{Effect, LogEvent};

/// Runs a command inside its transaction and returns the `data` of its answer.
pub async fn perform(tx: &mut Tx, command: &Command) -> Result<Box<RawValue>> {
    match command {
        Command::ProfileUpdate(c) => data::<answer::ProfileUpdate>(accounts::update_profile(tx, c).await?),
        Command::SettingsUpdate(c) => data::<answer::SettingsUpdate>(settings::update_settings(tx, c).await?),
        Command::UserFollow(c) => data::<answer::UserFollow>(people::follow(tx, c).await?),
        Command::UserUnfollow(c) => data::<answer::UserUnfollow>(people::unfollow(tx, c).await?),
        Command::UserBlock(c) => data::<answer::UserBlock>(people::block(tx, c).await?),
        Command::UserUnblock(c) => data::<answer::UserUnblock>(people::unblock(tx, c).await?),
        Command::PostLike(c) => data::<answer::PostLike>(feed::likes::like(tx, c).await?),
        Command::PostUnlike(c) => data::<answer::PostUnlike>(feed::likes::unlike(tx, c).await?),
        Command::PostCreate(c) => data::<answer::PostCreate>(feed::create_post(tx, c).await?),
        Command::PostUpdate(c) => data::<answer::PostUpdate>(feed::update_post(tx, c).await?),
        Command::PostDelete(c) => data::<answer::PostDelete>(feed::delete_post(tx, c).await?),
        Command::CommentCreate(c) => data::<answer::CommentCreate>(feed::create_comment(tx, c).await?),
        Command::CommentUpdate(c) => data::<answer::CommentUpdate>(feed::update_comment(tx, c).await?),
        Command::CommentDelete(c) => data::<answer::CommentDelete>(feed::delete_comment(tx, c).await?),
        Command::TaskListCreate(c) => data::<answer::TaskListCreate>(tasks::create_task_list(tx, c).await?),
        Command::TaskListUpdate(c) => data::<answer::TaskListUpdate>(tasks::update_task_list(tx, c).await?),
        Command::TaskListDelete(c) => data::<answer::TaskListDelete>(tasks::delete_task_list(tx, c).await?),
        Command::TaskCreate(c) => data::<answer::TaskCreate>(tasks::create_task(tx, c).await?),
        Command::TaskUpdate(c) => data::<answer::TaskUpdate>(tasks::update_task(tx, c).await?),
        Command::TaskMove(c) => data::<answer::TaskMove>(tasks::move_task(tx, c).await?),
        Command::TaskDelete(c) => data::<answer::TaskDelete>(tasks::delete_task(tx, c).await?),
        Command::CalendarEventCreate(c) => data::<answer::CalendarEventCreate>(calendar::create_event(tx, c).await?),
        Command::CalendarEventUpdate(c) => data::<answer::CalendarEventUpdate>(calendar::update_event(tx, c).await?),
        Command::CalendarEventMove(c) => data::<answer::CalendarEventMove>(calendar::move_event(tx, c).await?),
        Command::CalendarEventDelete(c) => data::<answer::CalendarEventDelete>(calendar::delete_event(tx, c).await?),
        Command::ReminderCreate(c) => data::<answer::ReminderCreate>(calendar::create_reminder(tx, c).await?),
        Command::ReminderDelete(c) => data::<answer::ReminderDelete>(calendar::delete_reminder(tx, c).await?),
        Command::NotificationRead(c) => data::<answer::NotificationRead>(notifications::read_one(tx, c).await?),
        Command::NotificationReadAll(c) => data::<answer::NotificationReadAll>(notifications::read_all(tx, c).await?),
        Command::WorkspaceCreate(c) => data::<answer::WorkspaceCreate>(workspaces::create_workspace(tx, c).await?),
        Command::WorkspaceUpdate(c) => data::<answer::WorkspaceUpdate>(workspaces::update_workspace(tx, c).await?),
        Command::WorkspaceDelete(c) => data::<answer::WorkspaceDelete>(workspaces::delete_workspace(tx, c).await?),
        Command::MemberAdd(c) => data::<answer::MemberAdd>(workspaces::add_member(tx, c).await?),
        Command::MemberRemove(c) => data::<answer::MemberRemove>(workspaces::remove_member(tx, c).await?),
        Command::WidgetCreate(c) => data::<answer::WidgetCreate>(workspaces::create_widget(tx, c).await?),
        Command::WidgetUpdate(c) => data::<answer::WidgetUpdate>(workspaces::update_widget(tx, c).await?),
        Command::WidgetMove(c) => data::<answer::WidgetMove>(workspaces::move_widget(tx, c).await?),
        Command::WidgetDelete(c) => data::<answer::WidgetDelete>(workspaces::delete_widget(tx, c).await?),
        Command::CourseCreate(c) => data::<answer::CourseCreate>(courses::create_course(tx, c).await?),
        Command::CourseUpdate(c) => data::<answer::CourseUpdate>(courses::update_course(tx, c).await?),
        Command::CourseDelete(c) => data::<answer::CourseDelete>(courses::delete_course(tx, c).await?),
        Command::CourseMemberAdd(c) => data::<answer::CourseMemberAdd>(courses::add_course_member(tx, c).await?),
        Command::CourseMemberRemove(c) => {
            data::<answer::CourseMemberRemove>(courses::remove_course_member(tx, c).await?)
        }
        Command::AssignmentCreate(c) => data::<answer::AssignmentCreate>(assignments::create_assignment(tx, c).await?),
        Command::AssignmentUpdate(c) => data::<answer::AssignmentUpdate>(assignments::update_assignment(tx, c).await?),
        Command::AssignmentDelete(c) => data::<answer::AssignmentDelete>(assignments::delete_assignment(tx, c).await?),
        Command::ResourceCreate(c) => data::<answer::ResourceCreate>(resources::create_resource(tx, c).await?),
        Command::ResourceUpdate(c) => data::<answer::ResourceUpdate>(resources::update_resource(tx, c).await?),
        Command::ResourceMove(c) => data::<answer::ResourceMove>(resources::move_resource(tx, c).await?),
        Command::ResourceDelete(c) => data::<answer::ResourceDelete>(resources::delete_resource(tx, c).await?),
        Command::FocusEntryCreate(c) => data::<answer::FocusEntryCreate>(focus::create_focus_entry(tx, c).await?),
        Command::FocusEntryUpdate(c) => data::<answer::FocusEntryUpdate>(focus::update_focus_entry(tx, c).await?),
        Command::FocusEntryMove(c) => data::<answer::FocusEntryMove>(focus::move_focus_entry(tx, c).await?),
        Command::FocusEntryDelete(c) => data::<answer::FocusEntryDelete>(focus::delete_focus_entry(tx, c).await?),
        Command::PlaylistCreate(c) => data::<answer::PlaylistCreate>(playlists::create_playlist(tx, c).await?),
        Command::PlaylistUpdate(c) => data::<answer::PlaylistUpdate>(playlists::update_playlist(tx, c).await?),
        Command::PlaylistMove(c) => data::<answer::PlaylistMove>(playlists::move_playlist(tx, c).await?),
        Command::PlaylistDelete(c) => data::<answer::PlaylistDelete>(playlists::delete_playlist(tx, c).await?),
        Command::ProgressMetricRecord(c) => data::<answer::ProgressMetricRecord>(metrics::record_metric(tx, c).await?),
        Command::ProgressMetricDelete(c) => data::<answer::ProgressMetricDelete>(metrics::delete_metric(tx, c).await?),
        Command::UserTagAdd(c) => data::<answer::UserTagAdd>(tags::add_tag(tx, c).await?),
        Command::UserTagRemove(c) => data::<answer::UserTagRemove>(tags::remove_tag(tx, c).await?),
        Command::AttachmentLink(c) => data::<answer::AttachmentLink>(attachments::link(tx, c).await?),
        Command::AttachmentDelete(c) => data::<answer::AttachmentDelete>(attachments::delete(tx, c).await?),
    }
}

/// The commands that are done together when there are many of them.
pub fn drain() -> Arc<dyn Drain> {
    Arc::new(together::Together::default())
}

/// What the table of commands says that a command answers.
fn data<Answer: Serialize>(value: Answer) -> Result<Box<RawValue>> {
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
        Channel::Profile(_) => erasure::effects(event),
    }
}

/// Every route of `/api/v1`, relative to it.
pub fn router() -> Router<AppState> {
    Router::new()
        .merge(accounts::routes::router())
        .merge(audit::routes::router())
        .merge(channels::routes::router())
        .merge(dashboard::routes::router())
        .merge(documents::routes::router())
        .merge(erasure::routes::router())
        .merge(export::routes::router())
        .merge(calendar::routes::router())
        .merge(notifications::routes::router())
        .merge(people::routes::router())
        .merge(presence::routes::router())
        .merge(settings::routes::router())
        .merge(feed::routes::router())
        .merge(feed::likes::routes::router())
        .merge(tasks::routes::router())
        .merge(workspaces::routes::router())
        .merge(courses::routes::router())
        .merge(assignments::routes::router())
        .merge(resources::routes::router())
        .merge(focus::routes::router())
        .merge(playlists::routes::router())
        .merge(metrics::routes::router())
        .merge(tags::routes::router())
        .merge(attachments::routes::router())
}

/// Those of them that take as long as a line needs.
pub fn uploads() -> Router<AppState> {
    attachments::routes::uploads()
}
