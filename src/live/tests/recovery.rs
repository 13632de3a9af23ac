//! Subscribing and recovering: the table of the protocol, and what may stand around it.

use serde_json::{Value, json};

use super::*;

/// Ten events, of which 1 to 3 are not in the log any more, and only the last ones in the ring.
async fn with_history() -> (Engine, Client) {
    let engine = Engine::start().await;
    let keeper = engine.subscribed(9, room(1)).await;
    engine.toy.state.lock().padding = 2_000;
    engine.publish(room(1), 10);
    engine.toy.forget_before(room(1), 4);
    let topic = engine.topic(room(1));
    let first = topic.state.lock().rings.of(FORMAT).unwrap().events.first();
    assert!(first > 5 && first < 10, "the ring begins at {first}");
    (engine, keeper)
}

async fn recover(engine: &Engine, person: u128, offset: u64, epoch: &str, flag: u32) -> (Value, Vec<u64>) {
    let mut client = engine.connected(person).await;
    let reply = client.recover(room(1), offset, epoch, flag).await;
    if reply["error"].is_object() {
        return (reply, Vec::new());
    }
    // One more event shows where the replay ended.
    engine.publish(room(1), 1);
    let head = engine.topic(room(1)).state.lock().rings.next_event() - 1;
    let offsets = client.offsets_until(room(1), head).await;
    (reply["subscribe"].clone(), offsets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_in_reach_are_recovered_from() {
    let (engine, _keeper) = with_history().await;
    let mut head = 10;
    // The floor is 4: who has seen 3 misses nothing.
    for (person, offset) in [(1, 3), (2, 4), (3, 8), (4, 9), (5, 14)] {
        for flag in [0, 2] {
            let offset = offset.min(head);
            let (result, offsets) = recover(&engine, person * 10 + u128::from(flag), offset, "e1", flag).await;
            head += 1;
            assert_eq!(result["offset"], offset, "the position recovered from: {result}");
            assert_eq!((&result["was_recovering"], &result["recovered"]), (&json!(true), &json!(true)));
            assert_eq!((&result["recoverable"], &result["positioned"]), (&json!(true), &json!(true)));
            assert_eq!(result["epoch"], "e1");
            assert_eq!(offsets, (offset + 1..=head).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_out_of_reach() {
    let (engine, _keeper) = with_history().await;
    let mut head = 10;
    let far = [(0, "e1"), (2, "e1"), (1_000, "e1"), (u64::MAX, "e1"), (9, "e0"), (9, ""), (0, "_")];
    for (index, (offset, epoch)) in far.into_iter().enumerate() {
        let (error, _) = recover(&engine, 100 + index as u128, offset, epoch, 3).await;
        assert_eq!(error["error"]["code"], 112, "{offset} {epoch}");
        assert!(error["error"]["temporary"].is_null());
        let (result, offsets) = recover(&engine, 200 + index as u128, offset, epoch, 1).await;
        head += 1;
        assert_eq!((&result["was_recovering"], &result["recovered"]), (&json!(true), &Value::Null), "{result}");
        assert_eq!((&result["offset"], &result["publications"]), (&json!(head - 1), &Value::Null));
        assert_eq!(offsets, [head], "nothing is replayed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offset_0_of_a_whole_log_is_its_beginning() {
    let engine = Engine::start().await;
    engine.publish(room(1), 3);
    let mut client = engine.connected(1).await;
    // SDKs leave a 0 out, and so do we.
    let reply = client.ask("subscribe", json!({"channel": room(1), "recover": true, "epoch": "e1"})).await;
    assert_eq!((&reply["subscribe"]["recovered"], &reply["subscribe"]["offset"]), (&json!(true), &Value::Null));
    assert_eq!(client.offsets_until(room(1), 3).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_position_it_begins_at_the_head() {
    let (engine, _keeper) = with_history().await;
    let mut client = engine.connected(1).await;
    let result = client.subscribe(room(1)).await;
    assert_eq!((&result["offset"], &result["was_recovering"]), (&json!(10), &Value::Null));
    engine.publish(room(1), 1);
    assert_eq!(client.offsets_until(room(1), 11).await, [11]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reply_comes_before_the_pushes() {
    let (engine, _keeper) = with_history().await;
    let mut client = engine.connected(1).await;
    for _ in 0..50 {
        let (unsubscribe, subscribe) = (client.next_id(), client.next_id());
        let name = room(1);
        client
            .send(&format!(
                "{{\"id\":{unsubscribe},\"unsubscribe\":{{\"channel\":\"{name}\"}}}}\n\
                 {{\"id\":{subscribe},\"subscribe\":{{\"channel\":\"{name}\",\"recover\":true,\"offset\":5,\"epoch\":\"e1\"}}}}"
            ))
            .await;
        engine.publish(room(1), 1);
        let before = client.until(|line| line["id"] == subscribe).await;
        let first = client.next().await;
        assert_eq!(first["push"]["pub"]["offset"], 6, "{first}");
        // Of the subscription before nothing comes behind the reply to its end.
        let ended = before.iter().position(|line| line["id"] == unsubscribe).unwrap();
        assert!(before[ended + 1..].iter().all(|line| line["push"].is_null()), "{before:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_513th_channel_is_one_too_many() {
    let engine = Engine::start().await;
    let mut client = engine.connected(1).await;
    let lines: Vec<String> =
        (0..513).map(|n| json!({"id": 1_000 + n, "subscribe": {"channel": profile(n)}}).to_string()).collect();
    client.send(&lines.join("\n")).await;
    for n in 0..512 {
        assert!(client.reply(1_000 + n).await["subscribe"].is_object());
    }
    let last = client.reply(1_512).await;
    assert_eq!(last["error"]["code"], 106, "{last}");
    assert_eq!(engine.toy.admitting.count(), 1, "one question for all of them");
    client.ask("unsubscribe", json!({"channel": profile(7)})).await;
    client.subscribe(profile(512)).await;
    engine.publish(profile(512), 1);
    assert_eq!(client.offsets_until(profile(512), 1).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_in_the_first_frame() {
    let engine = Engine::start().await;
    let mut client = engine.client().await;
    let mut lines = vec![json!({"id": 1, "connect": {"token": "u1"}}).to_string()];
    lines.extend((0..300_u32).map(|n| json!({"id": 2 + n, "subscribe": {"channel": profile(n.into())}}).to_string()));
    client.send(&lines.join("\n")).await;
    for id in 1..=301 {
        assert_eq!(client.next().await["id"], id, "answers keep the order of the commands");
    }
    assert_eq!(engine.toy.admitting.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_is_an_error_even_in_one_frame() {
    let engine = Engine::start().await;
    let mut client = engine.subscribed(1, room(1)).await;
    assert_eq!(client.ask("subscribe", json!({"channel": room(1)})).await["error"]["code"], 105);
    let line = |id: u32| json!({"id": id, "subscribe": {"channel": room(2)}}).to_string();
    client.send(&[line(50), line(51)].join("\n")).await;
    assert!(client.reply(50).await["subscribe"].is_object());
    assert_eq!(client.reply(51).await["error"]["code"], 105);
}

/// The database came back with another history: whoever holds a cursor into the old one has to know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_epoch_closes_cursors() {
    let engine = Engine::start().await;
    let mut old = engine.subscribed(1, room(1)).await;
    engine.publish(room(1), 2);
    engine.toy.set_epoch("e2");
    let mut new = engine.connected(2).await;
    assert_eq!(new.recover(room(1), 1, "e1", 2).await["error"]["code"], 112);
    assert_eq!(new.recover(room(1), 1, "e2", 2).await["subscribe"]["recovered"], true);
    assert_eq!(old.close_code().await, 3010);
    assert_eq!(new.offsets_until(room(1), 2).await, [2]);
}

/// The database was restored between the answer and the reading: the page tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_epoch_is_not_sent() {
    let engine = Engine::start().await;
    let mut keeper = engine.subscribed(9, room(1)).await;
    engine.publish(room(1), 10);
    keeper.offsets_until(room(1), 10).await;
    engine.topic(room(1)).drop_rings();
    let mut client = engine.connected(1).await;
    engine.toy.admitting.shut();
    let asked = engine.toy.admitting.count();
    let request = json!({"channel": room(1), "recover": true, "offset": 4, "epoch": "e1"});
    client.send(&json!({"id": 70, "subscribe": request}).to_string()).await;
    engine.toy.admitting.arrived(asked + 1).await;
    engine.toy.set_epoch("e2");
    engine.toy.admitting.open();
    assert_eq!(client.reply(70).await["subscribe"]["recovered"], true);
    assert_eq!(client.close_code().await, 3010);
    assert_eq!(keeper.close_code().await, 3010, "whoever is at the head finds out as well");
}
