//! Readers that stop: they get every event later, and nobody waits for them.

use serde_json::{Value, json};

use super::client::unnumbered;
use super::*;

/// Per reader beyond an idle connection: the rest of one batch, and replies that wait.
const HELD_MAX: usize = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_misses_nothing() {
    let engine = Engine::start().await;
    engine.toy.state.lock().padding = 2_000;
    let mut slow = Vec::new();
    for n in 1..=4 {
        let mut client = engine.small_reader(n).await;
        client.subscribe(room(1)).await;
        slow.push(client);
    }
    let mut fast = engine.subscribed(9, room(1)).await;
    for round in 1..=10_u64 {
        engine.publish(room(1), 50);
        assert_eq!(fast.offsets_until(room(1), round * 50).await.len(), 50, "nobody waits for the slow ones");
        assert!(engine.hub.held_bytes() <= 4 * HELD_MAX, "{}", engine.hub.held_bytes());
    }
    assert!((1..=4).all(|n| engine.conn(n).is_blocked()));
    for client in &mut slow {
        assert_eq!(client.offsets_until(room(1), 500).await, (1..=500).collect::<Vec<_>>());
    }
    eventually("nothing is held", || engine.hub.held_bytes() == 0).await;
    // Pages are shared: 500 events are 16 of them, and only the one at the head is read again as it fills, at most
    // once a round.
    assert!(engine.toy.state.lock().reads <= 26, "{} reads", engine.toy.state.lock().reads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_read_delays_a_lagging_reader_only() {
    let engine = Engine::start().await;
    engine.toy.state.lock().padding = 2_000;
    let mut fast = engine.subscribed(2, room(1)).await;
    engine.publish(room(1), 60);
    fast.offsets_until(room(1), 60).await;
    engine.toy.state.lock().failing_reads = 3;
    let mut client = engine.connected(1).await;
    client.recover(room(1), 10, "e1", 2).await;
    assert_eq!(client.offsets_until(room(1), 60).await, (11..=60).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_conflate_and_broadcasts_skip_in_order() {
    let engine = Engine::start_with(Limits { commands_burst: 10_000, ..Limits::default() }).await;
    let mut slow = engine.small_reader(1).await;
    slow.subscribe(room(1)).await;
    let mut writer = engine.subscribed(2, room(1)).await;
    let pad = "p".repeat(700);
    for n in 1..=500 {
        writer.publish(room(1), json!({"type": "pointer", "data": {"x": n, "pad": pad}})).await;
        writer.publish(room(1), json!({"type": "reaction", "data": {"n": n, "pad": pad}})).await;
    }
    assert!(engine.conn(1).is_blocked());
    assert!(engine.conn(1).held_bytes() <= HELD_MAX);
    let last = |line: &Value| {
        line["push"]["pub"]["data"]["type"] == "pointer" && line["push"]["pub"]["data"]["data"]["x"] == 500
    };
    let seen = unnumbered(&slow.until(last).await);
    let of = |kind: &str, field: &str| -> Vec<u64> {
        let values = seen.iter().filter(|data| data["type"] == kind);
        values.map(|data| data["data"][field].as_u64().unwrap()).collect()
    };
    let (pointers, reactions) = (of("pointer", "x"), of("reaction", "n"));
    assert!(pointers.is_sorted_by(|a, b| a < b) && reactions.is_sorted_by(|a, b| a < b));
    assert!(pointers.len() < 250, "{} values of one slot", pointers.len());
    assert!(reactions.len() < 400 && reactions.last() == Some(&500), "{} broadcasts", reactions.len());
}

/// A backlog in one channel that fills every batch must not keep the others waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_channel_does_not_starve_the_others() {
    let engine = Engine::start().await;
    engine.toy.state.lock().padding = 2_000;
    let mut slow = engine.small_reader(1).await;
    slow.subscribe(room(1)).await;
    slow.subscribe(room(2)).await;
    engine.publish(room(1), 1_000);
    eventually("the reader lags", || engine.conn(1).is_blocked()).await;
    engine.publish(room(2), 1);
    let name = room(2).to_string();
    let before = slow.until(|line| line["push"]["channel"] == name.as_str()).await;
    // The batch on its way, and one of the busy channel.
    assert!(before.len() < 100, "{} events before it", before.len());
    assert_eq!(slow.offsets_until(room(1), 1_000).await.last(), Some(&1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_do_not_pile_up_behind_a_slow_reader() {
    let engine = Engine::start().await;
    let mut slow = engine.small_reader(1).await;
    let line = |id: u32| json!({"id": id, "rpc": {"method": "large"}}).to_string();
    let commands: Vec<String> = (1_000..1_400).map(line).collect();
    slow.send(&commands.join("\n")).await;
    eventually("the reader lags", || engine.conn(1).is_blocked()).await;
    let ran = engine.toy.running.count();
    assert!(ran < 200, "{ran} commands ran ahead of a reader that does not read");
    assert!(engine.hub.held_bytes() <= HELD_MAX, "{}", engine.hub.held_bytes());
    for id in 1_000..1_400 {
        assert_eq!(slow.next().await["id"], id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_the_replies_of_commands_that_wait_for_nothing() {
    let engine = Engine::start().await;
    let mut slow = engine.small_reader(1).await;
    for n in 10..60 {
        slow.subscribe(room(n)).await;
    }
    let mut people = Vec::new();
    for n in 2..40 {
        people.push(engine.subscribed(n, room(10)).await);
    }
    slow.all().await;
    let line = |id: u32| json!({"id": id, "presence": {"channel": room(10)}}).to_string();
    let commands: Vec<String> = (1_000..1_500).map(line).collect();
    // Many commands in one frame, and frames that come one by one.
    slow.send(&commands[..250].join("\n")).await;
    for command in &commands[250..] {
        slow.send(command).await;
    }
    eventually("the reader lags", || engine.conn(1).is_blocked()).await;
    assert!(engine.hub.held_bytes() <= HELD_MAX, "{}", engine.hub.held_bytes());
    for id in 1_000..1_500 {
        assert_eq!(slow.reply(id).await["presence"]["presence"].as_object().unwrap().len(), 39);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_pongs() {
    let engine = Engine::start().await;
    let mut slow = engine.small_reader(1).await;
    slow.subscribe(room(1)).await;
    let mut viewer = engine.subscribed(2, room(1)).await;
    engine.toy.state.lock().padding = 3_000;
    engine.publish(room(1), 100);
    eventually("the reader lags", || engine.conn(1).is_blocked()).await;
    let before = engine.conn(1).held_bytes();
    for n in 0..1_000_u32 {
        let mut payload = [b'p'; 125];
        payload[..4].copy_from_slice(&n.to_be_bytes());
        slow.frame(crate::live::ws::OpCode::Ping, &payload).await;
    }
    // When somebody else sees this, all pings have been read.
    let send = json!({"send": {"data": {"channel": room(1), "type": "reaction"}}});
    slow.send(&send.to_string()).await;
    viewer.until(|line| line["push"]["pub"]["data"]["type"] == "reaction").await;
    assert!(engine.conn(1).held_bytes() <= before + 16 * 1024);
    // The newest one is answered in any case.
    while slow.pongs.last().is_none_or(|pong| pong[..4] != 999_u32.to_be_bytes()) {
        assert!(slow.read().await);
    }
}
