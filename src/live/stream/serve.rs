//! The task of one stream connection.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use studyhall_protocol::format::Format;
use tokio::sync::mpsc;

use super::inbox::Delivery;
use super::{Body, Road, Stream};
use crate::live::arrivals::Full;
use crate::live::backend::Visitor;
use crate::live::conn::Conn;
use crate::live::hub::Hub;
use crate::live::session::Session;
use crate::live::socket::{End, after, finish};
use crate::live::transport::Transport;

/// A request for a stream.
#[derive(Debug)]
pub struct Opening {
    /// The connection that it came over.
    pub road: Arc<Road>,
    /// What the client speaks.
    pub format: Format,
    /// What came with the request.
    pub visitor: Visitor,
    /// The first commands: connect, and whatever follows it.
    pub commands: Bytes,
}

/// Opens a stream; the body of its answer.
pub fn open(hub: &Arc<Hub>, opening: Opening) -> Result<HttpBody, Full> {
    let arrival = hub.welcome()?;
    let stream = Stream::new(opening.road);
    if !stream.road.carry(&stream.flow) {
        hub.release_connection();
        return Err(Full::Connections);
    }
    let body = Body(stream.flow.clone());
    let inbox = hub.streams.open(stream.session);
    let conn = hub.register(stream, opening.format);
    let session = Session::new(hub.clone(), conn.clone(), opening.visitor).arriving(arrival);
    hub.tasks.spawn(serve(hub.clone(), conn, session, opening.commands, inbox));
    Ok(HttpBody::from_stream(body))
}

async fn serve(
    hub: Arc<Hub>,
    conn: Arc<Conn>,
    mut session: Session,
    first: Bytes,
    mut inbox: mpsc::Receiver<Delivery>,
) {
    let Transport::Stream(stream) = &conn.transport else { return };
    let end = match handle(&hub, &conn, &mut session, &first).await {
        ControlFlow::Break(end) => end,
        ControlFlow::Continue(()) => {
            drop(first);
            read_until_end(&hub, &conn, stream, &mut session, &mut inbox).await
        }
    };
    hub.streams.close(stream.session);
    drop(inbox);
    finish(&hub, &conn, end).await;
    // Whoever does not take the end of the answer in time gets no more.
    stream.road.cut();
}

async fn read_until_end(
    hub: &Arc<Hub>,
    conn: &Arc<Conn>,
    stream: &Stream,
    session: &mut Session,
    inbox: &mut mpsc::Receiver<Delivery>,
) -> End {
    loop {
        if let Some(why) = conn.closing() {
            return End::Close(why);
        }
        if stream.flow.is_gone() {
            return End::Lost;
        }
        tokio::select! {
            biased;
            () = conn.wake.rung() => {}
            ready = stream.writable(), if conn.is_blocked() => {
                if ready.is_ok() {
                    conn.unblock(&hub.flusher, &hub.pages);
                }
            }
            () = stream.gone(), if !conn.is_blocked() => {}
            delivery = inbox.recv() => {
                let Some((commands, _share)) = delivery else { return End::Lost };
                if let ControlFlow::Break(end) = handle(hub, conn, session, &commands).await {
                    return end;
                }
            }
        }
    }
}

async fn handle(hub: &Arc<Hub>, conn: &Arc<Conn>, session: &mut Session, commands: &[u8]) -> ControlFlow<End> {
    let next = session.commands(commands);
    after(hub, conn, session, next).await
}
