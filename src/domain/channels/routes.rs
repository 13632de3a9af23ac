//! `GET /channels/{channel}/events`: the log itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use studyhall_protocol::rest::Page;
use studyhall_protocol::{Channel, Position};

use crate::error::{Error, Result};
use crate::http::{AppState, Caller, Paging, Path, Query, cursor};
use crate::live::backend::{Admission, LogEvent};

/// Events on a page.
const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 500;

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new().route("/channels/{channel}/events", get(events))
}

#[derive(Deserialize)]
struct From {
    /// The last number seen; 0 or absent: from the beginning.
    #[serde(default)]
    since: Option<String>,
    /// The epoch of that number; absent: any.
    #[serde(default)]
    epoch: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

/// One event of a page: its number and its payload as it travels.
#[derive(Serialize)]
struct Numbered {
    offset: u64,
    #[serde(flatten)]
    payload: std::collections::BTreeMap<String, Box<RawValue>>,
}

/// Events after `since`, oldest first. `positions` is where this page ends: the next `since`. 410
/// `unrecoverable_position` when the log does not reach back that far, is shorter, or has another epoch.
async fn events(
    State(state): State<AppState>,
    caller: Caller,
    Path(channel): Path<String>,
    Query(from): Query<From>,
) -> Result<Json<Page<Numbered>>> {
    let channel: Channel = channel.parse().map_err(|_| Error::not_found())?;
    let limit = from.paging.limit_within(LIMIT_DEFAULT, LIMIT_MAX)?;
    let (since, epoch) = start(&from)?;
    let mut admissions = super::admit(&state.db, caller.id(), &[channel]).await?;
    let admission = match admissions.pop() {
        Some(Ok(admission)) => admission,
        Some(Err(error)) if error.code == 103 => return Err(Error::forbidden("permission_denied", "not your channel")),
        Some(Err(_)) | None => return Err(Error::not_found()),
    };
    check_position(&admission, since, epoch.as_deref())?;
    let page = state.db.read_log(channel, since, limit).await?;
    // The floor may have moved since, and a right may have been lost: nothing beyond what it was given for.
    if page.floor > since + 1 || page.epoch != admission.epoch {
        return Err(Error::unrecoverable_position());
    }
    let events = page.events.into_iter().filter(|event| event.offset <= admission.head);
    let items = events.map(numbered).collect::<Result<Vec<_>>>()?;
    let offset = items.last().map_or(since, |event| event.offset);
    let epoch = admission.epoch.to_string();
    let next_cursor = if offset < admission.head { Some(cursor::encode(&(offset, &epoch))?) } else { None };
    Ok(Json(Page { items, next_cursor, positions: vec![Position { channel, offset, epoch }] }))
}

fn start(from: &From) -> Result<(u64, Option<String>)> {
    if let Some((since, epoch)) = from.paging.after::<(u64, String)>()? {
        return Ok((since, Some(epoch)));
    }
    let bad =
        |_| Error::status(StatusCode::BAD_REQUEST, "bad_request", "since must be a whole number").with_field("since");
    let since = from.since.as_deref().map_or(Ok(0), str::parse).map_err(bad)?;
    Ok((since, from.epoch.clone()))
}

fn check_position(admission: &Admission, since: u64, epoch: Option<&str>) -> Result<()> {
    let foreign = epoch.is_some_and(|epoch| *epoch != *admission.epoch);
    if foreign || since > admission.head || since + 1 < admission.floor {
        return Err(Error::unrecoverable_position());
    }
    Ok(())
}

fn numbered(event: LogEvent) -> Result<Numbered> {
    let payload = serde_json::from_slice(&event.payload).map_err(Error::internal)?;
    Ok(Numbered { offset: event.offset, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::backend::Grant;

    #[test]
    fn positions_that_the_log_cannot_serve() {
        let admission = Admission {
            grant: Grant::Member,
            head: 10,
            floor: 5,
            epoch: "e1".into(),
            place: false,
            sees: true,
            last_seen_at: None,
        };
        for (since, epoch, fine) in [
            (4, Some("e1"), true),
            (10, None, true),
            (3, Some("e1"), false),
            (11, Some("e1"), false),
            (7, Some("e0"), false),
            (u64::MAX, None, false),
        ] {
            assert_eq!(check_position(&admission, since, epoch).is_ok(), fine, "{since} {epoch:?}");
        }
    }
}
