//! An object on its way into the store.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use super::in_time;
use crate::error::Result;

/// Takes bytes and hands them on in parts, one after the other: it never holds more than one. The object is there after
/// [`Upload::finish`], and not before.
pub struct Upload {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    part_bytes: usize,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// From the first part that is full.
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, path: Path, part_bytes: usize) -> Self {
        Self { objects, path, part_bytes, pending: Vec::new(), pending_bytes: 0, parts: None }
    }

    /// Takes more; waits when a part is full until the store has it.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        if self.pending_bytes < self.part_bytes {
            return Ok(());
        }
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => self.parts.insert(in_time(self.objects.put_multipart(&self.path)).await?),
        };
        self.pending_bytes = 0;
        let part = PutPayload::from_iter(self.pending.drain(..));
        Ok(in_time(parts.put_part(part)).await?)
    }

    /// Makes the object. What goes wrong is to be followed by [`Upload::abort`].
    pub async fn finish(&mut self) -> Result<()> {
        self.pending_bytes = 0;
        let rest = PutPayload::from_iter(self.pending.drain(..));
        let Some(parts) = &mut self.parts else {
            in_time(self.objects.put(&self.path, rest)).await?;
            return Ok(());
        };
        if rest.content_length() > 0 {
            in_time(parts.put_part(rest)).await?;
        }
        in_time(parts.complete()).await?;
        Ok(())
    }

    /// Takes back what was written. What cannot be taken back now is removed later, with the key.
    pub async fn abort(mut self) {
        if let Some(parts) = &mut self.parts {
            // Nothing depends on it.
            let _ = in_time(parts.abort()).await;
        }
    }
}
