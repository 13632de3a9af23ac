//! People: accounts, sign-ins, profiles.

pub mod routes;
mod sql;

use serde::Deserialize;
use studyhall_protocol::Channel;
use studyhall_protocol::accounts::{EndReason, Me, ProfilePatch, SessionsEnded};
use studyhall_protocol::error::Disconnect;
use studyhall_protocol::event::Event;

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::live::backend::{Effect, LogEvent};

/// Changes my profile: `profile.updated` for everybody, `user.updated` for myself.
pub async fn update_profile(tx: &mut Tx, patch: &ProfilePatch) -> Result<Me> {
    let me = tx.actor();
    tx.lock(&[Channel::User(me), Channel::Profile(me)]).await?;
    let patch = serde_json::to_value(patch).map_err(Error::internal)?;
    let account = sql::update_user_row(tx.conn(), me, &patch)
        .await?
        .ok_or_else(Error::unauthorized)?;
    tx.emit(Channel::Profile(me), Event::ProfileUpdated(account.user.clone()));
    tx.emit(Channel::User(me), Event::UserUpdated(account.clone()));
    Ok(account)
}

/// What an event of `user:` does besides being sent: ended sign-ins close their sockets.
pub fn effects(event: &LogEvent) -> Vec<Effect> {
    #[derive(Deserialize)]
    struct Ended {
        data: SessionsEnded,
    }
    if &*event.name != "session.ended" {
        return Vec::new();
    }
    let Ok(Ended { data }) = serde_json::from_slice(&event.payload) else {
        return Vec::new();
    };
    let why = match data.reason {
        EndReason::SignedOut => Disconnect::SIGNED_OUT,
        EndReason::PasswordChanged => Disconnect::PASSWORD_CHANGED,
        EndReason::Disabled => Disconnect::ACCOUNT_DISABLED,
    };
    vec![Effect::EndSessions {
        user_id: event.channel.id(),
        session_ids: data.session_ids,
        why,
    }]
}
