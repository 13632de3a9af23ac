//! A road to PostgreSQL that breaks where it hurts: it understands the messages, knows a COMMIT, and can lose it, lose
//! its answer, keep it, or swallow everything without closing a socket.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

use crate::harness;

/// What happens to a COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commits {
    /// It is done and answered.
    Pass,
    /// It never gets to PostgreSQL, and the connection is reset.
    Drop,
    /// It is done, and the connection is reset before the answer.
    Swallow,
    /// One of both, at random.
    Lose,
    /// It waits until there is another mode, and then gets that.
    Hold,
}

/// The whole road.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing passes and nothing is closed; whoever sends something is on a dead connection for ever.
    Black,
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// A proxy on a port of this machine.
pub struct Road {
    /// For `DATABASE_URL`.
    pub url: String,
    state: Arc<State>,
}

struct State {
    commits: watch::Sender<Commits>,
    way: watch::Sender<Way>,
    /// Raised to reset every connection.
    cut: watch::Sender<u64>,
    /// Of so many COMMITs one is hit, at random.
    one_in: AtomicU64,
    /// Milliseconds for each message to PostgreSQL: from, to.
    delay: Mutex<(u64, u64)>,
    random: Mutex<StdRng>,
    seen: AtomicU64,
    hits: AtomicU64,
    on_commit: Mutex<Option<Hook>>,
    refuses: AtomicBool,
}

impl Road {
    /// To the database at this address, which is that of a Unix socket.
    pub fn start(url: &str) -> Road {
        let (name, parameters) = url.strip_prefix("postgres:///").unwrap().split_once('?').unwrap();
        let of = |wanted: &str| {
            let found = parameters.split('&').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('='));
            found.unwrap().replace("%2F", "/")
        };
        let socket = PathBuf::from(of("host")).join(format!(".s.PGSQL.{}", of("port")));
        let listener = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("postgres://{}@{}/{name}?sslmode=disable", of("user"), listener.local_addr().unwrap());
        let seed = harness::seed();
        println!("SEED={seed} (road to PostgreSQL)");
        let state = Arc::new(State {
            commits: watch::Sender::new(Commits::Pass),
            way: watch::Sender::new(Way::Open),
            cut: watch::Sender::new(0),
            one_in: AtomicU64::new(1),
            delay: Mutex::new((0, 0)),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            seen: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            on_commit: Mutex::new(None),
            refuses: AtomicBool::new(false),
        });
        let road = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let _ = client.set_nodelay(true);
                tokio::spawn(travel(client, socket.clone(), road.clone()));
            }
        });
        Road { url, state }
    }

    /// What happens to COMMITs from now on, and to those that are held.
    pub fn commits(&self, mode: Commits) {
        self.state.commits.send_replace(mode);
    }

    /// The mode is for one in so many, at random.
    pub fn one_in(&self, many: u64) {
        self.state.one_in.store(many, Ordering::SeqCst);
    }

    /// Each message takes between so many and so many milliseconds to PostgreSQL.
    pub fn delay(&self, from: u64, to: u64) {
        *self.state.delay.lock().unwrap() = (from, to);
    }

    /// Nothing passes and nothing is closed. A connection that sends something now is dead for ever.
    pub fn black(&self) {
        self.state.way.send_replace(Way::Black);
    }

    /// Ends [`Road::black`].
    pub fn heal(&self) {
        self.state.way.send_replace(Way::Open);
    }

    /// Resets every connection, and, while `refuses`, every new one.
    pub fn cut(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::SeqCst);
        self.state.cut.send_modify(|times| *times += 1);
    }

    /// Is called when PostgreSQL has committed and before anybody is told.
    pub fn on_commit(&self, hook: impl Fn() + Send + Sync + 'static) {
        *self.state.on_commit.lock().unwrap() = Some(Box::new(hook));
    }

    /// COMMITs that came by.
    pub fn seen(&self) -> u64 {
        self.state.seen.load(Ordering::SeqCst)
    }

    /// COMMITs that were dropped, swallowed or held.
    pub fn hits(&self) -> u64 {
        self.state.hits.load(Ordering::SeqCst)
    }
}

impl State {
    /// What happens to this COMMIT.
    fn fate(&self) -> Commits {
        self.seen.fetch_add(1, Ordering::SeqCst);
        let mode = *self.commits.borrow();
        let one_in = self.one_in.load(Ordering::SeqCst);
        let is_hit = mode != Commits::Pass && self.random.lock().unwrap().random_range(0..one_in) == 0;
        self.hits.fetch_add(u64::from(is_hit), Ordering::SeqCst);
        match mode {
            Commits::Lose if is_hit && self.random.lock().unwrap().random_bool(0.5) => Commits::Drop,
            Commits::Lose if is_hit => Commits::Swallow,
            _ if is_hit => mode,
            _ => Commits::Pass,
        }
    }

    async fn wait(&self) {
        let (from, to) = *self.delay.lock().unwrap();
        if to > 0 {
            let pause = self.random.lock().unwrap().random_range(from..=to);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Never comes back while nothing passes.
    async fn pass(&self) {
        if *self.way.borrow() == Way::Black {
            std::future::pending::<()>().await;
        }
    }
}

async fn travel(client: TcpStream, socket: PathBuf, state: Arc<State>) {
    let mut cut = state.cut.subscribe();
    if state.refuses.load(Ordering::SeqCst) {
        return reset(&client);
    }
    // Whoever comes while nothing passes gets no answer until they go away.
    let Ok(server) = UnixStream::connect(&socket).await else { return reset(&client) };
    let handle = client.into_std().unwrap();
    let copy = handle.try_clone().unwrap();
    let (mut from_client, mut to_client) = TcpStream::from_std(handle).unwrap().into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (fate, fated) = watch::channel(Commits::Pass);
    let broken = tokio::select! {
        broken = up(&mut from_client, &mut to_server, &state, &fate) => broken,
        broken = down(&mut from_server, &mut to_client, &state, &fated) => broken,
        _ = cut.changed() => true,
    };
    if broken {
        let _ = socket2::SockRef::from(&copy).set_linger(Some(Duration::ZERO));
    }
}

fn reset(client: &TcpStream) {
    let _ = socket2::SockRef::from(client).set_linger(Some(Duration::ZERO));
}

/// A message with its kind; the first one of a client has none.
async fn message(from: &mut (impl AsyncRead + Unpin), first: bool) -> std::io::Result<Vec<u8>> {
    let head = if first { 4 } else { 5 };
    let mut bytes = vec![0; head];
    from.read_exact(&mut bytes).await?;
    let length = u32::from_be_bytes(bytes[head - 4..].try_into().unwrap()) as usize;
    bytes.resize(head - 4 + length, 0);
    from.read_exact(&mut bytes[head..]).await?;
    Ok(bytes)
}

/// Whether the connection is to be reset.
async fn up(
    client: &mut (impl AsyncRead + Unpin),
    server: &mut (impl AsyncWrite + Unpin),
    state: &State,
    fate: &watch::Sender<Commits>,
) -> bool {
    let mut first = true;
    while let Ok(bytes) = message(client, first).await {
        first = false;
        state.wait().await;
        state.pass().await;
        if bytes[0] == b'Q' && bytes[5..].to_ascii_uppercase().starts_with(b"COMMIT") {
            let mut mode = state.fate();
            if mode == Commits::Hold {
                let mut commits = state.commits.subscribe();
                let _ = commits.wait_for(|mode| *mode != Commits::Hold).await;
                mode = *commits.borrow();
            }
            if mode == Commits::Drop {
                return true;
            }
            fate.send_replace(mode);
        }
        if server.write_all(&bytes).await.is_err() {
            return true;
        }
    }
    false
}

async fn down(
    server: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
    state: &State,
    fate: &watch::Receiver<Commits>,
) -> bool {
    while let Ok(bytes) = message(server, false).await {
        state.pass().await;
        if bytes[0] == b'C' && bytes[5..].starts_with(b"COMMIT") {
            if let Some(hook) = &*state.on_commit.lock().unwrap() {
                hook();
            }
            if *fate.borrow() == Commits::Swallow {
                return true;
            }
        }
        if client.write_all(&bytes).await.is_err() {
            return true;
        }
    }
    false
}
