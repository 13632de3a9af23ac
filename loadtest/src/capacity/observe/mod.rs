//! What server, PostgreSQL, Redis and we ourselves have used so far.

use std::fs;
use std::time::Instant;

use anyhow::Result;

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
    /// The server's PostgreSQL, to count statements (with the extension pg_stat_statements) and bytes of its log.
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
    asked: Observed,
    counts: bool,
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
        let counts = match &asked.database_url {
            Some(url) => postgres::count_statements(url).await,
            None => false,
        };
        Self {
            server,
            postgres: asked.postgres_pid.or_else(|| child("postgres")),
            redis: asked.redis_pid.or_else(|| child("redis-server")),
            asked: asked.clone(),
            counts,
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
        note(Resource::ServerUs, self.server.and_then(cpu_seconds));
        note(Resource::RedisUs, self.redis.and_then(cpu_seconds));
        note(Resource::PostgresUs, self.postgres.and_then(family));
        if let Some(bytes) = loopback_bytes() {
            used.insert(Resource::NetworkBytes, bytes);
        }
        Moment { at: Instant::now(), used, own_s: cpu_seconds(std::process::id()).unwrap_or_default() }
    }

    /// What has to be asked for.
    pub async fn ask(&self, moment: &mut Moment) -> Result<()> {
        if let Some(url) = &self.asked.database_url {
            let done = postgres::done(url, self.counts).await?;
            moment.used.insert(Resource::WalBytes, done.wal_bytes as f64);
            if let Some(statements) = done.statements {
                moment.used.insert(Resource::Statements, statements as f64);
            }
        }
        if let Some(address) = &self.asked.redis {
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
    let living: f64 = children(pid).into_iter().filter_map(|child| on_cpu(child).or_else(|| cpu_seconds(child))).sum();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some(living + cpu_seconds(pid)? + (ticks(13)? + ticks(14)?) / 100.0)
}

/// CPU seconds of a process with one thread, to the nanosecond.
fn on_cpu(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
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
