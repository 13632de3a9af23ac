//! Likes and comments on hot posts.

mod crowd;
mod likes;

use anyhow::Result;

use crate::Common;

/// `feed`
#[derive(Debug, Clone, clap::Args)]
pub struct FeedArgs {
    /// Instead: everybody of the pool likes one post, and again when that is acknowledged.
    #[arg(long)]
    likes: bool,
    /// Connections that look on; each likes and comments as well.
    #[arg(long, default_value_t = 100)]
    viewers: usize,
    /// Profiles that each of them has subscribed; as many as the pool has people.
    #[arg(long, default_value_t = 200)]
    profiles: usize,
    /// Posts that are liked and commented, each of another person.
    #[arg(long, default_value_t = 10)]
    posts: usize,
    /// Commands a second, on a schedule: a comment, then four likes, and so on.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Measured stretches.
    #[arg(long, default_value_t = 1)]
    windows: usize,
    /// Length of each.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds of load before the first one.
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// The first process of PostgreSQL, for its CPU time.
    #[arg(long)]
    postgres_pid: Option<u32>,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &FeedArgs) -> Result<bool> {
    if args.likes { likes::run(common, args).await } else { crowd::run(common, args).await }
}
