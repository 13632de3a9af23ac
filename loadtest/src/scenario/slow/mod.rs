//! The slow-reader proof: one room, ordinary readers, and readers that stop and then crawl.
//!
//! Writers commit numbered events as fast as the server takes them. Every reader must get all of them,
//! in order, without a hole, however slow it is; and the slow ones must cost the server next to nothing
//! and the ordinary ones no time. `--compare` makes the same run without slow readers first.

mod reader;
mod writer;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use studyhall_protocol::Channel;

use self::reader::Reader;
use self::writer::Writer;
use super::{all_ready, settle};
use crate::Common;
use crate::client::Pace;
use crate::process::{Usage, rss_kib};
use crate::report::{Latency, Report};
use crate::setup::{Account, Api, Room};

/// What a slow reader may cost the server.
const KIB_PER_SLOW_READER_MAX: f64 = 64.0;

/// `slow`
#[derive(Debug, Clone, clap::Args)]
pub struct SlowArgs {
    /// Readers that take all they get.
    #[arg(long, default_value_t = 20)]
    ordinary: usize,
    /// Readers that stop and then crawl.
    #[arg(long, default_value_t = 50)]
    slow: usize,
    /// Numbered events in all.
    #[arg(long, default_value_t = 20_000)]
    events: u32,
    /// Connections that write; the server allows each some 250 commands a second.
    #[arg(long, default_value_t = 12)]
    writers: usize,
    /// Commands that each writer has under way.
    #[arg(long, default_value_t = 16)]
    window: u32,
    /// Commands a second of each writer, after a first burst.
    #[arg(long, default_value_t = 240.0)]
    per_writer: f64,
    /// For how long slow readers read nothing.
    #[arg(long, default_value_t = 10.0)]
    stall: f64,
    /// KiB a second that slow readers read afterwards.
    #[arg(long, default_value_t = 50)]
    crawl_kib: u32,
    /// KiB a second that slow readers read once the writers are done, so that the run ends.
    #[arg(long, default_value_t = 1024)]
    catch_up_kib: u32,
    /// `SO_RCVBUF` of slow readers, in bytes.
    #[arg(long, default_value_t = 8 * 1024)]
    receive_buffer: u32,
    /// First the same without slow readers, then with them; prints the difference.
    #[arg(long)]
    compare: bool,
}

/// What all connections of a run share.
struct Shared {
    host: String,
    channel: Channel,
    ready: Cell<usize>,
    /// Reset when the writers start, so that nobody measures what was before.
    latency: RefCell<Latency>,
    /// When each command was last sent, by writer and number.
    sent_at: RefCell<Vec<Vec<Option<Instant>>>>,
    /// Of slow readers.
    pace: Rc<Cell<Pace>>,
    acked: Cell<u32>,
    /// What the acknowledgements promise; see [`fingerprint`].
    promised: Cell<u64>,
    refused: Cell<u64>,
    broken: Cell<u64>,
    /// Why connections ended that were taken up again.
    resumed: RefCell<BTreeMap<String, u64>>,
    first_error: RefCell<Option<String>>,
}

impl Shared {
    fn complain(&self, text: String) {
        self.first_error.borrow_mut().get_or_insert(text);
    }
}

/// One event's part of a sum that is equal only for the same events under the same numbers.
fn fingerprint(offset: u64, writer: u64, number: u64) -> u64 {
    let mut mixed = offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (writer << 40) ^ number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// What one run came to.
struct Outcome {
    ok: bool,
    p99: Option<f64>,
    growth_kib: Option<f64>,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &SlowArgs) -> Result<bool> {
    let api = Api::new(&common.url)?;
    let accounts = api.accounts(common).await?;
    api.sweep(&accounts).await?;
    if !args.compare {
        return Ok(once(common, args, &api, &accounts).await?.ok);
    }
    let plain = once(common, &SlowArgs { slow: 0, ..args.clone() }, &api, &accounts).await?;
    let slow = once(common, args, &api, &accounts).await?;
    let per_reader =
        plain.growth_kib.zip(slow.growth_kib).map(|(plain, slow)| (slow - plain) / args.slow.max(1) as f64);
    // Half as much again and some milliseconds: two runs on a shared machine are never the same.
    let in_time = plain.p99.zip(slow.p99).is_none_or(|(plain, slow)| slow <= plain * 1.5 + 20.0);
    let small = per_reader.is_none_or(|kib| kib <= KIB_PER_SLOW_READER_MAX);
    let ok = plain.ok && slow.ok && small && in_time;
    let mut report = Report::new("slow-compare");
    report.set("slow", args.slow).number("server_kib_per_slow_reader", per_reader);
    report.number("ordinary_p99_without_ms", plain.p99).number("ordinary_p99_with_ms", slow.p99);
    report.set("memory_ok", small).set("latency_ok", in_time).set("ok", ok).print();
    Ok(ok)
}

async fn once(common: &Common, args: &SlowArgs, api: &Api, accounts: &[Account]) -> Result<Outcome> {
    // A room of its own for each run: both start with an empty ring.
    let room = api.rooms(accounts, 1, accounts.len(), args.writers).await?.remove(0);
    let shared = Rc::new(Shared {
        host: api.host.clone(),
        channel: room.channel,
        ready: Cell::default(),
        latency: RefCell::new(Latency::new()),
        sent_at: RefCell::new(vec![Vec::new(); args.writers]),
        pace: Rc::new(Cell::new(Pace::Open)),
        acked: Cell::default(),
        promised: Cell::default(),
        refused: Cell::default(),
        broken: Cell::default(),
        resumed: RefCell::default(),
        first_error: RefCell::default(),
    });
    let readers = (0..args.ordinary + args.slow).map(|index| {
        let account = &accounts[room.members[index % room.members.len()]];
        let receive_buffer = (index >= args.ordinary).then_some(args.receive_buffer);
        Reader::start(shared.clone(), &account.token, &room.widgets, receive_buffer)
    });
    let readers: Vec<Rc<Reader>> = readers.collect();
    let writers = writers(args, accounts, &room, &shared).await?;
    all_ready(&shared.ready, readers.len() + writers.len(), Duration::from_secs(30)).await?;
    // Connecting has allocated; let that come to rest.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let written = write(common, args, &shared, &writers).await;
    let outcome = catch_up(args, &shared, &readers, written).await?;
    api.sweep(accounts).await?;
    Ok(outcome)
}

/// The events are split evenly; the first writers take the rest.
async fn writers(args: &SlowArgs, accounts: &[Account], room: &Room, shared: &Rc<Shared>) -> Result<Vec<Rc<Writer>>> {
    let mut writers = Vec::with_capacity(args.writers);
    for (index, widget) in room.widgets.iter().enumerate() {
        let account = &accounts[room.members[index % room.members.len()]];
        let share = args.events / args.writers as u32 + u32::from((index as u32) < args.events % args.writers as u32);
        writers.push(Writer::start(shared.clone(), index, *widget, account, share, args).await?);
    }
    Ok(writers)
}

/// The part of a run in which the writers write.
struct Written {
    report: Report,
    growth_kib: Option<f64>,
    all_acknowledged: bool,
}

async fn write(common: &Common, args: &SlowArgs, shared: &Rc<Shared>, writers: &[Rc<Writer>]) -> Written {
    let rss = || common.server_pid.and_then(rss_kib);
    let (baseline, peak) = (rss(), Cell::new(rss()));
    let before = Usage::now(common.server_pid);
    shared.pace.set(Pace::Stopped);
    *shared.latency.borrow_mut() = Latency::new();
    writers.iter().for_each(|writer| writer.go());
    let crawl_at = Instant::now() + Duration::from_secs_f64(args.stall);
    let deadline = Instant::now() + Duration::from_secs(300);
    let done = || shared.acked.get() >= args.events || Instant::now() >= deadline || shared.broken.get() > 0;
    while !done() || Instant::now() < crawl_at {
        if Instant::now() >= crawl_at {
            shared.pace.set(Pace::Bytes(args.crawl_kib * 1024));
        }
        peak.set(peak.get().max(rss()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = Usage::now(common.server_pid);
    let growth_kib = peak.get().zip(baseline).map(|(peak, baseline)| peak as f64 - baseline as f64);
    let mut report = Report::new("slow");
    report.set("ordinary", args.ordinary).set("slow", args.slow).set("events", args.events);
    let took = writers.iter().filter_map(|writer| writer.took()).max().unwrap_or_default();
    report.set("acked", shared.acked.get()).number("acks_per_s", f64::from(shared.acked.get()) / took.as_secs_f64());
    report.latency("ordinary", &shared.latency.borrow());
    let busy = after.server_since(&before).map(|cpu| cpu / after.seconds_since(&before));
    report.number("server_busy", busy).number("own_busy", after.own_busy_since(&before));
    report.set("server_rss_kib", baseline).number("server_growth_kib", growth_kib);
    Written { report, growth_kib, all_acknowledged: shared.acked.get() >= args.events }
}

/// Lets the slow readers come to the end, and counts who got what.
async fn catch_up(args: &SlowArgs, shared: &Shared, readers: &[Rc<Reader>], written: Written) -> Result<Outcome> {
    let started = Instant::now();
    let behind = readers.iter().map(|reader| u64::from(args.events).saturating_sub(reader.events())).max().unwrap_or(0);
    shared.pace.set(Pace::Bytes(args.catch_up_kib * 1024));
    let complete = || readers.iter().all(|reader| reader.events() >= u64::from(args.events));
    // An event takes less than a KiB, and whoever crawls may take that long for all of them.
    let patience = Duration::from_secs(180 + u64::from(args.events / args.catch_up_kib.max(1)));
    let arrived = settle(patience, || complete() || shared.broken.get() > 0).await;
    let incomplete = readers.iter().filter(|reader| !reader.has(args.events.into(), shared.promised.get())).count();
    let ok = arrived
        && written.all_acknowledged
        && incomplete == 0
        && shared.broken.get() == 0
        && shared.first_error.borrow().is_none();
    let p99 = shared.latency.borrow().quantile(0.99);
    let Written { mut report, growth_kib, .. } = written;
    report.set("furthest_behind", behind).number("catch_up_seconds", started.elapsed().as_secs_f64());
    report.set("throttled", shared.refused.get()).set("resumed", json!(*shared.resumed.borrow()));
    report.set("holes", shared.broken.get()).set("incomplete_readers", incomplete);
    report.set("error", shared.first_error.borrow().clone()).set("ok", ok).print();
    readers.iter().for_each(|reader| reader.stop());
    Ok(Outcome { ok, p99, growth_kib })
}
