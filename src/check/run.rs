//! One run, from the sign-ups to the verdict.

use std::collections::{BTreeSet, HashMap};
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use studyhall_protocol::Channel;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::api::Api;
use super::client::Client;
use super::faults::{self, Faults};
use super::finals;
use super::history::{History, What};
use super::report::Report;
use super::rules::{self, Demands};
use super::setup::{self, Bases};
use super::shared::{Attempt, Phase, Shared};

/// What a run is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The addresses.
    pub urls: Vec<String>,
    /// How long clients work.
    pub seconds: u64,
    /// What is done, and when, follows from this.
    pub seed: u64,
    /// How many people are signed up; a third of them has a second device.
    pub people: usize,
    /// Commands a second and device.
    pub rate: f64,
    /// Leave rooms, lists and posts where they are.
    pub keep: bool,
    /// Where to write the history.
    pub history: Option<PathBuf>,
    /// Acknowledgements that a run needs at least; by its length if nothing is said.
    pub acks: Option<usize>,
}

/// After the faults: until every address is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// After that, nothing that was sent before is still under way to a statement.
const LAST_ATTEMPTS: Duration = Duration::from_secs(2);
/// Until every unknown command is answered.
const RESOLVE_WITHIN: Duration = Duration::from_secs(60);
/// Until everybody has come to the end of every log.
const CONVERGE_WITHIN: Duration = Duration::from_secs(10);
/// Until everybody is shown everybody, and nobody else.
const PRESENCE_WITHIN: Duration = Duration::from_secs(35);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Runs it; errors are reasons why nothing can be said about the deployment.
pub async fn run(settings: &Settings, faults: Arc<dyn Faults>, say: &(dyn Fn(&str) + Sync)) -> Result<Report> {
    let api = Api::new(&settings.urls)?;
    if settings.people < 2 {
        bail!("--people: at least two, so that somebody can be put out of a room");
    }
    for url in faults.kinds().into_iter().filter_map(|kind| kind.url) {
        if !(0..api.count()).any(|at| api.url(at) == url.trim_end_matches('/')) {
            bail!("the plan names {url}, which is not among the addresses of --url");
        }
    }
    setup::reach(&api).await?;
    let (name, people) = setup::sign_up(&api, settings.people).await?;
    let clients = devices(settings.people);
    let shared = Arc::new(Shared::new(api, people, clients, settings.rate));
    let worked = work(settings, &shared, &faults, say).await;
    if !settings.keep {
        say("tidying up");
        let left = setup::tidy(&shared).await;
        if left > 0 {
            say(&format!("{left} rooms, lists or posts could not be deleted; they belong to {name}-0 and the others"));
        }
    }
    let (history, demands) = worked?;
    if let Some(path) = &settings.history {
        let file = std::fs::File::create(path).with_context(|| format!("--history {}", path.display()))?;
        history.write(BufWriter::new(file)).with_context(|| format!("--history {}", path.display()))?;
    }
    say(&format!("checking {} records", history.records.len()));
    let findings = rules::check(&history, &demands);
    Ok(Report::new(settings, name, &history, findings))
}

async fn work(
    settings: &Settings,
    shared: &Arc<Shared>,
    faults: &Arc<dyn Faults>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(History, Demands)> {
    let bases = setup::bases(shared).await?;
    setup::furnish(shared).await?;
    let mut clients = JoinSet::new();
    let count = shared.statuses.lock().len();
    for number in 0..count {
        clients.spawn(Client::new(shared.clone(), number, settings.seed).run());
    }
    say(&format!(
        "{} people on {count} devices, {} addresses; seed {}",
        settings.people,
        shared.api.count(),
        settings.seed
    ));
    let (stop, planned) = (CancellationToken::new(), !faults.kinds().is_empty());
    let breaking = tokio::spawn(faults::run(faults.clone(), shared.clone(), settings.seed, stop.clone()));
    let stopping = stop.clone();
    let interrupted = tokio::select! {
        () = progress(settings, shared, say) => false,
        () = stopping.cancelled() => false,
        _ = tokio::signal::ctrl_c() => true,
    };
    stop.cancel();
    let broken = breaking.await.context("the faults ended unexpectedly").and_then(|ended| ended);
    let settled = match broken {
        Ok(()) => settle(shared, &bases, say).await,
        Err(error) => Err(error),
    };
    shared.phase.send_replace(Phase::End);
    while clients.join_next().await.is_some() {}
    let finals = settled?;
    let history = History { records: shared.recorder.take(), finals };
    let mut demands = demands(settings, planned);
    if interrupted {
        // Who stops a run early wants to know what there is.
        demands = Demands { acks: 1, events: 1, loads: 0, resumes: 0, faults: 0 };
    }
    Ok((history, demands))
}

/// What a run of this length must have had.
fn demands(settings: &Settings, planned: bool) -> Demands {
    let seconds = usize::try_from(settings.seconds).unwrap_or(usize::MAX);
    let acks = settings.acks.unwrap_or(seconds.saturating_mul(5).max(30));
    Demands {
        acks,
        events: acks,
        loads: 1 + seconds / 5,
        resumes: 1 + seconds / 5,
        faults: usize::from(planned) + seconds / 30 * usize::from(planned),
    }
}

async fn progress(settings: &Settings, shared: &Shared, say: &(dyn Fn(&str) + Sync)) {
    let (began, mut seen, mut total) = (Instant::now(), 0, [0; 3]);
    let end = began + Duration::from_secs(settings.seconds);
    while Instant::now() < end {
        tokio::time::sleep_until(end.min(Instant::now() + Duration::from_secs(5))).await;
        let (counts, records) = shared.recorder.progress(seen);
        seen = records;
        total.iter_mut().zip(counts).for_each(|(total, more)| *total += more);
        let [acks, events, faults] = total;
        say(&format!("{} s: {acks} acknowledged, {events} events, {faults} faults", began.elapsed().as_secs()));
    }
}

/// All faults are off: every command is answered, everybody comes to the end of every log, everything is read.
async fn settle(shared: &Arc<Shared>, bases: &Bases, say: &(dyn Fn(&str) + Sync)) -> Result<super::history::Finals> {
    say("settling");
    shared.phase.send_replace(Phase::Settle);
    for number in 0..shared.api.count() {
        let ready = until(READY_WITHIN, async || shared.api.is_ready(number).await).await;
        if !ready {
            let (url, seconds) = (shared.api.url(number), READY_WITHIN.as_secs());
            bail!(
                "{url} is not ready {seconds} s after the last fault was taken back: does `stop` in the plan start it again?"
            );
        }
    }
    shared.recorder.record(What::Healed);
    // Nothing that waits for an answer, then the answers themselves.
    until(RESOLVE_WITHIN, async || !shared.statuses.lock().iter().any(|status| status.waiting)).await;
    tokio::time::sleep(LAST_ATTEMPTS).await;
    resolve(shared).await;
    let heads = finals::heads(shared).await?;
    until(CONVERGE_WITHIN, async || complete(shared, &heads)).await;
    shared.recorder.record(What::Settled);
    until(PRESENCE_WITHIN, async || all_are_shown(shared)).await;
    finals::read(shared, bases).await
}

/// Asks until it is so; whether it came to be.
async fn until(within: Duration, mut question: impl AsyncFnMut() -> bool) -> bool {
    let asked = async {
        while !question().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(within, asked).await.is_ok()
}

/// Sends every command of which nobody knows until there is a definite answer.
async fn resolve(shared: &Arc<Shared>) {
    let deadline = Instant::now() + RESOLVE_WITHIN;
    let mut url = 0;
    loop {
        let errands = std::mem::take(&mut *shared.unresolved.lock());
        if errands.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            // They stay unknown, and the report says so.
            return;
        }
        let mut under_way = JoinSet::new();
        for errand in errands {
            if under_way.len() >= 8 {
                under_way.join_next().await;
            }
            let shared = shared.clone();
            under_way.spawn(async move { shared.by_rest(url, errand, Attempt::Last).await });
            url += 1;
        }
        while under_way.join_next().await.is_some() {}
        if !shared.unresolved.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Whether every subscription has come to the end of its log.
fn complete(shared: &Shared, heads: &HashMap<Channel, u64>) -> bool {
    let statuses = shared.statuses.lock();
    let behind = |(channel, at): (&Channel, &u64)| heads.get(channel).is_some_and(|head| at < head);
    !statuses.iter().any(|status| status.waiting || status.cursors.iter().any(behind))
}

/// Whether everybody in a room is shown those who are there, and nobody else.
fn all_are_shown(shared: &Shared) -> bool {
    let statuses = shared.statuses.lock();
    let mut there: HashMap<Channel, BTreeSet<Uuid>> = HashMap::new();
    for (number, status) in statuses.iter().enumerate() {
        let person = shared.people[number % shared.people.len()].id;
        status.rooms.keys().for_each(|room| _ = there.entry(*room).or_default().insert(person));
    }
    statuses.iter().all(|status| status.rooms.iter().all(|(room, shown)| there.get(room) == Some(shown)))
}

/// A seed that nobody chose.
pub fn any_seed() -> u64 {
    // Short enough to type.
    u64::from(rand::random::<u32>())
}

/// How many devices the people of a run have.
pub fn devices(people: usize) -> usize {
    people + people / 3
}
