//! A file on its way in: read at the pace of whoever sends it, looked at, handed on to the store, and only then a row.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use studyhall_protocol::rest::Answer;
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::FILES_MAX;
use super::sniff::{self, Found, HEAD_BYTES, Text};
use super::sql::{self, Arrived};
use crate::db::{Asker, Db, Tx, Writer};
use crate::error::{Error, Result};
use crate::storage::{Storage, Upload};

/// Between two pieces of a body.
const PIECE_WITHIN: Duration = Duration::from_secs(15);
/// Whoever sends less than this, on average, is not sending a file: a bad telephone line does better.
const BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// Before the average counts.
const GRACE: Duration = Duration::from_secs(20);
/// Beyond the slowest upload, until the object of one that never ended is removed.
const ABANDONED_AFTER: Duration = Duration::from_secs(3_600);

/// A file that somebody sends.
pub struct Incoming {
    /// Whose it will be, and where they are.
    pub asker: Asker,
    /// The operation id, if they gave one.
    pub op: Option<Uuid>,
    /// Checked already.
    pub file_name: String,
    /// How many bytes they say there will be.
    pub declared: Option<u64>,
    /// The bytes.
    pub body: Body,
}

/// What an upload needs.
#[derive(Clone)]
pub struct Desk {
    /// For what is not worth a transaction.
    pub db: Db,
    /// For rows.
    pub writer: Writer,
    /// For bytes.
    pub storage: Storage,
}

impl Desk {
    /// Takes a file and answers as a command that makes something does; the same bytes to a retry with the same operation
    /// id. For a task of its own: it has to clean up behind somebody who hangs up.
    ///
    /// Errors: 413 `payload_too_large`, 422 `unsupported_file`, 409 `quota_exceeded` and `limit_reached`, 422 `op_reused`,
    /// 400 when the body comes too slowly or ends early; nothing is left then.
    pub async fn take(&self, incoming: Incoming) -> Result<Box<RawValue>> {
        let Incoming { asker, op, file_name, declared, body } = incoming;
        let owner = asker.person;
        if declared.is_some_and(|bytes| bytes > self.storage.bytes_max) {
            return Err(self.too_large());
        }
        let _place = self.storage.gate.enter(owner)?;
        let mut source = Source::new(body);
        let mut head: Vec<u8> = Vec::new();
        while head.len() < HEAD_BYTES
            && let Some(piece) = source.next().await?
        {
            head.extend_from_slice(&piece);
            self.fits(head.len() as u64)?;
        }
        let found = sniff::sniff(&head)?;
        let key = Storage::new_key();
        self.announce(owner, &key, declared.unwrap_or(0).max(head.len() as u64)).await?;
        let mut upload = self.storage.upload(&key);
        let stored = self.store(&mut upload, head.into(), source, found).await;
        let (size, sha256) = match stored {
            Ok(stored) => stored,
            Err(error) => {
                upload.abort().await;
                self.discard(key).await;
                return Err(error);
            }
        };
        self.settle(asker, op, Arrived { key, file_name, found, size, sha256 }).await
    }

    /// Hands everything on to the store, and says how much it was.
    async fn store(
        &self,
        upload: &mut Upload,
        head: Bytes,
        mut source: Source,
        found: Found,
    ) -> Result<(i64, [u8; 32])> {
        let mut text = (found.content_type == sniff::PLAIN).then(Text::default);
        let (mut sum, mut size) = (Sha256::new(), 0);
        let mut piece = Some(head);
        while let Some(bytes) = piece {
            size += bytes.len() as u64;
            self.fits(size)?;
            if text.as_mut().is_some_and(|text| !text.takes(&bytes)) {
                return Err(not_text());
            }
            sum.update(&bytes);
            upload.write(bytes).await?;
            piece = source.next().await?;
        }
        if text.is_some_and(|text| !text.ends()) {
            return Err(not_text());
        }
        upload.finish().await?;
        Ok((i64::try_from(size).map_err(Error::internal)?, sum.finalize().into()))
    }

    /// Makes the row of what is in the store.
    async fn settle(&self, asker: Asker, op: Option<Uuid>, new: Arrived) -> Result<Box<RawValue>> {
        let quota = self.quota();
        let new = Arc::new(new);
        let wanted = new.clone();
        let made = self.writer.run(asker.person, move |tx| {
            let new = wanted.clone();
            Box::pin(async move { create(tx, &asker, op, &new, quota).await })
        });
        match made.await.map(|done| done.data) {
            Ok(Made::Now(answer)) => Ok(answer),
            Ok(Made::Before(answer)) => {
                self.discard(new.key.clone()).await;
                Ok(answer)
            }
            Err(error) => {
                // Where nobody knows whether there is a row, what became of the object follows from that, later.
                if !error.is_temporary() {
                    self.discard(new.key.clone()).await;
                }
                Err(error)
            }
        }
    }

    /// From here on nothing can be forgotten: the object is going to be removed unless a row is made of it.
    async fn announce(&self, owner: Uuid, key: &str, bytes: u64) -> Result<()> {
        let (key, quota) = (key.to_owned(), self.quota());
        let slowest = Duration::from_secs(self.storage.bytes_max / BYTES_PER_SECOND_MIN);
        let due = (ABANDONED_AFTER + slowest * 2).as_secs_f64();
        let bytes = i64::try_from(bytes).map_err(Error::internal)?;
        let announced = self.writer.run(owner, move |tx| {
            let key = key.clone();
            Box::pin(async move {
                if sql::announce(tx.conn(), owner, &key, bytes, quota, due).await? {
                    return Ok(());
                }
                Err(no_room(tx).await?)
            })
        });
        announced.await.map(|_| ())
    }

    /// Removes the object of an upload that came to nothing. Whatever fails here is done later.
    async fn discard(&self, key: String) {
        let gone = async {
            self.storage.remove(&key).await?;
            sql::forget_removals(self.db.pool(), std::slice::from_ref(&key)).await
        };
        if let Err(error) = gone.await {
            tracing::warn!(%error, "cannot remove what is left of an upload; trying again later");
        }
    }

    fn quota(&self) -> i64 {
        i64::try_from(self.storage.quota_bytes).unwrap_or(i64::MAX)
    }

    fn fits(&self, bytes: u64) -> Result<()> {
        if bytes > self.storage.bytes_max { Err(self.too_large()) } else { Ok(()) }
    }

    fn too_large(&self) -> Error {
        let detail = format!("a file may have {} bytes", self.storage.bytes_max);
        Error::status(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    }
}

/// What an upload came to.
#[derive(Debug, Clone)]
enum Made {
    /// A row.
    Now(Box<RawValue>),
    /// The same upload made one before.
    Before(Box<RawValue>),
}

/// The transaction of an upload: the operation id is claimed first, as every command does.
async fn create(tx: &mut Tx, asker: &Asker, op: Option<Uuid>, new: &Arrived, quota: i64) -> Result<Made> {
    let owner = tx.actor();
    if let Some(op) = op
        && let Some(answer) = sql::claim(tx.conn(), owner, op, &fingerprint(new)).await?
    {
        return RawValue::from_string(answer).map(Made::Before).map_err(Error::internal);
    }
    let mine = Channel::User(owner);
    tx.lock(&[mine]).await?;
    if !sql::keep(tx.conn(), &new.key).await? {
        return Err(Error::unavailable("busy", "the file took too long to get here; send it again"));
    }
    let Some(file) = sql::insert(tx.conn(), owner, new, quota).await? else {
        return Err(no_room(tx).await?);
    };
    tx.record_of("attachment.create", "attachment", file.id, asker);
    tx.emit(mine, Event::AttachmentCreated(file.clone()));
    let answer = to_raw_value(&Answer { positions: tx.positions(), data: file }).map_err(Error::internal)?;
    if let Some(op) = op {
        sql::remember(tx.conn(), owner, op, answer.get()).await?;
    }
    Ok(Made::Now(answer))
}

/// The same name and the same bytes are the same upload.
fn fingerprint(new: &Arrived) -> Vec<u8> {
    let mut sum = Sha256::new();
    sum.update(b"attachment.create\0");
    sum.update(new.sha256);
    sum.update(new.file_name.as_bytes());
    sum.finalize().to_vec()
}

/// Why another file does not fit.
async fn no_room(tx: &mut Tx) -> Result<Error> {
    let owner = tx.actor();
    let (files, bytes) = sql::used(tx.conn(), owner).await?;
    Ok(if files >= FILES_MAX {
        Error::conflict("limit_reached", format!("a person can have at most {FILES_MAX} files"))
    } else {
        Error::conflict(
            "quota_exceeded",
            format!("your files have {bytes} bytes already; this one does not fit beside them"),
        )
    })
}

fn not_text() -> Error {
    sniff::unsupported("the file begins as plain text and is none")
}

/// A body, read with patience for slow lines and none for those who only keep a place taken.
struct Source {
    body: BodyDataStream,
    /// Until something came, all pieces together: what the store takes is not the sender's fault.
    waited: Duration,
    received: u64,
}

impl Source {
    fn new(body: Body) -> Self {
        Self { body: body.into_data_stream(), waited: Duration::ZERO, received: 0 }
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let allowed = GRACE + Duration::from_secs(self.received / BYTES_PER_SECOND_MIN);
        let patience = allowed.saturating_sub(self.waited).min(PIECE_WITHIN);
        let began = tokio::time::Instant::now();
        let piece = tokio::time::timeout(patience, self.body.next()).await;
        self.waited += began.elapsed();
        match piece {
            Ok(Some(Ok(piece))) => {
                self.received += piece.len() as u64;
                Ok(Some(piece))
            }
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) => Err(Error::bad_request("bad_request", "the body ended early")),
            Err(_) => Err(Error::bad_request("bad_request", "the body came too slowly")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    /// So many pieces of so many bytes, one every `pause`: how many came, and how it ended.
    async fn sent(pieces: usize, bytes: usize, pause: Duration) -> (usize, Result<(), String>) {
        let body = stream::unfold(0, move |sent| async move {
            tokio::time::sleep(pause).await;
            (sent < pieces).then(|| (Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; bytes])), sent + 1))
        });
        let mut source = Source::new(Body::from_stream(body));
        for came in 0.. {
            match source.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return (came, Ok(())),
                Err(error) => return (came, Err(error.to_string())),
            }
        }
        unreachable!()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_may_take_its_time() {
        // Ten minutes for what a good line sends in one second.
        assert_eq!(sent(600, 8_192, Duration::from_secs(1)).await, (600, Ok(())));
        assert_eq!(sent(60, 65_536, Duration::from_secs(14)).await, (60, Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_keeps_a_place_with_drops() {
        let began = std::time::Instant::now();
        let (came, error) = sent(10_000, 1, Duration::from_secs(1)).await;
        assert!((15..25).contains(&came) && error.is_err(), "{came} {error:?}");
        assert_eq!(sent(10, 1_000_000, Duration::from_secs(16)).await.0, 0);
        assert!(began.elapsed() < Duration::from_secs(10), "time stands still here");
    }
}
