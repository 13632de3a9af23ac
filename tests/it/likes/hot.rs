//! Many at once: the promises hold, and everybody is told twenty times a second at most.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Door, Sent, is_sum, log, post, send, verify};
use crate::harness::{self, Live, Person, TestApp};

const PEOPLE: [&str; 8] = ["bob", "cleo", "dan", "eve", "finn", "gil", "hana", "ivo"];
const CLIENTS_EACH: usize = 4;
const COMMANDS_EACH: usize = 40;

/// An author, their posts and people who like them.
pub struct Crowd {
    pub app: TestApp,
    author: Arc<Person>,
    posts: Vec<Uuid>,
    people: Vec<Arc<Person>>,
    /// On the author's channel from the beginning.
    listener: Mutex<Live>,
}

/// One of several devices of one person, at random.
async fn client(person: Arc<Person>, mut live: Live, posts: Vec<Uuid>, commands: usize, seed: u64) -> Vec<Sent> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sent = Vec::new();
    for _ in 0..commands {
        let door = *[Door::Rest, Door::Rpc, Door::Both].choose(&mut random).unwrap();
        let (post, liked) = (*posts.choose(&mut random).unwrap(), random.random_bool(0.5));
        sent.push(send(&person, &mut live, door, post, liked).await);
    }
    sent
}

impl Crowd {
    pub async fn at(app: TestApp) -> Crowd {
        let author = Arc::new(app.person("ada").await);
        let mut posts = Vec::new();
        for _ in 0..3 {
            posts.push(post(&app, &author).await);
        }
        let people = join_all(PEOPLE.map(|name| app.person(name))).await.into_iter().map(Arc::new).collect();
        let mut listener = author.live().await;
        listener.subscribe(&format!("profile:{}", author.id)).await;
        Crowd { app, author, posts, people, listener: Mutex::new(listener) }
    }

    /// Thirty-two clients, connected.
    pub async fn clients(&self) -> Vec<(Arc<Person>, Live)> {
        let people = self.people.iter().cycle().take(PEOPLE.len() * CLIENTS_EACH);
        join_all(people.map(async |person| (person.clone(), person.live().await))).await
    }

    /// So many commands of each client; everything that was sent.
    pub async fn run(&self, clients: Vec<(Arc<Person>, Live)>, commands: usize) -> Vec<Sent> {
        let seed = harness::seed();
        println!("SEED={seed}");
        let clients = clients.into_iter().zip(0..).map(|((person, live), number)| {
            let client = client(person, live, self.posts.clone(), commands, seed.wrapping_add(number));
            tokio::spawn(client)
        });
        join_all(clients).await.into_iter().flat_map(Result::unwrap).collect()
    }

    /// Also that whoever listened was told what the log says.
    pub async fn verify(&self, sent: &[Sent]) -> Vec<Value> {
        let people: Vec<&Person> = self.people.iter().map(|person| &**person).collect();
        let public = verify(&self.app, &self.author, &people, sent).await;
        let mut listener = self.listener.lock().await;
        for item in &public {
            let (offset, mut event) = listener.event().await;
            event["offset"] = offset.into();
            assert_eq!(event, *item);
        }
        public
    }
}

/// By the database's clock, in seconds.
fn at(item: &Value) -> f64 {
    let at: DateTime<Utc> = item["at"].as_str().unwrap().parse().unwrap();
    at.timestamp_micros() as f64 / 1e6
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_clients_by_both_doors() {
    let crowd = Crowd::at(harness::app().await).await;
    let sent = crowd.run(crowd.clients().await, COMMANDS_EACH).await;
    let public = crowd.verify(&sent).await;
    let sums: Vec<f64> = public.iter().filter(|item| is_sum(item)).map(at).collect();
    let single = public.len() - sums.len();
    let span = at(public.last().unwrap()) - at(&public[0]);
    println!("{} commands in {span:.1} s: {} events, {single} of them alone", sent.len(), public.len());
    assert!(!sums.is_empty());
    // Batches begin 50 ms apart; the first may have had to wait for a connection.
    let hot = sums.last().unwrap() - sums[0];
    assert!(sums.len() as f64 <= hot * 20.0 + 5.0, "{} sums in {hot:.1} s", sums.len());
    assert!(single as f64 <= (span + 1.0) * 20.0, "{single} events alone in {span:.1} s");
    // A later retry gets the same answer, whether its command was drained or not.
    for sent in sent.iter().step_by(50) {
        let person = crowd.people.iter().find(|person| person.id == sent.person).unwrap();
        let method = if sent.liked { "PUT" } else { "DELETE" };
        let again = person.call(method, &format!("/posts/{}/like", sent.post), None, Some(sent.op)).await.expect(200);
        assert_eq!(again, sent.answer);
        let other = if sent.liked { "DELETE" } else { "PUT" };
        let reused = person.call(other, &format!("/posts/{}/like", sent.post), None, Some(sent.op)).await.expect(422);
        assert_eq!(reused["code"], "op_reused");
    }
    assert_eq!(log(&crowd.author, &format!("profile:{}", crowd.author.id)).await.len(), public.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_one_connection_keep_their_order() {
    let crowd = Crowd::at(harness::app().await).await;
    let running = crowd.run(crowd.clients().await, COMMANDS_EACH);
    let pipelined = async {
        let mut live = crowd.author.live().await;
        let mut ids = Vec::new();
        for number in 0..20 {
            let method = if number % 2 == 0 { "post.like" } else { "post.unlike" };
            ids.push(live.send(json!({"rpc": {"method": method, "data": {"post_id": crowd.posts[0]}}})).await);
        }
        let mut answers = Vec::new();
        for id in ids {
            answers.push(live.reply(id).await.unwrap()["rpc"]["data"].clone());
        }
        answers
    };
    let (_, answers) = tokio::join!(running, pipelined);
    // Between them the author is told of the others.
    let own = log(&crowd.author, &crowd.author.channel()).await;
    let is_like = |item: &&Value| ["post.liked", "post.unliked"].map(Value::from).contains(&item["type"]);
    let likes: Vec<&Value> = own.iter().filter(is_like).collect();
    assert_eq!(likes.len(), 20);
    for (number, (answer, like)) in answers.iter().zip(likes).enumerate() {
        assert_eq!(answer["positions"][0]["offset"], like["offset"]);
        assert_eq!(answer["data"]["liked_by_me"], number % 2 == 0);
    }
    let offsets: Vec<u64> = answers.iter().map(|answer| answer["positions"][1]["offset"].as_u64().unwrap()).collect();
    assert!(offsets.is_sorted_by(|one, two| one < two), "{offsets:?}");
}
