//! From an HTTP request to a connection of the hub.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use studyhall_protocol::format::Format;
use tokio::net::TcpStream;

use super::backend::Visitor;
use super::conn::Conn;
use super::hub::Hub;
use super::session::Session;
use super::socket::{self, Handler};
use super::stream::Watched;
use super::ws::{self, Accept};

/// Answers a request for a WebSocket that speaks the protocol.
pub fn connect(hub: Arc<Hub>, mut request: Request, visitor: Visitor) -> Response {
    let accept = match ws::check(request.method(), &request.version(), request.headers(), ws::SUBPROTOCOLS) {
        Ok(accept) => accept,
        Err(error) => return refuse(error.status(), error.message(), |headers| error.write_headers(headers)),
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return refuse(StatusCode::BAD_REQUEST, "this connection cannot be upgraded", |_| {});
    };
    let arrival = match hub.welcome() {
        Ok(arrival) => arrival,
        Err(full) => {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, full.reason(), |headers| {
                headers.insert(header::RETRY_AFTER, full.retry_after().into());
            });
        }
    };
    let session =
        move |hub: &Arc<Hub>, conn: &Arc<Conn>| Session::new(hub.clone(), conn.clone(), visitor).arriving(arrival);
    accept_with(hub, upgrade, &accept, session)
}

/// Answers 101 and serves the socket with `handler`. Room for it must have been reserved.
pub fn accept_with<H: Handler + 'static>(
    hub: Arc<Hub>,
    upgrade: OnUpgrade,
    accept: &Accept,
    handler: impl FnOnce(&Arc<Hub>, &Arc<Conn>) -> H + Send + 'static,
) -> Response {
    let tracker = hub.tasks.clone();
    let format = Format::of_subprotocol(accept.subprotocol);
    tracker.spawn(async move {
        let Some((socket, leftover)) = upgraded(upgrade).await else {
            hub.release_connection();
            return;
        };
        let conn = hub.register(socket, format);
        let handler = handler(&hub, &conn);
        // A task of its own: this one's state, sized for the upgrade, ends here.
        hub.clone().tasks.spawn(socket::serve(hub, conn, handler, leftover));
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    accept.write_headers(response.headers_mut());
    response
}

/// The bare socket, and what was read from it already.
async fn upgraded(upgrade: OnUpgrade) -> Option<(TcpStream, Vec<u8>)> {
    let upgraded: Upgraded = upgrade.await.ok()?;
    let parts = upgraded.downcast::<TokioIo<Watched>>().ok()?;
    let socket = parts.io.into_inner().into_inner();
    Some((socket, parts.read_buf.to_vec()))
}

fn refuse(status: StatusCode, why: &'static str, add: impl FnOnce(&mut axum::http::HeaderMap)) -> Response {
    let mut response = Response::new(Body::from(why));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    add(response.headers_mut());
    response
}
