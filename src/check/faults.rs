//! What breaks on purpose, and when. Which fault comes when and for how long follows from the seed.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rand::RngExt;
use rand::seq::IteratorRandom;
use serde::Deserialize;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::history::What;
use super::shared::Shared;
use super::world;

/// For one command of a plan.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// One kind of fault.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// What the report calls it.
    pub name: String,
    /// The address that it hits, if it hits one.
    #[serde(default)]
    pub url: Option<String>,
    /// Seconds from its start to its stop: at least, at most.
    #[serde(default = "one_to_three")]
    pub lasts: (f64, f64),
    /// Seconds of rest before it: at least, at most.
    #[serde(default = "one_to_three")]
    pub gap: (f64, f64),
}

fn one_to_three() -> (f64, f64) {
    (1.0, 3.0)
}

/// Who can break things and mend them. Kinds are numbered as [`Faults::kinds`] lists them.
pub trait Faults: Send + Sync {
    /// What there is.
    fn kinds(&self) -> Vec<Kind>;

    /// As many at the same moment, at most.
    fn at_once(&self) -> usize {
        1
    }

    /// Breaks something; never the same one twice without [`Faults::stop`] in between.
    fn start(&self, kind: usize) -> BoxFuture<'_, Result<()>>;

    /// Mends it; done when it is mended.
    fn stop(&self, kind: usize) -> BoxFuture<'_, Result<()>>;
}

/// Nothing but what the clients do to themselves.
pub struct NoFaults;

impl Faults for NoFaults {
    fn kinds(&self) -> Vec<Kind> {
        Vec::new()
    }

    fn start(&self, _: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn stop(&self, _: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// A plan: shell commands, from a JSON file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// As many faults at the same moment, at most.
    #[serde(default = "one")]
    pub at_once: usize,
    /// What there is.
    pub faults: Vec<Planned>,
}

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Planned {
    /// Its name and times.
    #[serde(flatten)]
    pub kind: Kind,
    /// Run by `sh -c`; has to end by itself.
    pub start: String,
    /// The same; may be missing when there is nothing to mend.
    #[serde(default)]
    pub stop: Option<String>,
}

fn one() -> usize {
    1
}

impl Plan {
    /// Reads a plan; what is wrong with it is said.
    pub fn read(text: &str) -> Result<Self> {
        let plan: Plan = serde_json::from_str(text)?;
        if plan.faults.is_empty() {
            bail!("`faults` is empty: name at least one");
        }
        if !(1..=plan.faults.len()).contains(&plan.at_once) {
            bail!("`at_once` must be between 1 and the number of faults, {}", plan.faults.len());
        }
        for (index, Planned { kind, start, .. }) in plan.faults.iter().enumerate() {
            let Kind { name, lasts, gap, .. } = kind;
            if name.is_empty() || plan.faults[..index].iter().any(|other| other.kind.name == *name) {
                bail!("fault {}: each needs a `name` of its own", index + 1);
            }
            for (field, (least, most)) in [("lasts", lasts), ("gap", gap)] {
                if !(*least >= 0.0 && least <= most && *most <= 86_400.0) {
                    bail!("fault {name}: `{field}` is two numbers of seconds, the smaller one first");
                }
            }
            if start.trim().is_empty() {
                bail!("fault {name}: `start` is empty");
            }
        }
        Ok(plan)
    }
}

impl Faults for Plan {
    fn kinds(&self) -> Vec<Kind> {
        self.faults.iter().map(|planned| planned.kind.clone()).collect()
    }

    fn at_once(&self) -> usize {
        self.at_once
    }

    fn start(&self, kind: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(shell(&self.faults[kind].kind.name, "start", &self.faults[kind].start))
    }

    fn stop(&self, kind: usize) -> BoxFuture<'_, Result<()>> {
        let Planned { kind, stop, .. } = &self.faults[kind];
        Box::pin(async move {
            match stop {
                Some(stop) => shell(&kind.name, "stop", stop).await,
                None => Ok(()),
            }
        })
    }
}

/// Runs it to its end. What it says goes to our standard error; a server that it leaves running in the background may keep
/// that open.
async fn shell(name: &str, which: &str, script: &str) -> Result<()> {
    let mut command = Command::new("sh");
    // Of its own group: an interrupt at the terminal ends the run, and must not end what mends it.
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("fault {name}: cannot run sh"))?;
    let Ok(ended) = tokio::time::timeout(COMMAND_WITHIN, child.wait()).await else {
        let _ = child.start_kill();
        bail!("fault {name}: `{which}` does not end; put what has to go on running into the background, with &");
    };
    let status = ended?;
    if !status.success() {
        bail!("fault {name}: `{which}` failed with {status}: {script}");
    }
    Ok(())
}

/// Breaks and mends until `stop`, then mends what is still broken.
pub async fn run(faults: Arc<dyn Faults>, shared: Arc<Shared>, seed: u64, stop: CancellationToken) -> Result<()> {
    let kinds = Arc::new(faults.kinds());
    let free = Arc::new(Mutex::new((0..kinds.len()).collect::<Vec<usize>>()));
    let mut lanes = JoinSet::new();
    for lane in 0..faults.at_once().min(kinds.len()) {
        let (faults, shared, stop) = (faults.clone(), shared.clone(), stop.clone());
        let (kinds, free) = (kinds.clone(), free.clone());
        lanes.spawn(async move {
            let mut random = world::random(seed, u64::MAX - 1 - lane as u64);
            while !stop.is_cancelled() {
                let chosen = {
                    let mut free = free.lock();
                    let at = (0..free.len()).choose(&mut random);
                    at.map(|at| free.swap_remove(at))
                };
                let Some(kind) = chosen else { return Ok(()) };
                let (gap, lasts) = (span(kinds[kind].gap, &mut random), span(kinds[kind].lasts, &mut random));
                let done = one_fault(&*faults, &shared, (kind, &kinds[kind]), (gap, lasts), &stop).await;
                free.lock().push(kind);
                done?;
            }
            Ok(())
        });
    }
    let mut outcome = Ok(());
    while let Some(ended) = lanes.join_next().await {
        let ended: Result<()> = ended.context("the faults ended unexpectedly").and_then(|ended| ended);
        if ended.is_err() {
            stop.cancel();
        }
        outcome = outcome.and(ended);
    }
    outcome
}

fn span((least, most): (f64, f64), random: &mut rand::rngs::StdRng) -> Duration {
    Duration::try_from_secs_f64(random.random_range(least..=most)).unwrap_or_default()
}

async fn one_fault(
    faults: &dyn Faults,
    shared: &Shared,
    (number, kind): (usize, &Kind),
    (gap, lasts): (Duration, Duration),
    stop: &CancellationToken,
) -> Result<()> {
    if tokio::time::timeout(gap, stop.cancelled()).await.is_ok() {
        return Ok(());
    }
    let url = kind
        .url
        .as_ref()
        .and_then(|url| (0..shared.api.count()).find(|at| shared.api.url(*at) == url.trim_end_matches('/')));
    let record = |on| shared.recorder.record(What::Fault { name: kind.name.as_str().into(), on, url });
    record(true);
    let started = faults.start(number).await;
    if started.is_ok() {
        let _ = tokio::time::timeout(lasts, stop.cancelled()).await;
    }
    // Also after a start that failed half-way: nothing is left broken.
    let stopped = faults.stop(number).await;
    record(false);
    started.and(stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_and_what_is_wrong_with_them() {
        let plan = |text: &str| Plan::read(text).map_err(|error| error.to_string());
        let good = plan(r#"{"faults": [{"name": "redis", "start": "true", "lasts": [0, 1.5]}]}"#).unwrap();
        assert_eq!((good.at_once, good.faults[0].kind.lasts, good.faults[0].kind.gap), (1, (0.0, 1.5), (1.0, 3.0)));
        for (text, word) in [
            ("", "EOF"),
            (r#"{"faults": []}"#, "at least one"),
            (r#"{"faults": [{"name": "a", "start": ""}]}"#, "`start`"),
            (r#"{"faults": [{"name": "a", "start": "true", "lasts": [2, 1]}]}"#, "`lasts`"),
            (r#"{"faults": [{"name": "a", "start": "true"}], "at_once": 2}"#, "`at_once`"),
            (r#"{"faults": [{"name": "a", "start": "true"}, {"name": "a", "start": "true"}]}"#, "`name`"),
            (r#"{"faults": [{"name": "a"}]}"#, "start"),
        ] {
            let error = plan(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_is_named() {
        let plan = Plan::read(r#"{"faults": [{"name": "odd", "start": "exit 3", "stop": "true"}]}"#).unwrap();
        let error = plan.start(0).await.unwrap_err().to_string();
        assert!(error.contains("odd") && error.contains("exit 3"), "{error}");
        plan.stop(0).await.unwrap();
    }
}
