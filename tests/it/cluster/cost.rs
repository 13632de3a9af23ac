//! What nodes cost Redis: by node and by change, not by person.

use std::time::Instant;

use studyhall::cluster::Timing;
use studyhall::live::roster::Roster;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use super::server::Server;
use super::{entry, node, people, room, tell_all, until};

/// Pulses to watch.
const PULSES: i64 = 20;

/// Commands that Redis runs, those inside of scripts included, while two nodes with nothing to say give so many pulses.
async fn commands_while_idle(server: &Server) -> (i64, i64) {
    let calls = async || {
        let text: String = server.ask("INFO commandstats").await;
        let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse::<i64>().unwrap())
    };
    server.ask::<String>("CONFIG RESETSTAT").await;
    let began = Instant::now();
    until("they pulse", async || calls().await >= PULSES).await;
    let seconds = began.elapsed().as_secs_f64();
    let text: String = server.ask("INFO commandstats").await;
    let mut inner = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("cmdstat_")) {
        let (name, rest) = line.split_once(":calls=").unwrap();
        // These are of the test itself.
        if !["info", "config|resetstat", "client|setinfo", "hello"].contains(&name) {
            inner += rest.split(',').next().unwrap().parse::<i64>().unwrap();
        }
    }
    let calls = calls().await;
    let per_second = (calls as f64 / seconds, inner as f64 / seconds);
    println!("two idle nodes: {:.1} calls a second, {:.1} commands with those in scripts", per_second.0, per_second.1);
    (calls, inner)
}

#[tokio::test]
async fn an_idle_person_costs_nothing() {
    let server = Server::start().await;
    let (ada, ada_hears) = node(&server, Timing::default());
    let (bob, _) = node(&server, Timing::default());
    let places: Vec<Channel> = (0..100).map(|_| room()).collect();
    ada.attend(places.clone()).await;
    let few = people(100);
    for (place, person) in places.iter().zip(&few) {
        bob.tell(*place, *person, entry("there"));
    }
    for (place, person) in places.iter().zip(&few) {
        ada_hears.hear(*place, &[*person], &["there"]).await;
    }
    let (calls_few, inner_few) = commands_while_idle(&server).await;

    let crowds: Vec<Vec<Uuid>> = places.iter().map(|_| people(100)).collect();
    server.ask::<String>("CONFIG RESETSTAT").await;
    let began = Instant::now();
    places.iter().zip(&crowds).for_each(|(place, crowd)| tell_all(&bob, *place, crowd, "there"));
    for (place, crowd) in places.iter().zip(&crowds) {
        ada_hears.hear(*place, crowd, &["there"]).await;
    }
    println!("10,000 people were told within {:?}", began.elapsed());
    // Told again the same, they are not told.
    places.iter().zip(&crowds).for_each(|(place, crowd)| tell_all(&bob, *place, crowd, "there"));
    let (calls_many, inner_many) = commands_while_idle(&server).await;

    // Per call, as the moment between two pulses at which the counting ends is any.
    let (few, many) = (inner_few as f64 / calls_few as f64, inner_many as f64 / calls_many as f64);
    assert!((few - many).abs() < 2.0, "{few} commands for a pulse with 100 people, {many} with 10,100");
    assert!(many < 12.0, "{many} commands for a pulse");
    // All are still there.
    assert_eq!(bob.look(vec![places[0]]).await[0].len(), 0);
    assert_eq!(ada.look(vec![places[0]]).await[0].len(), 101);
}
