//! Which server of Redis to talk to: the one that was given, or of a Redis Cluster the one that has our keys.

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    RedisError, RedisResult, Value,
};

use super::message::{self, Names};

/// Addresses of a Redis Cluster that are remembered, for when those that were given are gone.
const LEARNED_MAX: usize = 64;

/// Where to begin to look.
pub(super) struct Servers {
    given: Vec<ConnectionInfo>,
    /// Others that they named.
    learned: Vec<ConnectionAddr>,
    /// The next one to be asked.
    next: usize,
}

impl Servers {
    /// Reads addresses that are separated by commas. More than one is of use for a Redis Cluster.
    pub fn new(urls: &str) -> RedisResult<Self> {
        let given = urls.split(',').map(|url| info(url.trim())).collect::<RedisResult<Vec<_>>>()?;
        Ok(Self { given, learned: Vec::new(), next: 0 })
    }

    /// Connects to the next one of them, or to where it leads; how things are called there.
    pub async fn connect(&mut self, config: &AsyncConnectionConfig) -> RedisResult<(MultiplexedConnection, Names)> {
        let Some(first) = self.given.first().cloned() else {
            return Err(RedisError::from((ErrorKind::InvalidClientConfig, "REDIS_URL is empty")));
        };
        let count = self.given.len() + self.learned.len();
        let at = self.next % count;
        // Whoever does not answer is not asked again at once.
        self.next = (at + 1) % count;
        let asked = match self.given.get(at) {
            Some(given) => given.clone(),
            None => first.clone().set_addr(self.learned[at - self.given.len()].clone()),
        };
        let mut connection = open(asked.clone(), config).await?;
        let Some(slot) = slot(&mut connection).await? else {
            self.next = at;
            return Ok((connection, message::SINGLE));
        };
        let owner = self.owner(&mut connection, asked.addr(), slot).await?;
        self.next = at;
        if owner != *asked.addr() {
            connection = open(asked.set_addr(owner), config).await?;
        }
        Ok((connection, message::SHARDED))
    }

    /// The server that has the slot, as this one sees it.
    async fn owner(
        &mut self,
        connection: &mut MultiplexedConnection,
        asked: &ConnectionAddr,
        slot: i64,
    ) -> RedisResult<ConnectionAddr> {
        let ranges: Vec<Value> = redis::cmd("CLUSTER").arg("SLOTS").query_async(connection).await?;
        let mut owner = None;
        for range in &ranges {
            let Value::Array(range) = range else { continue };
            let [Value::Int(from), Value::Int(to), nodes @ ..] = range.as_slice() else { continue };
            for (number, node) in nodes.iter().enumerate() {
                let Some(address) = address(node, asked) else { continue };
                if number == 0 && (*from..=*to).contains(&slot) {
                    owner = Some(address.clone());
                }
                let known = self.learned.contains(&address) || self.given.iter().any(|given| *given.addr() == address);
                if !known && self.learned.len() < LEARNED_MAX {
                    self.learned.push(address);
                }
            }
        }
        owner.ok_or_else(|| RedisError::from((ErrorKind::Io, "no server of the Redis Cluster has our keys now")))
    }
}

fn info(url: &str) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    // Messages and answers share one connection, which only the newer protocol can.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
}

async fn open(info: ConnectionInfo, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
    Client::open(info)?.get_multiplexed_async_connection_with_config(config).await
}

/// Where our keys are in a Redis Cluster; `None` if this is none.
async fn slot(connection: &mut MultiplexedConnection) -> RedisResult<Option<i64>> {
    match redis::cmd("CLUSTER").arg("KEYSLOT").arg(message::SHARDED.prefix).query_async(connection).await {
        Ok(slot) => Ok(Some(slot)),
        // It says so, or does not let us ask.
        Err(error) if error.code().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A server of `CLUSTER SLOTS`: host, port, and more. No host: the one that was asked.
fn address(node: &Value, asked: &ConnectionAddr) -> Option<ConnectionAddr> {
    let Value::Array(node) = node else { return None };
    let [host, Value::Int(port), ..] = node.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?.to_owned(),
        _ => String::new(),
    };
    let port = u16::try_from(*port).ok()?;
    Some(match asked {
        ConnectionAddr::TcpTls { host: same, insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host: if host.is_empty() { same.clone() } else { host },
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        ConnectionAddr::Tcp(same, _) if host.is_empty() => ConnectionAddr::Tcp(same.clone(), port),
        _ => ConnectionAddr::Tcp(host, port),
    })
}
