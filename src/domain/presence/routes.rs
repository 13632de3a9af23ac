//! The REST doors of presence.

use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use studyhall_protocol::check::FieldError;
use studyhall_protocol::presence::{Presence, PresenceSet};
use studyhall_protocol::rest::{Answer, Page};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::http::{AppState, Body, Caller, Query};
use crate::live::presence::DeviceId;

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/me/presence", put(set)).route("/presence", get(presences))
}

/// What the program of this sign-in does; it counts as a device for a minute.
async fn set(
    State(state): State<AppState>,
    caller: Caller,
    Body(set): Body<PresenceSet>,
) -> Result<Json<Answer<Presence>>> {
    let device = DeviceId::Session(caller.identity.session_id);
    let data = super::set(&state.db, &state.hub, &caller.identity, device, &set).await?;
    Ok(Json(Answer { positions: Vec::new(), data }))
}

#[derive(Deserialize)]
struct Asked {
    /// Ids with commas between them.
    #[serde(default)]
    user_ids: String,
}

async fn presences(
    State(state): State<AppState>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<Presence>>> {
    let people = ids(&asked.user_ids)?;
    let items = super::presences(&state.db, &state.hub, caller.id(), &people).await?;
    Ok(Json(Page { items, next_cursor: None, positions: Vec::new() }))
}

fn ids(text: &str) -> Result<Vec<Uuid>> {
    let bad = |_| Error::invalid(FieldError::new("user_ids", "must be ids of people with commas between them"));
    let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty());
    ids.map(|id| id.parse().map_err(bad)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_commas_between_them() {
        let [one, two] = [1, 2].map(Uuid::from_u128);
        assert_eq!(ids(&format!("{one}, {two},{one}")).unwrap(), [one, two, one]);
        assert!(ids("").unwrap().is_empty());
        assert_eq!(ids("ann").unwrap_err().code(), "invalid_field");
    }
}
