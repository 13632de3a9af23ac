//! What a PostgreSQL has done, by its own account, asked with `psql`.

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// So far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// Statements, `BEGIN` and `COMMIT` among them; `None` without the extension `pg_stat_statements`.
    pub statements: Option<u64>,
    /// Bytes of write-ahead log.
    pub wal_bytes: u64,
}

const INSTALL: &str = "create extension if not exists pg_stat_statements";
const STATEMENTS: &str = "select sum(calls) from pg_stat_statements";
const WAL: &str = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')";

/// Makes the extension where the server has loaded it; whether it counts.
pub async fn count_statements(url: &str) -> bool {
    ask(url, INSTALL).await.is_ok() && ask(url, STATEMENTS).await.is_ok()
}

/// Asks.
pub async fn done(url: &str, counts: bool) -> Result<Done> {
    let question = if counts { format!("{STATEMENTS}; {WAL}") } else { WAL.to_owned() };
    let answer = ask(url, &question).await?;
    let mut numbers = answer.lines().map(|line| line.trim().parse::<u64>());
    let mut next = || numbers.next().context("PostgreSQL said too little")?.context("PostgreSQL named no number");
    let statements = if counts { Some(next()?) } else { None };
    Ok(Done { statements, wal_bytes: next()? })
}

async fn ask(url: &str, question: &str) -> Result<String> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"]);
    for statement in question.split(';') {
        command.args(["--command", statement]);
    }
    let output = command.arg(url).output().await.context("running psql")?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
