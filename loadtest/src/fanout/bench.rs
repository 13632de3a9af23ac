//! Windows of load, one server at a time, and what they come to.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::world::World;
use crate::engine::Engine;
use crate::process::{Meter, machine_cpu_seconds};
use crate::report::Latency;
use crate::report::run::{Sample, Window};

/// Sent before what has arrived is looked at.
const SENDS_AT_ONCE: usize = 32;
/// From the preparation of a window to its first send.
const LEAD: Duration = Duration::from_millis(2);
/// Without a word for this long a server has said everything.
const CALM: Duration = Duration::from_millis(100);
/// Longer than this nobody waits for it.
const CALM_WITHIN: Duration = Duration::from_secs(30);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// What a window is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// By group: how it speaks.
    pub groups: Vec<Load>,
    /// How long.
    pub seconds: f64,
    /// After the last send; what has not arrived then is lost.
    pub settle: Duration,
}

/// How a group speaks.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// So many messages a second in each room.
    Rate(f64),
    /// So many messages under way.
    InFlight(usize),
}

/// What a window came to.
pub struct Measured {
    /// The figures; latencies are those of the first group.
    pub window: Window,
    /// By group.
    pub latency: Vec<Latency>,
    /// About one a second.
    pub series: Vec<Sample>,
    /// Cores that neither the server nor we used.
    pub other_busy: Option<f64>,
}

/// The sockets and everybody behind them.
pub struct Bench {
    /// The sockets.
    pub engine: Engine,
    /// Everybody behind them.
    pub world: World,
    /// Our own CPU time, spinning included.
    pub own: Meter,
    /// When the run began.
    pub started: Instant,
}

/// Takes samples of one window.
struct Sampler {
    target: usize,
    begun: Instant,
    idle: Duration,
    /// At the sample before.
    before: Instant,
    idle_before: Duration,
    cpu_before: Option<f64>,
    delivered_before: u64,
    latency: Vec<Latency>,
    series: Vec<Sample>,
}

impl Bench {
    /// Puts one server under load.
    pub fn window(&mut self, index: usize, plan: &Plan) -> Result<Measured> {
        let mut sampler = Sampler::new(self, index);
        let (cpu, delivered, others) = (sampler.cpu_before, sampler.delivered_before, sampler.others(self));
        let start = sampler.begun + LEAD;
        let target = &mut self.world.targets[index];
        let mut planned: f64 = 0.0;
        for (group, load) in target.groups.iter_mut().zip(&plan.groups) {
            group.last_at = None;
            match *load {
                Load::Rate(rate) => planned = planned.max(group.begin_open(start, rate, plan.seconds)),
                Load::InFlight(size) => {
                    group.begin_closed(size, start + Duration::from_secs_f64(plan.seconds));
                    planned = planned.max(plan.seconds);
                }
            }
        }
        let end = start + Duration::from_secs_f64(planned);
        loop {
            let now = Instant::now();
            let next_due = self.say(index, now)?;
            let next_sample = sampler.before + SAMPLE_EVERY;
            self.engine.turn(&mut self.world, next_due.unwrap_or(now + Duration::from_millis(1)).min(next_sample))?;
            if next_due.is_none() && (self.world.targets[index].quiet() || now > end + plan.settle) {
                break;
            }
            if now >= next_sample {
                sampler.take(self);
            }
        }
        sampler.take(self);
        let last = self.world.targets[index].groups.iter().filter_map(|group| group.last_at).max();
        let seconds = last.map_or(planned, |last| (last - start).as_secs_f64().max(planned));
        let first = &sampler.latency[0];
        let window = Window {
            seconds,
            delivered: sampler.delivered_before - delivered,
            server_cpu_s: sampler.cpu_before.zip(cpu).map(|(after, before)| after - before),
            own_cpu_s: ((sampler.before - sampler.begun) - (sampler.idle_before - sampler.idle)).as_secs_f64(),
            p50_ms: first.quantile(0.5).unwrap_or(0.0),
            p99_ms: first.quantile(0.99).unwrap_or(0.0),
            p999_ms: first.quantile(0.999).unwrap_or(0.0),
            max_ms: first.quantile(1.0).unwrap_or(0.0),
        };
        let others = sampler.others(self).zip(others).map(|(after, before)| after - before);
        let other_busy = others.map(|cpu| cpu / (sampler.before - sampler.begun).as_secs_f64());
        self.rest(index, plan.settle)?;
        Ok(Measured { window, latency: sampler.latency, series: sampler.series, other_busy })
    }

    /// Sends what is due. When the next is; `None` when all has been said.
    fn say(&mut self, index: usize, now: Instant) -> Result<Option<Instant>> {
        let mut next_due = None;
        for group in &mut self.world.targets[index].groups {
            for _ in 0..SENDS_AT_ONCE {
                let Some((socket, frame)) = group.say(Instant::now()) else {
                    break;
                };
                // A connection that ended has been counted; what it was to send is lost.
                let _ = self.engine.send_frame(socket, frame);
            }
            let due = group.next_due().or_else(|| (!group.all_said(now)).then(|| now + Duration::from_millis(1)));
            next_due = next_due.into_iter().chain(due).min();
        }
        Ok(next_due)
    }

    /// Ends the stretch: lets go of what is dragged and waits until that is said.
    fn rest(&mut self, index: usize, within: Duration) -> Result<()> {
        let target = &mut self.world.targets[index];
        target.groups.iter_mut().for_each(|group| group.end());
        let lines: Vec<(usize, String)> = target.groups.iter_mut().flat_map(|group| group.let_go()).collect();
        for lines in lines.chunks(SENDS_AT_ONCE) {
            for (socket, line) in lines {
                let _ = self.engine.send(*socket, line.as_bytes());
            }
            self.engine.turn(&mut self.world, Instant::now())?;
        }
        let until = Instant::now() + within;
        while !self.world.targets[index].quiet() && Instant::now() < until {
            self.engine.turn(&mut self.world, Instant::now() + Duration::from_millis(10))?;
        }
        for group in &mut self.world.targets[index].groups {
            (group.owed, group.unanswered) = (0, 0);
        }
        Ok(())
    }

    /// Waits until a server that was asked too much has come to the end of it.
    pub fn calm(&mut self) -> Result<()> {
        let (mut last, until) = (Instant::now(), Instant::now() + CALM_WITHIN);
        while last.elapsed() < CALM && Instant::now() < until {
            if self.engine.turn(&mut self.world, Instant::now() + CALM)? {
                last = Instant::now();
            }
        }
        Ok(())
    }

    /// Closes all connections; those who sat there are forgotten.
    pub fn hang_up(&mut self) {
        self.engine.close_all();
        self.world.clear();
    }

    /// Answers pings for a while.
    pub fn wait(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.engine.turn(&mut self.world, until)?;
        }
        Ok(())
    }
}

impl Sampler {
    fn new(bench: &mut Bench, target: usize) -> Self {
        let groups = bench.world.targets[target].groups.len();
        // The first "sample" sets what the next ones are compared with.
        let now = Instant::now();
        let mut sampler = Self {
            target,
            begun: now,
            idle: bench.engine.idle(),
            before: now,
            idle_before: bench.engine.idle(),
            cpu_before: None,
            delivered_before: 0,
            latency: (0..groups).map(|_| Latency::new()).collect(),
            series: Vec::new(),
        };
        let target = &mut bench.world.targets[target];
        target.groups.iter_mut().for_each(|group| drop(group.take_recent()));
        sampler.cpu_before = target.meter.as_mut().and_then(|meter| meter.cpu_seconds());
        sampler.delivered_before = target.groups.iter().map(|group| group.counts.delivered).sum();
        sampler.begun = Instant::now();
        sampler.before = sampler.begun;
        sampler
    }

    /// CPU time of this machine that is neither the server's nor ours.
    fn others(&self, bench: &mut Bench) -> Option<f64> {
        Some(machine_cpu_seconds()? - bench.own.cpu_seconds()? - self.cpu_before?)
    }

    fn take(&mut self, bench: &mut Bench) {
        let now = Instant::now();
        let idle = bench.engine.idle();
        let target = &mut bench.world.targets[self.target];
        let cpu = target.meter.as_mut().and_then(|meter| meter.cpu_seconds());
        let delivered: u64 = target.groups.iter().map(|group| group.counts.delivered).sum();
        let seconds = (now - self.before).as_secs_f64();
        let mut quantiles = (None, None);
        for (place, group) in target.groups.iter_mut().enumerate() {
            let recent = group.take_recent();
            if place == 0 {
                quantiles = (recent.quantile(0.5), recent.quantile(0.99));
            }
            self.latency[place].add(&recent);
        }
        self.series.push(Sample {
            at_s: (now - bench.started).as_secs_f64(),
            delivered_per_s: (delivered - self.delivered_before) as f64 / seconds,
            p50_ms: quantiles.0,
            p99_ms: quantiles.1,
            server_busy: cpu.zip(self.cpu_before).map(|(after, before)| (after - before) / seconds),
            own_busy: 1.0 - (idle - self.idle_before).as_secs_f64() / seconds,
            server_rss_kib: target.meter.as_ref().and_then(|meter| meter.rss_kib()),
        });
        (self.before, self.idle_before, self.cpu_before, self.delivered_before) = (now, idle, cpu, delivered);
    }
}
