//! The doors of the engine: the upgrade of a WebSocket, and for networks that let none through, an answer that does not
//! end and requests that bring the commands.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use studyhall_protocol::emulation::Emulation;
use studyhall_protocol::format::Format;

use super::App;
use crate::error::{Error, Result};
use crate::http::{self, OriginVerdict};
use crate::live::arrivals::Full;
use crate::live::backend::Visitor;
use crate::live::stream::{self, Opening, Road, Undelivered};
use crate::live::upgrade;

/// What protobuf calls itself here.
const OCTETS: &str = "application/octet-stream";
/// Proxies hand a stream on as it comes.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

const CLOSE: (HeaderName, HeaderValue) = (header::CONNECTION, HeaderValue::from_static("close"));

/// Behind one pointer: the router copies its state for every request, more than once.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/connection/websocket", get(connect))
        .route("/connection/http_stream", post(open_stream))
        .route("/emulation", post(emulate))
}

/// Who comes: with the session cookie, if the page may use it. A page of a foreign origin gets no connection at all.
fn visitor(app: &App, request: &Request) -> Result<Visitor> {
    let headers = request.headers();
    let address = Some(app.state.rates.address(request.extensions(), headers));
    let cookie = match app.state.origins.allows(headers) {
        OriginVerdict::Foreign => {
            Err(Error::forbidden("foreign_origin", "this origin may not connect; add it to STUDYHALL_ORIGINS"))
        }
        OriginVerdict::Allowed => Ok(app.state.cookies.read(headers).map(str::to_owned)),
        OriginVerdict::Absent => Ok(None),
    };
    Ok(Visitor { cookie: cookie?, address })
}

async fn connect(State(app): State<Arc<App>>, request: Request) -> Response {
    match visitor(&app, &request) {
        Ok(visitor) => upgrade::connect(app.hub.clone(), request, visitor),
        Err(error) => error.into_response(),
    }
}

/// The request has the connect command in it; its answer is the connection.
async fn open_stream(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let visitor = visitor(&app, &request)?;
    let format = format_of(request.headers());
    let road = request.extensions().get::<Arc<Road>>().cloned();
    let road = road.ok_or_else(|| Error::internal(anyhow::anyhow!("a request that came over no connection")))?;
    let commands = Bytes::from(http::read_bytes(request).await?);
    let body = stream::open(&app.hub, Opening { road, format, visitor, commands }).map_err(|full| match full {
        Full::Draining => super::leave::shutting_down(),
        Full::Connections | Full::Arrivals => Error::busy(full.reason(), full.retry_after()),
    })?;
    let kind = if format == Format::Protobuf { OCTETS } else { "application/x-ndjson" };
    // The connection belongs to the stream: it ends with it.
    Ok(([(header::CONTENT_TYPE, kind)], [UNBUFFERED, CLOSE], body).into_response())
}

/// Commands for a stream, wherever it is.
async fn emulate(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    visitor(&app, &request)?;
    let format = format_of(request.headers());
    let body = http::read_bytes(request).await?;
    let emulation = Emulation::parse(format, &body);
    let emulation = emulation.ok_or_else(|| Error::bad_request("bad_request", "expected {session, node, data}"))?;
    let commands = Bytes::copy_from_slice(emulation.commands());
    match app.hub.emulate(&emulation.node, &emulation.session, commands).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        // The client opens a new stream. What it sends then must not come back here over a connection that it keeps.
        Err(Undelivered::Unknown) => Ok(([CLOSE], Error::not_found()).into_response()),
        Err(Undelivered::Full) => {
            Err(Error::too_many("too_many_requests", "this connection has not come to what was sent before", 1))
        }
        Err(Undelivered::Unreachable) => {
            Err(Error::unavailable("unavailable", "the node of this session is out of reach"))
        }
    }
}

fn format_of(headers: &HeaderMap) -> Format {
    match headers.get(header::CONTENT_TYPE) {
        Some(kind) if kind == OCTETS => Format::Protobuf,
        _ => Format::Json,
    }
}
