//! The accept loop: from TCP to the router, with the deadlines that keep slow clients from piling up.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::live::stream::{Road, Watched};

/// A storm of connects waits in the kernel's queue instead of for a retransmission.
const BACKLOG: u32 = 4_096;
/// For the head of a request.
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// For a place to become free.
const PLACE_WITHIN: Duration = Duration::from_millis(500);
/// Connections that are being refused; what comes beyond them is closed without a word.
const REFUSED_MAX: usize = 32;
/// For the one who is refused to take the answer.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Between two tries to accept, when there is no room for another file.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// What somebody hears for whom there is no place, whatever they ask.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 44\r\n\r\nthis node has as many connections as it may\n";

/// Listens on `address`; port 0 takes a free one.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves connections until `stop`, at most `max` plain ones at a time; then lets the requests that are under way end.
/// Whoever finds no place is told so at once.
pub async fn serve(listener: TcpListener, router: Router, max: usize, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(max));
    let refusals = Arc::new(Semaphore::new(REFUSED_MAX));
    let (mut failing, mut patient) = (false, true);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: give others the time to close theirs.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections; trying on");
                }
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        failing = false;
        // A storm is over in a moment and may wait in the kernel's queue; whoever sits on their places is not waited for.
        let patience = if patient { PLACE_WITHIN } else { Duration::ZERO };
        let place = tokio::time::timeout(patience, places.clone().acquire_owned()).await;
        patient = place.is_ok();
        let Ok(Ok(place)) = place else {
            if let Ok(permit) = refusals.clone().try_acquire_owned() {
                connections.spawn(refuse(stream, permit));
            }
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            serve_connection(stream, peer, Road::new(Some(place)), router, stop).await;
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Answers without a look at what is asked, and waits until that is taken: closing with something unread would take the
/// answer back.
async fn refuse(mut stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let said = async {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1_024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(REFUSED_WITHIN, said).await;
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    road: Arc<Road>,
    router: Router,
    stop: CancellationToken,
) {
    let Ok(stream) = Watched::new(stream, road.clone()) else { return };
    let mut cut = std::pin::pin!(road.when_cut());
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let (router, road) = (router.clone(), road.clone());
        async move {
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(road);
            let response = router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A client that goes away is no event.
        _ = connection.as_mut() => {}
        () = &mut cut => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection => {}
                () = cut => {}
            }
        }
    }
}
