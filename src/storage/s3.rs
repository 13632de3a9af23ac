//! A store that speaks S3: Amazon's, or another at an address of its own.
//!
//! The requests go through a client of our own. That of `object_store` would be reqwest with TLS, which brings a second
//! library of cryptography, or makes every other user of reqwest in the program choose one.

use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector as Connector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::config::Config;

/// The smallest part that S3 takes, but for the last one.
pub(super) const PART_BYTES: usize = 5 * 1024 * 1024;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// From the request to the head of the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);
/// Idle connections are given up before the store gives them up.
const IDLE: Duration = Duration::from_secs(4);
/// Tries of one request, and for how long.
const RETRIES_MAX: usize = 3;
const RETRY_WITHIN: Duration = Duration::from_secs(20);

/// Opens a bucket. Nothing is asked of it yet.
pub(super) fn open(config: &Config, bucket: &str) -> anyhow::Result<AmazonS3> {
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES_MAX, retry_timeout: RETRY_WITHIN };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&config.s3_region)
        .with_http_connector(Wire(client()?))
        // One at a time, as all stores know it; the form for many wants a checksum that some do not take.
        .with_disable_bulk_delete(true)
        .with_retry(retry);
    if let Some(endpoint) = &config.s3_endpoint {
        // Such stores have the bucket in the path; and one beside the server may do without TLS.
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    builder = match (&config.s3_access_key, &config.s3_secret_key) {
        (Some(key), Some(secret)) => builder.with_access_key_id(key).with_secret_access_key(secret.reveal()),
        (None, None) => builder,
        _ => anyhow::bail!("set both STUDYHALL_S3_ACCESS_KEY and STUDYHALL_S3_SECRET_KEY, or none"),
    };
    builder.build().with_context(|| format!("cannot use the bucket {bucket}"))
}

type Connection = Client<HttpsConnector<HttpConnector>, HttpRequestBody>;

/// With the cryptography and the authorities of the connection to PostgreSQL.
fn client() -> anyhow::Result<Connection> {
    let mut plain = HttpConnector::new();
    plain.enforce_http(false);
    plain.set_connect_timeout(Some(CONNECT_WITHIN));
    plain.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(plain);
    let mut builder = Client::builder(TokioExecutor::new());
    Ok(builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector))
}

/// Our client, as the store wants it.
#[derive(Debug, Clone)]
struct Wire(Connection);

impl Connector for Wire {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Wire {
    fn call<'s, 'f>(&'s self, request: HttpRequest) -> BoxFuture<'f, Result<HttpResponse, HttpError>>
    where
        's: 'f,
        Self: 'f,
    {
        async move {
            let answer = tokio::time::timeout(ANSWER_WITHIN, self.0.request(request)).await;
            let answer = answer.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?;
            let answer = answer.map_err(|error| {
                let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
                HttpError::new(kind, error)
            })?;
            let cut = |error| HttpError::new(HttpErrorKind::Interrupted, error);
            Ok(answer.map(|body| HttpResponseBody::new(body.map_err(cut))))
        }
        .boxed()
    }
}
