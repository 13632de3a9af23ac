//! What a channel's events add up to.
//!
//! `apply` is total over the table of events: a new event is placed here or does not compile. So the
//! promise "snapshot(p) + events(p, q] = snapshot(q)" can be tested for every one of them, and a
//! client in Rust has its reducer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::accounts::{Me, User};
use crate::dashboard::Dashboard;
use crate::event::Event;
use crate::tasks::{Task, TaskList};
use crate::widgets::Widget;
use crate::workspaces::{Member, Room, Workspace};

/// The state behind `user:<id>`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UserState {
    /// The account.
    pub me: Option<Me>,
    /// Lists by id.
    pub task_lists: BTreeMap<Uuid, TaskList>,
    /// Tasks by id.
    pub tasks: BTreeMap<Uuid, Task>,
    /// Rooms that I am in, by the room's id.
    pub memberships: BTreeMap<Uuid, Member>,
}

/// The state behind `profile:<id>`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProfileState {
    /// The person.
    pub user: Option<User>,
}

/// The state behind `workspace:<id>`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceState {
    /// The room; `None` once it is deleted.
    pub workspace: Option<Workspace>,
    /// Members by the person's id.
    pub members: BTreeMap<Uuid, Member>,
    /// Widgets by id.
    pub widgets: BTreeMap<Uuid, Widget>,
}

impl From<Dashboard> for UserState {
    /// The state at the position of `user:<me>` in the answer.
    fn from(page: Dashboard) -> Self {
        Self {
            me: Some(page.me),
            task_lists: page.task_lists.into_iter().map(|list| (list.id, list)).collect(),
            tasks: page.tasks.into_iter().map(|task| (task.id, task)).collect(),
            memberships: page.memberships.into_iter().map(|member| (member.workspace_id, member)).collect(),
        }
    }
}

impl From<Room> for WorkspaceState {
    /// The state at the position in the answer.
    fn from(room: Room) -> Self {
        Self {
            workspace: Some(room.workspace),
            members: room.members.into_iter().map(|member| (member.user_id, member)).collect(),
            widgets: room.widgets.into_iter().map(|widget| (widget.id, widget)).collect(),
        }
    }
}

/// The event belongs to another kind of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misplaced;

impl UserState {
    /// Moves the state one event on.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misplaced> {
        match event {
            Event::UserUpdated(me) => self.me = Some(me.clone()),
            Event::SessionEnded(_) => {}
            Event::TaskListCreated(list) | Event::TaskListUpdated(list) => {
                self.task_lists.insert(list.id, list.clone());
            }
            Event::TaskListDeleted(gone) => {
                self.task_lists.remove(&gone.id);
                self.tasks.retain(|_, task| task.list_id != gone.id);
            }
            Event::TaskCreated(task) | Event::TaskUpdated(task) => {
                self.tasks.insert(task.id, task.clone());
            }
            Event::TaskMoved(moved) => {
                self.tasks.insert(moved.task.id, moved.task.clone());
                for order in &moved.reordered {
                    if let Some(task) = self.tasks.get_mut(&order.id) {
                        task.order_index = order.order_index;
                        task.updated_at = order.updated_at;
                    }
                }
            }
            Event::TaskDeleted(gone) => {
                self.tasks.remove(&gone.id);
            }
            Event::MembershipCreated(member) => {
                self.memberships.insert(member.workspace_id, member.clone());
            }
            Event::MembershipDeleted(gone) => {
                self.memberships.remove(&gone.workspace_id);
            }
            Event::ProfileUpdated(_)
            | Event::WorkspaceCreated(_)
            | Event::WorkspaceUpdated(_)
            | Event::WorkspaceDeleted(_)
            | Event::MemberAdded(_)
            | Event::MemberRemoved(_)
            | Event::WidgetCreated(_)
            | Event::WidgetUpdated(_)
            | Event::WidgetMoved(_)
            | Event::WidgetDeleted(_) => return Err(Misplaced),
        }
        Ok(())
    }
}

impl ProfileState {
    /// Moves the state one event on.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misplaced> {
        match event {
            Event::ProfileUpdated(user) => self.user = Some(user.clone()),
            Event::UserUpdated(_)
            | Event::SessionEnded(_)
            | Event::TaskListCreated(_)
            | Event::TaskListUpdated(_)
            | Event::TaskListDeleted(_)
            | Event::TaskCreated(_)
            | Event::TaskUpdated(_)
            | Event::TaskMoved(_)
            | Event::TaskDeleted(_)
            | Event::MembershipCreated(_)
            | Event::MembershipDeleted(_)
            | Event::WorkspaceCreated(_)
            | Event::WorkspaceUpdated(_)
            | Event::WorkspaceDeleted(_)
            | Event::MemberAdded(_)
            | Event::MemberRemoved(_)
            | Event::WidgetCreated(_)
            | Event::WidgetUpdated(_)
            | Event::WidgetMoved(_)
            | Event::WidgetDeleted(_) => return Err(Misplaced),
        }
        Ok(())
    }
}

impl WorkspaceState {
    /// Moves the state one event on.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misplaced> {
        match event {
            Event::WorkspaceCreated(workspace) | Event::WorkspaceUpdated(workspace) => {
                self.workspace = Some(workspace.clone());
            }
            Event::WorkspaceDeleted(_) => *self = Self::default(),
            Event::MemberAdded(member) => {
                self.members.insert(member.user_id, member.clone());
            }
            Event::MemberRemoved(gone) => {
                self.members.remove(&gone.user_id);
            }
            Event::WidgetCreated(widget) | Event::WidgetUpdated(widget) => {
                self.widgets.insert(widget.id, widget.clone());
            }
            Event::WidgetMoved(moved) => {
                self.widgets.insert(moved.widget.id, moved.widget.clone());
            }
            Event::WidgetDeleted(gone) => {
                self.widgets.remove(&gone.id);
            }
            Event::UserUpdated(_)
            | Event::SessionEnded(_)
            | Event::TaskListCreated(_)
            | Event::TaskListUpdated(_)
            | Event::TaskListDeleted(_)
            | Event::TaskCreated(_)
            | Event::TaskUpdated(_)
            | Event::TaskMoved(_)
            | Event::TaskDeleted(_)
            | Event::MembershipCreated(_)
            | Event::MembershipDeleted(_)
            | Event::ProfileUpdated(_) => return Err(Misplaced),
        }
        Ok(())
    }
}
