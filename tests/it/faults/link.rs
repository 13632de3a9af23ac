//! A road between two programs that can be slowed, blocked, closed and led elsewhere, as networks do. Between a client
//! and a node or between a node and Redis; what it does to a connection may differ by direction, and by whether the
//! connection was there when it began. A blocked way reads nothing and keeps its sockets open: neither side can tell.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Where a road leads.
#[derive(Debug, Clone)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// What is done to the bytes of one direction.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// How long they are on their way.
    pub delay: Duration,
    /// By how much that differs, to both sides. Their order stays.
    pub jitter: Duration,
    /// Bytes a second.
    pub rate: Option<u32>,
    /// They arrive in pieces of one byte to this many.
    pub slice: Option<usize>,
    /// Connections below this number are blocked.
    pub blocked_below: u64,
    /// What is read first passes, the answer to an upgrade; then it is blocked.
    pub muted: bool,
    /// Connections are torn when so many bytes have passed.
    pub tear_after: Option<u64>,
}

/// What a road does. Connections are numbered as they come, from 0.
#[derive(Debug, Clone)]
struct State {
    target: Target,
    /// From the one who connects.
    up: Way,
    /// To the one who connects.
    down: Way,
    /// Connections below these numbers end: with a reset, or with a FIN to both sides.
    torn_below: u64,
    ended_below: u64,
    /// Nobody comes through.
    closed: bool,
}

/// Sees all bytes to the one who connects, of one connection, and says what is passed on.
pub type Filter = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;
type MakeFilter = Arc<dyn Fn() -> Filter + Send + Sync>;

/// One road; dropped, all who are on it fall off.
pub struct Link {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    next: Arc<AtomicU64>,
}

impl Link {
    pub fn start(target: impl Into<Target>) -> Self {
        Self::start_with(target, 0, None)
    }

    /// With a seed for jitter and slices, and with a filter for each connection.
    pub fn start_with(target: impl Into<Target>, seed: u64, filter: Option<MakeFilter>) -> Self {
        let listener = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (up, down, target) = (Way::default(), Way::default(), target.into());
        let (state, mut changes) =
            watch::channel(State { target, up, down, torn_below: 0, ended_below: 0, closed: false });
        let next = Arc::new(AtomicU64::new(0));
        let numbers = next.clone();
        tokio::spawn(async move {
            loop {
                let client = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    changed = changes.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => return,
                    },
                };
                let number = numbers.fetch_add(1, Ordering::SeqCst);
                let filter = filter.as_ref().map(|make| make());
                tokio::spawn(carry(client, (number, seed), filter, changes.clone()));
            }
        });
        Self { address, state, next }
    }

    /// The address with this scheme: `http`, `redis`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// How many connections have come.
    pub fn connections(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// Changes what is done to bytes from the one who connects.
    pub fn up(&self, change: impl FnOnce(&mut Way)) {
        self.state.send_modify(|state| change(&mut state.up));
    }

    /// Changes what is done to bytes to the one who connects.
    pub fn down(&self, change: impl FnOnce(&mut Way)) {
        self.state.send_modify(|state| change(&mut state.down));
    }

    /// Changes both directions alike.
    pub fn both(&self, change: impl Fn(&mut Way)) {
        self.state.send_modify(|state| {
            change(&mut state.up);
            change(&mut state.down);
        });
    }

    /// Nothing passes in any direction, on connections that are there and on those to come.
    pub fn blackhole(&self) {
        self.both(|way| way.blocked_below = u64::MAX);
    }

    /// Nothing passes in any direction on those that are there; others are free.
    pub fn half_open(&self) {
        let next = self.connections();
        self.both(|way| way.blocked_below = next);
    }

    /// Resets all that are there; others may come.
    pub fn cut(&self) {
        let next = self.connections();
        self.state.send_modify(|state| state.torn_below = next);
    }

    /// Ends all that are there as if each side had closed; others may come.
    pub fn fin(&self) {
        let next = self.connections();
        self.state.send_modify(|state| state.ended_below = next);
    }

    /// Resets all that are there, and all that come.
    pub fn close(&self) {
        let next = self.connections();
        self.state.send_modify(|state| (state.torn_below, state.closed) = (next, true));
    }

    /// As at the beginning; what was held arrives.
    pub fn heal(&self) {
        self.state.send_modify(|state| (state.up, state.down, state.closed) = (Way::default(), Way::default(), false));
    }

    /// Leads somewhere else from now on.
    pub fn lead_to(&self, target: impl Into<Target>) {
        let target = target.into();
        self.state.send_modify(|state| state.target = target);
    }

    /// Does what a test in another language asks for; `false` when there is no such thing.
    pub fn act(&self, action: &str) -> bool {
        let next = self.connections();
        match action {
            "cut" => self.cut(),
            "fin" => self.fin(),
            "close" => self.close(),
            "open" => self.heal(),
            // Nothing comes back from the server, on connections that are there and on those to come.
            "hold" => self.down(|way| way.blocked_below = u64::MAX),
            // Nothing but the answer to the upgrade.
            "mute" => self.down(|way| way.muted = true),
            // Nothing on those that are there; others are free.
            "freeze" => self.down(|way| way.blocked_below = next),
            // The same, in both directions.
            "lose" => self.half_open(),
            // Far away, behind a link that tears everything into small pieces.
            "crumble" => self.both(|way| {
                (way.delay, way.jitter) = (Duration::from_millis(200), Duration::from_millis(100));
                way.slice = Some(7);
            }),
            _ => return false,
        }
        true
    }
}

/// How a connection ended.
enum End {
    /// Both sides have closed, or are to believe so of each other.
    Closed,
    Torn,
}

async fn carry(
    client: TcpStream,
    (number, seed): (u64, u64),
    filter: Option<Filter>,
    mut changes: watch::Receiver<State>,
) {
    let State { target, closed, .. } = changes.borrow().clone();
    client.set_nodelay(true).unwrap();
    let (client, client_socket) = whole(client);
    let server = if closed { None } else { connect(&target).await };
    let Some((server, server_socket)) = server else {
        tear(&client_socket);
        return;
    };
    let random = |way| StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number << 1) ^ way);
    let up = Pump { number, pick: |state| &state.up, random: random(0), filter: None, changes: changes.clone() };
    let down = Pump { number, pick: |state| &state.down, random: random(1), filter, changes: changes.clone() };
    let ((from_client, mut to_client), (from_server, mut to_server)) = (client, server);
    let end = tokio::select! {
        done = async { tokio::try_join!(up.run(from_client, &mut to_server), down.run(from_server, &mut to_client)) } =>
            if done.is_ok() { End::Closed } else { End::Torn },
        told = changes.wait_for(|state| number < state.torn_below.max(state.ended_below)) =>
            if told.is_ok_and(|state| number >= state.torn_below) { End::Closed } else { End::Torn },
    };
    match end {
        End::Torn => {
            tear(&client_socket);
            tear(&server_socket);
        }
        End::Closed => {
            let _ = (to_client.shutdown().await, to_server.shutdown().await);
        }
    }
}

type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

/// A stream's two halves, and a second handle to its socket. Halves of `into_split` would say goodbye when dropped.
fn whole<S>(stream: S) -> (Halves, socket2::Socket)
where
    S: AsyncRead + AsyncWrite + AsFd + Send + Unpin + 'static,
{
    let socket = socket2::SockRef::from(&stream).try_clone().unwrap();
    let (reads, writes) = tokio::io::split(stream);
    ((Box::new(reads), Box::new(writes)), socket)
}

async fn connect(target: &Target) -> Option<(Halves, socket2::Socket)> {
    match target {
        Target::Tcp(address) => {
            let stream = TcpStream::connect(address).await.ok()?;
            stream.set_nodelay(true).unwrap();
            Some(whole(stream))
        }
        Target::Unix(path) => UnixStream::connect(path).await.ok().map(whole),
    }
}

/// The next close is a reset, without a word. A Unix socket knows none.
fn tear(socket: &socket2::Socket) {
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// Bytes that may be on their way in one direction; a reader that stops is felt by the writer soon after.
const IN_FLIGHT_MAX: usize = 256 * 1024;
/// Of a slow link: what it carries in this many seconds.
const IN_FLIGHT_SECONDS: f64 = 0.25;

/// One direction of one connection.
struct Pump {
    number: u64,
    pick: fn(&State) -> &Way,
    random: StdRng,
    filter: Option<Filter>,
    changes: watch::Receiver<State>,
}

/// Bytes on their way; empty: the end.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

impl Pump {
    /// Until the end was passed on. An error is to be passed on as a reset.
    async fn run(
        mut self,
        mut from: impl AsyncRead + Unpin,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> std::io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        let mut pieces: VecDeque<Piece> = VecDeque::new();
        let (mut in_flight, mut reads, mut ended, mut passed) = (0, 0_u64, false, 0_u64);
        let mut free_at = Instant::now();
        loop {
            let way = (self.pick)(&self.changes.borrow_and_update()).clone();
            let blocked = self.number < way.blocked_below;
            let muted = way.muted && reads > 0;
            let readable = !(ended || blocked || muted);
            let room = way.rate.map_or(IN_FLIGHT_MAX, |rate| {
                ((f64::from(rate) * (IN_FLIGHT_SECONDS + way.delay.as_secs_f64())) as usize).clamp(512, IN_FLIGHT_MAX)
            });
            let due = pieces.front().map(|piece| piece.due.max(free_at));
            let length = buffer.len().min(room);
            tokio::select! {
                biased;
                changed = self.changes.changed() => if changed.is_err() {
                    return Err(std::io::ErrorKind::ConnectionAborted.into());
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && !blocked => {
                    let mut piece = pieces.pop_front().unwrap();
                    if piece.bytes.is_empty() {
                        return to.shutdown().await;
                    }
                    in_flight -= piece.bytes.len();
                    passed += piece.bytes.len() as u64;
                    if let Some(over) = way.tear_after.and_then(|after| passed.checked_sub(after)) {
                        piece.bytes.truncate(piece.bytes.len().saturating_sub(over as usize));
                        to.write_all(&piece.bytes).await?;
                        return Err(std::io::ErrorKind::ConnectionReset.into());
                    }
                    to.write_all(&piece.bytes).await?;
                    if let Some(rate) = way.rate {
                        let takes = Duration::from_secs_f64(piece.bytes.len() as f64 / f64::from(rate));
                        free_at = free_at.max(Instant::now()) + takes;
                    }
                }
                read = from.read(&mut buffer[..length]), if readable && in_flight < room => {
                    let read = read?;
                    reads += 1;
                    ended = read == 0;
                    let bytes = match &mut self.filter {
                        Some(filter) if !ended => filter(&buffer[..read]),
                        _ => buffer[..read].to_vec(),
                    };
                    in_flight += bytes.len();
                    self.send_off(&way, bytes, ended, &mut pieces);
                }
            }
        }
    }

    /// Cuts what was read into pieces that arrive one after the other.
    fn send_off(&mut self, way: &Way, mut bytes: Vec<u8>, ended: bool, pieces: &mut VecDeque<Piece>) {
        // A slow link carries little at a time, not much after a long pause.
        let most = way.rate.map_or(usize::MAX, |rate| (rate as usize / 50).max(1));
        let most = most.min(way.slice.unwrap_or(usize::MAX));
        while !bytes.is_empty() || ended {
            let length = bytes.len().min(if way.slice.is_some() { self.random.random_range(1..=most) } else { most });
            let rest = bytes.split_off(length);
            let delay = way.delay.as_secs_f64() + way.jitter.as_secs_f64() * self.random.random_range(-1.0..=1.0);
            let due = Instant::now() + Duration::from_secs_f64(delay.max(0.0));
            let due = pieces.back().map_or(due, |before| due.max(before.due));
            let last = bytes.is_empty();
            pieces.push_back(Piece { due, bytes });
            bytes = rest;
            if last {
                return;
            }
        }
    }
}
