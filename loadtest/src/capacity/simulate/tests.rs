//! A day that adds up, and comes again.

use clap::Parser;

use super::super::units::{Amounts, Memory};
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    hosting: Hosting,
}

fn hosting() -> Hosting {
    Line::parse_from(["test"]).hosting
}

fn mix() -> Mix {
    Mix::parse(
        r#"{"name": "m", "profiles": 10, "profiles_online": 5, "rooms": {"share": 0.25, "size": 4},
        "per_hour": {"visit": 2, "task": 12, "pointer": 360}}"#,
    )
    .unwrap()
}

fn units() -> Units {
    let cost = |amount: f64| Amounts::from([(Resource::ServerUs, amount), (Resource::PostgresUs, amount)]);
    let costs = [(Driver::Visit, cost(900.0)), (Driver::Task, cost(300.0)), (Driver::Pointer, cost(20.0))];
    let memory = Memory { node_kib: 1e5, connection_kib: 8.0, subscription_kib: 0.2, seat_kib: 1.0 };
    Units { costs: costs.into(), memory, ..Units::default() }
}

fn day(people: f64, seed: u64) -> Simulated {
    let (units, hosting, mix) = (units(), hosting(), mix());
    World::new(&units, &hosting, &mix, people, seed, 4.0).play()
}

#[test]
fn everybody_who_comes_leaves_or_is_there() {
    for people in [50.0, 5_000.0, 1e8] {
        let day = day(people, 3);
        assert_eq!(day.came, day.went + day.stays);
        assert_eq!(day.minutes.len(), 1_440);
        // Noise, but no drift: the highest minute is what was asked for.
        let peak = day.peak(|minute| minute.online);
        assert!((0.95..1.3).contains(&(peak / people)), "{peak} of {people}");
    }
}

#[test]
fn the_same_seed_is_the_same_day_and_another_is_another() {
    assert_eq!(day(5_000.0, 3), day(5_000.0, 3));
    assert_ne!(day(5_000.0, 3), day(5_000.0, 4));
}

#[test]
fn people_stay_as_long_as_the_mix_says() {
    let day = day(20_000.0, 5);
    let hours: f64 = day.minutes.iter().map(|minute| minute.online / 60.0).sum();
    // Half an hour each; those who came before the day, and who stay after it, are few.
    let visits = day.came as f64 * SECONDS as f64 / (SECONDS + BEFORE) as f64;
    assert!((hours / visits - 0.5).abs() < 0.05, "{}", hours / visits);
}

#[test]
fn a_dead_node_is_felt_in_its_minute() {
    let (units, hosting) = (units(), hosting());
    let quiet = Mix { day: Day { activity_sigma: 0.0, bursts: 0.0, ..Day::default() }, ..mix() };
    let day = World::new(&units, &hosting, &quiet, 1e6, 1, 4.0).play();
    let storm = (quiet.day.node_dies_at * 60.0) as usize;
    let (before, at) = (&day.minutes[storm - 1], &day.minutes[storm]);
    // A quarter of all connects in five seconds, at 900 microseconds each.
    let more = before.online / 4.0 / quiet.day.reconnect_seconds * 900e-6;
    let felt = at.worst_server_cores - before.worst_server_cores;
    assert!((felt / more - 1.0).abs() < 0.1, "{felt} of {more}");
    assert!(at.busiest_node_cores > before.busiest_node_cores);
}

#[test]
fn nodes_are_enough_for_the_peak_minute() {
    let (units, hosting, mix) = (units(), hosting(), mix());
    let (played, size) = simulate(&units, &hosting, &mix, 1e6, 1);
    assert_eq!(played.nodes, size.nodes - 1.0);
    assert!(played.peak(|minute| minute.server_cores) <= played.nodes * hosting.node_cores * hosting.busy * 1.01);
    assert!(size.postgres_cores <= size.postgres_shards * hosting.postgres_cores * hosting.busy);
    assert!(played.quantile(|minute| minute.online, 0.5) < played.peak(|minute| minute.online));
}
