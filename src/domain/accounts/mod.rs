//! People: accounts, sign-ins, profiles.

pub mod routes;
mod sign_in;
mod sql;

use studyhall_protocol::Channel;
use studyhall_protocol::accounts::{EndReason, Me, ProfilePatch, SessionsEnded};
use studyhall_protocol::error::Disconnect;
use studyhall_protocol::event::Event;
use uuid::Uuid;

use crate::db::Tx;
use crate::domain::payload::data;
use crate::error::{Error, Result};
use crate::live::backend::{Effect, LogEvent};

pub use sign_in::{change_password, end_session, make_account, sign_in, sign_up};
pub(super) use sign_in::{prove_password, wrong_password};

/// Changes my profile: `profile.updated` for everybody, `user.updated` for myself.
pub async fn update_profile(tx: &mut Tx, patch: &ProfilePatch) -> Result<Me> {
    let id = tx.actor();
    tx.lock(&[Channel::User(id), Channel::Profile(id)]).await?;
    let patch = serde_json::to_value(patch).map_err(Error::internal)?;
    let me = sql::update_user_row(tx.conn(), id, &patch).await?.ok_or_else(Error::unauthorized)?;
    tx.emit(Channel::User(id), Event::UserUpdated(me.clone()));
    tx.emit(Channel::Profile(id), Event::ProfileUpdated(me.user.clone()));
    Ok(me)
}

/// A person as they are now, for the events that tell of a changed count.
pub(crate) async fn read_me(tx: &mut Tx, id: Uuid) -> Result<Me> {
    sql::select_me(tx.conn(), id).await?.ok_or_else(Error::not_found)
}

/// What an event of `user:` does besides being sent: ended sign-ins close their sockets.
pub fn effects(event: &LogEvent) -> Vec<Effect> {
    if &*event.name != "session.ended" {
        return Vec::new();
    }
    let Some(ended) = data::<SessionsEnded>(event) else {
        return Vec::new();
    };
    let why = match ended.reason {
        EndReason::SignedOut => Disconnect::SIGNED_OUT,
        EndReason::PasswordChanged => Disconnect::PASSWORD_CHANGED,
        EndReason::Disabled => Disconnect::ACCOUNT_DISABLED,
        EndReason::Erased => Disconnect::ACCOUNT_ERASED,
    };
    vec![Effect::EndSessions { user_id: event.channel.id(), session_ids: ended.session_ids, why }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_sign_in_closes_its_sockets() {
        let (user_id, session) = (Uuid::new_v4(), Uuid::new_v4());
        let payload = format!(
            r#"{{"type":"session.ended","data":{{"session_ids":["{session}"],"reason":"password_changed"}},"actor":null}}"#
        );
        let mut event = LogEvent {
            channel: Channel::User(user_id),
            offset: 1,
            name: "session.ended".into(),
            payload: payload.into(),
        };
        let why = Disconnect::PASSWORD_CHANGED;
        assert_eq!(effects(&event), [Effect::EndSessions { user_id, session_ids: vec![session], why }]);
        event.payload = r#"{"type":"session.ended","data":null}"#.into();
        assert_eq!(effects(&event), []);
    }
}
