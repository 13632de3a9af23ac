//! What no node does on purpose, and a broken connection does for it: calls that come late, twice, or without a lease.

use redis::Script;
use redis::aio::MultiplexedConnection;
use studyhall::cluster::Timing;
use studyhall::live::roster::Roster;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use super::server::Server;
use super::{entry, node, reached, room, until, watchful};

const LATEST: &str = "9007199254740991";

/// Redis, and a node made of nothing but its calls.
struct Puppet {
    redis: MultiplexedConnection,
    node: Uuid,
    place: Channel,
}

impl Puppet {
    async fn new(server: &Server) -> Self {
        Self { redis: server.connect().await, node: Uuid::new_v4(), place: room() }
    }

    fn lease(&self, generation: u64) -> String {
        format!("{}.{generation}", self.node.as_simple())
    }

    /// Whether the lease is held, how much is stored under it, whether more is to be taken back.
    async fn pulse(&mut self, generation: u64, lease: u64, begin: bool, limit: u64) -> (bool, u64, bool) {
        let script = Script::new(include_str!("../../../src/cluster/pulse.lua"));
        let mut call = script.prepare_invoke();
        call.arg("studyhall:").arg("PUBLISH").arg(self.lease(generation)).arg(self.node.as_simple().to_string());
        call.arg(lease).arg(u8::from(begin)).arg(limit).arg(1);
        let (held, stored, more, _leases): (bool, u64, bool, Vec<String>) =
            call.invoke_async(&mut self.redis).await.unwrap();
        (held, stored, more)
    }

    async fn tell(&mut self, (generation, number): (u64, u64), person: Uuid, word: &str) -> bool {
        let script = Script::new(include_str!("../../../src/cluster/tell.lua"));
        let mut call = script.prepare_invoke();
        call.arg("studyhall:").arg("PUBLISH").arg(self.lease(generation)).arg(self.node.as_simple().to_string());
        call.arg(generation).arg(number).arg(60);
        call.arg(self.place.to_string()).arg(person.as_simple().to_string()).arg(word);
        call.invoke_async(&mut self.redis).await.unwrap()
    }

    async fn stored(&mut self, person: Uuid) -> Option<String> {
        let field = format!("{}/{}", self.node.as_simple(), person.as_simple());
        let mut get = redis::cmd("HGET");
        get.arg(format!("studyhall:at:{}", self.place)).arg(field);
        get.query_async(&mut self.redis).await.unwrap()
    }
}

#[tokio::test]
async fn a_late_call_changes_nothing() {
    let server = Server::start().await;
    let mut puppet = Puppet::new(&server).await;
    let person = Uuid::new_v4();
    assert!(!puppet.tell((1, 1), person, "+no lease").await);
    assert_eq!(puppet.stored(person).await, None);
    assert_eq!(puppet.pulse(1, 60_000, false, 0).await, (false, 0, false), "a renewal does not begin");
    assert_eq!(puppet.pulse(1, 60_000, true, 0).await, (true, 0, false));
    assert!(puppet.tell((1, 2), person, "+second").await);
    assert!(puppet.tell((1, 1), person, "+first").await);
    assert_eq!(puppet.stored(person).await.unwrap(), "1/2/second");
    // Its end is not undone either.
    assert!(puppet.tell((1, 4), person, "-").await);
    assert!(puppet.tell((1, 3), person, "+third").await);
    assert_eq!(puppet.stored(person).await, None);
    // Nor does the first lease say anything once the second does.
    puppet.pulse(2, 60_000, true, 0).await;
    puppet.tell((2, 5), person, "+fifth").await;
    puppet.tell((1, 6), person, "-").await;
    assert_eq!(puppet.stored(person).await.unwrap(), "2/5/fifth");
    assert_eq!(puppet.pulse(2, 60_000, false, 0).await, (true, 1, false));
}

#[tokio::test]
async fn the_dead_are_taken_back_bit_by_bit_and_once() {
    let server = Server::start().await;
    let (ada, ada_hears) = node(&server, watchful());
    reached(&ada).await;
    let mut dead = Puppet::new(&server).await;
    ada.attend(vec![dead.place]).await;
    let people: Vec<Uuid> = super::people(10);
    dead.pulse(1, 60_000, true, 0).await;
    for (number, person) in people.iter().enumerate() {
        dead.tell((1, number as u64 + 1), *person, "+there").await;
    }
    // One came back under another lease, and is not taken away with the first.
    dead.pulse(2, 60_000, true, 0).await;
    dead.tell((2, 11), people[0], "+back").await;
    ada_hears.hear(dead.place, &people[1..], &["there"]).await;
    // Ended, and not yet taken back: a renewal comes too late.
    let mut helper = Puppet::new(&server).await;
    let mut end = redis::pipe();
    end.cmd("ZREM").arg("studyhall:nodes").arg(dead.lease(1));
    end.cmd("ZADD").arg("studyhall:ended").arg(1).arg(dead.lease(1));
    end.exec_async(&mut helper.redis).await.unwrap();
    assert!(!dead.pulse(1, 60_000, false, 0).await.0);
    // `ada` helps as well, so how much is left for whom is any.
    while helper.pulse(1, 60_000, true, 3).await.2 {}
    ada_hears.hear(dead.place, &people[1..], &[]).await;
    ada_hears.hear(dead.place, &people[..1], &["back"]).await;
    for person in &people[1..] {
        assert_eq!(ada_hears.of(dead.place, *person), [vec!["there".to_owned()], vec![]]);
    }
    assert_eq!(dead.stored(people[0]).await.unwrap(), "2/11/back");
    assert!(!ada_hears.of(dead.place, people[0]).contains(&vec![]));
    until("nothing of it is left", async || server.ask::<u32>("ZCARD studyhall:ended").await == 0).await;
    // A removal by others is newer than whatever that lease still says.
    let late = format!("{}/{}/1/{LATEST}/-", dead.node.as_simple(), people[0].as_simple());
    server.ask::<i64>(&format!("PUBLISH studyhall:at:{} {late}", dead.place)).await;
    let marker = Uuid::new_v4();
    dead.tell((2, 12), marker, "+marker").await;
    ada_hears.hear(dead.place, &[marker], &["marker"]).await;
    ada_hears.hear(dead.place, &people[..1], &["back"]).await;
}

#[tokio::test]
async fn a_node_that_finds_no_lease_when_it_tells_begins_a_new_one() {
    let server = Server::start().await;
    // Its pulse comes too late to be of help.
    let slow = Timing { pulse: std::time::Duration::from_secs(600), ..watchful() };
    let (bob, _) = node(&server, slow);
    let (place, person, comer) = (room(), Uuid::new_v4(), Uuid::new_v4());
    let at = format!("studyhall:at:{place}");
    bob.tell(place, person, entry("there"));
    until("it is stored", async || server.ask::<u32>(&format!("HLEN {at}")).await == 1).await;
    server.ask::<u32>(&format!("ZREM studyhall:nodes {}.1", bob.node().as_simple())).await;
    bob.tell(place, comer, entry("there"));
    until("all is said anew", async || {
        let values: Vec<String> = server.ask(&format!("HVALS {at}")).await;
        values.len() == 2 && values.iter().all(|value| value.starts_with("2/"))
    })
    .await;
    assert_eq!(server.ask::<u32>("ZCARD studyhall:nodes").await, 1);
}
