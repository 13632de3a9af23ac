//! What things cost while nothing happens, and that it is given back.

use std::sync::atomic::Ordering;

use studyhall_protocol::error::Unsubscribed;

use super::*;
use crate::live::backend::{Effect, Grant, Visitor};
use crate::live::conn::ConnId;
use crate::live::elsewhere::Nodes;
use crate::live::flush::Flusher;
use crate::live::newcomer::Newcomer;
use crate::live::pages::LogPages;
use crate::live::seats::Seat;
use crate::live::subscription::Subscription;
use crate::live::time::Ticks;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection() {
    let engine = Engine::start().await;
    let mut client = engine.subscribed(1, room(1)).await;
    client.all().await;
    assert_eq!(engine.hub.held_bytes(), 0);
    let conn = engine.conn(1);
    let session = Session::new(engine.hub.clone(), conn.clone(), Visitor::default());
    let task = socket::serve(engine.hub.clone(), conn.clone(), session, Vec::new());
    assert!(size_of_val(&task) <= 1_100, "the task takes {} bytes", size_of_val(&task));
    assert!(size_of::<Conn>() <= 512, "{}", size_of::<Conn>());
    assert!(size_of::<Option<Subscription>>() <= 56, "{}", size_of::<Option<Subscription>>());
    assert!(size_of::<Topic>() <= 512, "{}", size_of::<Topic>());
    assert!(size_of::<Option<Seat>>() <= 16, "{}", size_of::<Option<Seat>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_channel_gives_its_rings_back() {
    let engine = Engine::start().await;
    let mut client = engine.subscribed(1, room(1)).await;
    engine.publish(room(1), 20);
    client.offsets_until(room(1), 20).await;
    let topic = engine.topic(room(1));
    assert!(topic.ring_use().0 > 0);
    engine.hub.retire_idle(Ticks::now().after(Duration::from_secs(31)));
    assert_eq!(topic.ring_use().0, 0);
    assert!(client.all().await.is_empty());
    engine.publish(room(1), 1);
    assert_eq!(client.offsets_until(room(1), 21).await, [21]);
    // What was in the ring is in the log.
    let mut late = engine.connected(2).await;
    late.recover(room(1), 10, "e1", 2).await;
    assert_eq!(late.offsets_until(room(1), 21).await, (11..=21).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rings_share_a_budget() {
    let engine = Engine::start_with(Limits { ring_bytes: 10_000, ..Limits::default() }).await;
    let mut client = engine.connected(1).await;
    engine.toy.state.lock().padding = 1_000;
    for n in 1..=4 {
        client.subscribe(room(n)).await;
        engine.publish(room(n), 5);
        client.offsets_until(room(n), 5).await;
    }
    engine.hub.keep_ring_budget();
    let total: usize = (1..=4).map(|n| engine.topic(room(n)).ring_use().0).sum();
    assert!(total <= 10_000, "{total}");
    for n in 1..=4 {
        engine.publish(room(n), 1);
        assert_eq!(client.offsets_until(room(n), 6).await, [6]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_without_subscribers_is_forgotten_and_comes_back() {
    let engine = Engine::start().await;
    let mut client = engine.connected(1).await;
    engine.toy.state.lock().denied.insert((user(1), room(2)));
    client.ask("subscribe", serde_json::json!({"channel": room(2)})).await;
    client.subscribe(profile(1)).await;
    client.ask("unsubscribe", serde_json::json!({"channel": profile(1)})).await;
    let retired = engine.topic(profile(1));
    engine.hub.retire_idle(Ticks::now().after(Duration::from_secs(31)));
    assert_eq!(engine.hub.counts().1, 0);
    engine.publish(profile(1), 2);
    client.subscribe(profile(1)).await;
    engine.publish(profile(1), 1);
    assert_eq!(client.offsets_until(profile(1), 3).await, [3]);
    assert!(!Arc::ptr_eq(&retired, &engine.topic(profile(1))));
}

/// A connection whose turns are given by hand.
struct ByHand {
    flusher: Flusher,
    pages: LogPages,
    conn: Arc<Conn>,
    topics: Vec<Arc<Topic>>,
    engine: Engine,
}

impl ByHand {
    async fn start(channels: u128) -> (Self, Client) {
        let engine = Engine::start().await;
        let flusher = Flusher::new(1);
        let pages = LogPages::new(1 << 20);
        let listener = listen();
        let client = Client::open(listener.local_addr().unwrap(), None).await;
        let (socket, _) = listener.accept().await.unwrap();
        let conn = Arc::new(Conn::new(ConnId(77), socket, FORMAT));
        let identity = engine.toy.identity_of("u1");
        conn.user_id.set(identity.user_id).unwrap();
        let (mut topics, answers) = (Vec::new(), Answers::new(0, false));
        for n in 0..channels {
            let topic = Arc::new(Topic::new(room(n), Nodes(engine.hub.roster.clone())));
            let newcomer = Newcomer { conn: &conn, index: n as u16, asked: &answers.of(&identity) };
            let seated = topic.enter(newcomer, &flusher).unwrap();
            conn.out.lock().subscriptions.push(Some(Subscription {
                topic: topic.clone(),
                grant: Grant::Member,
                place: seated.place,
                next_event: 1,
                next_cast: seated.next_cast,
                next_move: None,
                slots_seen: seated.slots_seen,
                shown: seated.shown,
            }));
            topics.push(topic);
        }
        (Self { flusher, pages, conn, topics, engine }, client)
    }

    fn event(&self, topic: usize, padding: usize) {
        self.engine.toy.state.lock().padding = padding;
        let event = self.engine.toy.commit(self.topics[topic].channel, Vec::new());
        self.topics[topic].apply(event, Vec::new(), &self.flusher);
    }

    fn turn(&self) {
        self.conn.flush(&self.flusher, &self.pages);
    }
}

/// A line longer than a batch gets one for itself, though other channels have something every time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_line_finds_room() {
    let (hand, mut client) = ByHand::start(3).await;
    hand.event(1, 40_000);
    for _ in 0..2 {
        hand.event(0, 10);
        hand.event(2, 10);
        hand.turn();
    }
    let name = room(1).to_string();
    client.until(|line| line["push"]["channel"] == name.as_str()).await;
}

/// Whoever fills a batch is last in the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_go_round() {
    let (hand, mut client) = ByHand::start(6).await;
    for topic in 0..6 {
        hand.event(topic, 7_000);
    }
    hand.turn();
    for topic in 0..4 {
        hand.event(topic, 7_000);
    }
    hand.turn();
    let mut seen = std::collections::HashSet::new();
    while seen.len() < 6 {
        seen.insert(client.next().await["push"]["channel"].as_str().unwrap().to_owned());
    }
}

/// A ping that is put off for a raw frame has not been sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pong_clock_starts_with_its_ping() {
    let (hand, mut client) = ByHand::start(1).await;
    crate::live::ws::encode_frame(crate::live::ws::OpCode::Pong, b"raw", &mut hand.conn.out.lock().frames);
    hand.conn.ping(&hand.flusher);
    hand.turn();
    assert_eq!(hand.conn.times.pong_by.get(), None);
    hand.turn();
    assert!(hand.conn.times.pong_by.get().is_some());
    while client.pings == 0 {
        assert!(client.read().await);
    }
}

/// Ending a room with many people in it costs each of them once, not once per other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_large_room_is_cheap() {
    let (hand, _client) = ByHand::start(1).await;
    let answers = Answers::new(0, false);
    let enter = |topic: &Topic, n: u128| {
        let identity = hand.engine.toy.identity_of(&format!("u{n}"));
        let newcomer = Newcomer { conn: &hand.conn, index: 0, asked: &answers.of(&identity) };
        topic.enter(newcomer, &hand.flusher).unwrap();
    };
    let (topic, size) = (&hand.topics[0], 1_000);
    (0..size).for_each(|n| enter(topic, n));
    {
        let identity = hand.engine.toy.identity_of("u1");
        let mut state = topic.state.lock();
        for n in 0..size {
            let identity = crate::live::backend::Identity { user_id: user(n), ..identity.clone() };
            state.change_person(room(0), user(n), |people| people.enter(&identity, &answers.standing));
        }
    }
    let end = hand.engine.toy.commit(topic.channel, Vec::new());
    let before = hand.flusher.marks.load(Ordering::Relaxed);
    topic.apply(end, vec![Effect::RemoveAll(Unsubscribed::DELETED)], &hand.flusher);
    let marks = hand.flusher.marks.load(Ordering::Relaxed) - before;
    assert!(marks <= 2 * size as usize, "{marks} marks for {size} people");
    assert!(topic.state.lock().people.is_none());
}
