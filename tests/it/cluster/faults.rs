//! Nodes that die, stand still, go away, come back.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use futures_util::future::join;
use studyhall::cluster::{Cluster, Timing};
use studyhall::live::roster::Roster;
use uuid::Uuid;

use super::ears::Ears;
use super::server::Server;
use super::{entry, node, people, reached, room, seal, short_lived, tell_all, until, watchful};

#[tokio::test]
async fn a_killed_node_leaves_once_everywhere_and_leaves_nothing_behind() {
    let server = Server::start().await;
    let (ada, ada_hears) = node(&server, watchful());
    let (bob, bob_hears) = node(&server, watchful());
    let (victim, _) = node(&server, short_lived());
    let (place, crowd) = (room(), people(1_200));
    ada.attend(vec![place]).await;
    bob.attend(vec![place]).await;
    tell_all(&victim, place, &crowd, "there");
    tell_all(&bob, place, &crowd[..1], "here too");
    ada_hears.hear(place, &crowd[1..], &["there"]).await;
    ada_hears.hear(place, &crowd[..1], &["here too", "there"]).await;
    bob_hears.hear(place, &crowd, &["there"]).await;
    let killed = Instant::now();
    drop(victim);
    ada_hears.hear(place, &crowd[1..], &[]).await;
    ada_hears.hear(place, &crowd[..1], &["here too"]).await;
    bob_hears.hear(place, &crowd, &[]).await;
    println!("1,200 people of a killed node (lease 1.5 s) left after {:?}", killed.elapsed());
    for person in &crowd[1..] {
        assert_eq!(ada_hears.of(place, *person), [vec!["there".to_owned()], vec![]]);
        assert_eq!(bob_hears.of(place, *person), [vec!["there".to_owned()], vec![]]);
    }
    until("nothing of it is left", async || {
        let of: Vec<String> = server.ask("KEYS studyhall:of:*").await;
        let seq: Vec<String> = server.ask("KEYS studyhall:seq:*").await;
        (of.len(), seq.len(), server.ask::<u32>("ZCARD studyhall:ended").await) == (1, 1, 0)
    })
    .await;
    assert_eq!(server.ask::<u32>(&format!("HLEN studyhall:at:{place}")).await, 1);
}

#[tokio::test]
async fn all_keys_end_by_themselves() {
    let server = Server::start().await;
    let (ada, _) = node(&server, watchful());
    let place = room();
    ada.tell(place, Uuid::new_v4(), entry("here"));
    until("it is stored", async || server.ask::<bool>(&format!("EXISTS studyhall:at:{place}")).await).await;
    let keys: Vec<String> = server.ask("KEYS *").await;
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("studyhall:"), "{key}");
        // The leases are cleared by whoever comes next.
        assert!(key == "studyhall:nodes" || server.ask::<i64>(&format!("TTL {key}")).await > 0, "{key}");
    }
}

/// A node on a thread of its own, which can stand still as a stopped process does.
struct Stoppable {
    cluster: Arc<Cluster>,
    runtime: tokio::runtime::Handle,
    _end: mpsc::Sender<()>,
}

impl Stoppable {
    async fn start(url: String, timing: Timing) -> Self {
        let (made, start) = tokio::sync::oneshot::channel();
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let _ = made.send((Cluster::start(&url, seal(), timing), tokio::runtime::Handle::current()));
                let _ = tokio::task::spawn_blocking(move || ended.recv()).await;
            });
        });
        let (cluster, runtime) = start.await.unwrap();
        Self { cluster, runtime, _end: end }
    }

    /// Until the answer is sent, nothing of it runs.
    fn stop(&self) -> mpsc::Sender<()> {
        let (go_on, wait) = mpsc::channel::<()>();
        self.runtime.spawn(async move {
            let _ = wait.recv();
        });
        go_on
    }
}

#[tokio::test]
async fn a_node_that_stood_still_leaves_once_and_joins_once() {
    let server = Server::start().await;
    let (ada, ada_hears) = node(&server, watchful());
    let (place, crowd) = (room(), people(700));
    ada.attend(vec![place]).await;
    let stopped = Stoppable::start(server.url.clone(), short_lived()).await;
    tell_all(&stopped.cluster, place, &crowd, "there");
    ada_hears.hear(place, &crowd, &["there"]).await;
    let go_on = stopped.stop();
    ada_hears.hear(place, &crowd, &[]).await;
    // What was said to it meanwhile is said afterwards.
    stopped.cluster.tell(place, crowd[0], None);
    drop(go_on);
    ada_hears.hear(place, &crowd[1..], &["there"]).await;
    let there = || vec!["there".to_owned()];
    for person in &crowd[1..] {
        assert_eq!(ada_hears.of(place, *person), [there(), vec![], there()]);
    }
    // No ghost of its first lease stays.
    tell_all_gone(&stopped.cluster, place, &crowd);
    ada_hears.hear(place, &crowd, &[]).await;
    assert_eq!(server.ask::<u32>(&format!("HLEN studyhall:at:{place}")).await, 0);
    assert_eq!(ada_hears.of(place, crowd[0]), [there(), vec![]]);
}

fn tell_all_gone(cluster: &Cluster, place: studyhall_protocol::channel::Channel, people: &[Uuid]) {
    people.iter().for_each(|person| cluster.tell(place, *person, None));
}

#[tokio::test]
async fn who_hands_over_is_held_and_then_leaves_or_is_elsewhere() {
    let server = Server::start().await;
    let (ada, ada_hears) = node(&server, watchful());
    let (place, stays, moves) = (room(), Uuid::new_v4(), Uuid::new_v4());
    ada.attend(vec![place]).await;
    let (draining, _) = node(&server, watchful());
    let (successor, _) = node(&server, watchful());
    reached(&draining).await;
    // Not even given time to say them before.
    tell_all(&draining, place, &[stays, moves], "old");
    let handed = Instant::now();
    // Its sockets close meanwhile, and its engine says so.
    join(draining.hand_over(), async { draining.tell(place, stays, None) }).await;
    drop(draining);
    ada_hears.hear(place, &[stays, moves], &["old"]).await;
    successor.tell(place, moves, entry("new"));
    ada_hears.hear(place, &[moves], &["new", "old"]).await;
    // Its lease was a minute.
    ada_hears.hear(place, &[moves], &["new"]).await;
    ada_hears.hear(place, &[stays], &[]).await;
    println!("the people of a node that handed over left after {:?}", handed.elapsed());
    assert_eq!(ada_hears.of(place, stays), [vec!["old".to_owned()], vec![]]);
    assert!(ada_hears.of(place, moves).iter().all(|others| !others.is_empty()));
}

#[tokio::test]
async fn messages_reach_a_session_on_another_node() {
    let server = Server::start().await;
    let (ada, _) = node(&server, watchful());
    let (bob, _) = node(&server, watchful());
    reached(&ada).await;
    reached(&bob).await;
    let (sender, mut arrived) = tokio::sync::mpsc::channel(8);
    bob.set_desk(Arc::new(move |session, data| sender.try_send((session.to_owned(), data)).unwrap()));
    assert!(ada.forward(bob.node(), "session 1", b"{\"id\":1}").await);
    let (session, data) = arrived.recv().await.unwrap();
    assert_eq!((session.as_str(), &data[..]), ("session 1", b"{\"id\":1}".as_slice()));
    assert!(!ada.forward(Uuid::new_v4(), "session 1", b"").await);
    let name = bob.node();
    drop(bob);
    until("nobody is there", async || !ada.forward(name, "session 1", b"").await).await;
}

#[tokio::test]
async fn what_strangers_and_stragglers_publish_changes_nothing() {
    let server = Server::start().await;
    let (ada, ada_hears) = node(&server, watchful());
    let (bob, _) = node(&server, watchful());
    let (place, person, marker) = (room(), Uuid::new_v4(), Uuid::new_v4());
    ada.attend(vec![place]).await;
    bob.tell(place, person, entry("now"));
    ada_hears.hear(place, &[person], &["now"]).await;
    let (node, who) = (bob.node().as_simple().to_string(), person.as_simple().to_string());
    for text in ["hello", "////", &format!("{node}/{who}/0/9/-"), &format!("{node}/{who}/1/0/+then"), "p1", "f\u{ff}"] {
        server.ask::<i64>(&format!("PUBLISH studyhall:at:{place} {text}")).await;
        server.ask::<i64>(&format!("PUBLISH studyhall:node:{} {text}", ada.node().as_simple())).await;
    }
    bob.tell(place, marker, entry("marker"));
    ada_hears.hear(place, &[marker], &["marker"]).await;
    assert_eq!(ada_hears.of(place, person), [vec!["now".to_owned()]]);
}

/// `Ears` outlive the node in most tests; a node whose engine is gone goes on all the same.
#[tokio::test]
async fn an_ear_that_is_gone_is_no_reason_to_stop() {
    let server = Server::start().await;
    let (ada, ears) = node(&server, watchful());
    let place = room();
    ada.attend(vec![place]).await;
    drop(ears);
    let (bob, _) = node(&server, watchful());
    let person = Uuid::new_v4();
    bob.tell(place, person, entry("here"));
    until("it is seen", async || !ada.look(vec![place]).await[0].is_empty()).await;
    let ears = Ears::new();
    ada.set_ear(ears.weak());
    bob.tell(place, person, None);
    ears.hear(place, &[person], &[]).await;
    tokio::time::timeout(Duration::from_secs(5), ada.hand_over()).await.unwrap();
}
