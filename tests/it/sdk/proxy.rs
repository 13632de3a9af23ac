//! A road to a node that can be closed, blocked and led elsewhere, as networks do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

/// What the road does. Connections are numbered as they come.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Where it leads.
    target: SocketAddr,
    /// Connections below this number are torn.
    torn_below: u64,
    /// What the server sends on connections below this number is held back.
    held_below: u64,
    /// The server's first words pass, the answer to the upgrade; what follows is held back.
    muted: bool,
    /// Nobody comes through.
    closed: bool,
}

/// One road.
pub struct Proxy {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    next: Arc<AtomicU64>,
}

impl Proxy {
    pub fn start(target: SocketAddr) -> Self {
        let listener = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (state, _) = watch::channel(State { target, torn_below: 0, held_below: 0, muted: false, closed: false });
        let next = Arc::new(AtomicU64::new(0));
        let (changes, numbers) = (state.subscribe(), next.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = numbers.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(carry(client, number, changes.clone()));
            }
        });
        Self { address, state, next }
    }

    /// Does what a test asks for; `false` when there is no such thing.
    pub fn act(&self, action: &str) -> bool {
        let next = self.next.load(Ordering::SeqCst);
        let change: fn(&mut State, u64) = match action {
            // Whoever is on the road falls off it; others may come.
            "cut" => |state, next| state.torn_below = next,
            // Nobody is on the road and nobody comes.
            "close" => |state, next| (state.torn_below, state.closed) = (next, true),
            "open" => |state, _| (state.held_below, state.muted, state.closed) = (0, false, false),
            // Nothing comes back from the server, on connections that are there and on those to come.
            "hold" => |state, _| state.held_below = u64::MAX,
            // Nothing but the answer to the upgrade.
            "mute" => |state, _| state.muted = true,
            // Nothing on those that are there; others are free.
            "freeze" => |state, next| state.held_below = next,
            _ => return false,
        };
        self.state.send_modify(|state| change(state, next));
        true
    }

    /// Leads to another node from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }
}

async fn carry(client: TcpStream, number: u64, changes: watch::Receiver<State>) {
    let State { target, closed, .. } = *changes.borrow();
    let server = if closed { None } else { TcpStream::connect(target).await.ok() };
    let Some(server) = server else {
        tear(&client);
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    let up = tokio::spawn(forward(from_client, to_server));
    let mut state = changes.clone();
    let mut torn = changes;
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        for turn in 0_u64.. {
            let Ok(read @ 1..) = from_server.read(&mut buffer).await else {
                return;
            };
            if state.wait_for(|state| state.held_below <= number && (turn == 0 || !state.muted)).await.is_err()
                || to_client.write_all(&buffer[..read]).await.is_err()
            {
                return;
            }
        }
    };
    let broken = tokio::select! {
        () = down => false,
        ended = torn.wait_for(|state| state.torn_below > number) => ended.is_ok(),
    };
    up.abort();
    if broken {
        tear(to_client.as_ref());
        tear(from_server.as_ref());
    } else {
        let _ = to_client.shutdown().await;
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// The next close is a reset, without a word.
fn tear(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
}
