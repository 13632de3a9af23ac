//! One channel, its log, and a reader: what the threads of a model have in common.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use futures_util::FutureExt;
use serde_json::Value;
use studyhall_protocol::format::Format;
use studyhall_protocol::settings::PresenceVisibility;

use super::schedule;
use super::sync::Mutex;
use crate::live::backend::{Backend, Effect, Identity, LogEvent, Standing};
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

/// An event as the reader was told it: its number, and in which epoch it was made.
type Told = (u64, u64);

pub struct Bench {
    toy: Toy,
    /// In the place of the hub's map.
    topic: Mutex<Option<Arc<Topic>>>,
    flusher: Arc<Flusher>,
    pages: Arc<LogPages>,
    bell: Arc<Bell>,
    flushing: parking_lot::Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    standing: Arc<Known>,
    readers: [Reader; 2],
    /// How often the log was replaced.
    epoch: AtomicU64,
}

/// One who comes, and what they were told.
struct Reader {
    identity: Identity,
    conn: Arc<Conn>,
    told: parking_lot::Mutex<Reading>,
}

#[derive(Default)]
struct Reading {
    /// Where it began, and in which epoch; `None` as long as there is no seat.
    from: Option<(u64, Arc<str>)>,
    refused: bool,
    put_out: bool,
    events: Vec<Told>,
}

impl Reader {
    fn new(toy: &Toy, number: u64) -> Self {
        let identity = toy.identity_of(&format!("u{number}"));
        let conn = Arc::new(Conn::new(ConnId(number), Stream::new(Road::new(None)), Format::Json));
        conn.user_id.set(identity.user_id).unwrap();
        Self { identity, conn, told: parking_lot::Mutex::default() }
    }
}

impl Bench {
    /// A channel that nobody reads, with so many events in its log.
    pub fn new(events: u64) -> Arc<Self> {
        let toy = Toy::default();
        toy.set_epoch("0");
        let (flusher, pages, bell) =
            (Arc::new(Flusher::new(1)), Arc::new(LogPages::new(1 << 20)), Arc::<Bell>::default());
        let (all, those) = (flusher.clone(), pages.clone());
        let flushing = parking_lot::Mutex::new(Box::pin(async move { all.run(0, &those).await }) as Pin<Box<_>>);
        let user_id = user(1);
        let standing =
            Standing { user_id, audience: PresenceVisibility::Everyone, invisible: false, hidden: Vec::new() };
        let standing = Arc::new(Known { version: 0, standing });
        let readers = [Reader::new(&toy, 1), Reader::new(&toy, 2)];
        let (topic, epoch) = (Mutex::new(None), AtomicU64::new(0));
        let bench = Self { toy, topic, flusher, pages, bell, flushing, standing, readers, epoch };
        (0..events).for_each(|_| bench.commit());
        bench.turn();
        Arc::new(bench)
    }

    /// Somebody sits at 0, so many events are committed, and the first few of them are applied.
    pub fn subscribed(applied: u64, events: u64) -> Arc<Self> {
        let bench = Self::new(0);
        bench.subscribe();
        (0..events).for_each(|_| bench.commit());
        (1..=applied).for_each(|offset| bench.apply(offset));
        bench
    }

    pub fn commit(&self) {
        self.commit_with(Vec::new());
    }

    pub fn commit_with(&self, effects: Vec<Effect>) {
        schedule::point();
        self.toy.commit(room(1), effects);
    }

    /// Another thread may go on before the database is asked.
    fn database(&self) -> &Toy {
        schedule::point();
        &self.toy
    }

    fn topic(&self) -> Arc<Topic> {
        let new = || Arc::new(Topic::new(room(1), Nodes(Arc::new(Alone))));
        self.topic.lock().get_or_insert_with(new).clone()
    }

    /// As `Hub::apply`, with the repair in the same thread.
    pub fn apply(&self, offset: u64) {
        let event = self.toy.state.lock().logs[&room(1)].events[offset as usize - 1].clone();
        self.apply_event(event);
    }

    fn apply_event(&self, event: LogEvent) {
        let effects = self.toy.effects(&event);
        let Some(topic) = self.topic.lock().clone() else { return };
        if topic.apply(event, effects, &self.flusher).repair {
            self.repair(&topic);
        }
    }

    /// As `Hub::repair`; where that waits for a while, this leaves the hole to the end.
    fn repair(&self, topic: &Topic) {
        while let Some(after) = topic.hole_after() {
            let page = self.database().read_log(room(1), after, 256).now_or_never().unwrap().unwrap();
            topic.check_epoch(&page.epoch, &self.flusher);
            topic.skip_to(page.floor, &self.flusher);
            for event in page.events {
                let effects = self.toy.effects(&event);
                topic.apply(event, effects, &self.flusher);
            }
            if topic.hole_after() == Some(after) {
                return;
            }
        }
    }

    pub fn subscribe(&self) {
        self.sit_down(&self.readers[0]);
    }

    pub fn subscribe_another(&self) {
        self.sit_down(&self.readers[1]);
    }

    /// As `Session::subscribe` and `Session::take_seat`, from the head of the answer on.
    fn sit_down(&self, reader: &Reader) {
        for _ in 0..TRIES {
            let (topic, at) = (self.topic(), Instant::now());
            let answers = self.database().admit(&reader.identity, vec![room(1)]).now_or_never().unwrap().unwrap();
            let Some(Ok(admission)) = answers.into_iter().next() else {
                reader.told.lock().refused = true;
                return;
            };
            let mut out = reader.conn.out.lock();
            let index = out.free_index().unwrap();
            let asked = Asked { identity: &reader.identity, standing: &self.standing, admission: &admission, at };
            let newcomer = Newcomer { conn: &reader.conn, index: index as u16, asked: &asked };
            let seated = match topic.enter(newcomer, &self.flusher) {
                Ok(seated) => seated,
                Err(NoSeat::Revoked) => continue,
                Err(NoSeat::Retired) => {
                    drop(out);
                    let mut known = self.topic.lock();
                    known.take_if(|known| Arc::ptr_eq(known, &topic));
                    continue;
                }
            };
            out.subscriptions[index] = Some(Subscription {
                topic: topic.clone(),
                grant: admission.grant,
                place: seated.place,
                next_event: admission.head + 1,
                next_cast: seated.next_cast,
                next_move: None,
                slots_seen: seated.slots_seen,
                shown: seated.shown,
            });
            reader.told.lock().from = Some((admission.head, admission.epoch.clone()));
            drop(out);
            if seated.repair {
                self.repair(&topic);
            }
            self.flusher.mark(&reader.conn, index as u16);
            return;
        }
        panic!("no seat after {TRIES} answers");
    }

    /// The flush task, if somebody woke it.
    pub fn flush(&self) {
        if self.bell.0.swap(false, Ordering::SeqCst) {
            self.turn();
        }
        self.take();
    }

    fn turn(&self) {
        // Nobody else runs it; a thread that stands still in the middle of it keeps this lock.
        let Some(mut flushing) = self.flushing.try_lock() else { return };
        let waker = Waker::from(self.bell.clone());
        assert_eq!(flushing.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
    }

    /// The kernel takes what is on its way, and the connection goes on.
    pub fn take(&self) {
        for reader in &self.readers {
            let Transport::Stream(stream) = &reader.conn.transport else { continue };
            if let Some(bytes) = stream.take() {
                bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).for_each(|line| reader.line(line));
                reader.conn.unblock(&self.flusher, &self.pages);
            }
        }
    }

    /// As `Hub::read_pages`, once.
    pub fn read_pages(&self) {
        let Some(Some((_permit, keys))) = self.pages.wanted().now_or_never() else { return };
        let check = |_, epoch: &Arc<str>| {
            if let Some(topic) = self.topic.lock().clone() {
                topic.check_epoch(epoch, &self.flusher);
            }
        };
        let later = self.pages.read(keys, self.database(), &self.flusher, check).now_or_never().unwrap();
        later.into_iter().for_each(|key| self.pages.wake(key, &self.flusher));
    }

    /// The clock forgets the topic while nobody is there.
    pub fn retire(&self) {
        let mut known = self.topic.lock();
        if known.as_ref().is_some_and(|topic| topic.retire()) {
            *known = None;
        }
    }

    pub fn drop_rings(&self) {
        self.topic().drop_rings();
    }

    /// The log is that of an earlier moment, under a new epoch.
    pub fn restore(&self, keep: usize) {
        schedule::point();
        let epoch = self.epoch.fetch_add(1, Ordering::SeqCst) + 1;
        let mut state = self.toy.state.lock();
        state.logs.get_mut(&room(1)).unwrap().events.truncate(keep);
        state.epoch = Some(epoch.to_string().into());
        // So that an event of now is another one than that which had its number.
        state.padding = epoch as usize;
    }

    /// The node learns of it, as from a page of the log.
    pub fn check_epoch(&self) {
        let epoch: Arc<str> = self.epoch.load(Ordering::SeqCst).to_string().into();
        let topic = self.topic.lock().clone();
        if let Some(topic) = topic {
            topic.check_epoch(&epoch, &self.flusher);
        }
    }

    /// What the follower of the log finds.
    pub fn follow(&self) {
        let events = self.toy.state.lock().logs[&room(1)].events.clone();
        events.into_iter().for_each(|event| self.apply_event(event));
    }

    /// Everything runs until nothing is left to be done.
    pub fn settle(&self) {
        for _ in 0..20 {
            if let Some(topic) = self.topic.lock().clone() {
                self.repair(&topic);
            }
            self.read_pages();
            self.flush();
        }
    }

    fn log(&self) -> Vec<Told> {
        let state = self.toy.state.lock();
        state.logs[&room(1)].events.iter().map(|event| told(&serde_json::from_slice(&event.payload).unwrap())).collect()
    }

    /// Every reader who sat down has come to the end of the log, whose events were those.
    pub fn assert_complete(&self) {
        let log = self.log();
        for reader in &self.readers {
            let reading = reader.told.lock();
            let Some((from, _)) = &reading.from else { continue };
            assert!(!reading.put_out && reader.conn.closing().is_none());
            assert_eq!(reading.events, log[*from as usize..], "from {from} on");
        }
        assert!(self.readers[0].told.lock().from.is_some());
    }

    /// The first reader was removed by event 2: nothing behind it came, by any way.
    pub fn assert_put_out(&self) {
        let reading = self.readers[0].told.lock();
        assert!(reading.events.iter().all(|(offset, _)| *offset <= 2), "{:?}", reading.events);
        assert!(reading.put_out != reading.refused, "neither refused nor put out");
        assert_eq!(reading.from.is_some(), reading.put_out);
    }

    /// Whoever has a seat in the log of now has all of it; a connection that was there before is closed by the hub.
    pub fn assert_of_this_epoch(&self) {
        let epoch = self.epoch.load(Ordering::SeqCst).to_string();
        let reading = self.readers[0].told.lock();
        let (from, seen) = reading.from.clone().unwrap();
        if *seen == *epoch {
            assert_eq!(reading.events, self.log()[from as usize..], "from {from} on");
        }
    }
}

impl Reader {
    fn line(&self, line: &[u8]) {
        let line: Value = serde_json::from_slice(line).unwrap();
        let mut reading = self.told.lock();
        assert!(!reading.put_out, "{line} behind the end of the subscription");
        reading.put_out = line["push"]["unsubscribe"].is_object();
        if line["push"]["pub"]["offset"].is_u64() {
            let (offset, of) = told(&line["push"]["pub"]["data"]);
            assert_eq!(line["push"]["pub"]["offset"], offset, "another event under this number");
            reading.events.push((offset, of));
        }
    }
}

/// What the toy writes into an event: its number, and as many letters as the log was replaced.
fn told(payload: &Value) -> Told {
    (payload["data"]["n"].as_u64().unwrap(), payload["data"]["pad"].as_str().unwrap().len() as u64)
}
