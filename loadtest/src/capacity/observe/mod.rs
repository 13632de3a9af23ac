//! What server, PostgreSQL, Redis and we ourselves have used so far.

use std::fs;
use std::time::Instant;

use anyhow::Result;

use self::postgres::Postgres;
use super::units::{Amounts, Resource};
use crate::process::{cpu_seconds, rss_kib};

pub mod postgres;
pub mod redis;

/// Where to look.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Observed {
    /// The process of PostgreSQL, with all its children; without it the one that the server started.
    #[arg(long)]
    pub postgres_pid: Option<u32>,
    /// The process of Redis; without it the one that the server started.
    #[arg(long)]
    pub redis_pid: Option<u32>,
    /// The server's PostgreSQL, to count statements (with the extension pg_stat_statements) and bytes of its log
    /// (with pg_walinspect, PostgreSQL 15).
    #[arg(long)]
    pub database_url: Option<String>,
    /// `host:port` or socket path of the server's Redis, to count its commands.
    #[arg(long)]
    pub redis: Option<String>,
}

/// Looks at processes.
#[derive(Debug)]
pub struct Observer {
    server: Option<u32>,
    postgres: Option<u32>,
    redis: Option<u32>,
    database: Option<Postgres>,
    redis_address: Option<String>,
}

/// What was used until a moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When.
    pub at: Instant,
    used: Amounts,
    /// Seconds of our own CPU.
    pub own_s: f64,
}

impl Observer {
    /// Finds out where to look.
    pub async fn new(server: Option<u32>, asked: &Observed) -> Self {
        let child =
            |name: &str| server.and_then(|server| children(server).into_iter().find(|pid| is_called(*pid, name)));
        let database = match &asked.database_url {
            Some(url) => Some(Postgres::new(url).await),
            None => None,
        };
        Self {
            server,
            postgres: asked.postgres_pid.or_else(|| child("postgres")),
            redis: asked.redis_pid.or_else(|| child("redis-server")),
            database,
            redis_address: asked.redis.clone(),
        }
    }

    /// Waits until what was just made is no news to PostgreSQL.
    pub async fn settle(&self) -> Result<()> {
        match &self.database {
            Some(database) => database.analyze().await,
            None => Ok(()),
        }
    }

    /// Resident memory of the server, in KiB.
    pub fn server_kib(&self) -> Option<u64> {
        self.server.and_then(rss_kib)
    }

    /// What needs no question: CPU and bytes.
    pub fn look(&self) -> Moment {
        let mut used = Amounts::new();
        let mut note = |resource: Resource, seconds: Option<f64>| {
            if let Some(seconds) = seconds {
                used.insert(resource, seconds * 1e6);
            }
        };
        note(Resource::ServerUs, self.server.and_then(cpu));
        note(Resource::RedisUs, self.redis.and_then(cpu));
        note(Resource::PostgresUs, self.postgres.and_then(family));
        if let Some(bytes) = loopback_bytes() {
            used.insert(Resource::NetworkBytes, bytes);
        }
        Moment { at: Instant::now(), used, own_s: cpu(std::process::id()).unwrap_or_default() }
    }

    /// What has to be asked for.
    pub async fn ask(&self, moment: &mut Moment) -> Result<()> {
        if let Some(database) = &self.database {
            let done = database.done().await?;
            for (resource, amount) in [(Resource::Statements, done.statements), (Resource::WalBytes, done.wal_bytes)] {
                moment.used.extend(amount.map(|amount| (resource, amount as f64)));
            }
        }
        if let Some(address) = &self.redis_address {
            moment.used.insert(Resource::RedisOps, redis::commands_run(address).await? as f64);
        }
        Ok(())
    }
}

impl Moment {
    /// The answers of this one with the rest of a later one.
    pub fn again(self, later: Moment) -> Moment {
        let mut used = self.used;
        used.extend(later.used);
        Moment { used, ..later }
    }

    /// Seconds since `earlier`.
    pub fn seconds_since(&self, earlier: &Moment) -> f64 {
        self.at.duration_since(earlier.at).as_secs_f64()
    }

    /// What was used since `earlier`, by the second.
    pub fn used_since(&self, earlier: &Moment) -> Amounts {
        let seconds = self.seconds_since(earlier);
        let since =
            |(resource, now): (&Resource, &f64)| Some((*resource, (now - earlier.used.get(resource)?) / seconds));
        self.used.iter().filter_map(since).collect()
    }

    /// Cores that we used ourselves since `earlier`.
    pub fn own_busy_since(&self, earlier: &Moment) -> f64 {
        (self.own_s - earlier.own_s) / self.seconds_since(earlier)
    }
}

/// CPU seconds of a process and of all children that it has, or had.
fn family(pid: u32) -> Option<f64> {
    let living: f64 = children(pid).into_iter().filter_map(cpu).sum();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some(living + cpu(pid)? + (ticks(13)? + ticks(14)?) / 100.0)
}

/// CPU seconds of the threads that a process has now, to the nanosecond: short runs need more than the hundredths of
/// `stat`. What threads used that have ended is not in it.
fn on_cpu(pid: u32) -> Option<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        sum += text.split_whitespace().next()?.parse::<f64>().ok()?;
    }
    Some(sum / 1e9)
}

/// CPU seconds of a process, as finely as the kernel says.
fn cpu(pid: u32) -> Option<f64> {
    on_cpu(pid).or_else(|| cpu_seconds(pid))
}

/// The processes that a process started and that still run.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn is_called(pid: u32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
}

/// Bytes over the loopback interface, both ways, with the heads of TCP and IP.
fn loopback_bytes() -> Option<f64> {
    let text = fs::read_to_string("/proc/net/dev").ok()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:"))?;
    line.split_whitespace().next()?.parse().ok()
}
