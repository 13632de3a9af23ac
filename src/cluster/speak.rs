//! What this node says: its pulse, and who is where.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, Script, ScriptInvocation};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::leases::Leases;
use super::link::Shared;
use crate::live::limits::LOST_HOLD;

static TELL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("tell.lua")));
static PULSE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("pulse.lua")));

/// News is gathered for this long.
const GATHER: Duration = Duration::from_millis(50);
/// Between two batches, when there is more than one.
const PACE: Duration = Duration::from_millis(10);
/// Entries per call; Redis serves nobody else meanwhile.
const BATCH: usize = 500;
/// After Redis refused.
const REFUSED: Duration = Duration::from_secs(1);
/// Everything is said again that often, however quiet it is.
const SAY_ALL_EVERY: Duration = Duration::from_secs(6 * 3_600);
/// What nobody says again is not kept for longer.
const KEEP: Duration = Duration::from_secs(24 * 3_600);
/// Pulses that may be on their way back. With the next one, two seconds after the last that came, the link is given up.
const ECHOES_MISSING_MAX: u64 = 1;
/// A node that lost Redis lets the others renew their leases first, before it takes back what they said.
const SETTLE_PULSES: u64 = 3;

/// After this node stood still.
const CATCH_UP: Duration = Duration::from_millis(750);

/// Who this node is to the others; outlives connections.
pub(super) struct Voice {
    /// Whether the lease of this generation was begun.
    begun: bool,
    calls: u64,
    pulses: u64,
    /// Pulses before this connection.
    pulses_before: u64,
    said_all: Instant,
    leases: Leases,
    /// When the last pulse was given.
    pulsed: Instant,
}

/// What a pulse is told.
struct Answer {
    /// There is more to be taken back from the dead.
    more: bool,
}

impl Voice {
    pub fn new() -> Self {
        Self {
            begun: false,
            calls: 0,
            pulses: 0,
            pulses_before: 0,
            said_all: Instant::now(),
            pulsed: Instant::now(),
            leases: Leases::default(),
        }
    }

    /// The first words on a new connection.
    pub async fn begin(&mut self, shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.pulses_before = self.pulses;
        self.leases.interrupt();
        match self.pulse(shared, connection, shared.timing.lease).await {
            Err(error) if is_refusal(&error) => self.refused(shared, &error),
            other => {
                other?;
            }
        }
        Ok(())
    }

    /// Says what is to be said until the connection fails, or this node has handed over.
    pub async fn speak(&mut self, shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut next_pulse = Instant::now() + shared.timing.pulse;
        loop {
            let step = self.step(shared, connection, &mut next_pulse).await;
            match step {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if is_refusal(&error) => {
                    self.refused(shared, &error);
                    sleep(REFUSED).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One thing, or the wait for one. Whether it was the last.
    async fn step(
        &mut self,
        shared: &Shared,
        connection: &mut MultiplexedConnection,
        next_pulse: &mut Instant,
    ) -> RedisResult<bool> {
        if Instant::now() >= *next_pulse {
            let answer = self.pulse(shared, connection, shared.timing.lease).await?;
            *next_pulse = Instant::now() + if answer.more { PACE } else { shared.timing.pulse };
        }
        if self.said_all.elapsed() >= SAY_ALL_EVERY {
            self.said_all = Instant::now();
            shared.book.say_all();
        }
        if shared.book.is_due() {
            self.tell(shared, connection).await?;
            sleep(PACE).await;
            return Ok(false);
        }
        if shared.ending.is_cancelled() {
            self.pulse(shared, connection, LOST_HOLD).await?;
            // Unless it turned out that all of it has to be said once more.
            return Ok(!shared.book.is_due());
        }
        tokio::select! {
            () = sleep_until(*next_pulse) => {}
            () = shared.ending.cancelled() => {}
            () = shared.book.changed.notified() => {
                if shared.book.is_due() {
                    sleep(GATHER).await;
                }
            }
        }
        Ok(false)
    }

    /// Renews the lease; if it is gone, or what was said under it, says everything again under the next.
    async fn pulse(
        &mut self,
        shared: &Shared,
        connection: &mut MultiplexedConnection,
        lease: Duration,
    ) -> RedisResult<Answer> {
        loop {
            if self.pulsed.elapsed() >= shared.timing.lease {
                // The whole process stood still: it hears of those who left meanwhile before it says who is here.
                sleep(CATCH_UP).await;
            }
            self.pulsed = Instant::now();
            let settled = shared.book.settled();
            let taking_back = self.begun && self.pulses - self.pulses_before >= SETTLE_PULSES;
            self.pulses += 1;
            let mut call = invocation(&PULSE, shared);
            call.arg(shared.incarnation()).arg(shared.node.as_simple().to_string());
            call.arg(lease.as_millis().to_string()).arg(u8::from(!self.begun));
            call.arg(if taking_back { BATCH } else { 0 }).arg(self.pulses);
            let (held, stored, more, leases): (bool, usize, bool, Vec<String>) = call.invoke_async(connection).await?;
            self.see(shared, &leases);
            if self.begun && (!held || settled.is_some_and(|settled| settled != stored)) {
                tracing::info!(held, stored, "Redis lost what this node said; saying it again");
                self.begin_anew(shared);
                continue;
            }
            self.begun = true;
            shared.reached();
            self.hears_itself(shared)?;
            return Ok(Answer { more });
        }
    }

    /// Notes which nodes have a lease, by their names.
    fn see(&mut self, shared: &Shared, leases: &[String]) {
        shared.has_company.store(leases.len() > 1, Ordering::Relaxed);
        let nodes = leases.iter().filter_map(|lease| lease.split('.').next()?.parse().ok());
        let nodes: Vec<Uuid> = nodes.collect();
        self.leases.heard(shared.mirror.take_speakers(), Instant::now());
        let gone = self.leases.look(&nodes, shared.timing.lease + shared.timing.grace / 2, Instant::now());
        if !gone.is_empty() {
            shared.mirror.forget_nodes(&gone);
        }
    }

    /// One batch.
    async fn tell(&mut self, shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let batch = shared.book.next(BATCH);
        if batch.is_empty() {
            return Ok(());
        }
        self.calls += 1;
        let mut call = invocation(&TELL, shared);
        call.arg(shared.incarnation()).arg(shared.node.as_simple().to_string());
        call.arg(shared.generation.load(Ordering::Relaxed)).arg(self.calls).arg(KEEP.as_secs());
        for ((place, person), entry) in &batch {
            let word = entry.as_ref().map_or_else(|| b"-".to_vec(), |entry| [b"+", &entry[..]].concat());
            call.arg(place.to_string()).arg(person.as_simple().to_string()).arg(word);
        }
        if call.invoke_async(connection).await? {
            shared.book.confirm();
        } else {
            self.begin_anew(shared);
            self.pulse(shared, connection, shared.timing.lease).await?;
        }
        Ok(())
    }

    /// Late words of the old lease are void from here on.
    fn begin_anew(&mut self, shared: &Shared) {
        self.begun = false;
        shared.generation.fetch_add(1, Ordering::Relaxed);
        shared.book.say_all();
        shared.begin_doubt();
    }

    /// A link that is open and delivers nothing is none.
    fn hears_itself(&self, shared: &Shared) -> RedisResult<()> {
        let heard = shared.echo.load(Ordering::Relaxed).max(self.pulses_before);
        if self.pulses - heard > ECHOES_MISSING_MAX {
            return Err(RedisError::from((ErrorKind::Io, "messages do not arrive")));
        }
        Ok(())
    }

    /// Redis is there, and does not do it: it is full, or read-only, or we may not.
    fn refused(&mut self, shared: &Shared, error: &RedisError) {
        // The leases of all grew old meanwhile.
        self.pulses_before = self.pulses;
        shared.lost(error);
        shared.book.take_back();
        shared.begin_doubt();
    }
}

/// A call of a script, which is told how things are called.
fn invocation<'s>(script: &'s Script, shared: &Shared) -> ScriptInvocation<'s> {
    let names = shared.names();
    let mut call = script.prepare_invoke();
    call.arg(names.prefix).arg(names.publish);
    call
}

/// Whether Redis has answered, and it was no. A server of a cluster that has our keys no more is none to talk to.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    let elsewhere = |code| matches!(code, "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "CROSSSLOT");
    error.code().is_some_and(|code| !elsewhere(code)) && !error.is_unrecoverable_error()
}
