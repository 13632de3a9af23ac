//! Many at once: the people of a node that is killed, and a crowd that comes and goes faster than Redis answers.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::enter;
use super::moves::Lookout;
use crate::cluster::server::Server;
use crate::cluster::until;
use crate::faults::node::Node;
use crate::faults::redis::RedisLink;
use crate::harness::{self, Live, Person, TestApp};

/// A killed node's people are gone within this.
const KILLED_WITHIN: Duration = Duration::from_secs(15);
/// After the last of them has come or gone, all see who is here.
const QUIET_WITHIN: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_people_of_a_killed_node_leave_once_and_who_comes_back_never_did() {
    let redis = Server::start().await;
    let here = harness::app_with(|config| config.redis_url = Some(redis.url.clone())).await;
    let mut node = Node::start(&here.database.url, Some(&redis.url)).await;
    let mut people = harness::crowd(&here, 101, 101).await;
    let (watcher, room) = people.pop().unwrap();
    let mut lookout = Lookout::start(&watcher, &room).await;
    let mut tabs = JoinSet::new();
    for (person, room) in &people {
        let live = enter(&person.at(&node.url), room).await;
        tabs.spawn(live.stay());
    }
    let all: HashSet<Uuid> = people.iter().map(|(person, _)| person.id).chain([watcher.id]).collect();
    lookout.until_here(&all).await;
    node.kill();
    let killed = Instant::now();
    let mut stay = HashSet::from([watcher.id]);
    for (person, room) in &people[..50] {
        let live = enter(person, room).await;
        tabs.spawn(live.stay());
        stay.insert(person.id);
    }
    println!("50 were back {:?} after the kill", killed.elapsed());
    lookout.until_here(&stay).await;
    let gone = killed.elapsed();
    println!("50 were gone {gone:?} after the kill");
    assert!(gone <= KILLED_WITHIN, "{gone:?}");
    // Until every lease of the dead node is over for certain.
    tokio::time::sleep_until((killed + KILLED_WITHIN).into()).await;
    lookout.until_here(&stay).await;
    let counts = lookout.counts();
    assert!(people[..50].iter().all(|(person, _)| counts[&person.id] == 1), "who came back never left");
    assert!(people[50..].iter().all(|(person, _)| counts[&person.id] == 2), "the others came and left once");
}

/// A connection that is in the room by turns, on one of the nodes.
struct Tab {
    live: Live,
    inside: bool,
}

struct Churn {
    random: StdRng,
    nodes: Vec<TestApp>,
    people: Vec<(Person, String)>,
    /// Of each person, at most one on each node.
    tabs: HashMap<(usize, usize), Tab>,
}

impl Churn {
    /// Somebody comes, goes, enters, or leaves the room; one connection.
    async fn step(&mut self) {
        self.tabs.values_mut().for_each(|tab| tab.live.keep_up());
        let who = self.random.random_range(0..self.people.len());
        let node = self.random.random_range(0..self.nodes.len());
        let (person, room) = &self.people[who];
        let Some(tab) = self.tabs.get_mut(&(who, node)) else {
            let live = enter(&person.at(&self.nodes[node].url()), room).await;
            self.tabs.insert((who, node), Tab { live, inside: true });
            return;
        };
        if *[true, false].choose(&mut self.random).unwrap() {
            self.tabs.remove(&(who, node)).unwrap().live.bye().await;
            return;
        }
        let word = if tab.inside { "unsubscribe" } else { "subscribe" };
        tab.live.request(json!({word: {"channel": room}})).await.unwrap();
        tab.inside = !tab.inside;
    }

    fn inside(&self) -> HashSet<Uuid> {
        self.tabs.iter().filter(|(_, tab)| tab.inside).map(|((who, _), _)| self.people[*who].0.id).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_comes_and_goes() {
    churn(Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn a_crowd_comes_and_goes_for_half_a_minute() {
    churn(Duration::from_secs(30)).await;
}

/// Two hundred people, twenty of whom come or go each second, by nodes that are 50 ms away from Redis.
async fn churn(long: Duration) {
    let seed = harness::seed();
    println!("SEED={seed}");
    let redis = Server::start().await;
    let roads: Vec<RedisLink> = (0..2).map(|_| RedisLink::start(&redis.url)).collect();
    roads.iter().for_each(|road| road.both(|way| way.delay = Duration::from_millis(25)));
    let first = harness::app_with(|config| config.redis_url = Some(roads[0].redis_url())).await;
    let second = first.beside(|config| config.redis_url = Some(roads[1].redis_url())).await;
    let mut people = harness::crowd(&first, 201, 201).await;
    let (watcher, room) = people.pop().unwrap();
    let mut lookouts = [Lookout::start(&watcher, &room).await, Lookout::start(&watcher.at(&second.url()), &room).await];
    let random = StdRng::seed_from_u64(seed);
    let mut churn = Churn { random, nodes: vec![first, second], people, tabs: HashMap::new() };
    // Most of them are there at first.
    for who in 0..150 {
        let (person, room) = &churn.people[who];
        let live = enter(&person.at(&churn.nodes[who % 2].url()), room).await;
        churn.tabs.insert((who, who % 2), Tab { live, inside: true });
        churn.tabs.values_mut().for_each(|tab| tab.live.keep_up());
    }
    let began = Instant::now();
    let mut steps = 0;
    while began.elapsed() < long {
        churn.step().await;
        steps += 1;
        if steps % 20 == 0 {
            for lookout in &mut lookouts {
                lookout.look().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50).saturating_mul(steps).saturating_sub(began.elapsed())).await;
    }
    let mut inside = churn.inside();
    inside.insert(watcher.id);
    for lookout in &mut lookouts {
        let agreed = lookout.until_here(&inside).await;
        println!("{} were here, as all saw {agreed:?} after {steps} steps", inside.len());
        assert!(agreed <= QUIET_WITHIN, "{agreed:?}");
    }
    for (_, tab) in churn.tabs.drain() {
        tab.live.bye().await;
        // Those who leave at the same moment are more than is told one by one.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    lookouts[0].until_here(&HashSet::from([watcher.id])).await;
    for lookout in lookouts {
        lookout.live.bye().await;
    }
    until("nothing is left in Redis", async || {
        let places: Vec<String> = redis.ask("KEYS studyhall:at:*").await;
        let said: Vec<String> = redis.ask("KEYS studyhall:of:*").await;
        places.is_empty() && said.is_empty()
    })
    .await;
}
