//! What PostgreSQL has to be and to be set to. Errors are for the person who starts the server.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::pools::within;

/// For one attempt to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A PostgreSQL that starts at the same moment is waited for.
const STARTING_FOR: Duration = Duration::from_secs(5);
/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(200);
/// The oldest version with all that is used here (`client_connection_check_interval`).
const OLDEST: u32 = 140_000;

/// Guards on every connection; PostgreSQL has all of them off. A node that stands still with a channel's lock in
/// hand blocks that channel for the idle time and no longer.
///
/// And no compiler: it sets out when a statement is expected to be dear, anew each time that it runs, and of tables
/// that were never analysed PostgreSQL expects much too much. None of ours is worth a compilation.
pub(super) const SESSION: [(&str, &str); 5] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("client_connection_check_interval", "1s"),
    ("jit", "off"),
];

/// Settings without which an acknowledged write can be gone after a crash, that are off: their names.
pub(super) const UNSAFE: &str = "select coalesce(string_agg(name, ', ' order by name), '') from pg_settings
    where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off'";

/// What an address says. sqlx itself takes any scheme.
pub(super) fn options(url: &str) -> anyhow::Result<PgConnectOptions> {
    const FORM: &str = "DATABASE_URL is not a PostgreSQL address such as postgres://user:password@host:5432/database";
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        bail!(FORM);
    }
    PgConnectOptions::from_str(url).context(FORM)
}

/// Connects once, and refuses a server that could lose acknowledged writes, or cannot take any.
pub(super) async fn check(options: &PgConnectOptions) -> anyhow::Result<()> {
    let mut connection = connect(options).await?;
    let version = connection.server_version_num().unwrap_or(OLDEST);
    if version < OLDEST {
        bail!(
            "PostgreSQL at {} is version {}; Studyhall needs {} or newer. Upgrade it, or set DATABASE_URL to another one.",
            place(options),
            version / 10_000,
            OLDEST / 10_000
        );
    }
    check_durable(&mut connection, options).await?;
    let read_only: String =
        sqlx::query_scalar("select current_setting('transaction_read_only')").fetch_one(&mut connection).await?;
    if read_only == "on" {
        bail!(
            "PostgreSQL at {} takes no writes: it is a standby, or default_transaction_read_only is on. Set DATABASE_URL \
             to the primary, or default_transaction_read_only = off.",
            place(options)
        );
    }
    let _ = connection.close().await;
    Ok(())
}

async fn check_durable(connection: &mut PgConnection, options: &PgConnectOptions) -> anyhow::Result<()> {
    let off: Vec<(String, String)> = sqlx::query_as(
        "select name, source from pg_settings
         where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off' order by name",
    )
    .fetch_all(connection)
    .await
    .context("reading the settings of PostgreSQL")?;
    let Some((name, source)) = off.first() else { return Ok(()) };
    let (user, database) = (options.get_username(), options.get_database().unwrap_or(options.get_username()));
    let remedy = match source.as_str() {
        "user" => format!("It is set for the role: `alter role {user} reset {name}`"),
        "database" => format!("It is set for the database: `alter database {database} reset {name}`"),
        "database user" => {
            format!("It is set for the role in this database: `alter role {user} in database {database} reset {name}`")
        }
        "command line" => format!("It is set on the command line of postgres: start it without -c {name}=off"),
        "client" => format!("It is set in DATABASE_URL or PGOPTIONS: remove {name} there"),
        _ => format!("Set {name} = on in postgresql.conf (or `alter system set {name} = on`) and reload"),
    };
    bail!(
        "PostgreSQL at {} runs with {name} = off: a crash could lose writes that people were told are safe. {remedy}, \
         and start again.",
        place(options)
    )
}

/// For each new connection: roles and databases have settings of their own, and those may change while this runs.
pub(super) async fn refuse_unsafe(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let off: String = sqlx::query_scalar(UNSAFE).fetch_one(connection).await?;
    if off.is_empty() { Ok(()) } else { Err(sqlx::Error::Configuration(format!("{off} is off").into())) }
}

async fn connect(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    let deadline = Instant::now() + STARTING_FOR;
    loop {
        match within(CONNECT_WITHIN, options.connect()).await {
            Ok(connection) => return Ok(connection),
            Err(error) if is_starting(&error) && Instant::now() < deadline => sleep(AGAIN).await,
            Err(error) => return Err(explained(options, error)),
        }
    }
}

fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        // A socket that is a file is not there before its server is.
        sqlx::Error::Io(error) => {
            matches!(error.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound)
        }
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code == "57P03"),
        _ => false,
    }
}

/// What is wrong with the address, and what to do about it. Never says the password.
fn explained(options: &PgConnectOptions, error: sqlx::Error) -> anyhow::Error {
    let place = place(options);
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    let hung_up = |io: &std::io::Error| io.kind() == std::io::ErrorKind::UnexpectedEof;
    match &error {
        sqlx::Error::Io(io) if !hung_up(io) => anyhow!(
            "cannot reach PostgreSQL at {place}: {io}. Check the host and port of DATABASE_URL, and that PostgreSQL runs \
             and listens there."
        ),
        sqlx::Error::Tls(tls) => anyhow!(
            "PostgreSQL at {place} and this server find no common encryption: {tls}. Check sslmode in DATABASE_URL."
        ),
        sqlx::Error::Protocol(_) | sqlx::Error::Io(_) => anyhow!(
            "what answers at {place} does not speak PostgreSQL's protocol ({error}). Check the host and port of \
             DATABASE_URL."
        ),
        sqlx::Error::Database(answer) => {
            let remedy = match answer.code().as_deref() {
                Some("28P01" | "28000") => {
                    format!("Check the user and password of DATABASE_URL, and that pg_hba.conf lets {user} in.")
                }
                Some("3D000") => format!("Make it with `createdb {database}`, or name another one in DATABASE_URL."),
                Some("53300") => "Raise max_connections, or lower STUDYHALL_DATABASE_CONNECTIONS.".to_owned(),
                Some("42704") => format!("Studyhall needs PostgreSQL {} or newer.", OLDEST / 10_000),
                _ => "Check DATABASE_URL.".to_owned(),
            };
            anyhow!("PostgreSQL at {place} refuses user {user:?}: {}. {remedy}", answer.message())
        }
        _ => anyhow!("cannot connect to PostgreSQL at {place}: {error}. Check DATABASE_URL."),
    }
}

/// Where it is, for people.
fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => format!("{} (port {})", socket.display(), options.get_port()),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// A schema that this program does not know is not touched.
pub(super) fn explained_migration(error: sqlx::migrate::MigrateError, known: i64) -> anyhow::Error {
    use sqlx::migrate::MigrateError::{VersionMismatch, VersionMissing};
    match error {
        VersionMissing(version) => anyhow!(
            "the database has a newer schema (migration {version}) than this studyhall knows ({known}): a newer one has \
             been here. Start that one, or set DATABASE_URL to another database."
        ),
        VersionMismatch(version) => anyhow!(
            "migration {version} of the database is not the one of this studyhall: it was made by another build. Start \
             that one, or set DATABASE_URL to another database."
        ),
        other => anyhow::Error::new(other).context("bringing the schema of the database at DATABASE_URL up to date"),
    }
}
