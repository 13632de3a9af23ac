//! Pings, deadlines and turns. Time is not waited for: the clock is shown a later hour.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use studyhall_protocol::error::Disconnect;

use super::client::client_frame;
use super::*;
use crate::live::limits::{READ_BYTES, READS_PER_TURN};
use crate::live::socket::{Handler, Next};
use crate::live::time::Ticks;
use crate::live::ws::{Message, OpCode};

fn in_seconds(seconds: u64) -> Ticks {
    Ticks::now().after(Duration::from_secs(seconds))
}

/// Makes a ping due, the only one, and waits until the client has it.
async fn ping(engine: &Engine, conn: &Arc<Conn>, client: &mut Client) {
    let pings = client.pings;
    conn.times.ping_at.set(None);
    conn.ping(&engine.hub.flusher);
    while client.pings == pings {
        assert!(client.read().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_wants_its_pong() {
    let engine = Engine::start().await;
    let mut client = engine.connected(1).await;
    let conn = engine.conn(1);
    let first = conn.times.ping_at.get().unwrap();
    assert!(!first.is_due(in_seconds(7)) && first.is_due(in_seconds(15)));
    engine.hub.look_after_connections(in_seconds(15));
    while client.pings == 0 {
        assert!(client.read().await);
    }
    client.send("{}").await;
    eventually("the pong is seen", || conn.times.pong_by.get().is_none()).await;
    ping(&engine, &conn, &mut client).await;
    engine.hub.look_after_connections(in_seconds(9));
    assert_eq!(conn.closing(), None);
    client.send("{}").await;
    eventually("the pong is seen", || conn.times.pong_by.get().is_none()).await;
    engine.hub.look_after_connections(in_seconds(11));
    assert_eq!(conn.closing(), None);
    ping(&engine, &conn, &mut client).await;
    engine.hub.look_after_connections(in_seconds(11));
    assert_eq!(client.close_code().await, 3012);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pong_that_waits_behind_a_long_command_counts() {
    let engine = Engine::start().await;
    let mut client = engine.connected(1).await;
    let conn = engine.conn(1);
    engine.toy.running.shut();
    client.send(&json!({"id": 5, "rpc": {"method": "echo"}}).to_string()).await;
    engine.toy.running.arrived(1).await;
    ping(&engine, &conn, &mut client).await;
    client.send("{}").await;
    engine.hub.look_after_connections(in_seconds(40));
    assert_eq!(conn.closing(), None, "its pong may have been here for long");
    engine.toy.running.open();
    assert!(client.reply(5).await["rpc"].is_object());
    eventually("the pong is seen", || conn.times.pong_by.get().is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_progress_closes_and_slow_progress_does_not() {
    let engine = Engine::start().await;
    engine.toy.state.lock().padding = 2_000;
    let mut slow = engine.small_reader(1).await;
    slow.subscribe(room(1)).await;
    engine.publish(room(1), 200);
    let conn = engine.conn(1);
    eventually("the reader lags", || conn.is_blocked()).await;
    conn.times.ping_at.set(None);
    engine.hub.look_after_connections(in_seconds(19));
    assert_eq!(conn.closing(), None);
    assert_eq!(slow.offsets_until(room(1), 200).await.len(), 200);
    eventually("the backlog has left", || !conn.is_blocked()).await;
    ping(&engine, &conn, &mut slow).await;
    eventually("its clock runs", || conn.times.pong_by.get().is_some()).await;
    // What the kernels hold may take the reader longer than an idle one has for its pong.
    engine.hub.look_after_connections(in_seconds(15));
    assert_eq!(conn.closing(), None, "it has made progress a moment ago");
    engine.hub.look_after_connections(in_seconds(21));
    assert_eq!(conn.closing(), Some(Disconnect::NO_PONG));
    let mut stuck = engine.small_reader(2).await;
    stuck.subscribe(room(1)).await;
    engine.publish(room(1), 200);
    let conn = engine.conn(2);
    eventually("the reader lags", || conn.is_blocked()).await;
    engine.hub.look_after_connections(in_seconds(21));
    assert_eq!(conn.closing(), Some(Disconnect::WRITE_ERROR));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_goes_before_the_backlog() {
    let engine = Engine::start().await;
    engine.toy.state.lock().padding = 2_000;
    let mut slow = engine.small_reader(1).await;
    slow.subscribe(room(1)).await;
    engine.publish(room(1), 1_000);
    let conn = engine.conn(1);
    eventually("the reader lags", || conn.is_blocked()).await;
    conn.times.ping_at.set(None);
    conn.ping(&engine.hub.flusher);
    let mut before = 0;
    while slow.pings == 0 {
        slow.next().await;
        before += 1;
    }
    assert!(before < 150, "{before} events before the ping");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_to_connect_and_ends_with_its_sign_in() {
    let engine = Engine::start().await;
    let mut silent = engine.client().await;
    eventually("accepted", || engine.hub.counts().0 == 1).await;
    engine.hub.look_after_connections(in_seconds(14));
    assert!(engine.hub.conns.iter().all(|conn| conn.closing().is_none()));
    engine.hub.look_after_connections(in_seconds(16));
    assert_eq!(silent.close_code().await, 4000);
    let mut expiring = engine.connected(1).await;
    engine.conn(1).times.expires_at.store(1, Ordering::Relaxed);
    engine.hub.look_after_connections(Ticks::now());
    assert_eq!(expiring.close_code().await, 3005);
}

/// The close frame is followed by the end of the stream: browsers wait for that, not for a timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_follows_the_close_frame() {
    let engine = Engine::start().await;
    let mut client = engine.connected(1).await;
    engine.conn(1).close(Disconnect::SIGNED_OUT);
    assert_eq!(client.close_code().await, 4501);
    let began = std::time::Instant::now();
    client.end().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let mut polite = engine.connected(2).await;
    polite.frame(OpCode::Close, &1000_u16.to_be_bytes()).await;
    assert_eq!(polite.close_code().await, 1000);
    polite.end().await;
}

/// Counts messages between the turns of another task.
struct Counting {
    turns: Arc<AtomicUsize>,
    last_turn: usize,
    bytes: usize,
    most: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
}

impl Handler for Counting {
    fn message(&mut self, message: Message<'_>) -> Next {
        let turn = self.turns.load(Ordering::SeqCst);
        if turn != self.last_turn {
            (self.last_turn, self.bytes) = (turn, 0);
        }
        if let Message::Text(text) = message {
            self.bytes += text.len();
        }
        self.most.fetch_max(self.bytes, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::SeqCst);
        Next::Read
    }

    async fn run(&mut self, _: Vec<u8>) -> Next {
        Next::Read
    }
}

#[tokio::test]
async fn a_flood_gives_others_their_turn() {
    let engine = Engine::start().await;
    let listener = listen();
    let client = Client::open(listener.local_addr().unwrap(), None).await;
    let (socket, _) = listener.accept().await.unwrap();
    assert!(engine.hub.admit_connection().is_ok());
    let conn = engine.hub.register(socket, FORMAT);
    // All of it waits in the kernel before the first read.
    let frame = client_frame(OpCode::Text, &[b'x'; 1_000]);
    let flood = frame.repeat(2_000);
    let mut sent = 0;
    while sent < flood.len() {
        match client.socket.try_write(&flood[sent..]) {
            Ok(written) => sent += written,
            Err(_) => break,
        }
    }
    let per_turn = READS_PER_TURN * READ_BYTES;
    assert!(sent > 3 * per_turn, "the kernel takes {sent} bytes only");
    let (turns, most, total) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let handler = Counting { turns: turns.clone(), last_turn: 0, bytes: 0, most: most.clone(), total: total.clone() };
    let serving = tokio::spawn(crate::live::socket::serve(engine.hub.clone(), conn, handler, Vec::new()));
    let messages = sent / frame.len();
    while total.load(Ordering::SeqCst) < messages {
        turns.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    assert!(most.load(Ordering::SeqCst) <= 2 * per_turn, "{} bytes in one turn", most.load(Ordering::SeqCst));
    drop(client);
    serving.await.unwrap();
}
