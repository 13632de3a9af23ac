//! Rooms, members, widgets.

pub mod routes;

use studyhall_protocol::rest::Deleted;
use studyhall_protocol::workspaces::{
    Member, MemberRef, NewWidget, NewWorkspace, Widget, WidgetMove, WidgetMoved, WidgetPatch, Workspace, WorkspacePatch,
};

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::live::backend::{Effect, LogEvent};

/// What an event of a room does besides being sent.
pub fn effects(_event: &LogEvent) -> Vec<Effect> {
    Vec::new()
}

/// Not yet.
pub async fn create_workspace(_tx: &mut Tx, _command: &NewWorkspace) -> Result<Workspace> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn update_workspace(_tx: &mut Tx, _command: &WorkspacePatch) -> Result<Workspace> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn delete_workspace(_tx: &mut Tx, _command: &Deleted) -> Result<Deleted> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn add_member(_tx: &mut Tx, _command: &MemberRef) -> Result<Member> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn remove_member(_tx: &mut Tx, _command: &MemberRef) -> Result<MemberRef> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn create_widget(_tx: &mut Tx, _command: &NewWidget) -> Result<Widget> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn update_widget(_tx: &mut Tx, _command: &WidgetPatch) -> Result<Widget> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn move_widget(_tx: &mut Tx, _command: &WidgetMove) -> Result<WidgetMoved> {
    Err(Error::not_found())
}

/// Not yet.
pub async fn delete_widget(_tx: &mut Tx, _command: &Deleted) -> Result<Deleted> {
    Err(Error::not_found())
}
