//! Drags in many rooms, open loop: sends follow a schedule, and latency counts from the scheduled time, so a server that
//! holds up the sender is not rewarded for it.
//!
//! Each publisher drags its own widget, a slot of its own. Slots are latest-wins: a skipped value is conflated, not lost,
//! as long as the last one arrives.

use anyhow::Result;

use crate::Common;
use crate::fanout::bench::Load;
use crate::fanout::group::Spec;
use crate::fanout::speech::Kind;
use crate::fanout::{Fanout, FanoutArgs, runs};

/// `rooms`
#[derive(Debug, Clone, clap::Args)]
pub struct RoomsArgs {
    /// How many rooms.
    #[arg(long, default_value_t = 500)]
    rooms: usize,
    /// Connections in each room; all of them read.
    #[arg(long, default_value_t = 4)]
    people: usize,
    /// Those among them who drag.
    #[arg(long, default_value_t = 4)]
    publishers: usize,
    /// Values a second in each room, from all its publishers together.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    #[command(flatten)]
    fanout: FanoutArgs,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &RoomsArgs) -> Result<bool> {
    let speakers = args.publishers.clamp(1, args.people);
    let specs = [Spec { kind: Kind::Drag, rooms: args.rooms, people: args.people, speakers }];
    let mut fanout = Fanout::new(common, &args.fanout).await?;
    fanout.fill(&specs, args.fanout.send).await?;
    let scenario = if args.fanout.send { "rooms:send" } else { "rooms" };
    let mut runs = runs::interleaved(&mut fanout, &args.fanout, scenario, &[Load::Rate(args.rate)])?;
    for run in &mut runs {
        run.parameters = runs::parameters(&specs, &args.fanout);
        run.parameters.insert("rate".to_owned(), args.rate.into());
    }
    let ok = runs::print(&runs);
    fanout.leave().await?;
    Ok(ok)
}
