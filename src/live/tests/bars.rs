//! A bar comes from another channel: what was not sent by then is not sent any more, and nobody slips in beside it.

use serde_json::{Value, json};
use studyhall_protocol::error::Unsubscribed;

use super::*;
use crate::live::backend::Effect;
use crate::live::limits::REVOKED_MAX;

/// On the channel of somebody who blocks person `n`.
fn bar(engine: &Engine, n: u128) -> LogEvent {
    let effect = Effect::Bar { channel: profile(1), user_id: user(n), why: Unsubscribed::BLOCKED };
    engine.toy.commit(Channel::User(user(9)), vec![effect])
}

fn ended(line: &Value) -> bool {
    line["push"]["unsubscribe"]["code"] == 2103 && line["push"]["channel"] == json!(profile(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_elsewhere_ends_a_subscription() {
    let engine = Engine::start().await;
    let (mut one, mut two) = (engine.subscribed(1, profile(1)).await, engine.subscribed(1, profile(1)).await);
    one.subscribe(profile(2)).await;
    let mut other = engine.subscribed(2, profile(1)).await;
    engine.publish(profile(1), 3);
    one.offsets_until(profile(1), 3).await;
    engine.hub.apply(vec![bar(&engine, 1)]);
    engine.publish(profile(1), 2);
    assert_eq!(one.until(ended).await.len(), 1, "nothing else, and at once");
    two.until(ended).await;
    assert!(one.all().await.is_empty(), "told once");
    assert_eq!(one.recover(profile(1), 1, "e1", 2).await["error"]["code"], 103);
    assert_eq!(other.offsets_until(profile(1), 5).await, (1..=5).collect::<Vec<_>>());
    // Only there.
    engine.publish(profile(2), 1);
    assert_eq!(one.offsets_until(profile(2), 1).await, [1]);
}

/// What waits for a reader that does not read is taken back, in the ring as in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_lags_hears_no_more() {
    for in_ring in [true, false] {
        let engine = Engine::start().await;
        let mut barred = engine.small_reader(1).await;
        barred.subscribe(profile(1)).await;
        engine.toy.state.lock().padding = 3_000;
        engine.publish(profile(1), 60);
        let conn = engine.conn(1);
        eventually("the reader lags", || conn.is_blocked()).await;
        if !in_ring {
            engine.topic(profile(1)).drop_rings();
        }
        let reads = engine.toy.state.lock().reads;
        engine.hub.apply(vec![bar(&engine, 1)]);
        let seen = barred.until(ended).await;
        let offsets: Vec<u64> = seen.iter().filter_map(|line| line["push"]["pub"]["offset"].as_u64()).collect();
        assert_eq!(offsets, (1..=offsets.len() as u64).collect::<Vec<_>>());
        assert!(offsets.len() < 60, "only what was under way: {}", offsets.len());
        assert!(barred.all().await.is_empty());
        assert_eq!(engine.toy.state.lock().reads, reads, "nothing was read for them");
    }
}

/// The answer to "may they?" is older than the bar, and the log of the channel does not show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admission_asked_for_before_is_asked_for_again() {
    let engine = Engine::start().await;
    let _keeper = engine.subscribed(2, profile(1)).await;
    let mut barred = engine.connected(1).await;
    engine.toy.admitting.shut();
    let asked = engine.toy.admitting.count();
    let request = json!({"channel": profile(1), "recover": true, "offset": 0, "epoch": "e1"});
    barred.send(&json!({"id": 80, "subscribe": request}).to_string()).await;
    engine.toy.admitting.arrived(asked + 1).await;
    engine.hub.apply(vec![bar(&engine, 1)]);
    engine.toy.admitting.open();
    assert_eq!(barred.reply(80).await["error"]["code"], 103);
    assert_eq!(engine.toy.admitting.count(), asked + 2);
}

/// As before, with so many bars in between that this one is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn also_when_the_bar_is_forgotten() {
    let engine = Engine::start().await;
    let _keeper = engine.subscribed(2, profile(1)).await;
    let mut barred = engine.connected(1).await;
    engine.toy.admitting.shut();
    let asked = engine.toy.admitting.count();
    barred.send(&json!({"id": 80, "subscribe": {"channel": profile(1)}}).to_string()).await;
    engine.toy.admitting.arrived(asked + 1).await;
    engine.hub.apply((0..=REVOKED_MAX as u128).map(|n| bar(&engine, if n == 0 { 1 } else { 1_000 + n })).collect());
    engine.toy.admitting.open();
    assert_eq!(barred.reply(80).await["error"]["code"], 103);
}

/// The follower hands on what this node has seen already. By then the block may be over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_again_bars_nobody() {
    let engine = Engine::start().await;
    let mut barred = engine.subscribed(1, profile(1)).await;
    let event = bar(&engine, 1);
    engine.hub.apply(vec![event.clone()]);
    barred.until(ended).await;
    engine.toy.state.lock().denied.clear();
    barred.subscribe(profile(1)).await;
    engine.hub.apply(vec![event]);
    engine.publish(profile(1), 1);
    assert_eq!(barred.offsets_until(profile(1), 1).await, [1]);
    engine.hub.apply(vec![bar(&engine, 1)]);
    barred.until(ended).await;
}
