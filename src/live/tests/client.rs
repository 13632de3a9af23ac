//! A client made of a bare socket: it sees every byte, and reads only when it is told to.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};
use studyhall_protocol::channel::Channel;
use studyhall_protocol::format::Format;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{DEADLINE, FORMAT};
use crate::live::tests::spelling;
use crate::live::ws::OpCode;

pub struct Client {
    pub socket: TcpStream,
    format: Format,
    input: Vec<u8>,
    lines: VecDeque<Value>,
    pub closed: Option<(u16, String)>,
    /// Payloads of pongs.
    pub pongs: Vec<Vec<u8>>,
    /// How many pings came; they are not in line.
    pub pings: usize,
    id: u32,
}

impl Client {
    pub async fn open(address: SocketAddr, receive_buffer: Option<u32>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let socket = timeout(DEADLINE, socket.connect(address)).await.unwrap().unwrap();
        socket.set_nodelay(true).unwrap();
        let (input, lines, pongs) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { socket, format: FORMAT, input, lines, closed: None, pongs, pings: 0, id: 0 }
    }

    /// One that speaks this format instead.
    pub async fn open_in(address: SocketAddr, format: Format) -> Self {
        Self { format, ..Self::open(address, None).await }
    }

    pub async fn connect(&mut self, token: &str) {
        let reply = self.ask("connect", json!({ "token": token })).await;
        assert!(reply["connect"]["client"].is_string(), "{reply}");
    }

    /// Subscribes without a position and with joins and leaves; the result.
    pub async fn subscribe(&mut self, channel: Channel) -> Value {
        let reply = self.ask("subscribe", json!({ "channel": channel, "join_leave": true })).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
        reply["subscribe"].clone()
    }

    /// Subscribes from a position; the whole reply.
    pub async fn recover(&mut self, channel: Channel, offset: u64, epoch: &str, flag: u32) -> Value {
        let request = json!({"channel": channel, "recover": true, "offset": offset, "epoch": epoch, "flag": flag});
        self.ask("subscribe", request).await
    }

    pub async fn publish(&mut self, channel: Channel, data: Value) -> Value {
        self.ask("publish", json!({ "channel": channel, "data": data })).await
    }

    /// A command and its reply. What is pushed before the reply stays in line.
    pub async fn ask(&mut self, kind: &str, request: Value) -> Value {
        let id = self.next_id();
        self.send(&json!({ "id": id, kind: request }).to_string()).await;
        self.reply(id).await
    }

    pub fn next_id(&mut self) -> u32 {
        self.id += 1;
        self.id
    }

    /// The reply with this id; what came before it stays in line.
    pub async fn reply(&mut self, id: u32) -> Value {
        let mut seen = VecDeque::new();
        loop {
            let line = self.next().await;
            if line["id"] == id {
                seen.append(&mut self.lines);
                self.lines = seen;
                return line;
            }
            seen.push_back(line);
        }
    }

    /// Sends lines of JSON as one frame of the format.
    pub async fn send(&mut self, text: &str) {
        let (opcode, payload) = spell(self.format, text);
        self.frame(opcode, &payload).await;
    }

    pub async fn frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let frame = client_frame(opcode, payload);
        // The other side may have closed already; that is then seen by reading.
        let _ = timeout(DEADLINE, self.socket.write_all(&frame)).await.expect("the server reads nothing");
    }

    /// The next line, in order.
    pub async fn next(&mut self) -> Value {
        while self.lines.is_empty() {
            assert!(self.closed.is_none(), "closed: {:?}", self.closed);
            assert!(self.read().await, "the connection ended without a close frame");
        }
        self.lines.pop_front().unwrap()
    }

    /// All lines until one passes, that one included.
    pub async fn until(&mut self, mut test: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.next().await);
            if test(&lines[lines.len() - 1]) {
                return lines;
            }
        }
    }

    /// The offsets of a channel's publications until `last`, which have to come.
    pub async fn offsets_until(&mut self, channel: Channel, last: u64) -> Vec<u64> {
        let name = channel.to_string();
        let lines = self.until(|line| offset_in(line, &name) == Some(last)).await;
        lines.iter().filter_map(|line| offset_in(line, &name)).collect()
    }

    /// Everything that was on its way: replies go before pushes, so it takes two round trips to know.
    pub async fn all(&mut self) -> Vec<Value> {
        let mut lines = Vec::new();
        for _ in 0..2 {
            let id = self.next_id();
            self.send(&json!({ "id": id, "ping": {} }).to_string()).await;
            lines.extend(self.until(|line| line["id"] == id).await);
            lines.pop();
        }
        lines
    }

    /// The close frame, whatever comes before it.
    pub async fn close_code(&mut self) -> u16 {
        while self.closed.is_none() {
            assert!(self.read().await, "the connection ended without a close frame");
        }
        let (code, reason) = self.closed.clone().unwrap();
        assert!(!reason.is_empty() && serde_json::from_str::<Value>(&reason).is_err(), "{reason}");
        code
    }

    /// Reads until the end of the connection.
    pub async fn end(&mut self) {
        while self.read().await {}
    }

    /// One read; `false` at the end of the connection.
    pub async fn read(&mut self) -> bool {
        let mut buffer = vec![0; 16 * 1024];
        let read = timeout(DEADLINE, self.socket.read(&mut buffer)).await.expect("nothing comes").unwrap_or(0);
        self.input.extend_from_slice(&buffer[..read]);
        while let Some(frame) = self.take_frame() {
            self.take(frame);
        }
        read > 0
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let short = usize::from(*self.input.get(1)?);
        let (head, length) = match short {
            126 => (4, usize::from(u16::from_be_bytes(*self.input.get(2..)?.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*self.input.get(2..)?.first_chunk()?) as usize),
            _ => (2, short),
        };
        let payload = self.input.get(head..head + length)?.to_vec();
        let first = self.input[0];
        self.input.drain(..head + length);
        Some((first, payload))
    }

    fn take(&mut self, (first, payload): (u8, Vec<u8>)) {
        match first {
            0x81 if self.format == Format::Json => {
                let lines = payload.split(|byte| *byte == b'\n');
                self.keep(lines.map(|line| serde_json::from_slice(line).expect("every line is an object")).collect());
            }
            0x82 if self.format == Format::Protobuf => self.keep(spelling::replies(&payload)),
            0x8A => self.pongs.push(payload),
            0x88 => {
                assert!(self.closed.is_none(), "a second close frame");
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = String::from_utf8(payload.get(2..).unwrap_or_default().to_vec()).unwrap();
                self.closed = Some((code, reason));
            }
            other => panic!("frame {other:x}"),
        }
        assert!(self.closed.is_none() || first == 0x88, "a frame behind the close frame");
    }
}

impl Client {
    fn keep(&mut self, replies: Vec<Value>) {
        for reply in replies {
            if reply == json!({}) {
                self.pings += 1;
            } else {
                self.lines.push_back(reply);
            }
        }
    }
}

/// Lines of JSON in the format.
pub fn spell(format: Format, text: &str) -> (OpCode, Vec<u8>) {
    match format {
        Format::Json => (OpCode::Text, text.as_bytes().to_vec()),
        Format::Protobuf => (OpCode::Binary, spelling::commands(text)),
    }
}

/// A masked frame.
pub fn client_frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let first = 0x80
        | match opcode {
            OpCode::Continuation => 0,
            OpCode::Text => 1,
            OpCode::Binary => 2,
            OpCode::Close => 8,
            OpCode::Ping => 9,
            OpCode::Pong => 10,
        };
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        length @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let key = [7, 77, 177, 1];
    frame.extend(key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn offset_in(line: &Value, channel: &str) -> Option<u64> {
    (line["push"]["channel"] == channel).then(|| line["push"]["pub"]["offset"].as_u64()).flatten()
}

/// The publications of these lines without a number.
pub fn unnumbered(lines: &[Value]) -> Vec<Value> {
    let publications = lines.iter().map(|line| &line["push"]["pub"]);
    publications
        .filter(|publication| publication.is_object() && publication["offset"].is_null())
        .map(|publication| publication["data"].clone())
        .collect()
}
