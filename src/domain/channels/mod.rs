//! Who may subscribe to what, and the log for whoever may.

pub mod routes;
mod sql;

use studyhall_protocol::Channel;
use studyhall_protocol::error::WireError;
use uuid::Uuid;

use crate::db::Db;
use crate::error::Result;
use crate::live::backend::{Admission, Grant};

/// May they subscribe?
pub type Answers = Vec<std::result::Result<Admission, WireError>>;

/// One answer per channel, in order, with where its log stands; all from one snapshot, by one statement.
///
/// `user:` is for that person alone (103 for others), `profile:` for anyone if the person exists and no block parts the
/// two (102 if not), `workspace:` for members, and for guests where the room lets them; to strangers it does not exist (102).
pub async fn admit(db: &Db, who: Uuid, channels: &[Channel]) -> Result<Answers> {
    let asked = [(who, channels.to_vec())];
    Ok(admit_all(db, &asked).await?.pop().unwrap_or_default())
}

/// The same for several people: an answer per channel for each of them, in order, all from one snapshot.
pub async fn admit_all(db: &Db, asked: &[(Uuid, Vec<Channel>)]) -> Result<Vec<Answers>> {
    let pairs = asked.iter().flat_map(|(who, channels)| channels.iter().map(|channel| (*who, *channel)));
    let pairs: Vec<(Uuid, Channel)> = pairs.collect();
    let mut rows = sql::select_admissions(db, &pairs).await?.into_iter();
    let of_one = |(who, channels): &(Uuid, Vec<Channel>)| {
        channels.iter().zip(rows.by_ref()).map(|(channel, row)| decide(*who, *channel, row)).collect()
    };
    Ok(asked.iter().map(of_one).collect())
}

fn decide(who: Uuid, channel: Channel, row: sql::AdmissionRow) -> std::result::Result<Admission, WireError> {
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
