//! One channel, its log, and a reader: what the threads of a model have in common.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use studyhall_protocol::format::Format;

use super::sync::Mutex;
use crate::live::backend::{Backend, Effect, Identity, LogEvent};
use crate::live::conn::{Conn, ConnId};
use crate::live::elsewhere::Nodes;
use crate::live::flush::Flusher;
use crate::live::newcomer::{Asked, Newcomer, NoSeat};
use crate::live::pages::LogPages;
use crate::live::roster::Alone;
use crate::live::standing::Known;
use crate::live::stream::{Road, Stream};
use crate::live::subscription::Subscription;
use crate::live::tests::json::suite::backend::Toy;
use crate::live::tests::json::suite::{room, user};
use crate::live::topic::Topic;
use crate::live::transport::Transport;

/// As the session does.
const TRIES: usize = 4;

/// The flush task is to run.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub struct Bench {
    toy: Toy,
    log: Mutex<Vec<LogEvent>>,
    /// In the place of the hub's map.
    topic: Mutex<Option<Arc<Topic>>>,
    flusher: &'static Flusher,
    pages: &'static LogPages,
    bell: Arc<Bell>,
    flushing: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    identity: Identity,
    standing: Arc<Known>,
    conn: Arc<Conn>,
    another: Arc<Conn>,
    /// Where the reader began; `None` as long as there is no seat.
    from: Mutex<Option<u64>>,
    refused: AtomicBool,
    unsubscribed: AtomicBool,
    disposed: AtomicUsize,
    seen: Mutex<Vec<u64>>,
}
