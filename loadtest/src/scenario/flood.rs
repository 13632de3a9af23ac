//! As much as goes through one room: so many messages are under way, and one that has arrived everywhere makes room for the
//! next. Servers that write once for everything pending win by an order of magnitude here.

use anyhow::Result;

use super::lecture;
use crate::Common;
use crate::fanout::bench::Load;
use crate::fanout::{Fanout, FanoutArgs, runs};

/// `flood`
#[derive(Debug, Clone, clap::Args)]
pub struct FloodArgs {
    /// Connections in the room.
    #[arg(long, default_value_t = 1_000)]
    people: usize,
    /// Those among them who take turns at publishing; a connection may do so 250 times a second.
    #[arg(long, default_value_t = 64)]
    publishers: usize,
    /// Messages under way.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    window: u16,
    #[command(flatten)]
    fanout: FanoutArgs,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &FloodArgs) -> Result<bool> {
    let specs = [lecture::spec(args.people, args.publishers)];
    let mut fanout = Fanout::new(common, &args.fanout).await?;
    fanout.fill(&specs, args.fanout.send).await?;
    let scenario = if args.fanout.send { "flood:send" } else { "flood" };
    let runs = runs::interleaved(&mut fanout, &args.fanout, scenario, &[Load::InFlight(args.window.into())])?;
    let ok = runs::print(runs, &specs, &args.fanout, &[("window", args.window.into())]);
    fanout.leave().await?;
    Ok(ok)
}
