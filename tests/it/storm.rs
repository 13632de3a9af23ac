//! Eight people like, comment, edit and delete at once, by both doors: counts are rows, everybody saw the same, and a
//! snapshot moved on by events is a fresh read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use studyhall_protocol::EventRecord;
use studyhall_protocol::posts::FeedPost;
use studyhall_protocol::state::ProfileState;
use tokio::sync::watch;
use uuid::Uuid;

use crate::harness::{self, Live, Person, TestApp};

const WRITERS: usize = 8;
const AUTHORS: usize = 2;
const POSTS: usize = 6;

/// When a writer stops.
#[derive(Clone, Copy)]
enum Until {
    Commands(usize),
    Time(Instant),
}

impl Until {
    fn goes_on(self, done: usize) -> bool {
        match self {
            Until::Commands(most) => done < most,
            Until::Time(end) => Instant::now() < end,
        }
    }
}

/// Somebody who writes through both doors, and remembers what they made.
struct Writer {
    person: Arc<Person>,
    live: Live,
    random: StdRng,
    comments: Vec<Uuid>,
    /// What was said about my posts, by whomever.
    received: Arc<Mutex<Vec<Uuid>>>,
    /// The same of each author.
    to: Arc<Vec<Arc<Mutex<Vec<Uuid>>>>>,
    done: usize,
    refused: usize,
}

impl Writer {
    async fn write(mut self, posts: Arc<Vec<(usize, Uuid)>>, own: Vec<Uuid>, until: Until) -> (usize, usize) {
        while until.goes_on(self.done) {
            let (author, post) = *posts.choose(&mut self.random).unwrap();
            match self.random.random_range(0..100) {
                0..35 => self.act("post.like", "PUT", &format!("/posts/{post}/like"), json!({"post_id": post})).await,
                35..60 => {
                    self.act("post.unlike", "DELETE", &format!("/posts/{post}/like"), json!({"post_id": post})).await
                }
                60..80 => {
                    let fields = json!({"post_id": post, "body": format!("says {}", self.done)});
                    let made = self.act("comment.create", "POST", &format!("/posts/{post}/comments"), fields).await;
                    let made = made.and_then(|data| data["id"].as_str()?.parse::<Uuid>().ok());
                    self.comments.extend(made);
                    self.to[author].lock().unwrap().extend(made);
                    None
                }
                80..88 if !self.comments.is_empty() => {
                    let id = *self.comments.choose(&mut self.random).unwrap();
                    let fields = json!({"id": id, "body": format!("edits {}", self.done)});
                    self.act("comment.update", "PATCH", &format!("/comments/{id}"), fields).await
                }
                // An author takes away what somebody said: that one will not find it any more.
                88..90 if !self.received.lock().unwrap().is_empty() => {
                    let id = self.received.lock().unwrap().pop().unwrap();
                    self.act("comment.delete", "DELETE", &format!("/comments/{id}"), json!({"id": id})).await
                }
                88..99 if !self.comments.is_empty() => {
                    let at = self.random.random_range(0..self.comments.len());
                    let id = self.comments.swap_remove(at);
                    self.act("comment.delete", "DELETE", &format!("/comments/{id}"), json!({"id": id})).await
                }
                _ => self.edit(&own).await,
            };
            self.done += 1;
        }
        (self.done, self.refused)
    }

    /// Authors edit their posts now and then; whoever has none looks on.
    async fn edit(&mut self, own: &[Uuid]) -> Option<Value> {
        let id = *own.choose(&mut self.random)?;
        let fields = json!({"id": id, "content": format!("edited {}", self.done)});
        self.act("post.update", "PATCH", &format!("/posts/{id}"), fields).await
    }

    /// One command through either door. A comment that the post's author took away first is not found: that is no error.
    async fn act(&mut self, method: &str, verb: &str, path: &str, fields: Value) -> Option<Value> {
        let op = Uuid::new_v4();
        if self.random.random_bool(0.5) {
            let mut data = fields;
            data["op"] = json!(op);
            return match self.live.rpc(method, data).await {
                Ok(answer) => Some(answer["data"].clone()),
                Err(error) => {
                    assert_eq!(error["code"], 1404, "{method}: {error}");
                    self.refused += 1;
                    None
                }
            };
        }
        let answer = self.person.call(verb, path, (verb != "DELETE").then_some(fields), Some(op)).await;
        if answer.status == 404 {
            self.refused += 1;
            return None;
        }
        assert!((200..300).contains(&answer.status), "{verb} {path}: {} {}", answer.status, answer.body);
        Some(answer.body["data"].clone())
    }
}

/// Where each author's channel ends; 0 as long as nobody knows.
type Ends = watch::Receiver<[u64; AUTHORS]>;

/// Listens to the profile of an author from its first event on, to its end.
async fn listen(person: Arc<Person>, author: Uuid, number: usize, mut ends: Ends) -> Vec<Value> {
    let channel = format!("profile:{author}");
    let mut live = person.live().await;
    let epoch = person.get(&format!("/users/{author}")).await.expect(200)["positions"][0]["epoch"].clone();
    live.subscribe_from(&channel, &json!({"offset": 0, "epoch": epoch})).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let end = ends.borrow_and_update()[number];
        if end > 0 && seen.len() as u64 >= end {
            return seen;
        }
        tokio::select! {
            (offset, event) = live.event() => {
                assert_eq!(offset, seen.len() as u64 + 1, "a gap or a duplicate");
                seen.push(event);
            }
            _ = ends.changed() => {}
        }
    }
}

/// All posts of an author, with where that was.
async fn posts_of(person: &Person, author: Uuid) -> (BTreeMap<Uuid, studyhall_protocol::posts::Post>, u64) {
    let page = person.get(&format!("/users/{author}/posts?limit=100")).await.expect(200);
    let at = page["positions"].as_array().unwrap().iter().find(|at| at["channel"] == format!("profile:{author}"));
    let offset = at.unwrap()["offset"].as_u64().unwrap();
    let items: Vec<FeedPost> = serde_json::from_value(page["items"].clone()).unwrap();
    (items.into_iter().map(|item| (item.post.id, item.post)).collect(), offset)
}

fn fold(state: &mut ProfileState, events: &[Value]) {
    for event in events {
        let record: EventRecord = serde_json::from_value(event.clone()).unwrap();
        state.apply(&record.event).unwrap();
    }
}

async fn assert_counts(app: &TestApp) {
    let wrong: Vec<(Uuid,)> = sqlx::query_as(
        "select p.id from posts p
         where like_count <> (select count(*) from post_likes l where l.post_id = p.id)
             or comment_count <> (select count(*) from post_comments c where c.post_id = p.id)",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "posts whose counts are not their rows: {wrong:?}");
}

/// The posts that there are, each with the number of its author.
async fn post_all(people: &[Arc<Person>]) -> Vec<(usize, Uuid)> {
    let mut posts = Vec::new();
    for (author, person) in people.iter().enumerate().take(AUTHORS) {
        for number in 0..POSTS {
            let made = person.post("/posts", json!({"content": format!("post {number}")})).await.expect(201);
            posts.push((author, made["data"]["id"].as_str().unwrap().parse::<Uuid>().unwrap()));
        }
    }
    posts
}

async fn storm(until: Until) {
    let seed = harness::seed();
    println!("SEED={seed}");
    let app = harness::app_with(|config| config.commands_per_second = 10_000).await;
    let mut people = Vec::new();
    for number in 0..WRITERS {
        people.push(Arc::new(app.person(&format!("writer{number}")).await));
    }
    let posts = Arc::new(post_all(&people).await);
    let (end, ends) = watch::channel([0; AUTHORS]);
    let mut listeners = Vec::new();
    for author in 0..AUTHORS {
        for ear in [0, 3, 6] {
            let ear = tokio::spawn(listen(people[ear].clone(), people[author].id, author, ends.clone()));
            listeners.push((author, ear));
        }
    }
    let to: Arc<Vec<_>> = Arc::new((0..WRITERS).map(|_| Arc::<Mutex<Vec<Uuid>>>::default()).collect());
    let mut writers = Vec::new();
    for (number, person) in people.iter().enumerate() {
        let random = StdRng::seed_from_u64(seed ^ number as u64);
        let live = person.live().await;
        let (received, to) = (to[number].clone(), to.clone());
        let comments = Vec::new();
        let writer = Writer { person: person.clone(), live, random, comments, received, to, done: 0, refused: 0 };
        let own = posts.iter().filter(|(author, _)| *author == number).map(|(_, id)| *id).collect();
        writers.push(tokio::spawn(writer.write(posts.clone(), own, until)));
    }
    // Snapshots from the middle of it.
    let mut middle = Vec::new();
    for author in 0..AUTHORS {
        middle.push(posts_of(&people[7], people[author].id).await);
    }
    let started = Instant::now();
    let (mut done, mut refused) = (0, 0);
    for writer in writers {
        let wrote = writer.await.unwrap();
        done += wrote.0;
        refused += wrote.1;
    }
    println!("{done} commands in {:.1} s, {refused} of them found nothing", started.elapsed().as_secs_f64());
    assert_counts(&app).await;
    let mut fresh = Vec::new();
    for author in 0..AUTHORS {
        fresh.push(posts_of(&people[5], people[author].id).await);
    }
    end.send(std::array::from_fn(|author| fresh[author].1)).unwrap();
    let mut heard: Vec<Option<Vec<Value>>> = vec![None; AUTHORS];
    for (author, ear) in listeners {
        let seen = ear.await.unwrap();
        match &heard[author] {
            Some(other) => assert!(*other == seen, "two subscribers saw different things"),
            None => heard[author] = Some(seen),
        }
    }
    for (author, seen) in heard.into_iter().enumerate() {
        let (seen, (now, end)) = (seen.unwrap(), &fresh[author]);
        let (posts, from) = middle[author].clone();
        for (mut state, from) in
            [(ProfileState { posts, ..ProfileState::default() }, from as usize), (ProfileState::default(), 0)]
        {
            fold(&mut state, &seen[from..*end as usize]);
            assert_eq!(state.posts, *now, "from {from}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_eight_people_write_at_once() {
    storm(Until::Commands(150)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: make test-long"]
async fn a_feed_that_eight_people_write_for_a_minute() {
    storm(Until::Time(Instant::now() + Duration::from_secs(60))).await;
}
