//! One connection: a set of cursors and a socket. It has no queue.
//!
//! Whoever has news for it sets a bit. When its turn comes, one gather step copies what the cursors
//! point at into one batch, and one write sends it. What the kernel does not take of a batch is kept,
//! at most one batch; until it is gone nothing else is gathered, and values conflate meanwhile.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use studyhall_protocol::encode;
use studyhall_protocol::error::Disconnect;
use studyhall_protocol::format::Format;
use tokio::sync::Notify;
use uuid::Uuid;

use super::backend::Identity;
use super::flush::Flusher;
use super::gather::{self, Batch, Gathered};
use super::hub::Hub;
use super::limits::{BATCH_BYTES, CHANNELS_MAX, PONG_WITHIN};
use super::pages::LogPages;
use super::subscription::Subscription;
use super::sync::{AtomicBool, AtomicU64, Mutex};
use super::time::{Deadline, Ticks};
use super::transport::Transport;
use super::wake::Wake;
use super::ws::{HEADER_MAX, OpCode, encode_close};

/// Names a connection on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// No connection: what the server does by itself.
    pub const NONE: ConnId = ConnId(0);
}

const NEWS_WORDS: usize = CHANNELS_MAX / 64;

thread_local! {
    /// The batch that is being gathered; its capacity is shared by all connections of a thread.
    static BATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(HEADER_MAX + 2 * BATCH_BYTES));
}

/// A connection.
///
/// The flags work in pairs: one side sets its own, then looks at the other's (news and `enlisted`, news and
/// `blocked`). Of two such sides at least one has to see the other, or news would lie unsent: hence `SeqCst`,
/// which costs nothing more where it matters, in the loads.
#[derive(Debug)]
pub struct Conn {
    /// Its name.
    pub id: ConnId,
    /// How its messages are written.
    pub format: Format,
    pub(super) transport: Transport,
    /// A bit per subscription that has something to send.
    news: [AtomicU64; NEWS_WORDS],
    enlisted: AtomicBool,
    /// The kernel takes nothing more; the connection's own task waits for it.
    blocked: AtomicBool,
    ping_due: AtomicBool,
    /// Replies wait in such numbers that no further command may run.
    pub(super) backed_up: AtomicBool,
    pub(super) room: Notify,
    /// A command is running, so that nothing is read, not even pongs.
    pub(super) busy: AtomicBool,
    closing: OnceLock<Disconnect>,
    silent: AtomicBool,
    /// Wakes the connection's task, to wait for the kernel or to close.
    pub(super) wake: Wake,
    /// Who it is, once connected. The person of a connection never changes.
    pub(super) user_id: OnceLock<Uuid>,
    pub(super) times: Times,
    pub(super) out: Mutex<Out>,
}

/// What the clock looks at.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The connect command has to be here by then; unset once it is.
    pub connect_by: Deadline,
    /// The next ping.
    pub ping_at: Deadline,
    /// The pong has to be here by then.
    pub pong_by: Deadline,
    /// When the kernel last took something, since it first did not take all.
    pub progress_at: Deadline,
    /// When the sign-in ends, in seconds since 1970.
    pub expires_at: AtomicU64,
}

/// What leaves through the socket; under the connection's lock, held during a write.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub identity: Option<Arc<Identity>>,
    pub subscriptions: Vec<Option<Subscription>>,
    /// Where the next gather begins, so that no subscription starves.
    pub turn: usize,
    /// Encoded replies.
    pub replies: Vec<u8>,
    /// Whole frames: pongs, and what a test route echoes.
    pub frames: Vec<u8>,
    /// What the kernel did not take of the last batch.
    rest: Vec<u8>,
    rest_at: usize,
    rest_has_ping: bool,
    /// Not everything that has come about since the kernel last did not take all has been gathered yet.
    is_late: bool,
    /// Since when the reader was not slow any more, before this batch.
    progress_before: Option<Ticks>,
}

impl Conn {
    /// A connection over an upgraded socket, or a stream.
    pub fn new(id: ConnId, transport: impl Into<Transport>, format: Format) -> Self {
        Self {
            id,
            format,
            transport: transport.into(),
            news: Default::default(),
            enlisted: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            ping_due: AtomicBool::new(false),
            backed_up: AtomicBool::new(false),
            room: Notify::new(),
            busy: AtomicBool::new(false),
            closing: OnceLock::new(),
            silent: AtomicBool::new(false),
            wake: Wake::default(),
            user_id: OnceLock::new(),
            times: Times::default(),
            out: Mutex::default(),
        }
    }

    /// What the client shows with every later request, if it has no socket to send on.
    pub(super) fn stream_session(&self) -> Option<String> {
        match &self.transport {
            Transport::Stream(stream) => Some(stream.session()),
            Transport::Socket(_) => None,
        }
    }

    pub(super) fn mark(&self, index: u16) {
        let (word, bit) = (index as usize / 64, index % 64);
        if let Some(word) = self.news.get(word) {
            word.fetch_or(1 << bit, Ordering::SeqCst);
        }
    }

    pub(super) fn mark_word(&self, word: usize, bits: u64) {
        if bits != 0
            && let Some(word) = self.news.get(word)
        {
            word.fetch_or(bits, Ordering::SeqCst);
        }
    }

    /// `true` when it was not enlisted before.
    pub(super) fn set_enlisted(&self) -> bool {
        !self.enlisted.load(Ordering::SeqCst) && !self.enlisted.swap(true, Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(super) fn is_enlisted(&self) -> bool {
        self.enlisted.load(Ordering::SeqCst)
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::SeqCst)
    }

    /// Why it is being closed, if it is.
    pub fn closing(&self) -> Option<Disconnect> {
        self.closing.get().copied()
    }

    /// Closes it, once; the first reason counts.
    pub fn close(&self, why: Disconnect) {
        if self.closing.set(why).is_ok() {
            self.wake.ring();
            self.room.notify_one();
        }
    }

    /// Closes it, because nothing has come from it, or gone to it, for longer than a lost connection is held.
    pub(super) fn close_silent(&self, why: Disconnect) {
        self.silent.store(true, Ordering::Release);
        self.close(why);
    }

    /// Whether it was closed for its silence.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    /// A ping is due; it goes before everything else.
    pub(super) fn ping(self: &Arc<Self>, flusher: &Flusher) {
        self.ping_due.store(true, Ordering::SeqCst);
        flusher.enlist(self);
    }

    /// Its turn: one batch, one write. With more to send it goes to the end of the list.
    pub(super) fn flush(self: &Arc<Self>, flusher: &Flusher, pages: &LogPages) {
        self.enlisted.store(false, Ordering::SeqCst);
        if self.is_blocked() || self.closing().is_some() {
            return;
        }
        let mut out = self.out.lock();
        self.send_batch(&mut out, flusher, pages);
    }

    fn send_batch(self: &Arc<Self>, out: &mut Out, flusher: &Flusher, pages: &LogPages) {
        if !out.rest.is_empty() {
            return;
        }
        BATCH.with_borrow_mut(|batch| {
            let gathered = self.gather(out, batch, pages);
            if batch.len() > HEADER_MAX {
                let start = if gathered.raw { HEADER_MAX } else { self.transport.seal(self.format, batch) };
                self.send(out, &batch[start..], gathered.ping);
            }
            if batch.capacity() > HEADER_MAX + 8 * BATCH_BYTES {
                *batch = Vec::with_capacity(HEADER_MAX + 2 * BATCH_BYTES);
            }
            if gathered.more && !self.is_blocked() {
                flusher.enlist_behind(self);
            }
        });
    }

    /// Fills the batch: either whole frames as they are, or messages that will become one frame.
    fn gather(self: &Arc<Self>, out: &mut Out, batch: &mut Vec<u8>, pages: &LogPages) -> Gathered {
        batch.clear();
        batch.resize(HEADER_MAX, 0);
        if !out.frames.is_empty() {
            batch.append(&mut out.frames);
            out.frames = Vec::new();
            return Gathered { raw: true, ping: false, more: true };
        }
        let ping = self.ping_due.load(Ordering::SeqCst) && self.ping_due.swap(false, Ordering::SeqCst);
        if ping {
            encode::ping(batch, self.format);
        }
        if !out.replies.is_empty() {
            batch.append(&mut out.replies);
            // The handshake's replies are the largest; an idle connection keeps no buffer.
            out.replies = Vec::new();
            if self.backed_up.swap(false, Ordering::AcqRel) {
                self.room.notify_one();
            }
        }
        let begin = batch.len();
        let is_late = out.is_late;
        let into = &mut Batch { format: self.format, bytes: batch, begin, is_late };
        let more = gather::subscriptions(self, out, into, pages);
        out.is_late = is_late && more;
        Gathered { raw: false, ping, more }
    }

    fn send(&self, out: &mut Out, bytes: &[u8], ping: bool) {
        self.await_pong(ping);
        match self.transport.write_at_once(bytes) {
            Ok(written) if written == bytes.len() && !self.transport.is_on_its_way() => {}
            Ok(written) => self.block(out, &bytes[written..], ping),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.block(out, bytes, ping),
            Err(_) => self.close(Disconnect::WRITE_ERROR),
        }
    }

    /// The pong clock starts with the write that takes the ping out, and before it: another thread may read the pong
    /// while the system call is still returning. A write that is cut short stops the clock again.
    fn await_pong(&self, ping: bool) {
        if ping {
            self.times.pong_by.set(Some(Ticks::now().after(PONG_WITHIN)));
        }
    }

    fn block(&self, out: &mut Out, rest: &[u8], ping: bool) {
        out.rest = rest.to_vec();
        out.rest_at = 0;
        out.rest_has_ping = ping;
        out.is_late = true;
        // A reader that stands still cannot answer a ping either: progress is what counts now.
        self.times.pong_by.set(None);
        out.progress_before = self.times.progress_at.get();
        self.times.progress_at.set(Some(Ticks::now()));
        self.blocked.store(true, Ordering::SeqCst);
        self.wake.ring();
    }

    /// The kernel takes bytes again: sends what was kept, then goes on. By the connection's own task.
    pub(super) fn unblock(self: &Arc<Self>, flusher: &Flusher, pages: &LogPages) {
        let mut out = self.out.lock();
        self.await_pong(out.rest_has_ping);
        match self.transport.try_write(&out.rest[out.rest_at..]) {
            Ok(written) => {
                self.times.progress_at.set(Some(Ticks::now()));
                out.rest_at += written;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.transport.has_moved() {
                    out.progress_before = Some(Ticks::now());
                    self.times.progress_at.set(out.progress_before);
                }
                self.times.pong_by.set(None);
                return;
            }
            Err(_) => {
                self.close(Disconnect::WRITE_ERROR);
                return;
            }
        }
        if out.rest_at < out.rest.len() {
            self.times.pong_by.set(None);
            return;
        }
        out.rest = Vec::new();
        out.rest_at = 0;
        if self.transport.is_on_its_way() {
            self.times.pong_by.set(None);
            return;
        }
        if matches!(self.transport, Transport::Stream(_)) {
            // It waits after every batch: that alone is not slow.
            self.times.progress_at.set(out.progress_before);
        }
        self.blocked.store(false, Ordering::SeqCst);
        if self.closing().is_none() {
            self.send_batch(&mut out, flusher, pages);
        }
    }

    /// Adds the goodbye behind what is already on its way, and what was answered before it.
    pub(super) fn start_closing(&self, why: Option<Disconnect>) {
        let mut out = self.out.lock();
        let replies = std::mem::take(&mut out.replies);
        let mut last = std::mem::take(&mut out.frames);
        self.transport.append(self.format, &replies, &mut last);
        match (&self.transport, why) {
            (Transport::Socket(_), Some(why)) => encode_close(why.code, why.reason, &mut last),
            (Transport::Socket(_), None) => super::ws::encode_frame(OpCode::Close, &[], &mut last),
            (Transport::Stream(_), Some(why)) => encode::push_disconnect(&mut last, self.format, why),
            (Transport::Stream(_), None) => {}
        }
        out.rest.extend_from_slice(&last);
        self.blocked.store(true, Ordering::SeqCst);
    }

    /// Writes what is left before the end. `true` when nothing is.
    pub(super) fn write_last(&self) -> io::Result<bool> {
        let mut out = self.out.lock();
        while out.rest_at < out.rest.len() {
            match self.transport.try_write(&out.rest[out.rest_at..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => out.rest_at += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Takes the news: a word of bits at a time.
    pub(super) fn take_news(&self, word: usize) -> u64 {
        match self.news.get(word) {
            Some(bits) if bits.load(Ordering::SeqCst) != 0 => bits.swap(0, Ordering::SeqCst),
            _ => 0,
        }
    }

    /// Adds to the replies and sees to it that they are sent.
    pub(super) fn reply(self: &Arc<Self>, flusher: &Flusher, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = self.out.lock();
        write(&mut out.replies);
        self.note_backlog(&out);
        drop(out);
        flusher.enlist(self);
    }

    /// Adds a whole frame and sees to it that it is sent.
    pub fn frame(self: &Arc<Self>, hub: &Hub, opcode: OpCode, payload: &[u8]) {
        let mut out = self.out.lock();
        super::ws::encode_frame(opcode, payload, &mut out.frames);
        drop(out);
        hub.flusher.enlist(self);
    }

    /// Bytes waiting to be sent that are not in any ring: for tests and metrics.
    pub fn held_bytes(&self) -> usize {
        let out = self.out.lock();
        out.rest.capacity() + out.replies.capacity() + out.frames.capacity() + self.transport.held_bytes()
    }
}
