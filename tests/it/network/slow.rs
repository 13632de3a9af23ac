//! Readers that take little or nothing of what a busy room says. Nobody is cut off for being slow, nobody else waits for
//! them, and they cost no memory to speak of.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use uuid::Uuid;

use crate::faults::node::Node;
use crate::harness::{self, Person};

/// Bytes that a slow connection may cost above an idle one.
const COST_MAX: u64 = 64 * 1024;

/// A connection with a small window.
struct Reader {
    socket: WebSocketStream<TcpStream>,
    seen: u64,
}

impl Reader {
    async fn open(person: &Person, url: &str, channel: &str, window: Option<u32>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(window) = window {
            socket.set_recv_buffer_size(window).unwrap();
        }
        let stream = socket.connect(url.trim_start_matches("http://").parse().unwrap()).await.unwrap();
        let (mut socket, _) = client_async(url.replace("http", "ws") + "/connection/websocket", stream).await.unwrap();
        for command in
            [json!({"id": 1, "connect": {"token": person.token}}), json!({"id": 2, "subscribe": {"channel": channel}})]
        {
            socket.send(Message::text(command.to_string())).await.unwrap();
        }
        let mut reader = Self { socket, seen: 0 };
        loop {
            let lines = reader.frame().await;
            if let Some(reply) = lines.iter().find(|line| line["id"] == 2) {
                reader.seen = reply["subscribe"]["offset"].as_u64().unwrap_or(0);
                return reader;
            }
        }
    }

    /// The lines of the next frame; pings are answered.
    async fn frame(&mut self) -> Vec<Value> {
        loop {
            let message = self.socket.next().await.expect("it was cut off").expect("it was cut off");
            let Message::Text(text) = message else { continue };
            let lines: Vec<Value> = text.split('\n').map(|line| serde_json::from_str(line).unwrap()).collect();
            if lines.contains(&json!({})) {
                self.socket.send(Message::text("{}")).await.unwrap();
            }
            return lines;
        }
    }

    /// Reads until this event.
    async fn until(&mut self, offset: u64) {
        while self.seen < offset {
            self.some().await;
        }
    }

    /// Reads a frame: each event once and in order.
    async fn some(&mut self) {
        for line in self.frame().await {
            if let Some(offset) = line["push"]["pub"]["offset"].as_u64() {
                assert_eq!(offset, self.seen + 1, "a gap or a repetition");
                self.seen = offset;
            }
        }
    }
}

/// Bytes of memory that a process has.
fn memory(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

struct Busy {
    node: Node,
    author: Person,
    people: Vec<Person>,
    channel: String,
    widget: String,
    _app: harness::TestApp,
}

impl Busy {
    async fn set(people: usize) -> Self {
        let app = harness::app().await;
        let node = Node::start(&app.database.url, None).await;
        let crowd = harness::crowd(&app, people, people).await;
        let channel = crowd[0].1.clone();
        let mut people: Vec<Person> = crowd.into_iter().map(|(person, _)| person.at(&node.url)).collect();
        let author = people.remove(0);
        let clock = json!({"type": "clock", "grid_x": 0, "grid_y": 0, "grid_w": 2, "grid_h": 2});
        let room = channel.strip_prefix("workspace:").unwrap();
        let made = author.post(&format!("/workspaces/{room}/widgets"), clock).await.expect(201);
        let widget = made["data"]["id"].as_str().unwrap().to_owned();
        Self { node, author, people, channel, widget, _app: app }
    }

    /// An event of 15 KB; its offset, and how long the answer took.
    async fn change(&self) -> (u64, Duration) {
        // What is as it was is no event.
        let settings = json!({"settings": {"nonce": Uuid::new_v4(), "text": "x".repeat(15_000)}});
        let began = Instant::now();
        let answer = self.author.patch(&format!("/widgets/{}", self.widget), settings).await.expect(200);
        (answer["positions"][0]["offset"].as_u64().unwrap(), began.elapsed())
    }

    async fn reader(&self, number: usize, window: Option<u32>) -> Reader {
        Reader::open(&self.people[number], &self.node.url, &self.channel, window).await
    }

    /// Changes, each of which a quick reader has to see; how long that took each time.
    async fn changes(&self, count: usize, quick: &mut Reader) -> (u64, Vec<Duration>) {
        let (mut head, mut delays) = (0, Vec::new());
        for _ in 0..count {
            let began = Instant::now();
            head = self.change().await.0;
            quick.until(head).await;
            delays.push(began.elapsed());
        }
        delays.sort();
        (head, delays)
    }
}

/// A window of 4 KiB, of which nothing is taken while 3 MB are said, and then a little every second for longer than a
/// connection without any progress is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_not_cut_off_and_nobody_waits_for_it() {
    let busy = Busy::set(3).await;
    let mut quick = busy.reader(0, None).await;
    // As many as later: rings and buffers are as large as they get.
    let (_, before) = busy.changes(200, &mut quick).await;
    let mut slow = busy.reader(1, Some(4_096)).await;
    let memory_before = memory(&busy.node);
    let (head, during) = busy.changes(200, &mut quick).await;
    let grown = memory(&busy.node).saturating_sub(memory_before);
    let p99 = |delays: &[Duration]| delays[delays.len() * 99 / 100];
    println!("others: p99 {:?} before, {:?} during; memory +{} KiB", p99(&before), p99(&during), grown / 1024);
    assert!(p99(&during) <= 2 * p99(&before) + Duration::from_millis(50));
    assert!(grown <= 2 * 1024 * 1024, "{grown} bytes");
    let quick = tokio::spawn(async move {
        // Answers pings.
        loop {
            quick.frame().await;
        }
    });
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(24) {
        slow.some().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("the slow one is at {} of {head}", slow.seen);
    assert!(slow.seen < head);
    slow.until(head).await;
    quick.abort();
}

/// Half of the room reads nothing, half reads everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn five_hundred_slow_readers_and_five_hundred_quick_ones() {
    const EACH: usize = 500;
    let busy = Busy::set(2 * EACH + 2).await;
    let mut watcher = busy.reader(2 * EACH, None).await;
    let mut quick = JoinSet::new();
    let last = watcher.seen + 90;
    for number in EACH..2 * EACH {
        let mut reader = busy.reader(number, None).await;
        quick.spawn(async move {
            reader.until(last).await;
            reader
        });
    }
    // Last: while they read nothing they do not answer pings either.
    let mut slow = Vec::new();
    for number in (0..EACH).step_by(50) {
        slow.extend(join_all((number..number + 50).map(|number| busy.reader(number, Some(4_096)))).await);
    }
    // Everybody takes these: rings and buffers are as large as they get.
    busy.changes(30, &mut watcher).await;
    for reader in &mut slow {
        reader.until(watcher.seen).await;
    }
    let before = memory(&busy.node);
    let (head, delays) = busy.changes(60, &mut watcher).await;
    assert_eq!(head, last);
    let grown = memory(&busy.node).saturating_sub(before);
    let quick: Vec<Reader> = quick.join_all().await;
    println!(
        "{} quick readers got all; p99 {:?}; {} KiB for each slow one",
        quick.len(),
        delays[delays.len() * 99 / 100],
        grown / 1024 / EACH as u64
    );
    assert!(grown <= EACH as u64 * COST_MAX, "{grown} bytes");
    for reader in &mut slow {
        reader.until(last).await;
    }
}
