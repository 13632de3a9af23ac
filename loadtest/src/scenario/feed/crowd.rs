//! People with two hundred profiles in an open tab, who like and comment a few hot posts on a schedule. Latency is that
//! of comments, from the scheduled time to the receipt at the last of all who look on; likes are summed up.
//!
//! Every comment must arrive at all of them, once, and the numbers of each profile must be consecutive for each of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use studyhall_protocol::Channel;
use studyhall_protocol::client;
use uuid::Uuid;

use super::FeedArgs;
use crate::Common;
use crate::client::Sender;
use crate::process::Usage;
use crate::scenario::record::{Record, family_cpu_seconds, used};
use crate::scenario::witness::Witnesses;
use crate::scenario::{all_ready, settle};
use crate::setup::{Account, Api};

/// After the last command; what has not arrived then is lost.
const SETTLE: Duration = Duration::from_secs(10);
/// One command of so many is a comment.
const COMMENT_EVERY: usize = 5;

/// Who looks on, and what at.
struct Stage {
    senders: Vec<Sender>,
    posts: Vec<Uuid>,
    witnesses: Rc<Witnesses>,
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
    stage.witnesses.report(&mut record);
    stage.senders.iter().for_each(Sender::close);
    let ok = record.print("delivery", "deliveries");
    for (author, post) in authors.iter().zip(&stage.posts) {
        api.remove_post(author, *post).await?;
    }
    Ok(ok)
}

async fn connect(api: &Api, accounts: &[Account], viewers: usize, profiles: usize, posts: Vec<Uuid>) -> Result<Stage> {
    let witnesses = Rc::new(Witnesses::default());
    let seats: Vec<Channel> = accounts[..profiles].iter().map(|author| Channel::Profile(author.id)).collect();
    let mut senders = Vec::with_capacity(viewers);
    for viewer in 0..viewers {
        let account = &accounts[viewer % accounts.len()];
        senders.push(witnesses.open(&api.host, &account.token, &seats).await?);
    }
    all_ready(&witnesses.ready, viewers * profiles, Duration::from_secs(60)).await?;
    Ok(Stage { senders, posts, witnesses, liked: RefCell::default() })
}

/// One stretch; without a record it only warms up.
async fn window(
    common: &Common,
    args: &FeedArgs,
    stage: &Stage,
    seconds: f64,
    record: Option<&mut Record>,
) -> Result<()> {
    let witnesses = &stage.witnesses;
    let many = (args.rate * seconds) as usize;
    let from = Instant::now() + Duration::from_millis(20);
    let scheduled = |number: usize| from + Duration::from_secs_f64(number as f64 / args.rate);
    let comments: Vec<(usize, Uuid)> =
        (0..many).step_by(COMMENT_EVERY).map(|number| (number, Uuid::new_v4())).collect();
    witnesses.await_all(comments.iter().map(|(number, op)| (*op, scheduled(*number))), stage.senders.len());
    let (before, postgres) = (Usage::now(common.server_pid), args.postgres_pid.and_then(family_cpu_seconds));
    let mut ops = comments.iter();
    for number in 0..many {
        tokio::time::sleep_until(scheduled(number).into()).await;
        let comment = if number % COMMENT_EVERY == 0 { ops.next().map(|(_, op)| *op) } else { None };
        stage.send(number, comment)?;
    }
    let (after, used_by_postgres) = (Usage::now(common.server_pid), args.postgres_pid.and_then(family_cpu_seconds));
    settle(SETTLE, || witnesses.arrived() == comments.len()).await;
    if let (Some(record), Some(last)) = (record, witnesses.take_latency()) {
        record.count("lost", witnesses.missing(), true);
        record.window(used(&before, &after, witnesses.received()), &last);
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
