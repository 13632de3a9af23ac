//! People with two hundred profiles in an open tab, who like and comment a few hot posts on a schedule. Latency is that
//! of comments, from the scheduled time to the receipt at the last of all who look on; likes are summed up.
//!
//! Every comment must arrive at all of them, once, and the numbers of each profile must be consecutive for each of them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use studyhall_protocol::Channel;
use studyhall_protocol::client::{self, Push, Reply, ServerLine, Wishes};
use uuid::Uuid;

use super::FeedArgs;
use crate::Common;
use crate::client::{Options, Sender, open};
use crate::process::Usage;
use crate::report::Latency;
use crate::scenario::record::{Record, family_cpu_seconds, used};
use crate::scenario::{all_ready, settle};
use crate::setup::{Account, Api};

/// After the last command; what has not arrived then is lost.
const SETTLE: Duration = Duration::from_secs(10);
/// One command of so many is a comment.
const COMMENT_EVERY: usize = 5;

/// A comment of the current stretch.
struct Comment {
    scheduled: Instant,
    /// Who has not received it.
    left: usize,
}

#[derive(Default)]
struct Found {
    ready: Cell<usize>,
    closed: Cell<u64>,
    refused: Cell<u64>,
    gaps: Cell<u64>,
    repeated: Cell<u64>,
    received: Cell<u64>,
    comments: RefCell<HashMap<Uuid, Comment>>,
    arrived: Cell<usize>,
    last: RefCell<Option<Latency>>,
    first_error: RefCell<Option<String>>,
}

fn add(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

impl Found {
    /// `seats`: the channel of each subscribe command, which has the number of its place and two more; `next`: the
    /// number that each channel's next event has.
    fn line(&self, line: ServerLine<'_>, at: Instant, seats: &[Channel], next: &mut HashMap<Channel, u64>) {
        match line {
            ServerLine::Reply { id, result: Ok(Reply::Subscribe(seat)) } => {
                let channel = (id as usize).checked_sub(2).and_then(|place| seats.get(place));
                next.extend(channel.map(|channel| (*channel, seat.offset + 1)));
                self.ready.set(self.ready.get() + 1);
            }
            ServerLine::Reply { result: Err(error), .. } => {
                add(&self.refused);
                self.first_error.borrow_mut().get_or_insert(error.to_string());
            }
            ServerLine::Push { channel, push: Push::Pub(publication) } => {
                let Some(offset) = publication.offset else { return };
                add(&self.received);
                let expected = next.entry(channel).or_insert(offset);
                match offset {
                    offset if offset < *expected => return add(&self.repeated),
                    offset if offset > *expected => add(&self.gaps),
                    _ => {}
                }
                *expected = offset + 1;
                self.comment(publication.read().and_then(|said| said.op), at);
            }
            ServerLine::Ping | ServerLine::Reply { .. } | ServerLine::Push { .. } => {}
        }
    }

    fn comment(&self, op: Option<Uuid>, at: Instant) {
        let mut comments = self.comments.borrow_mut();
        let Some(comment) = op.and_then(|op| comments.get_mut(&op)) else { return };
        comment.left = comment.left.saturating_sub(1);
        if comment.left == 0 {
            self.arrived.set(self.arrived.get() + 1);
            if let Some(last) = &mut *self.last.borrow_mut() {
                last.record(at.saturating_duration_since(comment.scheduled));
            }
        }
    }
}

/// Who looks on, and what at.
struct Stage {
    senders: Vec<Sender>,
    posts: Vec<Uuid>,
    found: Rc<Found>,
    /// Who likes which post, of viewer and post.
    liked: RefCell<HashMap<(usize, usize), bool>>,
}

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &FeedArgs) -> Result<bool> {
    let api = Api::new(&common.url)?;
    let accounts = api.accounts(common).await?;
    let authors = &accounts[..args.posts.clamp(1, accounts.len())];
    let mut posts = Vec::new();
    for author in authors {
        posts.push(api.post(author).await?);
    }
    let profiles = args.profiles.clamp(authors.len(), accounts.len());
    let stage = connect(&api, &accounts, args.viewers, profiles, posts).await?;
    let parameters: [(&str, Value); 6] = [
        ("viewers", args.viewers.into()),
        ("profiles", profiles.into()),
        ("posts", stage.posts.len().into()),
        ("rate", args.rate.into()),
        ("seconds", args.seconds.into()),
        ("windows", args.windows.into()),
    ];
    let mut record = Record::new("feed", "studyhall", &parameters);
    window(common, args, &stage, args.warmup, None).await?;
    for _ in 0..args.windows.max(1) {
        window(common, args, &stage, args.seconds, Some(&mut record)).await?;
    }
    let found = &stage.found;
    for (name, count) in [
        ("refused", found.refused.get()),
        ("lost", found.gaps.get()),
        ("duplicates", found.repeated.get()),
        ("closed", found.closed.get()),
    ] {
        record.count(name, count, true);
    }
    record.error(found.first_error.borrow().clone());
    stage.senders.iter().for_each(Sender::close);
    let ok = record.print("delivery", "deliveries");
    for (author, post) in authors.iter().zip(&stage.posts) {
        api.remove_post(author, *post).await?;
    }
    Ok(ok)
}

async fn connect(api: &Api, accounts: &[Account], viewers: usize, profiles: usize, posts: Vec<Uuid>) -> Result<Stage> {
    let found = Rc::new(Found::default());
    let mut senders = Vec::with_capacity(viewers);
    for viewer in 0..viewers {
        let account = &accounts[viewer % accounts.len()];
        let seats: Vec<Channel> = accounts[..profiles].iter().map(|author| Channel::Profile(author.id)).collect();
        let (sender, mut receiver) = open(&api.host, Options::default()).await?;
        let subscribes = seats.iter().zip(2..).map(|(seat, id)| client::subscribe(id, *seat, Wishes::default()));
        let lines: Vec<String> = std::iter::once(client::connect(1, &account.token)).chain(subscribes).collect();
        sender.send(&lines.join("\n"))?;
        senders.push(sender);
        let found = found.clone();
        tokio::task::spawn_local(async move {
            let mut next = HashMap::with_capacity(seats.len());
            let ended = receiver.listen(|line, at| {
                found.line(line, at, &seats, &mut next);
                ControlFlow::<anyhow::Error>::Continue(())
            });
            let error = ended.await.unwrap_or_else(|error| error);
            add(&found.closed);
            found.first_error.borrow_mut().get_or_insert(format!("{error:#}"));
        });
    }
    all_ready(&found.ready, viewers * profiles, Duration::from_secs(60)).await?;
    Ok(Stage { senders, posts, found, liked: RefCell::default() })
}

/// One stretch; without a record it only warms up.
async fn window(
    common: &Common,
    args: &FeedArgs,
    stage: &Stage,
    seconds: f64,
    record: Option<&mut Record>,
) -> Result<()> {
    let found = &stage.found;
    let many = (args.rate * seconds) as usize;
    let from = Instant::now() + Duration::from_millis(20);
    let scheduled = |number: usize| from + Duration::from_secs_f64(number as f64 / args.rate);
    let comments: Vec<(usize, Uuid)> =
        (0..many).step_by(COMMENT_EVERY).map(|number| (number, Uuid::new_v4())).collect();
    let waited =
        comments.iter().map(|(number, op)| (*op, Comment { scheduled: scheduled(*number), left: stage.senders.len() }));
    *found.comments.borrow_mut() = waited.collect();
    found.arrived.set(0);
    found.received.set(0);
    *found.last.borrow_mut() = Some(Latency::new());
    let (before, postgres) = (Usage::now(common.server_pid), args.postgres_pid.and_then(family_cpu_seconds));
    let mut ops = comments.iter();
    for number in 0..many {
        tokio::time::sleep_until(scheduled(number).into()).await;
        let comment = if number % COMMENT_EVERY == 0 { ops.next().map(|(_, op)| *op) } else { None };
        stage.send(number, comment)?;
    }
    let (after, used_by_postgres) = (Usage::now(common.server_pid), args.postgres_pid.and_then(family_cpu_seconds));
    settle(SETTLE, || found.arrived.get() == comments.len()).await;
    if let (Some(record), Some(last)) = (record, found.last.borrow_mut().take()) {
        record.count("lost", (comments.len() - found.arrived.get()) as u64, true);
        record.window(used(&before, &after, found.received.get()), &last);
        record.postgres(used_by_postgres.zip(postgres).map(|(after, before)| after - before));
    }
    Ok(())
}

impl Stage {
    /// The command with this number: a comment, if it has an operation id.
    fn send(&self, number: usize, comment: Option<Uuid>) -> Result<()> {
        let viewer = number % self.senders.len();
        let place = number / COMMENT_EVERY % self.posts.len();
        let post = self.posts[place];
        let (method, data) = match comment {
            Some(op) => ("comment.create", json!({"post_id": post, "body": "Well done", "op": op})),
            None => {
                let mut liked = self.liked.borrow_mut();
                let liked = liked.entry((viewer, place)).or_default();
                *liked = !*liked;
                (if *liked { "post.like" } else { "post.unlike" }, json!({"post_id": post}))
            }
        };
        let id = u32::try_from(number).unwrap_or(0) + 1_000;
        self.senders[viewer].send(&client::rpc(id, method, &data))
    }
}
