//! All that is stored of a person, as one JSON document for that person. It is read in one snapshot and written while it is
//! read: nobody's archive is ever in memory as a whole.

pub mod routes;
mod sql;

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use uuid::Uuid;

use crate::db::Db;
use crate::error::{Error, Result};

/// Written side by side on a node: each holds a connection to the database.
const AT_ONCE: usize = 2;
/// Rows that are read at once.
const ROWS: usize = 200;
/// How long a reader may let us wait; PostgreSQL ends transactions that stand still for longer.
const TAKEN_WITHIN: Duration = Duration::from_secs(8);
/// Pieces that may wait for the reader.
const PIECES: usize = 2;

static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// What arrives at the reader: pieces, and an error when it ends too soon.
pub type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// The archive of a person, in pieces. 503 `busy` when others are being written.
pub fn export(db: &Db, person: Uuid) -> Result<Pieces> {
    let busy = |_| Error::unavailable("busy", "others are being exported right now; try again shortly");
    let turn = TURNS.clone().try_acquire_owned().map_err(busy)?;
    let (sink, pieces) = mpsc::channel(PIECES);
    tokio::spawn(run(db.clone(), person, sink, turn));
    Ok(pieces)
}

async fn run(db: Db, person: Uuid, sink: mpsc::Sender<io::Result<Bytes>>, _turn: OwnedSemaphorePermit) {
    if let Err(error) = write(&db, person, &sink).await {
        tracing::warn!(%error, "an export ended too soon");
        // Otherwise half an archive would look like a whole one.
        let _ = sink.send(Err(io::Error::other("the export ended too soon"))).await;
    }
}

async fn write(db: &Db, person: Uuid, sink: &mpsc::Sender<io::Result<Bytes>>) -> Result<()> {
    let mut session = db.begin_reading().await?;
    let mut piece = format!(r#"{{"format":"studyhall-export-1","user_id":"{person}","exported_at":"#);
    piece.push_str(&serde_json::to_string(&chrono::Utc::now()).map_err(Error::internal)?);
    for (name, query) in sql::SECTIONS {
        piece.push_str(&format!(",\n\"{name}\":["));
        sql::open(&mut session, query, person).await?;
        let mut separator = "\n";
        loop {
            let rows = sql::fetch(&mut session, ROWS).await?;
            let last = rows.len() < ROWS;
            for row in rows {
                piece.push_str(separator);
                piece.push_str(&row);
                separator = ",\n";
            }
            send(sink, std::mem::take(&mut piece)).await?;
            if last {
                break;
            }
        }
        sql::close(&mut session).await?;
        piece.push(']');
    }
    piece.push_str("}\n");
    session.rollback().await?;
    send(sink, piece).await
}

async fn send(sink: &mpsc::Sender<io::Result<Bytes>>, piece: String) -> Result<()> {
    let sent = sink.send_timeout(Ok(piece.into()), TAKEN_WITHIN).await;
    sent.map_err(|_| Error::internal(anyhow::anyhow!("the reader takes nothing")))
}
