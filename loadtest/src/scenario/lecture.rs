//! One large room: a few people nudge, everybody gets it. Broadcasts are not thinned out like slots; who falls far behind
//! skips some, and that is counted.

use anyhow::Result;

use crate::Common;
use crate::fanout::bench::Load;
use crate::fanout::group::Spec;
use crate::fanout::speech::Kind;
use crate::fanout::{Fanout, FanoutArgs, highest, runs};

/// `lecture`
#[derive(Debug, Clone, clap::Args)]
pub struct LectureArgs {
    /// Connections in the room.
    #[arg(long, default_value_t = 5_000)]
    people: usize,
    /// Those among them who take turns at publishing, 4 if not said otherwise, and 64 for --highest: a connection may
    /// publish 250 times a second.
    #[arg(long)]
    publishers: Option<usize>,
    /// Messages a second.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Search the highest rate at which nothing is lost or skipped and p99 is within --p99-ms.
    #[arg(long)]
    highest: bool,
    /// What counts as in time for --highest.
    #[arg(long, default_value_t = 250.0)]
    p99_ms: f64,
    #[command(flatten)]
    fanout: FanoutArgs,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &LectureArgs) -> Result<bool> {
    let publishers = args.publishers.unwrap_or(if args.highest { 64 } else { 4 });
    let specs = [spec(args.people, publishers)];
    let mut fanout = Fanout::new(common, &args.fanout).await?;
    fanout.fill(&specs, args.fanout.send).await?;
    let runs = if args.highest {
        let bound = highest::Bound { p99_ms: args.p99_ms, conflated: false };
        highest::search(&mut fanout, &args.fanout, "lecture:highest", args.rate, bound)?
    } else {
        let scenario = if args.fanout.send { "lecture:send" } else { "lecture" };
        runs::interleaved(&mut fanout, &args.fanout, scenario, &[Load::Rate(args.rate)])?
    };
    let ok = runs::print(runs, &specs, &args.fanout, &[("rate", args.rate.into())]);
    fanout.leave().await?;
    Ok(ok)
}

/// The room.
pub fn spec(people: usize, publishers: usize) -> Spec {
    Spec { kind: Kind::Nudge, rooms: 1, people, speakers: publishers.clamp(1, people) }
}
