//! Clients that take their time, on purpose: each is closed in time, and the others hardly notice.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{eventually, quantile, rss_kib};
use crate::faults::node::Node;
use crate::harness::{self, Person};

const HEADERS_WITHIN: Duration = Duration::from_secs(15);
const BODY_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const SOCKET_WITHIN: Duration = Duration::from_secs(60);
/// What one may hold that stands still within a frame, as long as it is not closed.
const HELD_MAX_KIB: u64 = 64;

async fn connect(node: &Node, window: Option<u32>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = window {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    socket.connect(node.url.trim_start_matches("http://").parse().unwrap()).await.unwrap()
}

/// Sends `first`, then a byte a second; how long until the server has closed, and what it said.
async fn drip(mut socket: TcpStream, first: &[u8], byte: u8) -> (Duration, String) {
    let began = Instant::now();
    socket.write_all(first).await.unwrap();
    let (mut read, mut write) = socket.split();
    let mut said = Vec::new();
    let dripping = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if write.write_all(&[byte]).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let ended = async { read.read_to_end(&mut said).await };
    tokio::select! {
        // An end or a reset.
        _ = timeout(SOCKET_WITHIN, ended) => {}
        () = dripping => {}
    }
    (began.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

async fn slow_headers(node: &Node) -> (Duration, String) {
    drip(connect(node, None).await, b"GET /api/v1/me HTTP/1.1\r\nhost: x\r\nx-slow: ", b'a').await
}

async fn slow_body(node: &Node) -> (Duration, String) {
    let head =
        b"POST /api/v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{";
    drip(connect(node, None).await, head, b' ').await
}

/// Asks for much and takes a few bytes at a time; how long until the server gave up.
async fn slow_read(node: &Node) -> (Duration, String) {
    let mut socket = connect(node, Some(4 * 1024)).await;
    let began = Instant::now();
    let request = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    socket.write_all(request.repeat(40).as_bytes()).await.unwrap();
    let mut some = [0; 32];
    while began.elapsed() < ANSWER_WITHIN - Duration::from_secs(2) {
        if socket.read(&mut some).await.is_err() {
            return (began.elapsed(), String::new());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // What is still on its way, and then the end: were it open, the rest of forty answers would come.
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(5), socket.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "still open after {:?}", began.elapsed());
    (began.elapsed(), String::from_utf8_lossy(&rest[..rest.len().min(100)]).into_owned())
}

async fn request_times(person: &Person, count: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        person.get("/me").await.expect(200);
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    times
}

/// So many of each kind; what others notice, as a multiple of what they noticed before.
async fn slow_clients(each: usize, times_max: f64) {
    let database = harness::database().await;
    let node = Node::start(&database.url, None).await;
    let person = harness::sign_up(&node.url, "aiko").await;
    let before = quantile(&request_times(&person, 200).await, 0.99);
    let headers = join_all((0..each).map(|_| slow_headers(&node)));
    let bodies = join_all((0..each).map(|_| slow_body(&node)));
    let reads = join_all((0..each).map(|_| slow_read(&node)));
    let others = async { quantile(&request_times(&person, 400).await, 0.99) };
    let (headers, bodies, reads, meanwhile) = tokio::join!(headers, bodies, reads, others);
    let slowest = |ended: &[(Duration, String)]| ended.iter().map(|(took, _)| *took).max().unwrap();
    println!("closed: headers {:?}, bodies {:?}, reads {:?}", slowest(&headers), slowest(&bodies), slowest(&reads));
    println!("others' p99: {before:?} before, {meanwhile:?} meanwhile");
    assert!(slowest(&headers) <= HEADERS_WITHIN && slowest(&bodies) <= BODY_WITHIN);
    for (_, said) in &bodies {
        assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("too slowly"), "{said}");
    }
    // Other tests share the machine: some milliseconds are nobody's.
    let bound = before.mul_f64(times_max).max(Duration::from_millis(50));
    assert!(meanwhile <= bound, "{meanwhile:?}, and {before:?} before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_requests_are_ended() {
    slow_clients(20, 10.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn five_hundred_slow_requests_are_ended_and_the_others_hardly_notice() {
    slow_clients(170, 2.0).await;
}

const MASK: [u8; 4] = [0; 4];

/// The head of a frame of a client: opcode, whether it is the last fragment, and the length.
fn frame_head(opcode: u8, last: bool, length: u64) -> Vec<u8> {
    let mut head = vec![u8::from(last) << 7 | opcode];
    match length {
        0..126 => head.push(0x80 | length as u8),
        126..0x1_0000 => {
            head.push(0x80 | 126);
            head.extend((length as u16).to_be_bytes());
        }
        _ => {
            head.push(0x80 | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend(MASK);
    head
}

async fn connected(node: &Node, person: &Person) -> TcpStream {
    let mut socket = connect(node, None).await;
    let request = "GET /connection/websocket HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let command = json!({"id": 1, "connect": {"token": person.token}}).to_string();
    let mut frame = frame_head(1, true, command.len() as u64);
    frame.extend(command.as_bytes());
    socket.write_all(&frame).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("server_time") {
        assert!(socket.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
    socket
}

/// Begins a frame and goes on with `drops`, one every so often; how long until the server has closed.
async fn stall(node: &Node, person: &Person, begin: Vec<u8>, every: Duration, drop: Vec<u8>) -> Duration {
    let mut socket = connected(node, person).await;
    let began = Instant::now();
    socket.write_all(&begin).await.unwrap();
    let (mut read, mut write) = socket.split();
    let dripping = async {
        while write.write_all(&drop).await.is_ok() {
            tokio::time::sleep(every).await;
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    tokio::select! {
        ended = timeout(SOCKET_WITHIN, read.read_to_end(&mut said)) => assert!(ended.is_ok(), "still open"),
        () = dripping => {}
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_stand_still_within_a_frame_are_closed_and_hold_little() {
    const EACH: usize = 20;
    let database = harness::database().await;
    let node = Node::start(&database.url, None).await;
    let person = harness::sign_up(&node.url, "aiko").await;
    // As much as a frame may have, but for its end.
    let mut most = frame_head(1, true, 250 * 1024);
    most.extend(vec![b' '; 60 * 1024]);
    let pong = vec![0x8A, 0x80, 0, 0, 0, 0];
    let mut fragment = frame_head(1, false, 10);
    fragment.extend([b' '; 10]);
    let before = rss_kib(node.pid());
    let second = Duration::from_secs(1);
    let ended = async {
        let silent = join_all((0..EACH).map(|_| stall(&node, &person, most.clone(), 60 * second, Vec::new())));
        // It answers pings of the WebSocket, between two fragments.
        let ponging = join_all((0..EACH).map(|_| stall(&node, &person, fragment.clone(), second, pong.clone())));
        let head = frame_head(1, true, 1_000);
        let dripping = join_all((0..EACH).map(|_| stall(&node, &person, head.clone(), 5 * second, vec![b' '])));
        tokio::join!(silent, ponging, dripping)
    };
    let held = async {
        let all = async || {
            let open = std::fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap().count();
            (open >= 3 * EACH).then_some(())
        };
        eventually("they are here", all).await;
        tokio::time::sleep(5 * second).await;
        rss_kib(node.pid()).saturating_sub(before)
    };
    let ((silent, ponging, dripping), held) = tokio::join!(ended, held);
    let slowest = [silent, ponging, dripping].map(|ended| ended.into_iter().max().unwrap());
    println!("closed after {slowest:?}; {held} KiB for {} of them", 3 * EACH);
    assert!(slowest.iter().all(|took| *took <= SOCKET_WITHIN), "{slowest:?}");
    assert!(held <= HELD_MAX_KIB * 3 * EACH as u64, "{held} KiB");
}
