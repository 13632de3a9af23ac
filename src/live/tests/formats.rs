//! Subscribers of one channel that speak different formats: they are told the same.

use serde_json::{Value, json};

use super::client::{spell, unnumbered};
use super::*;
use crate::live::time::Ticks;
use crate::live::ws::OpCode;

/// What a client was told besides replies, in order.
fn pushes(lines: Vec<Value>) -> Vec<Value> {
    lines.into_iter().filter(|line| !line["push"].is_null()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_are_told_the_same() {
    let engine = Engine::start().await;
    let mut native = engine.subscribed(1, room(1)).await;
    let mut foreigner = engine.foreigner(2).await;
    foreigner.subscribe(room(1)).await;
    native.until(|line| line["push"]["join"]["info"]["user"] == json!(user(2))).await;
    foreigner.all().await;
    for n in 0..20 {
        let (author, other) = if n % 2 == 0 { (&mut native, 1) } else { (&mut foreigner, 2) };
        author.publish(room(1), json!({"type": "reaction", "data": n})).await;
        author.publish(room(1), json!({"type": "pointer", "data": {"x": n, "by": other}})).await;
        engine.publish(room(1), 3);
    }
    let mut third = engine.subscribed(3, room(1)).await;
    third.ask("unsubscribe", json!({"channel": room(1)})).await;
    let left = |line: &Value| line["push"]["leave"]["info"]["user"] == json!(user(3));
    let told = [pushes(native.until(left).await), pushes(foreigner.until(left).await)];
    // How often a slot is seen depends on the reader; everything else does not.
    let steady = |lines: &[Value], numbered: bool| -> Vec<Value> {
        let kind = |line: &&Value| {
            let publication = &line["push"]["pub"];
            publication["offset"].is_null() != numbered && publication["data"]["type"] != "pointer"
        };
        lines.iter().filter(kind).cloned().collect()
    };
    for numbered in [true, false] {
        assert_eq!(steady(&told[0], numbered), steady(&told[1], numbered));
    }
    assert_eq!(steady(&told[0], true).len(), 60);
    let pointers = |lines: &[Value]| unnumbered(lines).into_iter().rfind(|data| data["type"] == "pointer");
    assert_eq!(pointers(&told[0]), pointers(&told[1]));
}

/// Both wait for the same page: the log is read once, and each gets it in its own words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_read_once_for_both() {
    let engine = Engine::start().await;
    engine.publish(room(1), 20);
    engine.toy.reading.shut();
    let (mut native, mut foreigner) = (engine.connected(1).await, engine.foreigner(2).await);
    native.recover(room(1), 0, "e1", 2).await;
    foreigner.recover(room(1), 0, "e1", 2).await;
    native.all().await;
    foreigner.all().await;
    engine.toy.reading.open();
    for client in [&mut native, &mut foreigner] {
        assert_eq!(client.offsets_until(room(1), 20).await, (1..=20).collect::<Vec<_>>());
    }
    assert_eq!(engine.toy.state.lock().reads, 1);
}

/// A format begins with who reads it, and ends with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_reads_is_not_encoded() {
    let engine = Engine::start().await;
    let mut json = if FORMAT == Format::Json { engine.connected(1).await } else { engine.foreigner(1).await };
    json.subscribe(room(1)).await;
    engine.publish(room(1), 5);
    json.offsets_until(room(1), 5).await;
    let topic = engine.topic(room(1));
    let encoded =
        || topic.state.lock().rings.of(Format::Protobuf).map(|rings| (rings.events.first(), rings.events.next()));
    assert_eq!(encoded(), None);
    let mut protobuf = if FORMAT == Format::Json { engine.foreigner(2).await } else { engine.connected(2).await };
    protobuf.recover(room(1), 2, "e1", 2).await;
    engine.publish(room(1), 2);
    assert_eq!(protobuf.offsets_until(room(1), 7).await, [3, 4, 5, 6, 7]);
    assert_eq!(encoded(), Some((6, 8)), "it begins where the first reader found the head");
    engine.hub.retire_idle(Ticks::now());
    assert!(encoded().is_some(), "it stays as long as somebody reads it");
    protobuf.ask("unsubscribe", json!({"channel": room(1)})).await;
    engine.hub.retire_idle(Ticks::now());
    assert_eq!(encoded(), None);
    engine.publish(room(1), 1);
    assert_eq!(json.offsets_until(room(1), 8).await, [6, 7, 8]);
}

/// JSON within protobuf may have any form; where it becomes a part of a line it is one line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_several_lines() {
    let engine = Engine::start().await;
    let mut json = if FORMAT == Format::Json { engine.connected(1).await } else { engine.foreigner(1).await };
    let mut protobuf = if FORMAT == Format::Json { engine.foreigner(2).await } else { engine.connected(2).await };
    json.subscribe(room(1)).await;
    protobuf.subscribe(room(1)).await;
    let publish =
        json!({"id": 50, "publish": {"channel": room(1), "data": {"data": ["a", {"b": 1}], "type": "pointer"}}});
    let (opcode, mut frame) = spell(Format::Protobuf, &publish.to_string());
    assert_eq!(opcode, OpCode::Binary);
    // As long as before, over several lines.
    let (tight, wide) = (br#"["a",{"b":1}]"#, b"[\n1,\r\n{\n}\n\n ]");
    let at = frame.windows(tight.len()).position(|window| window == tight).unwrap();
    frame[at..at + tight.len()].copy_from_slice(wide);
    protobuf.frame(opcode, &frame).await;
    assert_eq!(protobuf.reply(50).await["publish"], json!({}));
    for client in [&mut json, &mut protobuf] {
        let seen = unnumbered(&client.all().await);
        assert_eq!(seen.last().map(|data| &data["data"]), Some(&json!([1, {}])), "{seen:?}");
    }
    let mut late = if FORMAT == Format::Json { engine.connected(3).await } else { engine.foreigner(3).await };
    assert_eq!(late.subscribe(room(1)).await["data"]["slots"][0]["data"], json!([1, {}]));
}
