//! People who are there and do nothing, and others who watch their pills.
//!
//! First everybody connects, and Redis is asked twice what that costs it: with half of the people and with all of them.
//! Then the watchers come, each with many profiles in one frame. Then some of the people fall idle and wake up again,
//! on a schedule, and the watchers' pills have to follow.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use studyhall_protocol::Channel;
use studyhall_protocol::client::{self, Push, Reply, ServerLine, Wishes};
use studyhall_protocol::presence::{METHOD, Presence, Status};
use uuid::Uuid;

use super::{all_ready, settle};
use crate::Common;
use crate::client::{Options, Sender, open};
use crate::process::{Usage, rss_kib};
use crate::report::{Latency, Report};
use crate::setup::{Account, Api};

/// Connections that are being opened at a time.
const AT_ONCE: usize = 64;
/// Until what connecting stirred up has settled.
const REST: Duration = Duration::from_secs(3);

/// `presence`
#[derive(Debug, Clone, clap::Args)]
pub struct PresenceArgs {
    /// People who are there, a connection each.
    #[arg(long, default_value_t = 1_000)]
    people: usize,
    /// People who watch others.
    #[arg(long, default_value_t = 50)]
    watchers: usize,
    /// Profiles that each of them watches.
    #[arg(long, default_value_t = 200)]
    profiles: usize,
    /// How far apart the first profiles of two watchers lie: as many as `--profiles`, and nobody watches with another.
    #[arg(long, default_value_t = 50)]
    apart: usize,
    /// Changes of somebody's status a second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Length of each measurement.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// `host:port` or socket path of the server's Redis, to count its commands.
    #[arg(long)]
    redis: Option<String>,
}

/// What all watchers saw.
struct Seen {
    subscribed: Cell<usize>,
    refused: Cell<usize>,
    pills: Cell<u64>,
    pill: RefCell<Latency>,
    /// What each changed person said last, and when.
    said: RefCell<HashMap<Uuid, (Status, Instant)>>,
    /// What each watcher saw last of each changed person.
    last: RefCell<HashMap<(usize, Uuid), Status>>,
}

impl Seen {
    fn line(&self, watcher: usize, line: &ServerLine<'_>, at: Instant) {
        match line {
            ServerLine::Reply { result: Ok(Reply::Subscribe(_)), .. } => self.subscribed.set(self.subscribed.get() + 1),
            ServerLine::Reply { result: Err(_), .. } => self.refused.set(self.refused.get() + 1),
            ServerLine::Push { push: Push::Pub(publication), .. } if publication.offset.is_none() => {
                let data = publication.read().and_then(|said| said.data);
                if let Some(Ok(pill)) = data.map(|data| serde_json::from_str::<Presence>(data.get())) {
                    self.pill(watcher, &pill, at);
                }
            }
            ServerLine::Ping | ServerLine::Reply { .. } | ServerLine::Push { .. } => {}
        }
    }

    fn pill(&self, watcher: usize, pill: &Presence, at: Instant) {
        self.last.borrow_mut().insert((watcher, pill.user_id), pill.status);
        if let Some((status, said_at)) = self.said.borrow().get(&pill.user_id)
            && *status == pill.status
        {
            self.pills.set(self.pills.get() + 1);
            self.pill.borrow_mut().record(at.saturating_duration_since(*said_at));
        }
    }
}

/// Runs the scenario; `false` when a pill did not follow, or somebody was refused.
pub async fn run(common: &Common, args: &PresenceArgs) -> Result<bool> {
    if args.profiles > args.people {
        bail!("nobody can watch more profiles than there are people");
    }
    let api = Api::new(&common.url)?;
    let pool = Common { pool: args.people + args.watchers, ..common.clone() };
    let accounts = api.accounts(&pool).await?;
    let (people, watchers) = accounts.split_at(args.people);
    api.show_presence(people).await?;
    let mut report = Report::new("presence");
    report.set("people", args.people).set("watchers", args.watchers).set("profiles", args.profiles);
    report.set("apart", args.apart);
    let rss = || common.server_pid.and_then(rss_kib);
    let before = rss();
    let mut here = connect_all(&api, &people[..people.len() / 2]).await?;
    report.number("redis_commands_per_s_half", redis_rate(args).await?);
    here.extend(connect_all(&api, &people[people.len() / 2..]).await?);
    report.number("redis_commands_per_s_all", redis_rate(args).await?);
    let all_here = rss();
    report.number("kib_per_person", per(before, all_here, args.people));
    let seen = Rc::new(Seen {
        subscribed: Cell::default(),
        refused: Cell::default(),
        pills: Cell::default(),
        pill: RefCell::new(Latency::new()),
        said: RefCell::default(),
        last: RefCell::default(),
    });
    let subscribed = watch(&api, args, people, watchers, &seen).await?;
    report.latency("subscribe_all", &subscribed);
    report.number("kib_per_watcher", per(all_here, rss(), args.watchers));
    let usage = Usage::now(common.server_pid);
    let ok = change(args, people, &here, &seen).await? && seen.refused.get() == 0;
    let after = Usage::now(common.server_pid);
    report.set("pills", seen.pills.get()).latency("pill", &seen.pill.borrow());
    let cpu = after.server_since(&usage).map(|cpu| cpu * 1e6 / seen.pills.get().max(1) as f64);
    report.number("server_us_per_pill", cpu).number("own_busy", after.own_busy_since(&usage));
    report.set("refused", seen.refused.get()).set("ok", ok).print();
    here.iter().for_each(Sender::close);
    Ok(ok)
}

/// KiB for each of `count`.
fn per(before: Option<u64>, after: Option<u64>, count: usize) -> Option<f64> {
    Some((after? as f64 - before? as f64) / count.max(1) as f64)
}

/// Commands that Redis runs a second while nobody does anything.
async fn redis_rate(args: &PresenceArgs) -> Result<Option<f64>> {
    tokio::time::sleep(REST).await;
    let Some(redis) = &args.redis else { return Ok(None) };
    let before = crate::capacity::observe::redis::commands_run(redis).await?;
    tokio::time::sleep(Duration::from_secs_f64(args.seconds)).await;
    Ok(Some((crate::capacity::observe::redis::commands_run(redis).await? - before) as f64 / args.seconds))
}

/// Connects everybody; who is connected stays so, and answers pings.
async fn connect_all(api: &Api, people: &[Account]) -> Result<Vec<Sender>> {
    let ready = Rc::new(Cell::new(0));
    let mut senders = Vec::with_capacity(people.len());
    for (index, person) in people.iter().enumerate() {
        let (sender, mut receiver) = open(&api.host, Options::default()).await?;
        sender.send(&client::connect(1, &person.token))?;
        senders.push(sender);
        let told = ready.clone();
        tokio::task::spawn_local(async move {
            let counted = Cell::new(false);
            let _ = receiver
                .listen(|_, _| {
                    if !counted.replace(true) {
                        told.set(told.get() + 1);
                    }
                    ControlFlow::<()>::Continue(())
                })
                .await;
        });
        all_ready(&ready, (index + 1).saturating_sub(AT_ONCE), Duration::from_secs(30)).await?;
    }
    all_ready(&ready, people.len(), Duration::from_secs(30)).await?;
    Ok(senders)
}

/// One watcher after the other, each with all its profiles in one frame: how long until the last reply.
async fn watch(
    api: &Api,
    args: &PresenceArgs,
    people: &[Account],
    watchers: &[Account],
    seen: &Rc<Seen>,
) -> Result<Latency> {
    let mut times = Latency::new();
    for (number, watcher) in watchers.iter().enumerate() {
        let (sender, mut receiver) = open(&api.host, Options::default()).await?;
        let mut lines = vec![client::connect(1, &watcher.token)];
        for (id, person) in watched(args, people, number).enumerate() {
            lines.push(client::subscribe(id as u32 + 2, Channel::Profile(person.id), Wishes::default()));
        }
        let asked = Instant::now();
        sender.send(&lines.join("\n"))?;
        let own = seen.clone();
        tokio::task::spawn_local(async move {
            // Open for as long as it listens.
            let _sender = sender;
            let line = |line: ServerLine<'_>, at: Instant| {
                own.line(number, &line, at);
                ControlFlow::<()>::Continue(())
            };
            let _ = receiver.listen(line).await;
        });
        let expected = (number + 1) * args.profiles;
        let answered = || seen.subscribed.get() + seen.refused.get() >= expected;
        if !settle(Duration::from_secs(30), answered).await {
            bail!("only {} of {expected} subscriptions were answered", seen.subscribed.get());
        }
        times.record(asked.elapsed());
    }
    Ok(times)
}

/// Whom a watcher watches: runs that overlap, as friends of friends do.
fn watched<'a>(args: &PresenceArgs, people: &'a [Account], watcher: usize) -> impl Iterator<Item = &'a Account> {
    let first = watcher * args.apart;
    people.iter().cycle().skip(first % people.len()).take(args.profiles)
}

/// People fall idle and wake up; in the end every pill shows what its person said last.
async fn change(args: &PresenceArgs, people: &[Account], here: &[Sender], seen: &Seen) -> Result<bool> {
    let started = Instant::now();
    let total = (args.rate * args.seconds) as usize;
    for number in 0..total {
        tokio::time::sleep_until((started + Duration::from_secs_f64(number as f64 / args.rate)).into()).await;
        let at = (number * 37) % args.profiles;
        let person = people[at].id;
        let idle = seen.said.borrow().get(&person).is_none_or(|(status, _)| *status == Status::Online);
        let status = if idle { Status::Idle } else { Status::Online };
        seen.said.borrow_mut().insert(person, (status, Instant::now()));
        here[at].send(&client::rpc(number as u32 + 10, METHOD, &json!({"status": status})))?;
    }
    let place: HashMap<Uuid, usize> = people.iter().enumerate().map(|(place, person)| (person.id, place)).collect();
    let follows = |watcher: usize, person: Uuid| {
        let first = (watcher * args.apart) % people.len();
        (place[&person] + people.len() - first) % people.len() < args.profiles
    };
    let pairs: Vec<(usize, Uuid)> = (0..args.watchers)
        .flat_map(|watcher| seen.said.borrow().keys().map(|person| (watcher, *person)).collect::<Vec<_>>())
        .filter(|(watcher, person)| follows(*watcher, *person))
        .collect();
    let right = || {
        let (said, last) = (seen.said.borrow(), seen.last.borrow());
        pairs.iter().all(|pair| last.get(pair) == said.get(&pair.1).map(|(status, _)| status))
    };
    Ok(settle(REST, right).await)
}
