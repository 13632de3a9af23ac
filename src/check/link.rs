//! One live connection: frames out, lines in.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::history::Ending;

/// To open it.
const OPEN_WITHIN: Duration = Duration::from_secs(4);
/// For a frame to leave.
const SEND_WITHIN: Duration = Duration::from_secs(4);

/// A connection that is open.
pub struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Link {
    /// Opens one.
    pub async fn open(url: &str) -> Result<Self> {
        let opened = tokio::time::timeout(OPEN_WITHIN, tokio_tungstenite::connect_async(url));
        let (socket, _) = opened.await.context("cannot connect in time")?.context("cannot connect")?;
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_nodelay(true)?;
        }
        Ok(Self { socket })
    }

    /// Sends a frame; `false` when the connection is lost.
    pub async fn send(&mut self, frame: String) -> bool {
        let sent = tokio::time::timeout(SEND_WITHIN, self.socket.send(Message::text(frame)));
        matches!(sent.await, Ok(Ok(())))
    }

    /// The next frame, or how it ended. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<String, Ending> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(Some(frame)))) => return Err(Ending::Told(frame.code.into())),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err(Ending::Lost),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Says goodbye and waits for the other side's, which is soon.
    pub async fn bye(mut self) {
        let goodbye = async {
            let _ = self.socket.close(None).await;
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
    }

    /// Breaks it off without a word: the other side gets a reset, and what was under way is lost.
    pub fn vanish(self) {
        if let MaybeTlsStream::Plain(stream) = self.socket.into_inner() {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}
