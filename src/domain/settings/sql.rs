//! Every statement about settings. They are in two tables: the seed's own has no columns for presence.

use std::collections::HashSet;

use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::settings::{Settings, SettingsPatch};
use studyhall_protocol::{Channel, Position};
use uuid::Uuid;

use crate::db::position;
use crate::error::Result;

/// The names of all time zones that PostgreSQL knows, without the second names that only its own files have.
pub async fn time_zones(db: &mut PgConnection) -> Result<HashSet<String>> {
    let names = sqlx::query_scalar!(
        r#"select name as "name!" from pg_timezone_names
         where name !~ '^(posix|right)/' and name not in ('posixrules', 'localtime', 'Factory')"#
    );
    Ok(names.fetch_all(db).await?.into_iter().collect())
}

/// A person's settings, inside a transaction.
pub async fn select_settings(db: &mut PgConnection, person: Uuid) -> Result<Option<Settings>> {
    let settings = sqlx::query_as!(
        Settings,
        "select s.user_id, s.preferred_locale, s.timezone, s.theme, s.data, p.visibility as presence_visibility,
             p.invisible
         from user_settings s join presence_settings p on p.user_id = s.user_id
         where s.user_id = $1",
        person,
    );
    Ok(settings.fetch_optional(db).await?)
}

/// A person's settings, with where `user:` stands.
pub async fn select_settings_with_position(
    db: impl PgExecutor<'_>,
    person: Uuid,
) -> Result<Option<(Settings, Position)>> {
    let channel = Channel::User(person);
    let row = sqlx::query!(
        r#"select s.user_id, s.preferred_locale, s.timezone, s.theme, s.data, p.visibility, p.invisible,
             coalesce(h.head, 0) as "head!", e.epoch as "epoch!"
         from user_settings s
         join presence_settings p on p.user_id = s.user_id
         cross join log_epoch e
         left join channel_heads h on h.channel = $2
         where s.user_id = $1"#,
        person,
        channel.to_string(),
    );
    let Some(row) = row.fetch_optional(db).await? else { return Ok(None) };
    let settings = Settings {
        user_id: row.user_id,
        preferred_locale: row.preferred_locale,
        timezone: row.timezone,
        theme: row.theme,
        data: row.data,
        presence_visibility: row.visibility.into(),
        invisible: row.invisible,
    };
    Ok(Some((settings, position(channel, row.head, row.epoch)?)))
}

/// Columns that the patch does not name keep their value; `null` clears.
pub async fn update_settings(db: &mut PgConnection, person: Uuid, patch: &SettingsPatch) -> Result<Option<Settings>> {
    let settings = sqlx::query_as!(
        Settings,
        "with s as (
             update user_settings s set (preferred_locale, timezone, theme, data) = (
                 select n.preferred_locale, n.timezone, n.theme, n.data from jsonb_populate_record(s, $2) n)
             where s.user_id = $1
             returning s.*
         ), p as (
             update presence_settings p
             set visibility = coalesce($2 ->> 'presence_visibility', p.visibility),
                 invisible = coalesce(($2 ->> 'invisible')::boolean, p.invisible)
             where p.user_id = $1
             returning p.*
         )
         select s.user_id, s.preferred_locale, s.timezone, s.theme, s.data, p.visibility as presence_visibility,
             p.invisible
         from s join p on p.user_id = s.user_id",
        person,
        Json(patch) as _,
    );
    Ok(settings.fetch_optional(db).await?)
}
