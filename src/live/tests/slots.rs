//! Latest-value slots and the gestures that hold them.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::client::unnumbered;
use super::*;
use crate::live::backend::{Effect, SlotKey};
use crate::live::limits::TOMBSTONES_MAX;
use crate::live::time::Ticks;

pub(super) const WIDGET: u128 = 50;
pub(super) const GESTURE: u128 = 60;

pub(super) fn drag(gesture: u128, x: u32) -> Value {
    json!({"type": "drag", "key": user(WIDGET), "data": {"drag_id": user(gesture), "x": x}})
}

pub(super) fn cancel() -> Value {
    json!({"type": "drag", "key": user(WIDGET), "data": null})
}

/// Shows the clock a later hour until a gesture was given up: the engine's own round may hold the channel just then.
pub(super) async fn given_up_after(engine: &Engine, seconds: u64) {
    let given_up = || {
        engine.hub.look_after_channels(Ticks::now().after(Duration::from_secs(seconds)));
        !engine.toy.state.lock().orphans.is_empty()
    };
    eventually("given up", given_up).await;
}

/// The values of the widget's slot in these lines: `None` where it was cleared.
pub(super) fn values(lines: &[Value]) -> Vec<Option<u64>> {
    let values = unnumbered(lines).into_iter().filter(|data| data["key"] == json!(user(WIDGET)));
    values.map(|data| data["data"]["x"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_holds_a_widget_at_a_time() {
    let engine = Engine::start().await;
    let (mut anna, mut ben) = (engine.subscribed(1, room(1)).await, engine.subscribed(2, room(1)).await);
    assert_eq!(anna.publish(room(1), drag(GESTURE, 1)).await["publish"], json!({}));
    let refused = ben.publish(room(1), drag(61, 2)).await;
    assert_eq!(refused["error"]["code"], 1409);
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("widget_held"));
    assert_eq!(ben.publish(room(1), cancel()).await["error"]["code"], 1409);
    assert!(anna.publish(room(1), cancel()).await["publish"].is_object());
    assert!(ben.publish(room(1), drag(61, 3)).await["publish"].is_object());
    // A late value of the cancelled gesture says nothing, and is no mistake.
    assert!(anna.publish(room(1), drag(GESTURE, 4)).await["publish"].is_object());
    let seen = values(&ben.all().await);
    assert_eq!(seen.last(), Some(&Some(3)), "{seen:?}");
    // Who comes now finds the one value that counts.
    let mut late = engine.connected(3).await;
    let slots = late.subscribe(room(1)).await["data"]["slots"].clone();
    assert_eq!(slots, json!([{"type": "drag", "key": user(WIDGET), "actor": user(2), "data": drag(61, 3)["data"]}]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_ends_its_gesture() {
    let engine = Engine::start().await;
    let (mut anna, mut ben) = (engine.subscribed(1, room(1)).await, engine.subscribed(2, room(1)).await);
    anna.publish(room(1), drag(GESTURE, 1)).await;
    let key = SlotKey { kind: "drag", id: user(WIDGET) };
    let dropped = engine.toy.commit(room(1), vec![Effect::EndGesture { key, gesture: Some(user(GESTURE)) }]);
    engine.hub.apply(vec![dropped]);
    ben.offsets_until(room(1), 1).await;
    assert!(anna.publish(room(1), drag(GESTURE, 2)).await["publish"].is_object());
    assert_eq!(values(&ben.all().await), [], "values of a gesture that is over go nowhere");
    let mut late = engine.connected(3).await;
    assert_eq!(late.subscribe(room(1)).await["data"]["slots"], json!([]));
    // The widget is free for the next gesture, whoever's it is.
    assert!(ben.publish(room(1), drag(62, 5)).await["publish"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_of_another_gesture_changes_nothing() {
    let engine = Engine::start().await;
    let mut anna = engine.subscribed(1, room(1)).await;
    anna.publish(room(1), drag(GESTURE, 1)).await;
    let key = SlotKey { kind: "drag", id: user(WIDGET) };
    let other = engine.toy.commit(room(1), vec![Effect::EndGesture { key, gesture: Some(user(99)) }]);
    let gone = engine.toy.commit(room(1), vec![Effect::EndGesture { key, gesture: None }]);
    engine.hub.apply(vec![other]);
    anna.publish(room(1), drag(GESTURE, 2)).await;
    assert_eq!(values(&anna.all().await).last(), Some(&Some(2)));
    // The widget is gone, and every gesture on it.
    engine.hub.apply(vec![gone]);
    anna.publish(room(1), drag(GESTURE, 3)).await;
    assert_eq!(values(&anna.all().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orphan_is_adopted_once_and_cleared() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(2, room(1)).await;
    let mut author = engine.subscribed(1, room(1)).await;
    author.publish(room(1), drag(GESTURE, 7)).await;
    author.publish(room(1), json!({"type": "pointer", "data": {"x": 1}})).await;
    drop(author);
    eventually("lost", || engine.hub.counts().0 == 1).await;
    let seen = unnumbered(&viewer.all().await);
    assert!(seen.iter().any(|data| data["type"] == "pointer" && data["data"].is_null()), "plain slots go at once");
    assert!(engine.toy.state.lock().orphans.is_empty());
    given_up_after(&engine, 4).await;
    for _ in 0..3 {
        engine.hub.look_after_channels(Ticks::now().after(Duration::from_secs(4)));
    }
    let cleared = viewer.until(|line| values(std::slice::from_ref(line)) == [None]).await;
    assert_eq!(values(&cleared), [None]);
    let orphans = engine.toy.state.lock().orphans.clone();
    assert_eq!(orphans.len(), 1);
    assert_eq!((orphans[0].author, orphans[0].gesture), (user(1), user(GESTURE)));
    assert_eq!(serde_json::from_str::<Value>(orphans[0].data.get()).unwrap(), drag(GESTURE, 7)["data"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_gesture_lets_others_take_over_and_ends() {
    let engine = Engine::start().await;
    let mut anna = engine.subscribed(1, room(1)).await;
    anna.publish(room(1), drag(GESTURE, 7)).await;
    engine.hub.look_after_channels(Ticks::now().after(Duration::from_secs(59)));
    assert!(engine.toy.state.lock().orphans.is_empty());
    given_up_after(&engine, 61).await;
    anna.until(|line| values(std::slice::from_ref(line)) == [None]).await;
    assert_eq!(engine.toy.state.lock().orphans.len(), 1);
}

/// More slots were cleared than the channel remembers: a reader that was away gets all that is set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_cleared_slots_become_a_snapshot() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(1, room(1)).await;
    let mut writer = engine.subscribed(2, room(1)).await;
    viewer.all().await;
    let pointer = |id: usize, data: Value| json!({"type": "pointer", "key": user(id as u128), "data": data});
    let line = |id: usize, data: Value| json!({"id": id, "publish": {"channel": room(1), "data": data}}).to_string();
    let conn = engine.conn(1);
    let topic = engine.topic(room(1));
    let count = TOMBSTONES_MAX + 20;
    {
        let _held = conn.out.lock();
        let mut frame: Vec<String> = (0..count).map(|n| line(1_000 + n, pointer(n, json!(n)))).collect();
        frame.extend((0..count - 1).map(|n| line(2_000 + n, pointer(n, Value::Null))));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                writer.send(&frame.join("\n")).await;
                writer.reply(2_000 + count as u32 - 2).await;
            })
        });
        assert!(topic.state.lock().slots.as_ref().unwrap().forgot_since(1));
    }
    let seen = unnumbered(&viewer.all().await);
    let snapshot = seen.iter().rev().find(|data| data["type"] == "slots").expect("a snapshot");
    let slots = snapshot["data"]["slots"].as_array().unwrap();
    assert_eq!(slots.len(), 1, "{slots:?}");
    assert_eq!(slots[0]["data"], json!(count - 1));
}

/// Who has been told that there is news and has not looked yet is not told again, and misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_twice() {
    let engine = Engine::start().await;
    let (mut anna, mut ben) = (engine.subscribed(1, room(1)).await, engine.subscribed(2, room(1)).await);
    anna.all().await;
    ben.all().await;
    let (annas, bens) = (engine.conn(1), engine.conn(2));
    let marks = || engine.hub.flusher.marks.load(Ordering::Relaxed);
    let before = marks();
    {
        let (_nobody, _looks) = (annas.out.lock(), bens.out.lock());
        for _ in 0..5 {
            let event = engine.toy.commit(room(1), Vec::new());
            engine.hub.apply(vec![event]);
        }
        assert!(marks() - before <= 2, "{} marks for two subscribers", marks() - before);
    }
    anna.offsets_until(room(1), 5).await;
    ben.offsets_until(room(1), 5).await;
    // They have looked: what is next is told them again.
    let event = engine.toy.commit(room(1), Vec::new());
    engine.hub.apply(vec![event]);
    anna.offsets_until(room(1), 6).await;
    ben.offsets_until(room(1), 6).await;
}
