//! Operation ids: one effect per id, and the same answer to every retry.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use studyhall_protocol::Command;

use super::audit::Named;
use super::tx::{By, column};
use crate::error::{Error, Result};

/// A command that somebody wants to be done.
#[derive(Debug)]
pub struct Wanted {
    /// Who, under which operation id.
    pub by: By,
    /// What.
    pub command: Command,
    /// What tells a retry from another command under the same id.
    pub(super) fingerprint: Vec<u8>,
    /// What it names, for the record.
    pub(super) named: Named,
    /// Where it came from.
    pub(super) address: Option<IpAddr>,
}

impl Wanted {
    pub(super) fn new(by: By, command: Command, address: Option<IpAddr>) -> Result<Self> {
        let text = serde_json::to_vec(&command).map_err(Error::internal)?;
        let named = Named::in_command(&text);
        Ok(Self { by, command, fingerprint: Sha256::digest(&text).to_vec(), named, address })
    }
}

/// What an operation id turned out to be.
pub(super) enum Claim {
    /// New: the command is to be run.
    New,
    /// The command ran before; this is its answer.
    Replay(Box<RawValue>),
}

/// Claims an id for this transaction and says what it turned out to be. A twin that is still running blocks the insert until
/// it ends: after its commit we get its answer, after its rollback the id is ours.
pub(super) async fn claim(conn: &mut PgConnection, wanted: &Wanted) -> Result<Claim> {
    let inserted = sqlx::query!(
        "insert into operations (user_id, op, fingerprint) values ($1, $2, $3) on conflict do nothing",
        wanted.by.actor,
        wanted.by.op,
        &wanted.fingerprint[..]
    );
    if inserted.execute(&mut *conn).await?.rows_affected() == 1 {
        return Ok(Claim::New);
    }
    replay(wanted, known(conn, std::slice::from_ref(wanted)).await?.get(&wanted.by))
}

/// What is left of a command that was done before.
pub(super) struct Stored {
    fingerprint: Vec<u8>,
    answer: Option<String>,
}

/// Which of these were done before, without claiming anything.
pub(super) async fn known(conn: &mut PgConnection, batch: &[Wanted]) -> Result<HashMap<By, Stored>> {
    let rows = sqlx::query!(
        "select o.user_id, o.op, o.fingerprint, o.answer::text as answer
         from unnest($1::uuid[], $2::uuid[]) as w (user_id, op)
         cross join lateral (
             select * from operations o where o.user_id = w.user_id and o.op = w.op limit 1) o",
        &column(batch, |wanted| wanted.by.actor),
        &column(batch, |wanted| wanted.by.op),
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().map(|row| {
        let by = By { actor: row.user_id, op: row.op };
        (by, Stored { fingerprint: row.fingerprint, answer: row.answer })
    });
    Ok(found.collect())
}

/// What becomes of a command whose id is taken.
pub(super) fn replay(wanted: &Wanted, stored: Option<&Stored>) -> Result<Claim> {
    // Gone between the two statements: the sweep of old ids took it.
    let stored = stored.ok_or_else(|| Error::unavailable("busy", "try again"))?;
    if stored.fingerprint != wanted.fingerprint {
        return Err(Error::op_reused());
    }
    let answer = stored.answer.clone();
    let answer =
        answer.ok_or_else(|| Error::internal(anyhow::anyhow!("operation {:?} without an answer", wanted.by)))?;
    RawValue::from_string(answer).map(Claim::Replay).map_err(Error::internal)
}

/// Leaves a mark of a transaction whose answer is not kept, under an id that nobody else knows.
pub(super) async fn mark(conn: &mut PgConnection, by: By) -> Result<()> {
    // Somebody who was erased may still have something that others finish for them.
    let mark = "insert into operations (user_id, op, fingerprint) select id, $2, '' from users where id = $1";
    sqlx::query(mark).bind(by.actor).bind(by.op).execute(conn).await?;
    Ok(())
}

/// Whether a transaction that left its mark was committed. Waits until it has ended. For a transaction that is dropped.
pub(super) async fn was_marked(conn: &mut PgConnection, by: By) -> Result<bool> {
    let mark = "insert into operations (user_id, op, fingerprint) values ($1, $2, '') on conflict do nothing";
    match sqlx::query(mark).bind(by.actor).bind(by.op).execute(conn).await {
        Ok(made) => Ok(made.rows_affected() == 0),
        // The mark could be made, and only then turned out to be of somebody who does not exist: it would have made them.
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("operations_user_id_fkey") => Ok(false),
        Err(error) => Err(error.into()),
    }
}
