//! What a PostgreSQL has done, by its own account, asked with `psql`.

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::sync::Mutex;

/// A PostgreSQL, and how far its log has been read.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    counts: bool,
    /// Where the log was read until, and what was there; `None` without the extension `pg_walinspect`.
    log: Mutex<Option<(String, u64)>>,
}

/// So far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// Statements, `BEGIN` and `COMMIT` among them; `None` without the extension `pg_stat_statements`.
    pub statements: Option<u64>,
    /// Bytes of records in the write-ahead log since it was looked at first, without images of pages: how many of those
    /// there are depends on when the last checkpoint was, and not on what is done.
    pub wal_bytes: Option<u64>,
}

const STATEMENTS: &str = "select sum(calls) from pg_stat_statements";
const HERE: &str = "select pg_current_wal_flush_lsn()";

impl Postgres {
    /// Makes the extensions where the server has them.
    pub async fn new(url: &str) -> Self {
        let extension = async |name: &str| ask(url, &format!("create extension if not exists {name}")).await.is_ok();
        let counts = extension("pg_stat_statements").await && ask(url, STATEMENTS).await.is_ok();
        let log = if extension("pg_walinspect").await { ask(url, HERE).await.ok() } else { None };
        Self { url: url.to_owned(), counts, log: Mutex::new(log.map(|here| (here.trim().to_owned(), 0))) }
    }

    /// Looks at tables that have just been filled: until PostgreSQL has done so by itself, within a minute, it plans for
    /// empty ones.
    pub async fn analyze(&self) -> Result<()> {
        ask(&self.url, "analyze").await.map(drop)
    }

    /// Asks.
    pub async fn done(&self) -> Result<Done> {
        let number = |text: String| text.trim().parse::<u64>().context("PostgreSQL named no number");
        let statements = if self.counts { Some(number(ask(&self.url, STATEMENTS).await?)?) } else { None };
        let mut log = self.log.lock().await;
        if let Some((from, bytes)) = log.take() {
            let since = format!(
                "with now as materialized (select pg_current_wal_flush_lsn() as lsn)
                 select (select lsn from now), (
                     select coalesce(sum(s.record_size), 0)
                     from now cross join lateral pg_get_wal_stats('{from}', now.lsn) s
                     where now.lsn > '{from}'::pg_lsn)"
            );
            let answer = ask(&self.url, &since).await?;
            let (until, more) = answer.split_once('|').context("PostgreSQL said too little")?;
            *log = Some((until.to_owned(), bytes + number(more.to_owned())?));
        }
        Ok(Done { statements, wal_bytes: log.as_ref().map(|(_, bytes)| *bytes) })
    }
}

async fn ask(url: &str, question: &str) -> Result<String> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align", "--command", question]);
    let output = command.arg(url).output().await.context("running psql")?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
