//! Readers that keep up see every value of a slot, the others the newest ones.

use serde_json::{Value, json};

use super::client::unnumbered;
use super::*;
use crate::live::backend::{Effect, SlotKey};
use crate::live::limits::RECENT_BYTES;
use crate::live::time::Ticks;

const WIDGET: u128 = 50;
const GESTURE: u128 = 60;

fn drag(x: usize) -> Value {
    json!({"type": "drag", "key": user(WIDGET), "data": {"drag_id": user(GESTURE), "x": x}})
}

fn xs(lines: &[Value]) -> Vec<u64> {
    unnumbered(lines).iter().filter_map(|data| data["data"]["x"].as_u64()).collect()
}

/// Two people in a room; while the reader's turn is held back, the writer does something.
struct Pair {
    engine: Engine,
    reader: Client,
    writer: Client,
}

impl Pair {
    async fn start(reader: Client, engine: Engine) -> Self {
        let mut pair = Self { writer: engine.subscribed(2, room(1)).await, reader, engine };
        pair.reader.subscribe(room(1)).await;
        pair.reader.all().await;
        pair.writer.all().await;
        pair
    }

    /// Publishes all of them before the reader gets its turn, and then `also`.
    async fn publish(&mut self, values: impl IntoIterator<Item = Value>, also: impl FnOnce(&Engine)) {
        let line = |data: Value| json!({"id": 1_000, "publish": {"channel": room(1), "data": data}}).to_string();
        let lines: Vec<String> = values.into_iter().map(line).collect();
        let conn = self.engine.conn(1);
        let _held = conn.out.lock();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                self.writer.send(&lines.join("\n")).await;
                for _ in &lines {
                    self.writer.reply(1_000).await;
                }
            });
        });
        also(&self.engine);
    }

    async fn seen(&mut self) -> Vec<Value> {
        self.reader.all().await
    }
}

async fn pair() -> Pair {
    let engine = Engine::start().await;
    Pair::start(engine.connected(1).await, engine).await
}

fn drop_event(engine: &Engine) {
    let key = SlotKey { kind: "drag", id: user(WIDGET) };
    let dropped = engine.toy.commit(room(1), vec![Effect::EndGesture { key, gesture: Some(user(GESTURE)) }]);
    engine.hub.apply(vec![dropped]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_keeps_up_sees_every_value() {
    let engine = Engine::start().await;
    let foreigner = engine.foreigner(1).await;
    for mut pair in [pair().await, Pair::start(foreigner, engine).await] {
        for round in 0..3 {
            let values = (round * 4)..(round * 4 + 4);
            // The first look of a format begins its ring.
            pair.publish([drag(values.start)], |_| {}).await;
            pair.seen().await;
            pair.publish(values.clone().map(drag), |_| {}).await;
            assert_eq!(xs(&pair.seen().await), values.map(|x| x as u64).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_behind_the_recent_values_is_skipped() {
    let mut pair = pair().await;
    pair.publish((0..50).map(drag), |_| {}).await;
    assert_eq!(xs(&pair.seen().await), [49]);
    // From there on it keeps up again.
    pair.publish((50..54).map(drag), |_| {}).await;
    assert_eq!(xs(&pair.seen().await), [50, 51, 52, 53]);
}

/// Of the values that came before the drop none is shown after it: the widget would jump back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_of_a_drag_follows_its_drop() {
    let mut pair = pair().await;
    pair.publish((0..4).map(drag), drop_event).await;
    let seen = pair.seen().await;
    assert_eq!(xs(&seen), [0; 0]);
    assert!(seen.iter().any(|line| line["push"]["pub"]["offset"] == 1));
    let pointer = |x: usize| json!({"type": "pointer", "data": {"x": x}});
    pair.publish((5..8).map(pointer), |_| {}).await;
    assert_eq!(xs(&pair.seen().await), [5, 6, 7], "the next values are all seen again");
    // Nor when the gesture had given way to another one before it was dropped.
    let other = json!({"type": "drag", "key": user(WIDGET), "data": {"drag_id": user(61), "x": 9}});
    let gone = json!({"type": "drag", "key": user(WIDGET), "data": {"drag_id": user(62), "x": 8}});
    let end = |engine: &Engine| {
        let key = SlotKey { kind: "drag", id: user(WIDGET) };
        let dropped = engine.toy.commit(room(1), vec![Effect::EndGesture { key, gesture: Some(user(62)) }]);
        engine.hub.apply(vec![dropped]);
    };
    pair.publish([gone, other], end).await;
    assert_eq!(xs(&pair.seen().await), [9]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_a_value_of_somebody_who_was_put_out() {
    let mut pair = pair().await;
    let remove = |engine: &Engine| {
        let why = studyhall_protocol::error::Unsubscribed::REMOVED;
        let event = engine.toy.commit(room(1), vec![Effect::Remove(user(2), why)]);
        engine.hub.apply(vec![event]);
    };
    pair.publish((0..4).map(drag), remove).await;
    let seen = pair.seen().await;
    assert_eq!(xs(&seen), [0; 0]);
    assert!(unnumbered(&seen).iter().any(|data| data["key"] == json!(user(WIDGET)) && data["data"].is_null()));
}

/// A reader whose socket did not take all gets the newest values only, though all would be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_reader_skips() {
    let engine = Engine::start().await;
    let reader = engine.small_reader(1).await;
    let mut pair = Pair::start(reader, engine).await;
    let pad = "p".repeat(700);
    for n in 0..500 {
        pair.writer.publish(room(1), json!({"type": "reaction", "data": {"n": n, "pad": pad}})).await;
    }
    eventually("the reader lags", || pair.engine.conn(1).is_blocked()).await;
    pair.publish((0..4).map(drag), |_| {}).await;
    let last = |line: &Value| line["push"]["pub"]["data"]["data"]["x"] == 3;
    assert_eq!(xs(&pair.reader.until(last).await), [3]);
    pair.reader.all().await;
    pair.publish((4..8).map(drag), |_| {}).await;
    assert_eq!(xs(&pair.seen().await), [4, 5, 6, 7], "it has caught up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recent_values_are_within_the_budget_and_given_back() {
    let mut pair = pair().await;
    pair.publish((0..50).map(drag), |_| {}).await;
    pair.seen().await;
    let topic = pair.engine.topic(room(1));
    let held = topic.ring_use().0;
    assert!((512..5 * RECENT_BYTES).contains(&held), "{held} bytes");
    pair.engine.hub.retire_idle(Ticks::now().after(Duration::from_secs(31)));
    assert_eq!(topic.ring_use().0, 0);
    pair.publish((50..54).map(drag), |_| {}).await;
    assert_eq!(xs(&pair.seen().await), [50, 51, 52, 53]);
}
