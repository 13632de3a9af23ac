//! A client is read from no faster than it reads: what its own commands add to a connection is bounded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::conn::{Conn, Out};
use super::flush::Flusher;
use super::limits::{PONG_BYTES, PONG_WITHIN, REPLY_BYTES};
use super::time::Ticks;
use super::ws::{OpCode, encode_frame};

impl Conn {
    /// After adding to the replies: whether the next command has to wait until they are on their way.
    pub(super) fn note_backlog(&self, out: &Out) {
        if out.replies.len() >= REPLY_BYTES {
            self.backed_up.store(true, Ordering::Release);
        }
    }

    /// Whether replies wait that the socket has not taken. Only the connection's own task adds to them.
    pub(super) fn is_backed_up(&self) -> bool {
        self.backed_up.load(Ordering::Acquire)
    }

    /// Waits until there is room for a reply: who does not read is not read from either.
    pub(super) async fn room(&self) {
        // Of one that is being closed nothing more is sent before the goodbye.
        while self.is_backed_up() && self.closing().is_none() {
            self.room.notified().await;
        }
    }

    /// A command runs until this is dropped: nothing is read meanwhile.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.busy.store(true, Ordering::Release);
        Busy(self)
    }

    /// Answers a ping of the client. Of many that could not be answered yet, the last ones count.
    pub(super) fn pong(self: &Arc<Self>, flusher: &Flusher, payload: &[u8]) {
        let mut out = self.out.lock();
        if out.frames.len() >= PONG_BYTES {
            out.frames.clear();
        }
        encode_frame(OpCode::Pong, payload, &mut out.frames);
        drop(out);
        flusher.enlist(self);
    }
}

/// Marks a connection as busy.
pub(super) struct Busy<'a>(&'a Conn);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let times = &self.0.times;
        if times.pong_by.get().is_some() {
            // The pong may wait in the socket: from now on it can be read.
            times.pong_by.set(Some(Ticks::now().after(PONG_WITHIN)));
        }
        self.0.busy.store(false, Ordering::Release);
    }
}
