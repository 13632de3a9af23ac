//! Operation ids: one effect per id, and the same answer to every retry.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use studyhall_protocol::Command;
use uuid::Uuid;

use super::tx::By;
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
}

impl Wanted {
    pub(super) fn new(by: By, command: Command) -> Result<Self> {
        let text = serde_json::to_vec(&command).map_err(Error::internal)?;
        Ok(Self { by, command, fingerprint: Sha256::digest(&text).to_vec() })
    }
}

/// What an operation id turned out to be.
pub(super) enum Claim {
    /// New: the command is to be run.
    New,
    /// The command ran before; this is its answer.
    Replay(Box<RawValue>),
}

/// Claims these ids for this transaction and says, in their order, what each turned out to be. A twin that is still
/// running blocks the insert until it ends: after its commit we get its answer, after its rollback the id is ours.
///
/// Each id once. They are taken in one order everywhere, and before any channel is locked: no two transactions wait
/// for each other here.
pub(super) async fn claim(conn: &mut PgConnection, batch: &[Wanted]) -> Result<Vec<Result<Claim>>> {
    if let [wanted] = batch
        && claim_one(conn, wanted).await?
    {
        return Ok(vec![Ok(Claim::New)]);
    }
    let actors: Vec<Uuid> = batch.iter().map(|wanted| wanted.by.actor).collect();
    let ops: Vec<Uuid> = batch.iter().map(|wanted| wanted.by.op).collect();
    let fingerprints: Vec<Vec<u8>> = batch.iter().map(|wanted| wanted.fingerprint.clone()).collect();
    let claimed = sqlx::query!(
        "insert into operations (user_id, op, fingerprint)
         select w.user_id, w.op, w.fingerprint
         from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as w (user_id, op, fingerprint)
         order by w.user_id, w.op
         on conflict do nothing
         returning user_id, op",
        &actors,
        &ops,
        &fingerprints
    )
    .fetch_all(&mut *conn)
    .await?;
    let claimed: HashSet<By> = claimed.into_iter().map(|row| By { actor: row.user_id, op: row.op }).collect();
    let stored =
        if claimed.len() == batch.len() { HashMap::new() } else { stored(conn, &actors, &ops, &claimed).await? };
    let result = |wanted: &Wanted| {
        if claimed.contains(&wanted.by) { Ok(Claim::New) } else { replay(wanted, stored.get(&wanted.by)) }
    };
    Ok(batch.iter().map(result).collect())
}

/// Which of these were done before, without claiming anything.
pub(super) async fn known(conn: &mut PgConnection, batch: &[Wanted]) -> Result<HashMap<By, Stored>> {
    let actors: Vec<Uuid> = batch.iter().map(|wanted| wanted.by.actor).collect();
    let ops: Vec<Uuid> = batch.iter().map(|wanted| wanted.by.op).collect();
    stored(conn, &actors, &ops, &HashSet::new()).await
}

/// The same for one command, which is the most frequent statement of all and has nothing to sort. Whether the id was free.
async fn claim_one(conn: &mut PgConnection, wanted: &Wanted) -> Result<bool> {
    let inserted = sqlx::query!(
        "insert into operations (user_id, op, fingerprint) values ($1, $2, $3) on conflict do nothing",
        wanted.by.actor,
        wanted.by.op,
        wanted.fingerprint
    );
    Ok(inserted.execute(conn).await?.rows_affected() == 1)
}

/// What is left of a command that was done before.
pub(super) struct Stored {
    fingerprint: Vec<u8>,
    answer: Option<String>,
}

/// The operations that were done before.
async fn stored(
    conn: &mut PgConnection,
    actors: &[Uuid],
    ops: &[Uuid],
    claimed: &HashSet<By>,
) -> Result<HashMap<By, Stored>> {
    let rows = sqlx::query!(
        "select o.user_id, o.op, o.fingerprint, o.answer::text as answer
         from unnest($1::uuid[], $2::uuid[]) as w (user_id, op)
         cross join lateral (
             select * from operations o where o.user_id = w.user_id and o.op = w.op limit 1) o",
        actors,
        ops
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().map(|row| {
        let by = By { actor: row.user_id, op: row.op };
        (by, Stored { fingerprint: row.fingerprint, answer: row.answer })
    });
    Ok(found.filter(|(by, _)| !claimed.contains(by)).collect())
}

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
