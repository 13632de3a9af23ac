//! How many commands a Redis has run, by its own account.

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Commands run so far, our own question not counted. `address` is `host:port`, or a Unix socket.
pub async fn commands_run(address: &str) -> Result<u64> {
    let stats = if address.starts_with('/') {
        info(tokio::net::UnixStream::connect(address).await?).await?
    } else {
        info(TcpStream::connect(address).await?).await?
    };
    let calls = stats.lines().filter(|line| !line.starts_with("cmdstat_info:"));
    let calls = calls.filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
    Ok(calls.sum())
}

async fn info(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> Result<String> {
    stream.write_all(b"INFO commandstats\r\n").await?;
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    stream.read_line(&mut head).await?;
    let length = head.trim().strip_prefix('$').and_then(|length| length.parse().ok());
    let mut text = vec![0; length.with_context(|| format!("Redis answered {head:?}"))?];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
