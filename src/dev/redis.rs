//! The private Redis: holds hints and leases only, so it keeps nothing on disk.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::find;
use super::home::Home;
use super::process::{self, GLANCE, Server, Steps};

/// There is nothing to save, so patience is short.
pub(super) const STOP: Steps = &[(Signal::SIGTERM, Duration::from_secs(5)), (Signal::SIGKILL, Duration::from_secs(5))];

const READY_WITHIN: Duration = Duration::from_secs(10);

/// Starts the server and returns it with its address when it answers.
pub(super) async fn start(home: &Home) -> Result<(Server, String)> {
    let socket = home.run.join("redis.sock");
    // First of all: an earlier one must go even if no program is found any more.
    end_leftover(&socket).await?;
    let program = find::redis()?;
    let dir = home.private_directory("redis")?;
    let mut command = process::command(&program, home);
    command.current_dir(&dir).args(["--port", "0", "--unixsocketperm", "700", "--unixsocket"]).arg(&socket);
    command.args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--pidfile", "redis.pid"]);
    let mut server = Server::spawn("Redis", command, home, "redis.log", STOP)?;
    ready(&mut server, &socket).await?;
    Ok((server, format!("redis+unix://{}", socket.display())))
}

/// The socket itself says who listens on it, so no PID file is asked that could name a stranger.
async fn end_leftover(socket: &Path) -> Result<()> {
    if let Ok(stream) = UnixStream::connect(socket).await {
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).map(Pid::from_raw);
        drop(stream);
        if let Some(pid) = pid {
            tracing::info!("ending the private Redis that an earlier studyhall left running (process {pid})");
            if !process::end(pid, STOP).await {
                bail!("process {pid}, a Redis on {}, does not end; end it, then start again", socket.display());
            }
        }
    }
    fs::remove_file(socket).ok();
    Ok(())
}

async fn ready(server: &mut Server, socket: &Path) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Some(status) = server.ended()? {
            bail!("it does not start ({status}). {}", server.last_words());
        }
        if timeout(READY_WITHIN, answers(socket)).await.is_ok_and(|answer| answer.is_ok()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("it is not ready after {} s. {}", READY_WITHIN.as_secs(), server.last_words());
        }
        sleep(GLANCE).await;
    }
}

async fn answers(socket: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    if answer != *b"+PONG\r\n" {
        bail!("unexpected answer");
    }
    Ok(())
}
