//! Company for whoever tries things out: some people of the demo world are here as long as it is open.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use studyhall_protocol::presence::PresenceSet;
use tokio_util::sync::CancellationToken;

use super::files::World;
use super::{derived, person_id, sql};
use crate::db::Db;
use crate::live::HubLink;
use crate::live::backend::Identity;
use crate::live::presence::DeviceId;

/// A program counts for a minute after it called.
const CALL_EVERY: Duration = Duration::from_secs(30);

/// Those of the demo world who are to be here, each as a program of theirs would say it, until `stop`.
pub async fn keep_company(db: Db, hub: HubLink, stop: CancellationToken) -> anyhow::Result<()> {
    let mut company: Vec<(Identity, PresenceSet)> = Vec::new();
    for person in World::read(None)?.people.people {
        let holder = sql::holder(db.pool(), &person.username).await?;
        // Somebody else of that name is not ours to speak for.
        let ours = holder.is_some_and(|holder| holder.id == person_id(&person.username) && holder.first_password);
        if let (true, Some(presence)) = (ours, person.presence) {
            company.push((identity(&person.username), presence));
        }
    }
    loop {
        let Some(hub) = hub.get() else { return Ok(()) };
        for (who, presence) in &company {
            hub.set_presence(who, DeviceId::Session(who.session_id), presence);
        }
        drop(hub);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(CALL_EVERY) => {}
        }
    }
}

fn identity(username: &str) -> Identity {
    Identity {
        user_id: person_id(username),
        session_id: derived("program", username),
        expires_at: DateTime::<Utc>::MAX_UTC,
        info: Arc::from(RawValue::NULL.to_owned()),
    }
}
