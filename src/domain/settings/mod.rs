//! What a person prefers, and who may see that they are here. Private: events on `user:` of that person.

pub mod routes;
mod sql;

use std::collections::HashSet;

use studyhall_protocol::check::FieldError;
use studyhall_protocol::settings::{Settings, SettingsPatch};
use studyhall_protocol::{Channel, Event};
use tokio::sync::OnceCell;

use crate::db::Tx;
use crate::domain::assignments;
use crate::error::{Error, Result};

/// The names of PostgreSQL's time zones. It reads a thousand files to list them, which takes it tens of milliseconds;
/// they change with its package.
static TIME_ZONES: OnceCell<HashSet<String>> = OnceCell::const_new();

/// Changes my settings. What changes nothing makes no event.
pub async fn update_settings(tx: &mut Tx, patch: &SettingsPatch) -> Result<Settings> {
    let me = tx.actor();
    if let Some(Some(name)) = &patch.timezone
        && !TIME_ZONES.get_or_try_init(|| sql::time_zones(tx.conn())).await?.contains(name)
    {
        let problem = "must be the name of a time zone in the IANA database, such as Europe/Berlin";
        return Err(Error::invalid(FieldError::new("timezone", problem)));
    }
    tx.lock(&[Channel::User(me)]).await?;
    let before = sql::select_settings(tx.conn(), me).await?.ok_or_else(Error::unauthorized)?;
    let after = sql::update_settings(tx.conn(), me, patch).await?.ok_or_else(Error::unauthorized)?;
    if after != before {
        tx.emit(Channel::User(me), Event::SettingsUpdated(after.clone()));
    }
    if after.timezone != before.timezone {
        assignments::follow_the_day(tx).await?;
    }
    Ok(after)
}
