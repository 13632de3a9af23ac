//! The task of one connection: it reads, and it waits for the kernel when that takes nothing more.
//!
//! What it reads goes through one buffer per thread, so an idle connection holds none.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Poll;

use socket2::SockRef;
use studyhall_protocol::error::Disconnect;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::conn::Conn;
use super::hub::Hub;
use super::limits::{
    CLOSE_WITHIN, FINISH_WITHIN, LEFT_HOLD, MESSAGE_BYTES_MAX, NOTSENT_LOWAT, READ_BYTES, READS_PER_TURN,
};
use super::session::Session;
use super::transport::Transport;
use super::ws::{Decoder, Message, ProtocolError};

thread_local! {
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a message from the client asks of the connection's task.
#[derive(Debug)]
pub enum Next {
    /// Go on reading.
    Read,
    /// Run these commands, the rest of a frame, to their end, then go on reading.
    Run(Vec<u8>),
    /// Drop the rest of this frame, then go on reading.
    Drop,
    /// Close.
    Close(Disconnect),
    /// The client closes; the code to echo.
    Bye(Option<u16>),
}

/// What a connection does with the messages of its client. Production has one: [`Session`]. A test
/// that checks the frames themselves brings its own.
pub trait Handler: Send {
    /// Handles a message; what needs waiting is returned and run by [`Handler::run`].
    fn message(&mut self, message: Message<'_>) -> Next;

    /// Runs what [`Handler::message`] put off.
    fn run(&mut self, commands: Vec<u8>) -> impl Future<Output = Next> + Send;
}

impl Handler for Session {
    fn message(&mut self, message: Message<'_>) -> Next {
        Session::message(self, message)
    }

    async fn run(&mut self, commands: Vec<u8>) -> Next {
        self.run_commands(&commands).await
    }
}

/// How a connection ended.
pub(super) enum End {
    /// The client said goodbye with this code.
    Bye(Option<u16>),
    /// We close.
    Close(Disconnect),
    /// The connection is lost.
    Lost,
}

/// Prepares an upgraded socket.
pub(super) fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    // No TCP_USER_TIMEOUT: it also ends readers that are slow but alive, whose window is closed for most of the time.
    SockRef::from(socket).set_tcp_notsent_lowat(NOTSENT_LOWAT)
}

/// Serves a connection to its end. `leftover` was read together with the upgrade request.
pub async fn serve<H: Handler>(hub: Arc<Hub>, conn: Arc<Conn>, mut handler: H, mut leftover: Vec<u8>) {
    let Transport::Socket(socket) = &conn.transport else { return };
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    // Boxed wherever more than reading is going on: those are the large states, and an idle connection must not make
    // room for them.
    let first = Box::pin(handle(&hub, &conn, &mut handler, &mut decoder, &mut leftover)).await;
    let end = match first {
        ControlFlow::Break(end) => end,
        ControlFlow::Continue(()) => {
            drop(leftover);
            read_until_end(&hub, &conn, socket, &mut handler, &mut decoder).await
        }
    };
    Box::pin(finish(&hub, &conn, end)).await;
}

/// Takes a connection out of the hub and says goodbye.
pub(super) async fn finish(hub: &Hub, conn: &Arc<Conn>, end: End) {
    // Signing out is leaving; everything else may be followed by a reconnect. Who was closed for their silence has not
    // been here for as long as anybody is held.
    let left = match end {
        End::Bye(_) => true,
        End::Close(why) => why.code >= Disconnect::SIGNED_OUT.code || conn.is_silent(),
        End::Lost => false,
    };
    hub.unregister(conn, if left { LEFT_HOLD } else { hub.lost_hold() });
    // No deadline counts any more but the one of the goodbye.
    let goodbye = async {
        match end {
            End::Bye(code) => {
                conn.close(Disconnect::NORMAL);
                let echo = code.map(|code| Disconnect { code, reason: "bye" });
                say_goodbye(conn, echo, false).await;
            }
            End::Close(why) => say_goodbye(conn, Some(why), true).await,
            End::Lost => conn.close(Disconnect::WRITE_ERROR),
        }
    };
    let _ = tokio::time::timeout(CLOSE_WITHIN, goodbye).await;
}

async fn read_until_end<H: Handler>(
    hub: &Arc<Hub>,
    conn: &Arc<Conn>,
    socket: &TcpStream,
    handler: &mut H,
    decoder: &mut Decoder,
) -> End {
    let mut listens = false;
    loop {
        match conn.closing() {
            Some(Disconnect::SHUTDOWN) => return Box::pin(last_read(hub, conn, socket, handler, decoder)).await,
            Some(why) => return End::Close(why),
            None => {}
        }
        let readable = poll_fn(|cx| {
            if conn.wake.poll(&mut listens, cx).is_ready() {
                return Poll::Ready(Ok(false));
            }
            if conn.is_blocked()
                && let Poll::Ready(writable) = socket.poll_write_ready(cx)
            {
                conn.unblock(&hub.flusher, &hub.pages);
                return Poll::Ready(writable.map(|()| false));
            }
            socket.poll_read_ready(cx).map_ok(|()| true)
        });
        match readable.await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(_) => return End::Lost,
        }
        for turn in 1..=READS_PER_TURN {
            if turn == READS_PER_TURN {
                // A socket that is always ready gives nobody else a turn by itself.
                tokio::task::yield_now().await;
            }
            match read_once(socket, handler, decoder) {
                Ok(Read::Nothing) => break,
                Ok(Read::Handled) => {}
                Ok(Read::PutOff(next, mut rest)) => {
                    let put_off = async {
                        after(hub, conn, handler, next).await?;
                        handle(hub, conn, handler, decoder, &mut rest).await
                    };
                    if let ControlFlow::Break(end) = Box::pin(put_off).await {
                        return end;
                    }
                }
                Ok(Read::Violation(error)) => return End::Close(violation(error)),
                Err(_) => return End::Lost,
            }
        }
    }
}

/// The node goes away: a command that is here already is still done, so that few have to be sent again.
async fn last_read<H: Handler>(
    hub: &Arc<Hub>,
    conn: &Arc<Conn>,
    socket: &TcpStream,
    handler: &mut H,
    decoder: &mut Decoder,
) -> End {
    let next = match read_once(socket, handler, decoder) {
        Ok(Read::PutOff(next, _)) => after(hub, conn, handler, next).await,
        Ok(Read::Violation(error)) => return End::Close(violation(error)),
        Ok(Read::Nothing | Read::Handled) => ControlFlow::Continue(()),
        Err(_) => return End::Lost,
    };
    match next {
        ControlFlow::Break(end) => end,
        ControlFlow::Continue(()) => End::Close(Disconnect::SHUTDOWN),
    }
}

/// What came of one read.
enum Read {
    /// There was nothing to read.
    Nothing,
    /// All of it was handled.
    Handled,
    /// Something needs waiting or ends the connection; the bytes behind it.
    PutOff(Next, Vec<u8>),
    /// The client does not speak the protocol.
    Violation(ProtocolError),
}

fn read_once<H: Handler>(socket: &TcpStream, handler: &mut H, decoder: &mut Decoder) -> io::Result<Read> {
    let mut buffer = READ_BUFFER.take();
    buffer.resize(READ_BYTES, 0);
    let read = match read_at_once(socket, &mut buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => Ok(decode(handler, decoder, &mut buffer[..read])),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
        Err(error) => Err(error),
    };
    READ_BUFFER.set(buffer);
    read
}

/// Reads once. A read that leaves room in the buffer has taken all there was: the next one waits for the kernel to say so
/// instead of asking it, which would be a second system call for every message.
fn read_at_once(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = Err(io::ErrorKind::WouldBlock.into());
    let _ = socket.try_io(Interest::READABLE, || {
        read = (&*SockRef::from(socket)).read(buffer);
        match &read {
            Ok(some) if (1..buffer.len()).contains(some) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    });
    read
}

/// Hands out messages until one of them has to be waited for.
fn decode<H: Handler>(handler: &mut H, decoder: &mut Decoder, mut input: &mut [u8]) -> Read {
    loop {
        match decoder.next(&mut input) {
            Ok(Some(message)) => match handler.message(message) {
                Next::Read | Next::Drop => {}
                next => return Read::PutOff(next, input.to_vec()),
            },
            Ok(None) => return Read::Handled,
            Err(error) => return Read::Violation(error),
        }
    }
}

/// Handles bytes that were read already, waiting where need be.
async fn handle<H: Handler>(
    hub: &Arc<Hub>,
    conn: &Arc<Conn>,
    handler: &mut H,
    decoder: &mut Decoder,
    input: &mut Vec<u8>,
) -> ControlFlow<End> {
    while !input.is_empty() {
        match decode(handler, decoder, input) {
            Read::PutOff(next, rest) => {
                after(hub, conn, handler, next).await?;
                *input = rest;
            }
            Read::Violation(error) => return ControlFlow::Break(End::Close(violation(error))),
            Read::Handled | Read::Nothing => return ControlFlow::Continue(()),
        }
    }
    ControlFlow::Continue(())
}

/// Does what a message asked for. While a command waits for the database, the socket is still served.
pub(super) async fn after<H: Handler>(
    hub: &Arc<Hub>,
    conn: &Arc<Conn>,
    handler: &mut H,
    next: Next,
) -> ControlFlow<End> {
    let commands = match next {
        Next::Read | Next::Drop => return ControlFlow::Continue(()),
        Next::Close(why) => return ControlFlow::Break(End::Close(why)),
        Next::Bye(code) => return ControlFlow::Break(End::Bye(code)),
        Next::Run(commands) => commands,
    };
    // Boxed: these are the rare, large states, and an idle connection must not make room for them.
    let mut running = Box::pin(handler.run(commands));
    let _busy = conn.busy();
    // When the node goes away, what runs is finished and answered first, for as long as this.
    let mut leave_by = None;
    loop {
        tokio::select! {
            biased;
            next = &mut running => {
                return match (next, conn.closing()) {
                    (Next::Close(why), _) | (_, Some(why)) => ControlFlow::Break(End::Close(why)),
                    (Next::Bye(code), None) => ControlFlow::Break(End::Bye(code)),
                    (Next::Read | Next::Drop | Next::Run(_), None) => ControlFlow::Continue(()),
                };
            }
            () = conn.wake.rung() => match conn.closing() {
                Some(Disconnect::SHUTDOWN) => leave_by = Some(Instant::now() + FINISH_WITHIN),
                Some(why) => return ControlFlow::Break(End::Close(why)),
                None => {}
            },
            () = until(leave_by) => return ControlFlow::Break(End::Close(Disconnect::SHUTDOWN)),
            ready = conn.transport.writable(), if conn.is_blocked() => match ready {
                Ok(()) => conn.unblock(&hub.flusher, &hub.pages),
                Err(_) => return ControlFlow::Break(End::Lost),
            },
        }
    }
}

/// Waits until then, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn violation(error: ProtocolError) -> Disconnect {
    Disconnect { code: error.close_code(), reason: error.reason() }
}

/// Sends the goodbye and, when we began it, waits for the client to go.
async fn say_goodbye(conn: &Conn, why: Option<Disconnect>, wait: bool) {
    conn.start_closing(why);
    loop {
        match conn.write_last() {
            Ok(true) => break,
            Ok(false) if conn.transport.writable().await.is_ok() => {}
            _ => return,
        }
    }
    match &conn.transport {
        Transport::Socket(socket) if wait => see_off(socket).await,
        Transport::Socket(_) => {}
        Transport::Stream(stream) => stream.finish().await,
    }
}

async fn see_off(socket: &TcpStream) {
    // The end of the stream right behind the close frame: browsers wait for it before they tell the page.
    let _ = SockRef::from(socket).shutdown(std::net::Shutdown::Write);
    // Closing with unread bytes would reset the connection and take the close frame with it.
    while socket.readable().await.is_ok() {
        if discard(socket).is_break() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Reads and forgets. A function of its own, so that the buffer is no part of every connection's task.
fn discard(socket: &TcpStream) -> ControlFlow<()> {
    let mut scratch = [0; 4096];
    match socket.try_read(&mut scratch) {
        Ok(0) => ControlFlow::Break(()),
        Ok(_) => ControlFlow::Continue(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}
