//! The state behind `workspace:<id>`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Misplaced;
use crate::attachments::Attachment;
use crate::event::Event;
use crate::widgets::Widget;
use crate::workspaces::{Member, Room, Workspace};

/// The state behind `workspace:<id>`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceState {
    /// The room; `None` once it is deleted.
    pub workspace: Option<Workspace>,
    /// Members by the person's id.
    pub members: BTreeMap<Uuid, Member>,
    /// Widgets by id.
    pub widgets: BTreeMap<Uuid, Widget>,
    /// Files by id.
    pub attachments: BTreeMap<Uuid, Attachment>,
}

impl From<Room> for WorkspaceState {
    /// The state at the position in the answer.
    fn from(room: Room) -> Self {
        Self {
            workspace: Some(room.workspace),
            members: room.members.into_iter().map(|member| (member.user_id, member)).collect(),
            widgets: room.widgets.into_iter().map(|widget| (widget.id, widget)).collect(),
            attachments: room.attachments.into_iter().map(|file| (file.id, file)).collect(),
        }
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
            Event::AttachmentLinked(file) => {
                self.attachments.insert(file.id, file.clone());
            }
            Event::AttachmentUnlinked(gone) => {
                self.attachments.remove(&gone.id);
            }
            _ => return Err(Misplaced),
        }
        Ok(())
    }
}
