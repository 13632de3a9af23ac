//! Every subscriber gets every event once and in order, however they are applied.

use proptest::prelude::*;

use super::*;

/// Chunks of offsets: any order, some twice, some not at all.
fn deliveries() -> impl Strategy<Value = (u64, Vec<Vec<u64>>)> {
    (1_u64..60).prop_flat_map(|count| {
        let order = Just((1..=count).collect::<Vec<_>>()).prop_shuffle();
        let copies = prop::collection::vec(prop_oneof![1 => Just(0_usize), 6 => Just(1), 2 => Just(2)], count as usize);
        (Just(count), order, copies, 1_usize..8).prop_map(|(count, order, copies, chunk)| {
            let mut all: Vec<u64> = order.iter().zip(&copies).flat_map(|(n, copies)| vec![*n; *copies]).collect();
            // Doubles far from each other.
            let middle = all.len() / 2;
            all.rotate_left(middle);
            (count, all.chunks(chunk).map(<[u64]>::to_vec).collect())
        })
    })
}

async fn deliver(count: u64, chunks: Vec<Vec<u64>>) {
    let engine = Engine::start().await;
    let mut early = engine.subscribed(1, room(1)).await;
    let events: Vec<LogEvent> = (0..count).map(|_| engine.toy.commit(room(1), Vec::new())).collect();
    let half = chunks.len() / 2;
    for chunk in &chunks[..half] {
        engine.hub.apply(chunk.iter().map(|n| events[*n as usize - 1].clone()).collect());
    }
    // In the middle somebody comes who has seen nothing.
    let mut late = engine.connected(2).await;
    let reply = late.recover(room(1), 0, "e1", 2).await;
    assert_eq!(reply["subscribe"]["recovered"], true);
    for chunk in &chunks[half..] {
        engine.hub.apply(chunk.iter().map(|n| events[*n as usize - 1].clone()).collect());
    }
    // What is missing at the very end shows with the next event only.
    engine.publish(room(1), 1);
    let expected: Vec<u64> = (1..=count + 1).collect();
    assert_eq!(early.offsets_until(room(1), count + 1).await, expected);
    assert_eq!(late.offsets_until(room(1), count + 1).await, expected);
    let rest = early.all().await;
    assert!(rest.iter().all(|line| line["push"]["pub"].is_null()), "{rest:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_permutation_with_doubles_and_gaps((count, chunks) in deliveries()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(deliver(count, chunks));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_come_while_the_head_is_read_are_not_lost() {
    let engine = Engine::start().await;
    engine.publish(room(1), 3);
    engine.toy.admitting.shut();
    let mut client = engine.connected(1).await;
    client.send(&format!(r#"{{"id":90,"subscribe":{{"channel":"{}"}}}}"#, room(1))).await;
    engine.toy.admitting.arrived(1).await;
    engine.publish(room(1), 2);
    engine.toy.admitting.open();
    assert_eq!(client.reply(90).await["subscribe"]["offset"], 3);
    assert_eq!(client.offsets_until(room(1), 5).await, [4, 5]);
}

/// The hole is seen when the first subscriber sits down, not with the next event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_behind_the_first_head_is_closed_at_once() {
    let engine = Engine::start().await;
    engine.toy.admitting.shut();
    let mut client = engine.connected(1).await;
    client.send(&format!(r#"{{"id":90,"subscribe":{{"channel":"{}"}}}}"#, room(1))).await;
    engine.toy.admitting.arrived(1).await;
    let _lost = engine.toy.commit(room(1), Vec::new());
    engine.publish(room(1), 1);
    engine.toy.admitting.open();
    client.reply(90).await;
    assert_eq!(client.offsets_until(room(1), 2).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_read_is_read_again() {
    let engine = Engine::start().await;
    let mut client = engine.subscribed(1, room(1)).await;
    let _lost = engine.toy.commit(room(1), Vec::new());
    engine.toy.state.lock().failing_reads = 2;
    engine.publish(room(1), 1);
    assert_eq!(client.offsets_until(room(1), 2).await, [1, 2]);
    assert_eq!(engine.toy.state.lock().failing_reads, 0);
}

/// An event that the log does not have (yet): the log is asked now and then, not without pause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_that_the_log_has_too_is_asked_for_with_patience() {
    let engine = Engine::start().await;
    let mut client = engine.subscribed(1, room(1)).await;
    let first = engine.toy.commit(room(1), Vec::new());
    let second = engine.toy.commit(room(1), Vec::new());
    engine.toy.state.lock().logs.get_mut(&room(1)).unwrap().events.clear();
    engine.hub.apply(vec![second]);
    let began = std::time::Instant::now();
    eventually("read twice", || engine.toy.state.lock().reads >= 2).await;
    let reads = engine.toy.state.lock().reads;
    let pauses = began.elapsed().as_millis() / 250;
    assert!(reads as u128 <= 2 + pauses, "{reads} reads");
    engine.hub.apply(vec![first]);
    assert_eq!(client.offsets_until(room(1), 2).await, [1, 2]);
}
