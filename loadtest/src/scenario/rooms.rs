//! Drags in many rooms, open loop: sends follow a schedule, and latency counts from the scheduled time, so a server that
//! holds up the sender is not rewarded for it.
//!
//! Each publisher drags its own widget, a slot of its own. Slots are latest-wins: a skipped value is conflated, not lost,
//! as long as the last one arrives.

use anyhow::Result;

use super::lecture;
use crate::Common;
use crate::fanout::bench::Load;
use crate::fanout::group::Spec;
use crate::fanout::speech::Kind;
use crate::fanout::{Fanout, FanoutArgs, highest, runs};

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
    /// Search the highest rate at which nothing is lost or conflated and p99 is within --p99-ms.
    #[arg(long, conflicts_with = "beside_lecture")]
    highest: bool,
    /// What counts as in time for --highest.
    #[arg(long, default_value_t = 100.0)]
    p99_ms: f64,
    /// Let --highest go on where newer values replace older ones; what is received counts.
    #[arg(long, requires = "highest")]
    conflated: bool,
    /// While a room of so many people gets a broadcast ten times a second.
    #[arg(long)]
    beside_lecture: Option<usize>,
    #[command(flatten)]
    fanout: FanoutArgs,
}

/// Messages a second in the large room.
const LECTURE_RATE: f64 = 10.0;
/// Those who publish there.
const LECTURERS: usize = 4;

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &RoomsArgs) -> Result<bool> {
    let speakers = args.publishers.clamp(1, args.people);
    let mut specs = vec![Spec { kind: Kind::Drag, rooms: args.rooms, people: args.people, speakers }];
    let mut loads = vec![Load::Rate(args.rate)];
    if let Some(people) = args.beside_lecture {
        specs.push(lecture::spec(people, LECTURERS));
        loads.push(Load::Rate(LECTURE_RATE));
    }
    let mut fanout = Fanout::new(common, &args.fanout).await?;
    fanout.fill(&specs, args.fanout.send).await?;
    let runs = if args.highest {
        let bound = highest::Bound { p99_ms: args.p99_ms, conflated: args.conflated };
        highest::search(&mut fanout, &args.fanout, "rooms:highest", args.rate, bound)?
    } else {
        let scenario = match (args.beside_lecture, args.fanout.send) {
            (Some(_), _) => "rooms:lecture",
            (None, true) => "rooms:send",
            (None, false) => "rooms",
        };
        runs::interleaved(&mut fanout, &args.fanout, scenario, &loads)?
    };
    let ok = runs::print(runs, &specs, &args.fanout, &[("rate", args.rate.into())]);
    fanout.leave().await?;
    Ok(ok)
}
