//! Where the bytes of files are: a folder, or a store that speaks S3. What a file is and whose, PostgreSQL knows.
//!
//! Every object is written once, under a key that is never used again, and is there as a whole or not at all. Removing one
//! that is not there is fine, so a removal may be tried again.

mod gate;
#[cfg(feature = "s3")]
mod s3;
mod upload;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetResultPayload, ObjectStore, ObjectStoreExt};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use crate::config::Config;
use crate::error::{Error, Result};

pub use gate::{Gate, Place};
pub use upload::Upload;

/// For one request to the store, such as a part of an upload.
const STORE_WITHIN: Duration = Duration::from_secs(30);
/// Read from a folder at a time.
const CHUNK_BYTES: usize = 128 * 1024;
/// Bytes that a folder is given at a time.
const FOLDER_PART_BYTES: usize = 1024 * 1024;
/// Folders of a folder: a directory with a million files is slow in some file systems.
const SHARDS: u32 = 256;

/// The store with its limits. Clones share everything.
#[derive(Clone)]
pub struct Storage {
    objects: Arc<dyn ObjectStore>,
    /// Of a store that is a folder.
    folder: Option<PathBuf>,
    part_bytes: usize,
    /// Uploads under way on this node.
    pub gate: Gate,
    /// Bytes of one file.
    pub bytes_max: u64,
    /// Bytes of all files of one person.
    pub quota_bytes: u64,
    /// Hours for which a file is kept that belongs to nothing.
    pub orphan_hours: u32,
}

/// What is in an object, piece by piece.
pub type Content = BoxStream<'static, std::io::Result<Bytes>>;

impl Storage {
    /// The store that the settings name; a folder is made when it is not there.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let url = config.store_url.as_deref();
        let (objects, folder, part_bytes) = match url.and_then(|url| url.split_once("://")) {
            None if url.is_none() => folder(config.data.join("attachments"))?,
            Some(("file", path)) if path.starts_with('/') => folder(PathBuf::from(path))?,
            Some(("s3", place)) => bucket(config, place)?,
            _ => anyhow::bail!("STUDYHALL_STORE_URL must be s3://bucket/prefix or file:///folder"),
        };
        Ok(Self {
            objects,
            folder,
            part_bytes,
            gate: Gate::default(),
            bytes_max: config.attachment_bytes_max,
            quota_bytes: config.attachment_quota_bytes,
            orphan_hours: config.orphan_hours,
        })
    }

    /// A key that nobody has had before.
    pub fn new_key() -> String {
        let id = Uuid::new_v4();
        format!("{:02x}/{}", id.as_u128() as u32 % SHARDS, id.simple())
    }

    /// Begins an object.
    pub fn upload(&self, key: &str) -> Upload {
        Upload::new(self.objects.clone(), Path::from(key), self.part_bytes)
    }

    /// Bytes of an object; `None` when there is no such object. What goes wrong later ends the stream early.
    pub async fn read(&self, key: &str, range: Range<u64>) -> Result<Option<Content>> {
        // Nothing has no range.
        if range.is_empty() {
            return Ok(Some(futures_util::stream::empty().boxed()));
        }
        let length = range.end - range.start;
        let options = GetOptions::new().with_range(Some(range));
        let found = match in_time(self.objects.get_opts(&Path::from(key), options)).await {
            Err(Failed::Store(object_store::Error::NotFound { .. })) => return Ok(None),
            found => found?,
        };
        let start = found.range.start;
        Ok(Some(match found.payload {
            // The store's own reading of files goes to another thread for every 8 KiB.
            GetResultPayload::File(file, _) => {
                let mut file = tokio::fs::File::from_std(file);
                file.seek(std::io::SeekFrom::Start(start)).await.map_err(Error::internal)?;
                ReaderStream::with_capacity(file.take(length), CHUNK_BYTES).boxed()
            }
            GetResultPayload::Stream(stream) => {
                let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
                let pieces = futures_util::stream::unfold(stream, move |mut stream| async move {
                    match tokio::time::timeout(STORE_WITHIN, stream.next()).await {
                        Ok(piece) => Some((piece?.map_err(std::io::Error::other), stream)),
                        Err(_) => Some((Err(late()), futures_util::stream::empty().boxed())),
                    }
                });
                pieces.boxed()
            }
        }))
    }

    /// Removes an object, and what is left of an upload that never became one.
    pub async fn remove(&self, key: &str) -> Result<()> {
        match in_time(self.objects.delete(&Path::from(key))).await {
            Ok(()) | Err(Failed::Store(object_store::Error::NotFound { .. })) => {}
            Err(failed) => return Err(failed.into()),
        }
        let Some(folder) = &self.folder else { return Ok(()) };
        // Where the store writes until all is there; it does not show such files, nor remove them. A key is used once, so
        // there is never a second.
        match tokio::fs::remove_file(folder.join(format!("{key}#1"))).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unavailable().because(error)),
            _ => Ok(()),
        }
    }
}

type Opened = (Arc<dyn ObjectStore>, Option<PathBuf>, usize);

fn folder(folder: PathBuf) -> anyhow::Result<Opened> {
    let name = folder.display().to_string();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder of files {name}"))?;
    // What was acknowledged is there after a power failure too.
    let store = LocalFileSystem::new_with_prefix(&folder)
        .with_context(|| format!("cannot use the folder of files {name}"))?
        .with_fsync(true);
    Ok((Arc::new(store), Some(folder), FOLDER_PART_BYTES))
}

fn bucket(config: &Config, place: &str) -> anyhow::Result<Opened> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    anyhow::ensure!(!bucket.is_empty(), "STUDYHALL_STORE_URL names no bucket; it must be s3://bucket/prefix");
    #[cfg(feature = "s3")]
    return Ok((within(s3::open(config, bucket)?, prefix), None, s3::PART_BYTES));
    #[cfg(not(feature = "s3"))]
    let _ = config;
    #[cfg(not(feature = "s3"))]
    anyhow::bail!(
        "STUDYHALL_STORE_URL is s3://{bucket}/{prefix}, but this program was built without S3; build it with `--features s3`"
    );
}

#[cfg(feature = "s3")]
fn within(store: object_store::aws::AmazonS3, prefix: &str) -> Arc<dyn ObjectStore> {
    let prefix = Path::from(prefix);
    if prefix.as_ref().is_empty() {
        Arc::new(store)
    } else {
        Arc::new(object_store::prefix::PrefixStore::new(store, prefix))
    }
}

/// Why the store did not do what it was asked for.
enum Failed {
    Store(object_store::Error),
    Late,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(error) => unavailable().because(error),
            Failed::Late => unavailable(),
        }
    }
}

fn unavailable() -> Error {
    Error::unavailable("unavailable", "the store of files does not answer; try again shortly")
}

async fn in_time<T>(work: impl Future<Output = object_store::Result<T>>) -> std::result::Result<T, Failed> {
    let done = tokio::time::timeout(STORE_WITHIN, work).await;
    done.map_err(|_| Failed::Late)?.map_err(Failed::Store)
}
