//! A Redis that forgets, dies, is silent, or is not there at all.

use std::time::{Duration, Instant};

use studyhall::cluster::{Cluster, Timing};
use studyhall::live::roster::{Others, Roster};
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use super::server::Server;
use super::{entry, node, node_at, people, reached, room, seal, tell_all, until, watchful};
use crate::faults::redis::RedisLink;

#[tokio::test]
async fn a_flush_shows_no_leave_and_no_join() {
    let server = Server::start().await;
    let (ada, ada_hears) = node(&server, Timing::default());
    let (bob, bob_hears) = node(&server, Timing::default());
    let (victim, _) = node(&server, Timing::default());
    let (place, crowd, doomed) = (room(), people(2_000), people(3));
    ada.attend(vec![place]).await;
    bob.attend(vec![place]).await;
    tell_all(&bob, place, &crowd, "there");
    tell_all(&victim, place, &doomed, "not for long");
    ada_hears.hear(place, &crowd, &["there"]).await;
    ada_hears.hear(place, &doomed, &["not for long"]).await;
    bob_hears.hear(place, &doomed, &["not for long"]).await;
    // Nobody says again what a dead node said: they have to be missed in the second look.
    drop(victim);
    server.ask::<String>("FLUSHALL").await;
    let flushed = Instant::now();
    until("everything is back", async || {
        server.ask::<usize>(&format!("HLEN studyhall:at:{place}")).await == crowd.len()
    })
    .await;
    println!("2,000 people were back {:?} after a flush", flushed.elapsed());
    ada_hears.hear(place, &doomed, &[]).await;
    bob_hears.hear(place, &doomed, &[]).await;
    println!("those of a node that died with it left after {:?}", flushed.elapsed());
    for person in &crowd {
        assert_eq!(ada_hears.of(place, *person), [vec!["there".to_owned()]]);
    }
    // And it goes on.
    tell_all(&bob, place, &crowd[..5], "changed");
    ada_hears.hear(place, &crowd[..5], &["changed"]).await;
}

#[tokio::test]
async fn what_is_lost_in_part_is_said_again() {
    let server = Server::start().await;
    let (ada, _) = node(&server, watchful());
    let (place, crowd) = (room(), people(10));
    tell_all(&ada, place, &crowd, "there");
    let whole = async || server.ask::<usize>(&format!("HLEN studyhall:at:{place}")).await == crowd.len();
    until("it is stored", whole).await;
    // An eviction, or a Redis that came back from an older file.
    server.ask::<u32>(&format!("DEL studyhall:at:{place} studyhall:of:{}.1", ada.node().as_simple())).await;
    until("it is whole again", whole).await;
}

#[tokio::test]
async fn a_redis_that_was_killed_and_came_back() {
    let mut server = Server::start().await;
    let (ada, ada_hears) = node(&server, watchful());
    let (bob, _) = node(&server, watchful());
    let (places, crowd) = ([room(), room()], people(600));
    let (leaver, comer) = (Uuid::new_v4(), Uuid::new_v4());
    ada.attend(places.to_vec()).await;
    tell_all(&bob, places[0], &crowd, "there");
    bob.tell(places[1], leaver, entry("there"));
    ada_hears.hear(places[0], &crowd, &["there"]).await;
    ada_hears.hear(places[1], &[leaver], &["there"]).await;
    server.kill().await;
    until("both notice", async || !ada.is_reachable() && !bob.is_reachable()).await;
    // A short outage shows nothing; `attend` and `look` answer all the same.
    let later = room();
    bob.tell(places[1], leaver, None);
    bob.tell(places[1], comer, entry("new"));
    bob.tell(later, comer, entry("new"));
    assert_eq!(ada.attend(vec![later]).await, [Vec::<Others>::new()]);
    assert_eq!(ada.look(vec![room()]).await, [Vec::<Others>::new()]);
    assert!(ada.attend(Vec::new()).await.is_empty());
    assert!(!ada.forward(bob.node(), "session", b"").await);
    server.again().await;
    let back = Instant::now();
    ada_hears.hear(places[1], &[comer], &["new"]).await;
    ada_hears.hear(later, &[comer], &["new"]).await;
    until("everything is back", async || {
        server.ask::<usize>(&format!("HLEN studyhall:at:{}", places[0])).await == crowd.len()
    })
    .await;
    println!("600 people were back {:?} after a restart", back.elapsed());
    ada_hears.hear(places[1], &[leaver], &[]).await;
    tell_all(&bob, places[0], &crowd[..1], "changed");
    ada_hears.hear(places[0], &crowd[..1], &["changed"]).await;
    for person in &crowd[1..] {
        assert_eq!(ada_hears.of(places[0], *person), [vec!["there".to_owned()]]);
    }
}

#[tokio::test]
async fn nodes_that_were_all_cut_off_for_longer_than_a_lease_do_not_end_each_other() {
    let server = Server::start().await;
    let road = RedisLink::start(&server.url);
    let lease = Duration::from_millis(1_900);
    let timing = Timing { lease, pulse: Duration::from_millis(200), ..Timing::default() };
    let (ada, ada_hears) = node_at(&road.redis_url(), timing.clone());
    let (bob, bob_hears) = node_at(&road.redis_url(), timing.clone());
    let (place, crowd) = (room(), people(10));
    ada.attend(vec![place]).await;
    bob.attend(vec![place]).await;
    tell_all(&ada, place, &crowd, "at ada's");
    tell_all(&bob, place, &crowd, "at bob's");
    ada_hears.hear(place, &crowd, &["at bob's"]).await;
    bob_hears.hear(place, &crowd, &["at ada's"]).await;
    road.blackhole();
    until("both notice", async || !ada.is_reachable() && !bob.is_reachable()).await;
    road.heal();
    reached(&ada).await;
    reached(&bob).await;
    // One who really dies shows that the dead are taken out again.
    let (victim, _) = node(&server, timing);
    let marker = Uuid::new_v4();
    victim.tell(place, marker, entry("not for long"));
    ada_hears.hear(place, &[marker], &["not for long"]).await;
    drop(victim);
    ada_hears.hear(place, &[marker], &[]).await;
    bob_hears.hear(place, &[marker], &[]).await;
    for person in &crowd {
        assert_eq!(ada_hears.of(place, *person), [vec!["at bob's".to_owned()]]);
        assert_eq!(bob_hears.of(place, *person), [vec!["at ada's".to_owned()]]);
    }
}

/// Without leases and entries nobody can take a dead node back.
#[tokio::test]
async fn who_dies_while_redis_forgets_again_and_again_is_missed() {
    let server = Server::start().await;
    let timing = Timing { lease: Duration::from_secs(2), pulse: Duration::from_millis(200), ..Timing::default() };
    // She hardly ever sees the lease of who dies: it is gone before her next pulse.
    let seldom = Timing { lease: Duration::from_secs(4), pulse: Duration::from_millis(2_500), ..timing.clone() };
    let (ada, ada_hears) = node(&server, seldom);
    let ((bob, _), (victim, _)) = (node(&server, timing.clone()), node(&server, timing));
    let (place, dead, alive) = (room(), Uuid::new_v4(), Uuid::new_v4());
    ada.attend(vec![place]).await;
    victim.tell(place, dead, entry("there"));
    bob.tell(place, alive, entry("there"));
    ada_hears.hear(place, &[dead, alive], &["there"]).await;
    drop(victim);
    let flushing = async {
        loop {
            server.ask::<String>("FLUSHALL").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = async { ada_hears.hear(place, &[dead], &[]).await } => {}
        () = flushing => {}
    }
    assert_eq!(ada_hears.of(place, alive), [vec!["there".to_owned()]]);
}

#[tokio::test]
async fn who_is_not_said_again_yet_is_not_missed() {
    let server = Server::start().await;
    let road = RedisLink::start(&server.url);
    let (ada, ada_hears) = node(&server, Timing { grace: Duration::from_secs(20), ..watchful() });
    let (bob, _) = node_at(&road.redis_url(), watchful());
    let (place, crowd, marker) = (room(), people(10), Uuid::new_v4());
    ada.attend(vec![place]).await;
    tell_all(&bob, place, &crowd, "there");
    ada_hears.hear(place, &crowd, &["there"]).await;
    road.blackhole();
    // As a restart, after which `ada` is back first: she reads, and it is empty.
    server.ask::<String>("FLUSHALL").await;
    server.ask::<u32>("CLIENT KILL TYPE pubsub").await;
    until("she read", async || {
        ada.look(vec![place]).await[0].len() == crowd.len()
            && ada.is_reachable()
            && subscribers(&server, place).await == 1
    })
    .await;
    until("he notices", async || !bob.is_reachable()).await;
    road.heal();
    bob.tell(place, marker, entry("back"));
    ada_hears.hear(place, &[marker], &["back"]).await;
    for person in &crowd {
        assert_eq!(ada_hears.of(place, *person), [vec!["there".to_owned()]]);
    }
}

async fn subscribers(server: &Server, place: Channel) -> u32 {
    let (_, count): (String, u32) = server.ask(&format!("PUBSUB NUMSUB studyhall:at:{place}")).await;
    count
}

#[tokio::test]
async fn five_thousand_places_are_listened_to_again_after_a_cut() {
    let server = Server::start().await;
    let (ada, ada_hears) = node(&server, watchful());
    let (bob, _) = node(&server, watchful());
    let places: Vec<_> = (0..5_000).map(|_| room()).collect();
    let person = [Uuid::new_v4()];
    ada.attend(places.clone()).await;
    bob.tell(places[4_999], person[0], entry("before"));
    ada_hears.hear(places[4_999], &person, &["before"]).await;
    let mut redis = server.connect().await;
    let cut: redis::RedisResult<u32> =
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]).query_async(&mut redis).await;
    assert_eq!(cut.unwrap(), 2);
    let began = Instant::now();
    places.iter().for_each(|place| bob.tell(*place, person[0], entry("after")));
    for place in &places {
        ada_hears.hear(*place, &person, &["after"]).await;
    }
    println!("5,000 places were listened to again, with news in each, after {:?}", began.elapsed());
    let channels: Vec<String> = server.ask("PUBSUB CHANNELS studyhall:at:*").await;
    assert_eq!(channels.len(), 5_000);
}

#[tokio::test]
async fn five_thousand_places_over_a_far_redis() {
    let server = Server::start().await;
    let road = RedisLink::start(&server.url);
    road.both(|way| way.delay = Duration::from_millis(150));
    let (ada, ada_hears) = node_at(&road.redis_url(), watchful());
    let (bob, _) = node(&server, watchful());
    let places: Vec<_> = (0..5_000).map(|_| room()).collect();
    let person = [Uuid::new_v4()];
    ada.attend(places.clone()).await;
    places.iter().for_each(|place| bob.tell(*place, person[0], entry("before")));
    for place in &places {
        ada_hears.hear(*place, &person, &["before"]).await;
    }
    road.cut();
    let cut = Instant::now();
    until("it is noticed", async || !ada.is_reachable()).await;
    until("all are subscribed to", async || {
        server.ask::<Vec<String>>("PUBSUB CHANNELS studyhall:at:*").await.len() == 5_000
    })
    .await;
    let took = cut.elapsed();
    println!("5,000 places were subscribed to {took:?} after a cut, 300 ms from Redis");
    assert!(took <= Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn without_redis_for_long_others_are_not_shown() {
    let mut server = Server::start().await;
    let (ada, ada_hears) = node(&server, Timing { forget: Duration::from_secs(1), ..watchful() });
    let (bob, _) = node(&server, watchful());
    let (place, person) = (room(), Uuid::new_v4());
    ada.attend(vec![place]).await;
    bob.tell(place, person, entry("there"));
    ada_hears.hear(place, &[person], &["there"]).await;
    server.kill().await;
    ada_hears.hear(place, &[person], &[]).await;
    server.again().await;
    ada_hears.hear(place, &[person], &["there"]).await;
}

#[tokio::test]
async fn a_node_starts_without_redis_and_finds_it_later() {
    let mut server = Server::start().await;
    server.kill().await;
    let (ada, ada_hears) = node(&server, watchful());
    let (bob, _) = node(&server, watchful());
    let (place, crowd) = (room(), people(20));
    assert_eq!(ada.attend(vec![place]).await, [Vec::<Others>::new()]);
    tell_all(&bob, place, &crowd, "there");
    assert!(!ada.is_reachable());
    server.again().await;
    ada_hears.hear(place, &crowd, &["there"]).await;
    reached(&ada).await;
}

#[tokio::test]
async fn an_address_that_is_none_is_no_reason_not_to_start() {
    for url in ["", "nonsense", "http://127.0.0.1", "redis://127.0.0.1:1/"] {
        let cluster = Cluster::start(url, seal(), Timing::default());
        cluster.tell(room(), Uuid::new_v4(), entry("there"));
        assert_eq!(cluster.attend(vec![room()]).await, [Vec::<Others>::new()]);
        assert_eq!(cluster.look(vec![room(), room()]).await, [Vec::new(), Vec::<Others>::new()]);
        assert!(!cluster.is_reachable());
        cluster.hand_over().await;
    }
}

#[tokio::test]
async fn a_link_that_is_open_and_silent_is_given_up() {
    let server = Server::start().await;
    let road = RedisLink::start(&server.url);
    let (ada, ada_hears) = node_at(&road.redis_url(), watchful());
    let (bob, bob_hears) = node(&server, watchful());
    let (place, crowd) = (room(), people(5));
    ada.attend(vec![place]).await;
    bob.attend(vec![place]).await;
    bob.tell(place, crowd[0], entry("before"));
    ada_hears.hear(place, &crowd[..1], &["before"]).await;
    road.blackhole();
    let silent = Instant::now();
    ada.tell(place, crowd[1], entry("unheard"));
    bob.tell(place, crowd[2], entry("unheard"));
    bob.tell(place, crowd[0], None);
    until("it is noticed", async || !ada.is_reachable()).await;
    println!("a silent link was noticed after {:?}", silent.elapsed());
    road.heal();
    ada_hears.hear(place, &crowd[2..3], &["unheard"]).await;
    bob_hears.hear(place, &crowd[1..2], &["unheard"]).await;
    ada_hears.hear(place, &crowd[..1], &[]).await;
}

#[tokio::test]
async fn a_link_that_answers_and_delivers_no_messages_is_given_up() {
    let server = Server::start().await;
    let road = RedisLink::start(&server.url);
    let (ada, ada_hears) = node_at(&road.redis_url(), watchful());
    let (bob, _) = node(&server, watchful());
    let (place, person) = (room(), Uuid::new_v4());
    ada.attend(vec![place]).await;
    bob.tell(place, person, entry("before"));
    ada_hears.hear(place, &[person], &["before"]).await;
    road.loses(|_| true);
    until("it is noticed", async || !ada.is_reachable()).await;
    bob.tell(place, person, entry("unheard"));
    road.loses_nothing();
    ada_hears.hear(place, &[person], &["unheard"]).await;
}

#[tokio::test]
async fn a_redis_that_is_full_refuses_until_it_is_not() {
    let server = Server::start().await;
    let (ada, ada_hears) = node(&server, watchful());
    let (bob, _) = node(&server, watchful());
    let (place, crowd) = (room(), people(2));
    ada.attend(vec![place]).await;
    bob.tell(place, crowd[0], entry("before"));
    ada_hears.hear(place, &crowd[..1], &["before"]).await;
    server.ask::<String>("CONFIG SET maxmemory 1").await;
    until("it is noticed", async || !bob.is_reachable()).await;
    bob.tell(place, crowd[1], entry("meanwhile"));
    server.ask::<String>("CONFIG SET maxmemory 0").await;
    ada_hears.hear(place, &crowd[1..], &["meanwhile"]).await;
    reached(&bob).await;
    assert_eq!(ada_hears.of(place, crowd[0]), [vec!["before".to_owned()]]);
}
