//! What is at `REDIS_URL`, before anything is done with it.

use std::time::Duration;

use anyhow::bail;
use redis::{Client, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisError};

/// For the whole look.
const WITHIN: Duration = Duration::from_secs(3);
/// Messages and answers come over one connection: protocol 3, which came with this version.
const OLDEST: (u32, u32) = (6, 0);
/// Of a Redis Cluster.
const OLDEST_CLUSTER: (u32, u32) = (7, 0);

/// Refuses what is no Redis, one that is too old, and one that lets nobody in with these credentials. One that cannot be
/// reached is no error: it may come later, and until then this node goes on without it.
///
/// # Errors
///
/// For the person who starts the server: what was found, what is needed, and which setting to change.
pub async fn inspect(urls: &str) -> anyhow::Result<()> {
    for url in urls.split(',') {
        inspect_one(url.trim()).await?;
    }
    Ok(())
}

async fn inspect_one(url: &str) -> anyhow::Result<()> {
    let info = url.into_connection_info().map_err(|error| {
        anyhow::anyhow!("REDIS_URL is not a Redis address such as redis://:password@host:6379/0: {error}")
    })?;
    // Without user and password.
    let place = info.addr().to_string();
    // Every version understands protocol 2, so this one can say which it is.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    let client = Client::open(info.set_redis_settings(settings))
        .map_err(|error| anyhow::anyhow!("REDIS_URL cannot be used: {error}"))?;
    let asked = tokio::time::timeout(WITHIN, async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("INFO").arg("server").query_async::<String>(&mut connection).await
    });
    let said = match asked.await {
        Err(_) => {
            tracing::warn!("Redis at {place} (REDIS_URL) does not answer; going on without it until it does");
            return Ok(());
        }
        Ok(Err(error)) if is_unreachable(&error) => {
            tracing::warn!("cannot reach Redis at {place} (REDIS_URL): {error}; going on without it until it is there");
            return Ok(());
        }
        Ok(Err(error)) => return Err(explained(&place, &error)),
        Ok(Ok(said)) => said,
    };
    let Some(version) = field(&said, "redis_version") else {
        bail!(
            "what answers at {place} is no Redis. Set REDIS_URL to one of version {}.{} or newer.",
            OLDEST.0,
            OLDEST.1
        );
    };
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        bail!(
            "Redis at {place} is version {version}; Studyhall needs {}.{} or newer. Upgrade it, set REDIS_URL to another \
             one, or leave REDIS_URL out if this is the only node.",
            OLDEST.0,
            OLDEST.1
        );
    }
    if found < OLDEST_CLUSTER && field(&said, "redis_mode") == Some("cluster") {
        bail!(
            "the Redis Cluster at {place} is version {version}; Studyhall uses its sharded channels, which came with {}.{}. \
             Upgrade it, or set REDIS_URL to a Redis that is no cluster.",
            OLDEST_CLUSTER.0,
            OLDEST_CLUSTER.1
        );
    }
    Ok(())
}

fn explained(place: &str, error: &RedisError) -> anyhow::Error {
    let code = error.code().unwrap_or_default();
    let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let denied = matches!(code, "NOAUTH" | "WRONGPASS" | "NOPERM") || error.kind() == ErrorKind::AuthenticationFailed;
    if denied {
        return anyhow::anyhow!(
            "Redis at {place} refuses the credentials: {why}. Check user and password in REDIS_URL."
        );
    }
    anyhow::anyhow!(
        "what answers at {place} does not behave like a Redis ({why}). Check host and port of REDIS_URL; it must be a \
         Redis of version {}.{} or newer.",
        OLDEST.0,
        OLDEST.1
    )
}

/// Nobody is there, or not yet.
fn is_unreachable(error: &RedisError) -> bool {
    let loading = matches!(error.code(), Some("LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN"));
    // One that hangs up without a word may be starting or ending.
    loading || error.is_io_error() || error.is_connection_dropped()
}

fn field<'s>(said: &'s str, name: &str) -> Option<&'s str> {
    said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
