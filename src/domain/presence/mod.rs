//! Who is here: what people say of themselves, what others may see of it, and what is written down.
//!
//! The engine knows who is here; this asks it, and adds what only the database knows: who may see whom, and when somebody
//! was here last.

mod effects;
pub mod routes;
mod sql;

use std::time::Duration;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use studyhall_protocol::check::{self, Check, FieldError};
use studyhall_protocol::presence::{Presence, PresenceSet};
use studyhall_protocol::rest::Answer;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::live::backend::Identity;
use crate::live::conn::ConnId;
use crate::live::limits::LOST_HOLD;
use crate::live::presence::DeviceId;
use crate::live::{Hub, HubLink};

pub use effects::effects;
pub use sql::{select_sees as sees, select_standings as standings, store};

/// People in one question.
const PEOPLE_MAX: usize = 200;
/// Rows that are tidied at once.
const TIDIED_AT_ONCE: i64 = 500;
/// Between two rounds of tidying.
const TIDY_EVERY: Duration = Duration::from_secs(300);

fn hub(link: &HubLink) -> Result<std::sync::Arc<Hub>> {
    link.get().ok_or_else(|| Error::unavailable("shutting_down", "this node is going away; try again shortly"))
}

/// Says what this device does. Returns the person's own presence, as it truly is.
pub async fn set(db: &Db, link: &HubLink, who: &Identity, device: DeviceId, set: &PresenceSet) -> Result<Presence> {
    set.check()?;
    let hub = hub(link)?;
    hub.set_presence(who, device, set);
    own(db, &hub, who.user_id).await
}

async fn own(db: &Db, hub: &Hub, user_id: Uuid) -> Result<Presence> {
    let mut presence = hub.own_presence(user_id).await;
    if presence.last_seen_at.is_none() {
        let rows = sql::select_seen(db, user_id, &[user_id]).await?;
        presence.last_seen_at = rows.first().and_then(|row| row.last_seen_at);
    }
    Ok(presence)
}

/// `rpc presence.set`: of the connection that it came by. Nothing of it is in a log, so there are no positions.
pub async fn rpc(
    db: &Db,
    link: &HubLink,
    who: &Identity,
    conn: ConnId,
    data: Option<&RawValue>,
) -> Result<Box<RawValue>> {
    let data: Value = serde_json::from_str(data.map_or("{}", RawValue::get))
        .map_err(|error| Error::bad_request("malformed_json", format!("data is not JSON: {error}")))?;
    if !data.is_object() {
        return Err(Error::bad_request("bad_request", "expected a JSON object"));
    }
    check::no_nul(&data)?;
    let asked: PresenceSet =
        serde_json::from_value(data).map_err(|error| Error::bad_request("bad_request", error.to_string()))?;
    let data = set(db, link, who, DeviceId::Conn(conn), &asked).await?;
    to_raw_value(&Answer { positions: Vec::new(), data }).map_err(Error::internal)
}

/// What `viewer` may see of these people, in their order. Whoever they may not see, and whoever does not exist, looks as
/// somebody who was never here.
pub async fn presences(db: &Db, link: &HubLink, viewer: Uuid, people: &[Uuid]) -> Result<Vec<Presence>> {
    if people.len() > PEOPLE_MAX {
        return Err(Error::invalid(FieldError::new("user_ids", format!("may name {PEOPLE_MAX} people"))));
    }
    let hub = hub(link)?;
    let (rows, live) = tokio::join!(sql::select_seen(db, viewer, people), hub.presences(people));
    let mut found = Vec::with_capacity(people.len());
    for (row, live) in rows?.into_iter().zip(live) {
        found.push(match row.sees {
            true if row.user_id == viewer => own(db, &hub, viewer).await?,
            true => Presence { last_seen_at: live.last_seen_at.max(row.last_seen_at), ..live },
            false => Presence { user_id: row.user_id, status: Default::default(), activity: None, last_seen_at: None },
        });
    }
    Ok(found)
}

/// Sets those offline who are written down as here and are nowhere: whose node died. Anybody's node may do it, for all
/// know who is where; and whoever has come meanwhile is left alone.
pub async fn tidy(db: &Db, hub: &Hub) -> Result<u64> {
    let (mut after, mut tidied) = (Uuid::nil(), 0);
    loop {
        let rows = sql::select_not_offline(db, after, TIDIED_AT_ONCE).await?;
        let Some(last) = rows.last() else { return Ok(tidied) };
        after = last.user_id;
        let people: Vec<Uuid> = rows.iter().map(|row| row.user_id).collect();
        let nowhere = hub.nowhere(&people).await;
        let gone: Vec<_> = rows.into_iter().filter(|row| nowhere.contains(&row.user_id)).collect();
        if !gone.is_empty() {
            tidied += sql::set_offline(db, &gone).await?;
        }
    }
}

/// Tidies when those whose connection was lost with the last node have had the time to come back, and now and then.
pub async fn keep_tidy(db: Db, link: HubLink, stop: CancellationToken) {
    let mut wait = LOST_HOLD;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = TIDY_EVERY;
        let Some(hub) = link.get() else { return };
        match tidy(&db, &hub).await {
            Ok(0) => {}
            Ok(people) => tracing::info!(people, "set people offline whose node died"),
            Err(error) => tracing::warn!(%error, "cannot tidy up presence; trying again later"),
        }
    }
}
