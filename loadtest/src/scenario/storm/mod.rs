//! Everybody connects at once; then, with `--resume`, everybody is lost at once, misses something and comes back at once.
//!
//! The people are those of `studyhall crowd`, each with a token of their own. A tab says all that it wants in one frame:
//! connect, its room, its person's `user:`, the profiles of those whom they follow. While it is away, somebody of its room
//! renames the room so many times; each event must arrive once, in order. Others go on giving commands meanwhile.

mod others;
mod tab;
mod usage;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::json;
use studyhall_protocol::Channel;
use studyhall_protocol::client::ServerLine;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::others::OTHERS;
use self::tab::Tab;
use self::usage::{Counted, Cpu};
use super::settle;
use crate::Common;
use crate::client::{Options, Receiver, Sender, open};
use crate::frames::Refused;
use crate::process::rss_kib;
use crate::report::Latency;
use crate::report::run::{Run, Window};

/// Until what a storm stirred up has settled.
const REST: Duration = Duration::from_secs(3);
/// For all of them to have everything; later than that it is a failure.
const WITHIN: Duration = Duration::from_secs(120);
/// The libraries' delay before they come back, and what it grows to.
const DELAY_MIN: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(20);
/// Requests at a time while the tabs are away.
const WRITERS: usize = 32;

/// `storm`
#[derive(Debug, Clone, clap::Args)]
pub struct StormArgs {
    /// The people: what `studyhall crowd --out` has written.
    #[arg(long)]
    crowd: PathBuf,
    /// Connections, one for each of the first people; the last few people of the crowd give commands meanwhile.
    #[arg(long, default_value_t = 5_000)]
    connections: usize,
    /// Connections that are being opened at a time.
    #[arg(long, default_value_t = 512)]
    in_flight: usize,
    /// Further nodes beside `--url`: connections go to each in turn.
    #[arg(long, value_delimiter = ',')]
    also: Vec<String>,
    /// Profiles that each tab subscribes to, of those whom its person follows.
    #[arg(long, default_value_t = 0)]
    profiles: usize,
    /// Subscribe to the person's own channel as well.
    #[arg(long)]
    user: bool,
    /// Lose all connections and come back.
    #[arg(long)]
    resume: bool,
    /// Events that each room gets meanwhile.
    #[arg(long, default_value_t = 20)]
    behind: u64,
    /// Seconds from the last of them until everybody comes back; after half a minute no node remembers the events.
    #[arg(long, default_value_t = 1.0)]
    away: f64,
    /// PostgreSQL's first process, for the CPU time of all of them.
    #[arg(long)]
    postgres_pid: Option<u32>,
    /// The server's page of metrics, to count its reads of the log.
    #[arg(long)]
    metrics: Option<String>,
}

/// Somebody of the crowd.
#[derive(Debug, Deserialize)]
struct Member {
    id: Uuid,
    token: String,
    room: Option<Uuid>,
    follows: Vec<Uuid>,
}

/// What all tabs found.
#[derive(Default)]
pub struct Found {
    complete: Cell<usize>,
    completed_at: Cell<Option<Instant>>,
    events: Cell<u64>,
    duplicates: Cell<u64>,
    gaps: Cell<u64>,
    unrecovered: Cell<u64>,
    refused: Cell<u64>,
    /// Asked to come again.
    turned_away: Cell<u64>,
    closed: Cell<u64>,
    first_error: RefCell<Option<String>>,
}

/// How long commands took to be answered.
pub struct Answers {
    all: Latency,
    rooms: Latency,
    profiles: Latency,
}

impl Default for Answers {
    fn default() -> Self {
        Self { all: Latency::new(), rooms: Latency::new(), profiles: Latency::new() }
    }
}

impl Found {
    fn refuse(&self, why: &str) {
        self.refused.set(self.refused.get() + 1);
        self.first_error.borrow_mut().get_or_insert_with(|| why.to_owned());
    }
}

struct World<'a> {
    common: &'a Common,
    args: &'a StormArgs,
    hosts: Vec<String>,
    crowd: Vec<Member>,
    tabs: Vec<Rc<RefCell<Tab>>>,
    found: Rc<Found>,
}

/// What one storm came to.
struct Storm {
    seconds: f64,
    before: Cpu,
    after: Cpu,
    answers: Latency,
    rooms: Latency,
    profiles: Latency,
    counted: Vec<(String, f64)>,
    connections: Vec<JoinHandle<()>>,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &StormArgs) -> Result<bool> {
    let text = std::fs::read(&args.crowd).with_context(|| args.crowd.display().to_string())?;
    let crowd: Vec<Member> = serde_json::from_slice(&text)?;
    if crowd.len() < args.connections + OTHERS {
        bail!("a crowd of {} is too small: {OTHERS} more than connections are needed", crowd.len());
    }
    let hosts = std::iter::once(&common.url).chain(&args.also).map(|url| {
        let host = url.trim_end_matches('/').strip_prefix("http://").context("the address must begin with http://")?;
        Ok(host.to_owned())
    });
    let hosts = hosts.collect::<Result<Vec<_>>>()?;
    let tabs = crowd.iter().take(args.connections).map(|member| Rc::new(RefCell::new(tab_of(member, args)))).collect();
    let world = World { common, args, hosts, crowd, tabs, found: Rc::default() };
    let rss = || common.server_pid.and_then(rss_kib);
    let rss_before = rss();
    let mut run = world.new_run();
    let storm = world.storm().await?;
    let delivered = world.found.events.get();
    world.note(&mut run, "", &storm, delivered);
    tokio::time::sleep(REST).await;
    let grown = rss_before.zip(rss()).map(|(before, after)| after as f64 - before as f64);
    set(&mut run, "memory_per_connection_kib", grown.map(|grown| grown / args.connections as f64));
    set(&mut run, "server_rss_kib", rss().map(|rss| rss as f64));
    let mut connections = storm.connections;
    if args.resume && world.found.first_error.borrow().is_none() {
        connections.drain(..).for_each(|connection| connection.abort());
        tokio::time::sleep(REST).await;
        world.write().await?;
        tokio::time::sleep(Duration::from_secs_f64(args.away)).await;
        world.found.complete.set(0);
        let others = world.start_others().await?;
        let storm = world.storm().await?;
        world.note(&mut run, "resume_", &storm, world.found.events.get() - delivered);
        let theirs = others.stop();
        set(&mut run, "others_p99_answer_ms", theirs.quantile(0.99));
        set(&mut run, "others_longest_answer_ms", theirs.quantile(1.0));
        connections = storm.connections;
    }
    connections.iter().for_each(JoinHandle::abort);
    Ok(world.finish(run))
}

/// Opens a connection as the libraries do: who is asked to come again does so, each time later on average.
async fn come(host: &str, found: &Found) -> Result<(Sender, Receiver)> {
    for step in 0.. {
        match open(host, Options::default()).await {
            Err(error) if error.downcast_ref::<Refused>().is_some_and(Refused::for_now) => {
                found.turned_away.set(found.turned_away.get() + 1);
                let spread = DELAY_MIN.saturating_mul(1 << step.min(10)).min(DELAY_MAX);
                let delay = DELAY_MIN + spread.mul_f64(rand::random());
                tokio::time::sleep(delay.min(DELAY_MAX)).await;
            }
            opened => return opened,
        }
    }
    bail!("never let in")
}

fn tab_of(member: &Member, args: &StormArgs) -> Tab {
    let room = member.room.map(Channel::Workspace).into_iter();
    let own = args.user.then_some(Channel::User(member.id));
    let profiles = member.follows.iter().take(args.profiles).map(|id| Channel::Profile(*id));
    Tab::new(member.token.clone(), room.chain(own).chain(profiles))
}

fn set(run: &mut Run, name: &str, value: Option<f64>) {
    if let Some(value) = value {
        run.figures.insert(name.to_owned(), value);
    }
}

impl World<'_> {
    fn host(&self, number: usize) -> &str {
        &self.hosts[number % self.hosts.len()]
    }

    /// Opens all connections, so many at a time, and waits until each has everything.
    async fn storm(&self) -> Result<Storm> {
        let counted = Counted::read(self.args.metrics.as_deref()).await?;
        let room = Arc::new(Semaphore::new(self.args.in_flight));
        let answers = Rc::new(RefCell::new(Answers::default()));
        let before = Cpu::now(self.common.server_pid, self.args.postgres_pid);
        let mut connections = Vec::with_capacity(self.tabs.len());
        for (number, tab) in self.tabs.iter().enumerate() {
            // In order: the next one begins when there is room for it.
            let mut permit = Some(room.clone().acquire_owned().await?);
            let (tab, host, found, answers) =
                (tab.clone(), self.host(number).to_owned(), self.found.clone(), answers.clone());
            connections.push(tokio::task::spawn_local(async move {
                let served = async {
                    let (sender, mut receiver) = come(&host, &found).await?;
                    let hello = tab.borrow_mut().hello();
                    sender.send(&hello)?;
                    receiver
                        .listen(|line: ServerLine<'_>, at| {
                            if tab.borrow_mut().line(&line, at, &found, &mut answers.borrow_mut()) {
                                found.complete.set(found.complete.get() + 1);
                                found.completed_at.set(Some(at));
                                permit.take();
                            }
                            ControlFlow::<()>::Continue(())
                        })
                        .await
                };
                if let Err(error) = served.await {
                    found.closed.set(found.closed.get() + 1);
                    found.first_error.borrow_mut().get_or_insert(format!("{error:#}"));
                }
            }));
        }
        settle(WITHIN, || self.found.complete.get() >= self.tabs.len()).await;
        let after = Cpu::now(self.common.server_pid, self.args.postgres_pid);
        let seconds = self.found.completed_at.get().map_or(f64::NAN, |at| (at - before.at).as_secs_f64());
        let counters = Counted::read(self.args.metrics.as_deref()).await?;
        let counted = counters.since(&counted).map(|(name, value)| (name.to_owned(), value)).collect();
        let Answers { all: answers, rooms, profiles } = answers.take();
        Ok(Storm { seconds, before, after, answers, rooms, profiles, counted, connections })
    }

    /// Renames every room so many times.
    async fn write(&self) -> Result<()> {
        let mut owners: HashMap<Uuid, &Member> = HashMap::new();
        for member in &self.crowd[..self.tabs.len()] {
            if let Some(room) = member.room {
                owners.entry(room).or_insert(member);
            }
        }
        let http = reqwest::Client::new();
        stream::iter(&owners)
            .map(|(room, owner)| {
                let http = &http;
                async move {
                    for number in 1..=self.args.behind {
                        let url = format!("http://{}/api/v1/workspaces/{room}", self.host(0));
                        let body = json!({"name": format!("Crowd {number}")});
                        let answer = http.patch(url).bearer_auth(&owner.token).json(&body).send().await?;
                        answer.error_for_status()?;
                    }
                    anyhow::Ok(())
                }
            })
            .buffer_unordered(WRITERS)
            .try_for_each(async |()| Ok(()))
            .await?;
        for tab in &self.tabs {
            let rooms = |place: &&mut tab::Place| matches!(place.channel, Channel::Workspace(_));
            tab.borrow_mut().places.iter_mut().filter(rooms).for_each(|place| place.missed = self.args.behind);
        }
        Ok(())
    }

    fn new_run(&self) -> Run {
        let args = self.args;
        let parameters = BTreeMap::from([
            ("connections".to_owned(), json!(args.connections)),
            ("in_flight".to_owned(), json!(args.in_flight)),
            ("profiles".to_owned(), json!(args.profiles)),
            ("user".to_owned(), json!(args.user)),
            ("behind".to_owned(), json!(args.resume.then_some(args.behind))),
            ("away".to_owned(), json!(args.resume.then_some(args.away))),
        ]);
        Run {
            scenario: match args.resume {
                false => "storm",
                true if args.user || args.profiles > 0 => "storm:tabs",
                true => "storm:resume",
            }
            .into(),
            target: "studyhall".into(),
            started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            parameters,
            ..Run::default()
        }
    }

    fn note(&self, run: &mut Run, prefix: &str, storm: &Storm, delivered: u64) {
        let connections = self.tabs.len() as f64;
        let each = |before: Option<f64>, after: Option<f64>| Some((after? - before?) * 1e3 / connections);
        let mut figure = |name: &str, value| set(run, &format!("{prefix}{name}"), value);
        figure("all_complete_s", Some(storm.seconds));
        figure("cpu_per_connection_ms", each(storm.before.server, storm.after.server));
        figure("postgres_per_connection_ms", each(storm.before.postgres, storm.after.postgres));
        figure(
            "own_busy",
            Some((storm.after.own - storm.before.own) / (storm.after.at - storm.before.at).as_secs_f64()),
        );
        figure("answer_p50_ms", storm.answers.quantile(0.5));
        figure("longest_answer_ms", storm.answers.quantile(1.0));
        figure("rooms_p99_ms", storm.rooms.quantile(0.99));
        figure("rooms_longest_ms", storm.rooms.quantile(1.0));
        figure("profiles_p50_ms", storm.profiles.quantile(0.5));
        figure("turned_away", Some(self.found.turned_away.replace(0) as f64));
        for (name, value) in &storm.counted {
            let name = name.trim_start_matches("studyhall_").trim_end_matches("_total");
            figure(name, Some(*value));
        }
        run.windows.push(Window {
            seconds: (storm.after.at - storm.before.at).as_secs_f64(),
            delivered,
            server_cpu_s: storm.before.server.zip(storm.after.server).map(|(before, after)| after - before),
            own_cpu_s: storm.after.own - storm.before.own,
            p50_ms: storm.answers.quantile(0.5).unwrap_or_default(),
            p99_ms: storm.answers.quantile(0.99).unwrap_or_default(),
            p999_ms: storm.answers.quantile(0.999).unwrap_or_default(),
            max_ms: storm.answers.quantile(1.0).unwrap_or_default(),
        });
    }

    /// Prints the run; whether no promise was broken.
    fn finish(&self, mut run: Run) -> bool {
        let found = &self.found;
        let late = self.tabs.iter().filter(|tab| !tab.borrow().complete).count() as u64;
        let lost = self.tabs.iter().map(|tab| tab.borrow().missing()).sum::<u64>();
        let counts = [
            ("lost", lost),
            ("duplicates", found.duplicates.get()),
            ("gaps", found.gaps.get()),
            ("unrecovered", found.unrecovered.get()),
            ("refused", found.refused.get()),
            ("closed", found.closed.get()),
            ("incomplete", late),
        ];
        run.counts = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        run.ok = counts.iter().all(|(_, count)| *count == 0);
        run.error = found.first_error.borrow().clone();
        for (name, value) in &run.figures {
            eprintln!("{name:44}  {value:.3}");
        }
        for (name, value) in &run.counts {
            eprintln!("{name:44}  {value}");
        }
        println!("{}", serde_json::to_string(&run).unwrap_or_default());
        run.ok
    }
}
