//! Operation ids: one effect per id, and the same answer to every retry.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use studyhall_protocol::Command;
use uuid::Uuid;

use crate::error::{Error, Result};

/// What an operation id turned out to be.
pub(super) enum Claim {
    /// New: the command is to be run.
    New,
    /// The command ran before; this is its answer.
    Replay(Box<RawValue>),
}

/// What tells a retry from another command under the same id.
pub(super) fn fingerprint(command: &Command) -> Result<Vec<u8>> {
    let text = serde_json::to_vec(command).map_err(Error::internal)?;
    Ok(Sha256::digest(&text).to_vec())
}

/// Claims the id for this transaction. A twin that is still running blocks the insert until it ends: after its commit
/// we get its answer, after its rollback the id is ours.
pub(super) async fn claim(conn: &mut PgConnection, user: Uuid, op: Uuid, fingerprint: &[u8]) -> Result<Claim> {
    let inserted = sqlx::query!(
        "insert into operations (user_id, op, fingerprint) values ($1, $2, $3) on conflict do nothing",
        user,
        op,
        fingerprint
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Claim::New);
    }
    let stored = sqlx::query!(
        "select fingerprint, answer::text as answer from operations where user_id = $1 and op = $2",
        user,
        op
    )
    .fetch_optional(&mut *conn)
    .await?;
    // Gone between the two statements: the sweep of old ids took it.
    let Some(stored) = stored else {
        return Err(Error::unavailable("busy", "try again"));
    };
    if stored.fingerprint != fingerprint {
        return Err(Error::op_reused());
    }
    let answer = stored.answer.ok_or_else(|| Error::internal(anyhow::anyhow!("operation {op} without an answer")))?;
    RawValue::from_string(answer).map(Claim::Replay).map_err(Error::internal)
}
