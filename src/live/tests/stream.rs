//! Streams: the same connection, but what it says leaves through hyper and what it is told comes in requests.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use studyhall_protocol::channel::Channel;
use studyhall_protocol::format::Format;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::json::suite::{Engine, eventually, listen, room};
use crate::live::Hub;
use crate::live::backend::Visitor;
use crate::live::limits::MESSAGE_BYTES_MAX;
use crate::live::stream::{self, Forward, Opening, Road, Undelivered, Watched};
use crate::live::time::Ticks;

const DEADLINE: Duration = Duration::from_secs(10);
/// One batch, and the line that did not fit into it.
const HELD_MAX: usize = 64 * 1024;

/// What the server knows of its connections.
#[derive(Clone)]
struct Known {
    /// The last one.
    road: Arc<Mutex<Weak<Road>>>,
    /// One at a time may be a plain HTTP connection.
    places: Arc<Semaphore>,
}

/// Answers every request on a new port with a stream; the request's body is its first frame.
fn listen_for_streams(hub: &Arc<Hub>) -> (SocketAddr, Known) {
    let known = Known { road: Arc::default(), places: Arc::new(Semaphore::new(1)) };
    let noted = known.clone();
    let listener = listen();
    let address = listener.local_addr().unwrap();
    let accepting = hub.clone();
    hub.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (hub, road) = (accepting.clone(), Road::new(noted.places.clone().try_acquire_owned().ok()));
            *noted.road.lock() = Arc::downgrade(&road);
            let socket = Watched::new(socket, road.clone()).unwrap();
            accepting.spawn(async move {
                let cut = road.when_cut();
                let answer = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
                    let (hub, road) = (hub.clone(), road.clone());
                    async move {
                        let body = axum::body::Body::new(request.into_body());
                        let commands = axum::body::to_bytes(body, MESSAGE_BYTES_MAX).await.unwrap();
                        let opening = Opening { road, format: Format::Json, visitor: Visitor::default(), commands };
                        let answer = hyper::Response::builder().header("connection", "close");
                        answer.body(stream::open(&hub, opening).unwrap())
                    }
                });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(socket), answer);
                tokio::select! {
                    _ = serving => {}
                    () = cut => {}
                }
            });
        }
    });
    (address, known)
}

/// A client that reads only when it is told to.
struct Reader {
    socket: TcpStream,
    input: Vec<u8>,
    session: String,
    hub: Arc<Hub>,
    known: Known,
    ended: bool,
}

impl Reader {
    async fn open(engine: &Engine, person: u128) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let (address, known) = listen_for_streams(&engine.hub);
        let mut socket = socket.connect(address).await.unwrap();
        let connect = json!({"id": 1, "connect": {"token": format!("u{person}")}}).to_string();
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{connect}", connect.len());
        socket.write_all(head.as_bytes()).await.unwrap();
        let (input, session, hub) = (Vec::new(), String::new(), engine.hub.clone());
        let mut reader = Self { socket, input, session, hub, known, ended: false };
        while reader.take_until(b"\r\n\r\n").is_none() {
            assert!(reader.read().await);
        }
        let connected = reader.next().await.unwrap();
        reader.session = connected["connect"]["session"].as_str().unwrap().to_owned();
        assert_eq!(connected["connect"]["node"], json!(engine.hub.node()));
        reader
    }

    async fn send(&self, commands: &[Value]) -> Result<(), Undelivered> {
        let lines: Vec<String> = commands.iter().map(Value::to_string).collect();
        self.hub.deliver(&self.session, Bytes::from(lines.join("\n"))).await
    }

    async fn subscribe(&mut self, channel: Channel) {
        self.send(&[json!({"id": 2, "subscribe": {"channel": channel}})]).await.unwrap();
        while self.next().await.unwrap()["id"] != 2 {}
    }

    async fn read(&mut self) -> bool {
        let mut buffer = [0; 1_024];
        let read = timeout(DEADLINE, self.socket.read(&mut buffer)).await.expect("nothing comes").unwrap_or(0);
        self.input.extend_from_slice(&buffer[..read]);
        read > 0
    }

    fn take_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let at = self.input.windows(end.len()).position(|window| window == end)?;
        let taken = self.input.drain(..at + end.len()).collect::<Vec<_>>();
        Some(taken[..at].to_vec())
    }

    /// The next line; `None` behind the last one. Chunks end where lines end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if self.ended {
                return None;
            }
            // Sizes of chunks stand on lines of their own, between lines that are objects.
            let Some(line) = self.take_until(b"\n") else {
                assert!(self.read().await, "the answer broke off");
                continue;
            };
            match line.strip_suffix(b"\r").unwrap_or(&line) {
                b"" => {}
                b"0" => self.ended = true,
                size if size.iter().all(u8::is_ascii_hexdigit) => {}
                line => return Some(serde_json::from_slice(line).unwrap()),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_misses_nothing_and_costs_a_batch() {
    let engine = Engine::start().await;
    engine.toy.state.lock().padding = 2_000;
    let mut reader = Reader::open(&engine, 1).await;
    reader.subscribe(room(1)).await;
    let mut writer = engine.subscribed(2, room(1)).await;
    let pad = "p".repeat(700);
    for n in 1..=300 {
        engine.publish(room(1), 2);
        writer.publish(room(1), json!({"type": "pointer", "data": {"x": n, "pad": pad}})).await;
        assert!(engine.hub.held_bytes() <= 2 * HELD_MAX, "{}", engine.hub.held_bytes());
    }
    assert!(engine.conn(1).is_blocked());
    assert!(engine.conn(1).held_bytes() <= HELD_MAX, "{}", engine.conn(1).held_bytes());
    let (mut offsets, mut pointers) = (Vec::new(), Vec::new());
    while offsets.last() != Some(&600) || pointers.last() != Some(&300) {
        let line = reader.next().await.unwrap();
        let publication = &line["push"]["pub"];
        offsets.extend(publication["offset"].as_u64());
        pointers.extend(publication["data"]["data"]["x"].as_u64());
    }
    assert_eq!(offsets, (1..=600).collect::<Vec<_>>());
    assert!(pointers.len() < 150, "{} values of a slot", pointers.len());
    eventually("nothing is held", || engine.hub.held_bytes() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_is_not_dead_and_dead_is_ended() {
    let engine = Engine::start().await;
    engine.toy.state.lock().padding = 2_000;
    let mut reader = Reader::open(&engine, 1).await;
    reader.subscribe(room(1)).await;
    let conn = engine.conn(1);
    assert_eq!(conn.times.progress_at.get(), None, "whoever reads is not slow");
    engine.publish(room(1), 300);
    eventually("it stands still", || conn.is_blocked() && conn.held_bytes() > 0).await;
    let began = conn.times.progress_at.get().unwrap();
    // It reads a little, again and again.
    while conn.times.progress_at.get() == Some(began) {
        assert!(reader.read().await);
    }
    engine.hub.look_after_connections(Ticks::now().after(Duration::from_secs(15)));
    assert_eq!(conn.closing(), None);
    engine.hub.look_after_connections(Ticks::now().after(Duration::from_secs(21)));
    assert_eq!(conn.closing().map(|why| why.code), Some(3009));
    eventually("it is gone", || engine.hub.counts().0 == 0).await;
    drop(conn);
    // Nobody reads what is left: the connection is ended all the same.
    eventually("nothing of it is left", || reader.known.road.lock().strong_count() == 0).await;
    assert_eq!(engine.hub.streams.count(), 0);
    assert_eq!(reader.send(&[json!({})]).await, Err(Undelivered::Unknown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_run_in_order_and_wait_in_bounds() {
    let engine = Engine::start().await;
    let mut reader = Reader::open(&engine, 1).await;
    engine.toy.running.shut();
    let echo = |id: u32, bytes: usize| json!({"id": id, "rpc": {"method": "echo", "data": "x".repeat(bytes)}});
    reader.send(&[echo(10, 1)]).await.unwrap();
    engine.toy.running.arrived(1).await;
    // 100 KB are run or wait, and another 100 KB; then the next has to wait outside.
    reader.send(&[echo(11, 100_000)]).await.unwrap();
    reader.send(&[echo(12, 100_000)]).await.unwrap();
    let commands = [echo(13, 100_000)];
    let mut waiting = Box::pin(reader.send(&commands));
    assert!(waiting.as_mut().now_or_never().is_none(), "more than a message waits");
    engine.toy.running.open();
    engine.toy.running.arrived(3).await;
    // There is room now, and it is for the one that came first.
    let small = [echo(14, 1)];
    let mut next = Box::pin(reader.send(&small));
    let early = next.as_mut().now_or_never();
    assert!(early.is_none(), "a later one overtakes: {early:?}");
    waiting.await.unwrap();
    next.await.unwrap();
    for id in 10..=14 {
        assert_eq!(reader.next().await.unwrap()["id"], id);
    }
    // Small ones are bounded by their number.
    engine.toy.running.shut();
    let small: Vec<[Value; 1]> = (20..220).map(|id| [echo(id, 1)]).collect();
    let mut sending = Box::pin(join_all(small.iter().map(|command| reader.send(command))));
    assert!(sending.as_mut().now_or_never().is_none());
    engine.toy.running.open();
    assert!(sending.await.iter().all(Result::is_ok));
    for id in 20..220 {
        assert_eq!(reader.next().await.unwrap()["id"], id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_a_push_and_then_the_end_of_the_answer() {
    let engine = Engine::start().await;
    let mut reader = Reader::open(&engine, 1).await;
    engine.toy.running.shut();
    let commands = [json!({"id": 5, "ping": {}}), json!("nope")];
    reader.send(&commands).await.unwrap();
    assert_eq!(reader.next().await, Some(json!({"id": 5, "ping": {}})));
    assert_eq!(reader.next().await, Some(json!({"push": {"disconnect": {"code": 3501, "reason": "bad request"}}})));
    assert_eq!(reader.next().await, None);
    while reader.read().await {}
    let mut drained = Reader::open(&engine, 2).await;
    engine.hub.drain(Duration::ZERO).await;
    assert_eq!(drained.next().await.unwrap()["push"]["disconnect"]["code"], 3001);
    assert_eq!(drained.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_away_is_missed_at_once() {
    let engine = Engine::start().await;
    let mut reader = Reader::open(&engine, 1).await;
    reader.subscribe(room(1)).await;
    drop(reader);
    eventually("it is gone", || engine.hub.counts().0 == 0).await;
    let mut busy = Reader::open(&engine, 1).await;
    busy.subscribe(room(1)).await;
    engine.toy.state.lock().padding = 2_000;
    engine.publish(room(1), 300);
    eventually("it stands still", || engine.conn(1).is_blocked()).await;
    drop(busy);
    eventually("it is gone", || engine.hub.counts().0 == 0).await;
}

/// It counts among the sockets; REST must not run out of places because of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_takes_no_place_from_plain_requests() {
    let engine = Engine::start().await;
    let reader = Reader::open(&engine, 1).await;
    assert_eq!(reader.known.places.available_permits(), 1);
    assert_eq!(engine.hub.counts().0, 1);
}

/// Another node, which knows one session.
#[derive(Default)]
struct Neighbour(Mutex<Vec<Bytes>>);

impl Forward for Neighbour {
    fn node(&self) -> &str {
        "a"
    }

    fn forward<'a>(&'a self, node: &'a str, session: &'a str, data: Bytes) -> BoxFuture<'a, Result<bool, Undelivered>> {
        async move {
            match node {
                "b" if session == "known" => self.0.lock().push(data),
                "b" => return Ok(false),
                _ => return Err(Undelivered::Unreachable),
            }
            Ok(true)
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_other_nodes_are_reached_through_the_hook() {
    let engine = Engine::start().await;
    let hub = &engine.hub;
    let data = Bytes::from_static(b"{}");
    assert_eq!(hub.emulate("b", "known", data.clone()).await, Err(Undelivered::Unknown), "there are no others");
    let neighbour = Arc::new(Neighbour::default());
    hub.set_forward(neighbour.clone());
    assert_eq!(hub.node(), "a");
    assert_eq!(hub.emulate("b", "known", data.clone()).await, Ok(()));
    assert_eq!(*neighbour.0.lock(), std::slice::from_ref(&data));
    assert_eq!(hub.emulate("b", "unknown", data.clone()).await, Err(Undelivered::Unknown));
    assert_eq!(hub.emulate("c", "known", data.clone()).await, Err(Undelivered::Unreachable));
    let own = Reader::open(&engine, 1).await;
    assert_eq!(hub.emulate(hub.node(), &own.session, data).await, Ok(()));
    assert_eq!(neighbour.0.lock().len(), 1);
}
