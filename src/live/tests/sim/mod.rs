//! Engines over one log in memory, and everything that may go wrong around them, from one seed: hints that are lost,
//! come twice or in any order, engines that crash, answers that come late, readers that stop, people who are put out, a
//! log that is cut off or restored. Time stands still until everybody waits. What must be true is asserted where a client
//! reads a line ([`client`]), and at the end, when all is well again ([`world`]).
//!
//! `SEED=n cargo test --lib live::tests::sim` does one plan again. What the engine itself leaves to chance (the order of
//! a hash map, which of two ready branches goes first) is not in the seed.

mod client;
mod plan;
mod world;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use self::plan::{Step, plan};
use self::world::World;

/// What all plans together have seen: a world in which nothing goes wrong proves nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    pub events: u64,
    pub subscribed: u64,
    pub resumed: u64,
    pub unrecoverable: u64,
    pub put_out: u64,
    pub closed: u64,
    pub lost_hints: u64,
    pub pages: u64,
    pub crashes: u64,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.events += other.events;
        self.subscribed += other.subscribed;
        self.resumed += other.resumed;
        self.unrecoverable += other.unrecoverable;
        self.put_out += other.put_out;
        self.closed += other.closed;
        self.lost_hints += other.lost_hints;
        self.pages += other.pages;
        self.crashes += other.crashes;
    }
}

/// One plan from its beginning to the end.
fn run(seed: u64) -> Result<Seen, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let steps = plan(&mut random);
    let mut done = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let ended = runtime.block_on(
        AssertUnwindSafe(async {
            let mut world = World::new(random);
            for step in &steps {
                done += 1;
                world.step(*step).await;
            }
            world.heal().await
        })
        .catch_unwind(),
    );
    // Tasks of engines that hang are not waited for.
    runtime.shutdown_background();
    ended.map_err(|why| {
        let why = why.downcast_ref::<String>().cloned().or(why.downcast_ref::<&str>().map(|why| (*why).to_owned()));
        let last: Vec<Step> = steps[..done].iter().rev().take(25).rev().copied().collect();
        format!("SEED={seed} after {done} steps: {}\nthe last ones: {last:?}", why.unwrap_or_default())
    })
}

#[expect(clippy::disallowed_methods, reason = "the product reads its settings in one place; this is none of them")]
fn seed() -> Option<u64> {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok())
}

/// So many plans, or the one of `SEED`.
fn plans(count: u64) {
    let first = seed();
    let seeds = first.map_or(0..count, |seed| seed..seed + 1);
    let from = if first.is_some() { 0 } else { rand::random::<u32>().into() };
    println!("SEED={} and the {} behind it", seeds.start + from, seeds.end - seeds.start);
    let began = std::time::Instant::now();
    let mut seen = Seen::default();
    for seed in seeds.clone() {
        match run(seed + from) {
            Ok(one) => seen.add(one),
            Err(why) => panic!("{why}"),
        }
    }
    println!("{} plans in {:.1} s: {seen:?}", seeds.end - seeds.start, began.elapsed().as_secs_f64());
    if first.is_none() {
        let each =
            [seen.events, seen.resumed, seen.unrecoverable, seen.put_out, seen.closed, seen.lost_hints, seen.pages];
        assert!(each.iter().all(|seen| *seen > count / 10), "hardly anything went wrong: {seen:?}");
    }
}

#[test]
fn five_hundred_plans() {
    plans(500);
}

#[test]
#[ignore = "takes minutes: make test-long"]
fn ten_thousand_plans() {
    plans(10_000);
}
