//! A store that speaks S3: Amazon's, or another at an address of its own.

use std::time::Duration;

use anyhow::Context;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::config::Config;

/// The smallest part that S3 takes, but for the last one.
pub(super) const PART_BYTES: usize = 5 * 1024 * 1024;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const REQUEST_WITHIN: Duration = Duration::from_secs(25);
/// Tries of one request, and for how long.
const RETRIES_MAX: usize = 3;
const RETRY_WITHIN: Duration = Duration::from_secs(20);

/// Opens a bucket. Nothing is asked of it yet.
pub(super) fn open(config: &Config, bucket: &str) -> anyhow::Result<AmazonS3> {
    // The client of HTTP brings no cryptography of its own; whoever came first has set the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES_MAX, retry_timeout: RETRY_WITHIN };
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT_WITHIN)
        .with_timeout_disabled()
        .with_read_timeout(REQUEST_WITHIN);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&config.s3_region)
        .with_client_options(client)
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
