//! Those who are watched: they come, go, fall idle and wake up, on a schedule of their own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use studyhall_protocol::client;
use studyhall_protocol::presence::{METHOD, Status};

use super::PresenceArgs;
use super::watch::{Change, Seen, Truth};
use crate::capacity::random::Random;
use crate::client::{Options, Sender, open};
use crate::scenario::all_ready;
use crate::setup::{Account, Api};

/// Connections that are being opened at a time.
const AT_ONCE: usize = 64;
/// Long enough that everybody sees who went.
const AWAY: Duration = Duration::from_secs(3);
/// Draws until somebody is found who is here.
const DRAWS: usize = 64;

/// Everybody.
pub struct People {
    api: Api,
    accounts: Vec<Account>,
    here: RefCell<Vec<Option<Sender>>>,
    connected: Rc<Cell<usize>>,
    commands: Cell<u32>,
    seen: Rc<Seen>,
    /// When commands were sent and how late.
    pub late: RefCell<crate::report::Latency>,
}

/// What is next of its kind.
#[derive(Clone, Copy)]
enum Next {
    Status,
    Departure,
    Arrival(usize),
}

impl People {
    /// Nobody is here yet.
    pub fn new(api: &Api, accounts: &[Account], seen: &Rc<Seen>) -> Rc<Self> {
        Rc::new(Self {
            api: api.clone(),
            accounts: accounts.to_vec(),
            here: RefCell::new(vec![None; accounts.len()]),
            connected: Rc::default(),
            commands: Cell::new(10),
            seen: seen.clone(),
            late: RefCell::new(crate::report::Latency::new()),
        })
    }

    /// Connects these.
    pub async fn come_all(&self, who: std::ops::Range<usize>) -> Result<()> {
        let before = self.connected.get();
        for (number, person) in who.clone().enumerate() {
            self.come(person, None).await?;
            all_ready(&self.connected, before + (number + 1).saturating_sub(AT_ONCE), Duration::from_secs(30)).await?;
        }
        all_ready(&self.connected, before + who.len(), Duration::from_secs(30)).await
    }

    /// Connects one; who is connected stays so, and answers pings.
    async fn come(&self, person: usize, due: Option<Instant>) -> Result<()> {
        let account = &self.accounts[person];
        let (sender, mut receiver) = open(&self.api.host, Options::default()).await?;
        let since = due.map(|due| (Change::Arrival, due));
        self.seen.truth.borrow_mut().insert(account.id, Truth { status: Status::Online, since });
        sender.send(&client::connect(1, &account.token))?;
        self.here.borrow_mut()[person] = Some(sender);
        let told = self.connected.clone();
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
        Ok(())
    }

    fn go(&self, person: usize, due: Instant) {
        if let Some(sender) = self.here.borrow_mut()[person].take() {
            let since = Some((Change::Departure, due));
            self.seen.truth.borrow_mut().insert(self.accounts[person].id, Truth { status: Status::Offline, since });
            sender.close();
        }
    }

    /// Everybody goes.
    pub fn part(&self) {
        self.here.borrow().iter().flatten().for_each(Sender::close);
    }

    fn turn(&self, person: usize, due: Instant) -> Result<()> {
        let here = self.here.borrow();
        let Some(sender) = &here[person] else { return Ok(()) };
        let mut truth = self.seen.truth.borrow_mut();
        let id = self.accounts[person].id;
        let idle = truth.get(&id).is_none_or(|truth| truth.status == Status::Online);
        let status = if idle { Status::Idle } else { Status::Online };
        truth.insert(id, Truth { status, since: Some((Change::Status, due)) });
        self.commands.set(self.commands.get() + 1);
        sender.send(&client::rpc(self.commands.get(), METHOD, &json!({"status": status})))
    }

    fn somebody(&self, random: &mut Random) -> Option<usize> {
        let here = self.here.borrow();
        (0..DRAWS).map(|_| random.below(here.len())).find(|person| here[*person].is_some())
    }

    /// Runs the schedule, open loop; whoever is away at its end comes back. Returns how many changes there were.
    pub async fn change(&self, args: &PresenceArgs) -> Result<BTreeMap<Change, u64>> {
        let mut random = Random::new(args.seed);
        let started = Instant::now();
        let until = started + Duration::from_secs_f64(args.seconds);
        let (mut queue, mut ticket) = (BTreeMap::new(), 0_u64);
        let mut push = |queue: &mut BTreeMap<(Instant, u64), Next>, at: Instant, next: Next| {
            ticket += 1;
            queue.insert((at, ticket), next);
        };
        let wait = |random: &mut Random, rate: f64| {
            Duration::try_from_secs_f64(random.wait(rate)).unwrap_or(Duration::from_secs(1 << 30))
        };
        push(&mut queue, started + wait(&mut random, args.rate), Next::Status);
        push(&mut queue, started + wait(&mut random, args.leaves), Next::Departure);
        let mut done = BTreeMap::new();
        while let Some(((at, _), next)) = queue.pop_first() {
            if at >= until && !matches!(next, Next::Arrival(_)) {
                continue;
            }
            tokio::time::sleep_until(at.into()).await;
            self.late.borrow_mut().record(at.elapsed());
            let change = match next {
                Next::Status => {
                    push(&mut queue, at + wait(&mut random, args.rate), next);
                    let Some(person) = self.somebody(&mut random) else { continue };
                    self.turn(person, at)?;
                    Change::Status
                }
                Next::Departure => {
                    push(&mut queue, at + wait(&mut random, args.leaves), next);
                    let Some(person) = self.somebody(&mut random) else { continue };
                    self.go(person, at);
                    push(&mut queue, at + AWAY, Next::Arrival(person));
                    Change::Departure
                }
                Next::Arrival(person) => {
                    self.come(person, Some(at)).await?;
                    Change::Arrival
                }
            };
            *done.entry(change).or_default() += 1;
        }
        Ok(done)
    }
}
