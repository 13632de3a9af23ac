//! The pool of connections, and the one that takes its place when it is of no use any more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

use super::session::silence;
use super::settings;

/// How long somebody waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was idle this long is asked whether it still lives; one in constant use is not.
const PROBE_AFTER_IDLE: Duration = Duration::from_secs(1);
/// For the answer to that.
const PROBE_WITHIN: Duration = Duration::from_secs(1);
/// For what a dropped request left unread on its connection: longer than any statement may take.
const READ_OUT_WITHIN: Duration = Duration::from_secs(7);
/// What is under way on an old pool may end.
const OLD_POOL_FOR: Duration = Duration::from_secs(15);

/// The pools of this process: one, and after each that had to be replaced one more. The old ones are empty.
pub(super) struct Pools {
    newest: Generation,
    options: PgConnectOptions,
    max: u32,
    /// Connections that came back from whoever had them.
    returned: Arc<AtomicU64>,
}

struct Generation {
    pool: PgPool,
    next: OnceLock<Box<Generation>>,
}

impl Pools {
    pub fn new(options: PgConnectOptions, max: u32) -> Self {
        let returned = Arc::new(AtomicU64::new(0));
        let newest = Generation { pool: pool(&options, max, &returned), next: OnceLock::new() };
        Self { newest, options, max, returned }
    }

    /// The one to be used.
    pub fn current(&self) -> &PgPool {
        &self.last().pool
    }

    /// How to get a connection beside it.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// How often a connection came back.
    pub fn returned(&self) -> u64 {
        self.returned.load(Ordering::Relaxed)
    }

    /// Whether somebody who wants a connection has to wait for one to come back.
    pub fn is_exhausted(&self) -> bool {
        let pool = self.current();
        pool.num_idle() == 0 && pool.size() >= self.max
    }

    /// A new pool. What is under way on the old one may end; what never ends there keeps nobody waiting any more.
    pub fn renew(&self) {
        let last = self.last();
        let pool = pool(&self.options, self.max, &self.returned);
        if last.next.set(Box::new(Generation { pool, next: OnceLock::new() })).is_ok() {
            let old = last.pool.clone();
            tokio::spawn(async move {
                tokio::time::sleep(OLD_POOL_FOR).await;
                // A connection that is gone without a word would be waited for in vain.
                let _ = tokio::time::timeout(OLD_POOL_FOR, old.close()).await;
            });
        }
    }

    fn last(&self) -> &Generation {
        let mut last = &self.newest;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last
    }
}

fn pool(options: &PgConnectOptions, max: u32, returned: &Arc<AtomicU64>) -> PgPool {
    let returned = returned.clone();
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A round trip before every use would be a sixth of a command; see `PROBE_AFTER_IDLE`.
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(settings::refuse_unsafe(connection)))
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= PROBE_AFTER_IDLE {
                    within(PROBE_WITHIN, connection.ping()).await?;
                }
                Ok(true)
            })
        })
        .after_release(move |connection, _| {
            returned.fetch_add(1, Ordering::Relaxed);
            Box::pin(read_out(connection))
        })
        .connect_lazy_with(options.clone())
}

/// sqlx would wait without end for what a dropped request left to be read, and its place in the pool would be gone. To
/// read when there is nothing to be read costs nothing.
async fn read_out(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    within(READ_OUT_WITHIN, connection.flush()).await?;
    Ok(true)
}

pub(super) async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(silence()))
}
