//! What stands around all routes.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;
use uuid::Uuid;

use super::AllowedOrigins;
use crate::error::Error;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How long a browser may remember what a preflight said.
const PREFLIGHT_FRESH: Duration = Duration::from_secs(600);

/// Headers of every answer of the API: never guessed at, never stored, never shown as a page.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// Puts around the routes of the API: problems for unknown routes (404), wrong methods (405) and panics (500), CORS
/// for the listed origins, the headers, and a request id.
pub fn shield<S: Clone + Send + Sync + 'static>(routes: Router<S>, origins: &AllowedOrigins) -> Router<S> {
    routes
        .fallback(|| async { Error::not_found() })
        .method_not_allowed_fallback(|| async {
            Error::status(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "see the Allow header")
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::map_response(add_headers))
        .layer(cors(origins.clone()))
        .layer(middleware::from_fn(name_request))
}

fn cors(origins: AllowedOrigins) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| origins.is_listed(origin)))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, IDEMPOTENCY_KEY])
        .expose_headers([header::RETRY_AFTER, REQUEST_ID])
        .max_age(PREFLIGHT_FRESH)
}

async fn add_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Gives the request an id, in our log and in the answer. One that the client sent is not taken: it could be anything.
async fn name_request(request: Request, next: Next) -> Response {
    let id = Uuid::now_v7();
    // The path only: what follows it may be private.
    let span = tracing::info_span!("request", %id, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::internal(anyhow::anyhow!("a handler panicked: {text}")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use tower::ServiceExt;

    async fn ask(method: &str, path: &str, origin: Option<&str>) -> (StatusCode, axum::http::HeaderMap, String) {
        let origins = AllowedOrigins::new(&["https://app.example".into()]).unwrap();
        let broken = || async {
            if true {
                panic!("oh no");
            }
        };
        let routes =
            Router::new().route("/fine", get(|| async { "ok" }).delete(|| async {})).route("/broken", get(broken));
        let mut request = Request::builder().method(method).uri(path);
        if let Some(origin) = origin {
            request = request.header("origin", origin).header("access-control-request-method", "POST");
        }
        let response = shield(routes, &origins).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 10_000).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn last_resorts_are_problems() {
        let (status, headers, body) = ask("GET", "/nowhere", None).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (StatusCode::NOT_FOUND, &HeaderValue::from_static("application/problem+json"))
        );
        assert!(body.contains(r#""code":"not_found""#), "{body}");
        let (status, headers, body) = ask("POST", "/fine", None).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers["allow"], "GET,HEAD,DELETE");
        assert!(body.contains("method_not_allowed"), "{body}");
        let (status, headers, body) = ask("GET", "/broken", None).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains(r#""code":"internal""#) && !body.contains("oh no"), "{body}");
        assert!(headers.contains_key("x-request-id"));
    }

    #[tokio::test]
    async fn headers_are_on_everything() {
        let (_, headers, _) = ask("GET", "/fine", None).await;
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }

    #[tokio::test]
    async fn only_listed_pages_read_answers() {
        let (_, headers, _) = ask("OPTIONS", "/fine", Some("https://app.example")).await;
        assert_eq!(headers["access-control-allow-origin"], "https://app.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        let (_, headers, _) = ask("GET", "/fine", Some("https://evil.example")).await;
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
}
