//! All interleavings of what meets at a subscription: events that are applied, a reader that sits down, the flush task, the
//! repair of a hole, a page of the log, a topic that retires, a removal, another epoch.
//!
//! The code is the real one: `Topic`, `Conn`, `Flusher`, `LogPages` and what they are made of run on threads of which
//! exactly one goes on at a time, and at every lock and every flag that they share ([`crate::live::sync`]) another one may.
//! Every order is tried, up to a number of interruptions ([`schedule`]). What is copied here, for it waits for a database,
//! is in [`bench`]: the steps of `Session::subscribe`, `Hub::apply` and `Hub::repair`, each a few lines.
//!
//! Not loom, which wants its own atomics, cells and locks in all code that takes part, and three threads at most; nor
//! shuttle, whose locks work only inside its scheduler, so that all other tests of the engine would need a second build.
//! The flags are sequentially consistent, so interleavings are all that can happen to them.

mod bench;
mod schedule;
pub mod sync;

use std::sync::Arc;

use studyhall_protocol::error::Unsubscribed;

use self::bench::Bench;
use self::schedule::{Run, explore};
use crate::live::backend::Effect;
use crate::live::tests::json::suite::user;

/// Tries a scenario: its threads, and what is true at the end.
fn model(
    name: &str,
    interruptions: usize,
    prepare: impl Fn() -> Arc<Bench>,
    threads: &[fn(&Bench)],
    check: fn(&Bench),
) {
    let began = std::time::Instant::now();
    let orders = explore(interruptions, || {
        let bench = prepare();
        let run = |body: fn(&Bench)| {
            let bench = bench.clone();
            Box::new(move || body(&bench)) as Box<dyn FnOnce() + Send>
        };
        let threads = threads.iter().map(|body| run(*body)).collect();
        let check = Box::new(move || {
            bench.settle();
            check(&bench);
        });
        Run { threads, check }
    });
    println!("{name}: {orders} orders in {:.1} s", began.elapsed().as_secs_f64());
    assert!(orders > 50, "there was nothing to try");
}

fn flush(bench: &Bench) {
    bench.flush();
    bench.flush();
}

fn take(bench: &Bench) {
    bench.take();
}

fn complete(bench: &Bench) {
    bench.assert_complete();
}

fn two_who_apply_and_one_who_flushes(interruptions: usize) {
    let apply = [|bench: &Bench| bench.apply(1), |bench: &Bench| bench.apply(2)];
    let prepare = || Bench::subscribed(0, 2);
    model("two who apply", interruptions, prepare, &[apply[0], apply[1], flush], complete);
}

fn a_lost_hint_is_repaired_while_it_comes_late(interruptions: usize) {
    let prepare = || Bench::subscribed(0, 3);
    let late = |bench: &Bench| bench.apply(1);
    let ahead = |bench: &Bench| bench.apply(3);
    model("a lost hint", interruptions, prepare, &[ahead, late, flush], complete);
}

fn the_first_one_sits_down_while_events_are_committed(interruptions: usize) {
    let commit = |bench: &Bench| {
        bench.commit();
        bench.apply(2);
        bench.commit();
        bench.apply(3);
    };
    model("the first one", interruptions, || Bench::new(1), &[Bench::subscribe, commit, flush], complete);
}

fn the_first_one_sits_down_while_a_hint_is_lost(interruptions: usize) {
    let commit = |bench: &Bench| {
        bench.commit();
        bench.commit();
        bench.apply(3);
    };
    model("the first one, a hint lost", interruptions, || Bench::new(1), &[Bench::subscribe, commit, flush], complete);
}

fn a_topic_retires_while_somebody_comes(interruptions: usize) {
    let commit = |bench: &Bench| {
        bench.commit();
        bench.apply(2);
    };
    let prepare = || Bench::new(1);
    model("a topic retires", interruptions, prepare, &[Bench::subscribe, commit, Bench::retire, flush], |bench| {
        // Whoever came to a new topic without a hint learns of the event from the one who follows the log.
        bench.follow();
        bench.settle();
        complete(bench);
    });
}

fn somebody_is_put_out_while_they_come(interruptions: usize) {
    let put_out = |bench: &Bench| {
        bench.commit_with(vec![Effect::Remove(user(1), Unsubscribed::REMOVED)]);
        bench.apply(2);
        bench.commit();
        bench.apply(3);
    };
    model("put out", interruptions, || Bench::new(1), &[Bench::subscribe, put_out, flush], Bench::assert_put_out);
}

/// The node learns of the removal by another one's event: from a repair.
fn somebody_is_put_out_by_an_event_that_is_repaired(interruptions: usize) {
    let put_out = |bench: &Bench| {
        bench.commit_with(vec![Effect::Remove(user(1), Unsubscribed::REMOVED)]);
        bench.commit();
        bench.apply(3);
    };
    model(
        "put out in a hole",
        interruptions,
        || Bench::new(1),
        &[Bench::subscribe, put_out, flush],
        Bench::assert_put_out,
    );
}

fn the_log_is_replaced_while_somebody_comes(interruptions: usize) {
    let restore = |bench: &Bench| {
        bench.restore(1);
        bench.check_epoch();
        bench.commit();
        bench.apply(2);
    };
    let prepare = || Bench::new(3);
    model("another epoch", interruptions, prepare, &[Bench::subscribe, restore, flush], |bench| {
        bench.follow();
        bench.settle();
        bench.assert_of_this_epoch();
    });
}

fn a_reader_behind_the_ring_reads_the_log(interruptions: usize) {
    let drop_rings = |bench: &Bench| bench.drop_rings();
    let apply = |bench: &Bench| bench.apply(3);
    let read = |bench: &Bench| bench.read_pages();
    let prepare = || Bench::subscribed(2, 3);
    model("behind the ring", interruptions, prepare, &[drop_rings, apply, read, flush], complete);
}

/// The socket takes a part and waits for the kernel while events come.
fn a_socket_that_is_full_while_events_come(interruptions: usize) {
    let apply = |bench: &Bench| {
        bench.apply(1);
        bench.apply(2);
    };
    model("a full socket", interruptions, || Bench::subscribed(0, 2), &[apply, take, flush], complete);
}

fn two_sit_down_in_a_new_topic_with_answers_of_different_age(interruptions: usize) {
    let commit = |bench: &Bench| {
        bench.commit();
        bench.apply(2);
        bench.commit();
        bench.apply(3);
    };
    let other = |bench: &Bench| bench.subscribe_another();
    model("two sit down", interruptions, || Bench::new(1), &[Bench::subscribe, other, commit, flush], complete);
}

/// With how many interruptions it is tried.
type Scenario = (fn(usize), usize);

/// Each scenario, and how many interruptions are tried in seconds.
const SCENARIOS: &[Scenario] = &[
    (two_who_apply_and_one_who_flushes, 2),
    (a_lost_hint_is_repaired_while_it_comes_late, 1),
    (the_first_one_sits_down_while_events_are_committed, 2),
    (the_first_one_sits_down_while_a_hint_is_lost, 2),
    (a_topic_retires_while_somebody_comes, 1),
    (somebody_is_put_out_while_they_come, 2),
    (somebody_is_put_out_by_an_event_that_is_repaired, 2),
    (the_log_is_replaced_while_somebody_comes, 2),
    (a_reader_behind_the_ring_reads_the_log, 1),
    (a_socket_that_is_full_while_events_come, 2),
    (two_sit_down_in_a_new_topic_with_answers_of_different_age, 1),
];

#[test]
fn every_order_of_what_meets_at_a_subscription() {
    SCENARIOS.iter().for_each(|(scenario, interruptions)| scenario(*interruptions));
}

#[test]
#[ignore = "takes minutes: make test-long"]
fn with_one_more_interruption() {
    SCENARIOS.iter().for_each(|(scenario, interruptions)| scenario(interruptions + 1));
}
