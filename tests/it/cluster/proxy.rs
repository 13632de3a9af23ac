//! What is between a node and Redis, and may be broken in ways that no socket tells of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use studyhall::cluster::{Cluster, Timing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::ears::Ears;
use super::seal;
use super::server::Server;

/// What it does with what it takes.
#[derive(Clone, Copy)]
pub enum Mood {
    /// Passes it on.
    Honest,
    /// Passes nothing on.
    Silent,
    /// Passes on all but messages from others.
    Deaf,
}

pub struct Proxy {
    url: String,
    mood: Arc<AtomicU8>,
}

impl Proxy {
    pub async fn start(server: &Server) -> Self {
        let socket = server.url.strip_prefix("redis+unix://").unwrap().to_owned();
        let listener = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let mood = Arc::new(AtomicU8::new(Mood::Honest as u8));
        let gate = mood.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                let (client_reads, client_writes) = client.into_split();
                let (server_reads, server_writes) = server.into_split();
                tokio::spawn(pass(client_reads, server_writes, gate.clone()));
                tokio::spawn(pass(server_reads, client_writes, gate.clone()));
            }
        });
        Self { url, mood }
    }

    pub fn turns(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::Relaxed);
    }

    /// A node whose way to Redis this is.
    pub fn node(&self, timing: Timing) -> (Arc<Cluster>, Arc<Ears>) {
        let cluster = Cluster::start(&self.url, seal(), timing);
        let ears = Ears::new();
        cluster.set_ear(ears.weak());
        (cluster, ears)
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mood: Arc<AtomicU8>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let mood = mood.load(Ordering::Relaxed);
        if mood == Mood::Silent as u8 {
            continue;
        }
        let mut bytes = buffer[..length].to_vec();
        if mood == Mood::Deaf as u8 {
            cut_messages(&mut bytes);
        }
        to.write_all(&bytes).await?;
    }
}

/// Removes pushed messages: three strings, the first of which says so. Small ones arrive in one piece.
fn cut_messages(bytes: &mut Vec<u8>) {
    const BEGIN: &[u8] = b">3\r\n$7\r\nmessage\r\n";
    while let Some(start) = bytes.windows(BEGIN.len()).position(|window| window == BEGIN) {
        let mut end = start + BEGIN.len();
        for _ in 0..2 {
            let line = bytes[end..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
            let length: usize = std::str::from_utf8(&bytes[end + 1..end + line - 2]).unwrap().parse().unwrap();
            end += line + length + 2;
        }
        bytes.drain(start..end);
    }
}
