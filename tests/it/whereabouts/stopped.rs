//! A node whose whole process stands still for longer than its lease, and then goes on.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::enter;
use super::moves::Lookout;
use crate::cluster::server::Server;
use crate::faults::node::Node;
use crate::harness::{self, Person};

const STOPPED_FOR: Duration = Duration::from_secs(20);
/// The people of a node that does not answer are gone within this.
const GONE_WITHIN: Duration = Duration::from_secs(15);
/// Whom it has when it goes on are back within this.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// Aiko's tab stays, Ben's is closed while nobody hears it, Cleo goes elsewhere meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_loses_its_people_once_and_has_them_back_once() {
    let redis = Server::start().await;
    let here = harness::app_with(|config| config.redis_url = Some(redis.url.clone())).await;
    let node = Node::start(&here.database.url, Some(&redis.url)).await;
    let mut people = harness::crowd(&here, 4, 4).await;
    let (watcher, room) = people.pop().unwrap();
    let [aiko, ben, cleo]: [Person; 3] =
        people.into_iter().map(|(person, _)| person).collect::<Vec<_>>().try_into().ok().unwrap();
    let mut lookout = Lookout::start(&watcher, &room).await;
    let ids = |people: &[&Person]| -> HashSet<Uuid> { people.iter().map(|person| person.id).collect() };
    let mut stays = enter(&aiko.at(&node.url), &room).await;
    let (closes, moves) = (enter(&ben.at(&node.url), &room).await, enter(&cleo.at(&node.url), &room).await);
    stays.subscribe(&aiko.channel()).await;
    lookout.until_here(&ids(&[&watcher, &aiko, &ben, &cleo])).await;

    node.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    lookout.until_here(&ids(&[&watcher])).await;
    println!("gone {:?} after it stopped", stopped.elapsed());
    assert!(stopped.elapsed() <= GONE_WITHIN, "{:?}", stopped.elapsed());
    closes.vanish();
    let mut tabs = JoinSet::new();
    tabs.spawn(enter(&cleo, &room).await.stay());
    moves.vanish();
    lookout.until_here(&ids(&[&watcher, &cleo])).await;
    // What she missed.
    let missed = aiko.post("/task-lists", json!({"name": "Today"})).await.expect(201);
    tokio::time::sleep_until((stopped + STOPPED_FOR).into()).await;

    node.signal(Signal::SIGCONT);
    let went_on = Instant::now();
    let (_, event) = stays.event().await;
    println!("what was missed came {:?} after it went on", went_on.elapsed());
    assert_eq!(event["data"]["id"], missed["data"]["id"]);
    // The connection is one that works.
    stays.request(json!({"ping": {}})).await.unwrap();
    tabs.spawn(stays.stay());
    lookout.until_here(&ids(&[&watcher, &cleo, &aiko])).await;
    println!("back {:?} after it went on", went_on.elapsed());
    assert!(went_on.elapsed() <= BACK_WITHIN, "{:?}", went_on.elapsed());
    // Beyond every hold and lease.
    tokio::time::sleep_until((went_on + Duration::from_secs(14)).into()).await;
    lookout.until_here(&ids(&[&watcher, &cleo, &aiko])).await;
    let counts = lookout.counts();
    println!("told of: aiko {}, ben {}, cleo {}", counts[&aiko.id], counts[&ben.id], counts[&cleo.id]);
    assert_eq!(counts[&aiko.id], 3, "came, went, came");
    assert_eq!(counts[&ben.id], 2, "came, went");
    assert_eq!(counts[&cleo.id], 3, "came, went, came elsewhere");
}
