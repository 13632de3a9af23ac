//! Every setting, with its name, unit and default. The environment is read here and nowhere else.

use std::fmt;
use std::net::{AddrParseError, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Whoever operates nodes counts on 30 s from the signal to the end.
const DRAIN_PART_MAX: Duration = Duration::from_secs(10);

/// What `studyhall` can be told. Flags win over the environment.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address to serve on.
    #[arg(long, env = "STUDYHALL_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Address of the page of metrics, which is for this machine only; `off`: none.
    #[arg(long, env = "STUDYHALL_METRICS_LISTEN", default_value = "127.0.0.1:9464")]
    pub metrics_listen: MetricsListen,

    /// Directory of the private servers, when there are any.
    #[arg(long, env = "STUDYHALL_DATA", default_value = ".studyhall")]
    pub data: PathBuf,

    /// PostgreSQL; without it a private one is started.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Redis; without it a private one is started where possible. Of a Redis Cluster several addresses, separated by
    /// commas.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// Directory of `postgres` and `initdb`, when they are in an unusual place.
    #[arg(long, env = "STUDYHALL_PG_BIN")]
    pub pg_bin: Option<PathBuf>,

    /// Web origins of front-ends on other hosts, such as `https://app.example.org`, separated by commas.
    #[arg(long, env = "STUDYHALL_ORIGINS", value_delimiter = ',')]
    pub origins: Vec<String>,

    /// Whether people reach this server over HTTPS: the cookie is then marked so and bound to the host.
    #[arg(long, env = "STUDYHALL_SECURE_COOKIE", default_value_t = false, action = clap::ArgAction::Set)]
    pub secure_cookie: bool,

    /// Connections to PostgreSQL.
    #[arg(long, env = "STUDYHALL_DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..))]
    pub database_connections: u32,

    /// Commands that run or wait for a connection at once; more are answered with 503.
    #[arg(long, env = "STUDYHALL_COMMANDS_MAX", default_value_t = 1_000)]
    pub commands_max: usize,

    /// Sockets at once; more are answered with 503.
    #[arg(long, env = "STUDYHALL_CONNECTIONS_MAX", default_value_t = 18_000)]
    pub connections_max: usize,

    /// Sockets on their way in at a time, from the upgrade until their first subscriptions are answered; more are answered
    /// with 503 and come again.
    #[arg(long, env = "STUDYHALL_ARRIVALS_MAX", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub arrivals_max: u32,

    /// Commands a second and socket, on average; above it they are answered with error 111.
    #[arg(long, env = "STUDYHALL_COMMANDS_PER_SECOND", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..))]
    pub commands_per_second: u32,

    /// Commands at once and socket. A reconnect sends all its subscribes in one go, so not below 600.
    #[arg(long, env = "STUDYHALL_COMMANDS_BURST", default_value_t = 1_200, value_parser = clap::value_parser!(u32).range(600..))]
    pub commands_burst: u32,

    /// REST requests a second on average, by person, or by address for whoever is not known yet; 0: no limit.
    #[arg(long, env = "STUDYHALL_REQUESTS_PER_SECOND", default_value_t = 50)]
    pub requests_per_second: u32,

    /// REST requests at once, by person or address.
    #[arg(long, env = "STUDYHALL_REQUESTS_BURST", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_burst: u32,

    /// New accounts an hour and address, as many of them at once; 0: no limit.
    #[arg(long, env = "STUDYHALL_SIGN_UPS_PER_HOUR", default_value_t = 20)]
    pub sign_ups_per_hour: u32,

    /// Whether requests from this very machine (127.0.0.1, ::1) are limited too; `dev` does not.
    #[arg(long, env = "STUDYHALL_LIMIT_LOOPBACK", default_value_t = true, action = clap::ArgAction::Set)]
    pub limit_loopback: bool,

    /// Proxies in front that append to `X-Forwarded-For`: as many entries, from the right, are believed.
    #[arg(long, env = "STUDYHALL_TRUSTED_PROXIES", default_value_t = 0)]
    pub trusted_proxies: usize,

    /// Bytes of recent events that a node keeps for all its channels together.
    #[arg(long, env = "STUDYHALL_RING_BYTES_MAX", default_value_t = 64 * 1024 * 1024)]
    pub ring_bytes_max: usize,

    /// Bytes of log pages that slow readers share.
    #[arg(long, env = "STUDYHALL_PAGE_BYTES_MAX", default_value_t = 2 * 1024 * 1024)]
    pub page_bytes_max: usize,

    /// Days of log before today.
    #[arg(long, env = "STUDYHALL_LOG_DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub log_days: u32,

    /// Hours for which an operation id is remembered; clients count on 24.
    #[arg(long, env = "STUDYHALL_OPERATION_HOURS", default_value_t = 48, value_parser = clap::value_parser!(u32).range(24..))]
    pub operation_hours: u32,

    /// Days for which the record of who did what is kept; every person can read what is about them.
    #[arg(long, env = "STUDYHALL_AUDIT_DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..))]
    pub audit_days: u32,

    /// Days until a sign-in ends by itself.
    #[arg(long, env = "STUDYHALL_SESSION_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub session_days: u32,

    /// Where the files of people are: `file:///folder`, or `s3://bucket/prefix`; without it the folder `attachments` of the
    /// data directory. The same place for all nodes.
    #[arg(long, env = "STUDYHALL_STORE_URL")]
    pub store_url: Option<String>,

    /// Address of a store that speaks S3 and is not Amazon's, such as `https://minio.example.org:9000`.
    #[arg(long, env = "STUDYHALL_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,

    /// Region of the bucket.
    #[arg(long, env = "STUDYHALL_S3_REGION", default_value = "us-east-1")]
    pub s3_region: String,

    /// Key of the bucket; without it the machine's own role is asked for.
    #[arg(long, env = "STUDYHALL_S3_ACCESS_KEY")]
    pub s3_access_key: Option<String>,

    /// Secret that belongs to the key.
    #[arg(long, env = "STUDYHALL_S3_SECRET_KEY", hide_env_values = true)]
    pub s3_secret_key: Option<Secret>,

    /// Bytes of one file.
    #[arg(long, env = "STUDYHALL_ATTACHMENT_BYTES_MAX", default_value_t = 10 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1..=5 * 1024 * 1024 * 1024))]
    pub attachment_bytes_max: u64,

    /// Bytes of all files of one person.
    #[arg(long, env = "STUDYHALL_ATTACHMENT_QUOTA_BYTES", default_value_t = 500 * 1024 * 1024)]
    pub attachment_quota_bytes: u64,

    /// Hours for which a file is kept that belongs to nothing.
    #[arg(long, env = "STUDYHALL_ORPHAN_HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..))]
    pub orphan_hours: u32,

    /// Seconds between two looks for what this node may have missed; a quarter of a second at most while Redis is gone.
    #[arg(long, env = "STUDYHALL_FOLLOW_SECONDS", default_value_t = 0.8)]
    pub follow_seconds: f64,

    /// Seconds for which a node that is told to end goes on as before, but for `/readyz`, so that a balancer notices; at
    /// most 10.
    #[arg(long, env = "STUDYHALL_DRAIN_NOTICE_SECONDS", default_value_t = 2.0)]
    pub drain_notice_seconds: f64,

    /// Seconds over which a node that is told to end sends its sockets elsewhere; at most 10.
    #[arg(long, env = "STUDYHALL_DRAIN_SECONDS", default_value_t = 8.0)]
    pub drain_seconds: f64,

    /// Seconds after which a node that Redis does not hear of is dead, and its people leave; not below 3.
    #[arg(long, env = "STUDYHALL_LEASE_SECONDS", default_value_t = 10.0)]
    pub lease_seconds: f64,

    /// How the log looks.
    #[arg(long, env = "STUDYHALL_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: levels, by module if wanted.
    #[arg(long, env = "STUDYHALL_LOG", default_value = "info,sqlx=warn")]
    pub log: String,
}

/// Is never shown, by whatever way.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// For whoever has to prove that they know it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where the page of metrics is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsListen {
    /// Nowhere.
    Off,
    /// At this address; port 0 takes a free one.
    At(SocketAddr),
}

impl FromStr for MetricsListen {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line, for programs.
    Json,
}

impl Config {
    /// Between two looks for missed events; at least 50 ms.
    pub fn follow_interval(&self) -> Duration {
        seconds(self.follow_seconds).max(Duration::from_millis(50))
    }

    /// How long the other nodes wait for a sign of life; at least 3 s, or one slow moment would look like death.
    pub fn lease(&self) -> Duration {
        seconds(self.lease_seconds).max(Duration::from_secs(3))
    }

    /// From the signal until new sockets and requests are refused; bounded, for a node has to be gone after 30 s.
    pub fn drain_notice(&self) -> Duration {
        seconds(self.drain_notice_seconds).min(DRAIN_PART_MAX)
    }

    /// Window in which sockets are told to go elsewhere; bounded likewise.
    pub fn drain_window(&self) -> Duration {
        seconds(self.drain_seconds).min(DRAIN_PART_MAX)
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::{FromArgMatches, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn defaults_and_lists() {
        let command = <Cli as clap::CommandFactory>::command().no_binary_name(true);
        command.clone().debug_assert();
        let matches = command.get_matches_from(["--origins", "https://a.example,https://b.example"]);
        let config = Cli::from_arg_matches(&matches).unwrap().config;
        assert_eq!(config.origins, ["https://a.example", "https://b.example"]);
        assert_eq!(config.follow_interval(), Duration::from_millis(800));
        assert_eq!(config.lease(), Duration::from_secs(10));
        let MetricsListen::At(metrics) = config.metrics_listen else { panic!("metrics are on by default") };
        assert!(metrics.ip().is_loopback() && metrics.port() != config.listen.port(), "{metrics}");
    }

    #[test]
    fn the_page_of_metrics_can_be_elsewhere_or_nowhere() {
        assert_eq!("off".parse(), Ok(MetricsListen::Off));
        let address = "[::1]:9000".parse().unwrap();
        assert_eq!("[::1]:9000".parse(), Ok(MetricsListen::At(address)));
        assert_eq!(format!("{:?}", Secret::from("s3cret".to_owned())), "…");
        assert!("".parse::<MetricsListen>().is_err() && "9464".parse::<MetricsListen>().is_err());
    }
}
