//! Who may subscribe to what, and the log for whoever may.

pub mod routes;
mod sql;

use studyhall_protocol::Channel;
use studyhall_protocol::error::WireError;
use uuid::Uuid;

use crate::db::Db;
use crate::error::Result;
use crate::live::backend::{Admission, Grant};

/// One answer per channel, in order, with where its log stands; all from one snapshot, by one statement.
///
/// `user:` is for that person alone (103 for others), `profile:` for anyone if the person exists and no block parts the
/// two (102 if not), `workspace:` for members, and for guests where the room lets them; to strangers it does not exist (102).
pub async fn admit(db: &Db, who: Uuid, channels: &[Channel]) -> Result<Vec<Result<Admission, WireError>>> {
    let rows = sql::select_admissions(db, who, channels).await?;
    Ok(channels.iter().zip(rows).map(|(channel, row)| decide(who, *channel, row)).collect())
}

fn decide(who: Uuid, channel: Channel, row: sql::AdmissionRow) -> Result<Admission, WireError> {
    let grant = match channel {
        Channel::User(id) if id == who => Grant::Member,
        Channel::User(_) => return Err(WireError::permission_denied()),
        Channel::Profile(_) if row.person => Grant::Member,
        Channel::Workspace(_) if row.member => Grant::Member,
        Channel::Workspace(_) if row.guests => Grant::Guest,
        Channel::Profile(_) | Channel::Workspace(_) => return Err(WireError::unknown_channel()),
    };
    let place = matches!(channel, Channel::Workspace(_));
    let sql::AdmissionRow { head, sees, last_seen_at, .. } = row;
    Ok(Admission { grant, head: head.head, floor: head.floor, epoch: head.epoch, place, sees, last_seen_at })
}
