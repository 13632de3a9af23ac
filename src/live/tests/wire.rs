//! What the engine itself decides about commands and frames.

use serde_json::{Value, json};

use super::client::spell;
use super::*;
use crate::live::limits::MESSAGE_BYTES_MAX;
use crate::live::ws::OpCode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_answered_closes() {
    let engine = Engine::start().await;
    let subscribe = json!({"id": 2, "subscribe": {"channel": room(1)}}).to_string();
    for before_connect in ["{}", "", "nope", "[]", "{\"id\":1}", "{\"id\":1,\"ping\":{}}", &subscribe] {
        let mut client = engine.client().await;
        client.send(before_connect).await;
        assert_eq!(client.close_code().await, 3501, "{before_connect:?}");
    }
    let connect = json!({"id": 7, "connect": {"token": "u1"}}).to_string();
    let no_id = json!({"rpc": {"method": "echo"}}).to_string();
    let empty_line = format!("{subscribe}\n\n{subscribe}");
    for afterwards in ["", "nope", "[]", "5", "null", "{\"id\":1", &connect, &no_id, &empty_line, "{}\n"] {
        let mut client = engine.connected(1).await;
        client.send(afterwards).await;
        assert_eq!(client.close_code().await, 3501, "{afterwards:?}");
    }
    let mut twice = engine.client().await;
    twice.send(&[connect.as_str(), connect.as_str()].join("\n")).await;
    assert_eq!(twice.close_code().await, 3501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_the_mistake_is_answered() {
    let engine = Engine::start().await;
    let mut client = engine.connected(1).await;
    client.send("{\"id\":5,\"ping\":{}}\nnope\n{\"id\":6,\"ping\":{}}").await;
    assert_eq!(client.next().await, json!({"id": 5, "ping": {}}));
    assert_eq!(client.close_code().await, 3501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_that_leave_the_connection_alone() {
    let engine = Engine::start().await;
    let mut client = engine.subscribed(1, room(1)).await;
    let channel = room(1);
    let cases: &[(&str, Value, u32)] = &[
        ("subscribe", json!({"channel": 5}), 107),
        ("subscribe", json!({"channel": "room:1"}), 102),
        ("subscribe", json!({}), 102),
        ("subscribe", json!({"channel": room(2), "type": 1}), 108),
        ("subscribe", json!({"channel": room(2), "tf": {}}), 107),
        ("subscribe", json!({"channel": room(2), "offset": -1}), 107),
        ("sub_refresh", json!({"channel": channel}), 108),
        ("publish", json!({"channel": room(2), "data": {"type": "reaction"}}), 103),
        ("publish", json!({"channel": "x", "data": {"type": "reaction"}}), 102),
        ("publish", json!({"channel": channel}), 107),
        ("publish", json!({"channel": channel, "data": {"type": "reaction", "more": 1}}), 107),
        ("publish", json!({"channel": channel, "data": {"type": "none"}}), 107),
        ("presence", json!({"channel": room(2)}), 103),
        ("presence_stats", json!({"channel": room(2)}), 103),
        ("history", json!({"channel": room(2)}), 103),
        ("history", json!({"channel": channel, "limit": 5, "since": {"offset": u64::MAX, "epoch": "e1"}}), 112),
        ("history", json!({"channel": channel, "limit": 5, "since": {"offset": 0, "epoch": "e0"}}), 112),
        ("rpc", json!({"method": "none"}), 104),
        ("rpc", json!({"method": "deny"}), 1403),
        ("fly", json!({}), 107),
        ("refresh", json!({"token": "u2"}), 101),
        ("refresh", json!({"token": "expired"}), 109),
    ];
    for (kind, request, code) in cases {
        let reply = client.ask(kind, request.clone()).await;
        assert_eq!(reply["error"]["code"], *code, "{kind} {request}: {reply}");
        assert!(reply["error"]["message"].is_string());
    }
    engine.publish(channel, 1);
    assert_eq!(client.offsets_until(channel, 1).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_carry_their_result_even_when_empty() {
    let engine = Engine::start().await;
    let mut client = engine.subscribed(1, room(1)).await;
    assert_eq!(client.ask("rpc", json!({"method": "echo"})).await["rpc"], json!({"data": null}));
    assert_eq!(client.ask("rpc", json!({"method": "echo", "data": [1]})).await["rpc"], json!({"data": [1]}));
    let publish = client.publish(room(1), json!({"type": "reaction", "data": 1})).await;
    assert_eq!(publish["publish"], json!({}));
    assert_eq!(client.ask("unsubscribe", json!({"channel": room(7)})).await["unsubscribe"], json!({}));
    assert_eq!(client.ask("unsubscribe", json!({"channel": "nonsense"})).await["unsubscribe"], json!({}));
    let refreshed = client.ask("refresh", json!({"token": "u1:5"})).await;
    assert!(refreshed["refresh"]["client"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_cut_at_the_admission() {
    let engine = Engine::start().await;
    let mut client = engine.subscribed(1, room(1)).await;
    engine.publish(room(1), 5);
    client.offsets_until(room(1), 5).await;
    let offsets = |reply: &Value| -> Vec<u64> {
        let publications = reply["history"]["publications"].as_array().unwrap();
        publications.iter().map(|publication| publication["offset"].as_u64().unwrap()).collect()
    };
    let position = client.ask("history", json!({"channel": room(1)})).await;
    assert_eq!((&position["history"]["offset"], &position["history"]["epoch"]), (&json!(5), &json!("e1")));
    assert!(offsets(&position).is_empty());
    let since = json!({"channel": room(1), "limit": 2, "since": {"offset": 1, "epoch": "e1"}});
    assert_eq!(offsets(&client.ask("history", since).await), [2, 3]);
    let newest = client.ask("history", json!({"channel": room(1), "limit": -1, "reverse": true})).await;
    assert_eq!(offsets(&newest), [5, 4, 3, 2, 1]);
    // Committed between the question and the reading: maybe behind a removal.
    engine.toy.admitting.shut();
    let asked = engine.toy.admitting.count();
    client.send(&json!({"id": 70, "history": {"channel": room(1), "limit": 10}}).to_string()).await;
    engine.toy.admitting.arrived(asked + 1).await;
    engine.toy.commit(room(1), Vec::new());
    engine.toy.admitting.open();
    assert_eq!(offsets(&client.reply(70).await), [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_above_the_limit_and_of_the_other_kind() {
    let engine = Engine::start().await;
    let mut client = engine.connected(1).await;
    let (opcode, mut largest) = spell(FORMAT, &json!({"id": 5, "ping": {}}).to_string());
    // Blanks in one format, pongs in the other.
    let (other, filler) = if opcode == OpCode::Text { (OpCode::Binary, b' ') } else { (OpCode::Text, 0) };
    largest.resize(MESSAGE_BYTES_MAX, filler);
    client.frame(opcode, &largest).await;
    assert_eq!(client.next().await["id"], 5);
    largest.push(filler);
    client.frame(opcode, &largest).await;
    assert_eq!(client.close_code().await, 1009);
    let mut client = engine.connected(1).await;
    client.frame(other, b"{\"id\":1,\"ping\":{}}").await;
    assert_eq!(client.close_code().await, 1003);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pongs_pings_and_sends_are_not_answered_by_replies() {
    let engine = Engine::start().await;
    let mut client = engine.subscribed(1, room(1)).await;
    client.all().await;
    client.send("{}\n{}").await;
    client.frame(OpCode::Pong, b"unasked").await;
    client.frame(OpCode::Ping, b"are you there").await;
    let send = |id: Option<u32>, data: Value| match id {
        Some(id) => json!({"id": id, "send": {"data": data}}).to_string(),
        None => json!({"send": {"data": data}}).to_string(),
    };
    client.send(&send(None, json!({"channel": room(1), "type": "reaction", "data": 1}))).await;
    client.send(&send(Some(40), json!({"channel": room(1), "type": "reaction", "data": 2}))).await;
    client.send(&send(Some(41), json!({"channel": room(2), "type": "reaction"}))).await;
    client.send(&send(None, json!("nonsense"))).await;
    client.send("{\"send\":{}}").await;
    let seen = client.all().await;
    let got: Vec<&Value> = seen.iter().map(|line| &line["push"]["pub"]["data"]["data"]).collect();
    assert_eq!(got, [1, 2], "{seen:?}");
    assert_eq!(client.pongs, [b"are you there"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connect_drops_the_rest_of_its_frame() {
    let engine = Engine::start().await;
    for (token, code, temporary) in
        [("bad", 101, Value::Null), ("expired", 109, Value::Null), ("", 101, Value::Null), ("down", 100, json!(true))]
    {
        let mut client = engine.client().await;
        let connect = json!({"id": 1, "connect": {"token": token}}).to_string();
        let subscribe = json!({"id": 2, "subscribe": {"channel": room(1)}}).to_string();
        client.send(&[connect, subscribe].join("\n")).await;
        let reply = client.next().await;
        assert_eq!((&reply["error"]["code"], &reply["error"]["temporary"]), (&json!(code), &temporary));
        // The connection itself goes on: the next frame may bring a better token.
        let again = json!({"id": 3, "connect": {"token": "u1"}}).to_string();
        client.send(&again).await;
        assert_eq!(client.next().await["id"], 3);
        assert_eq!(engine.toy.admitting.count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connect_reply() {
    let engine = Engine::start().await;
    let mut client = engine.client().await;
    let reply = client.ask("connect", json!({"token": "u1", "name": "js"})).await["connect"].clone();
    assert_eq!((&reply["ping"], &reply["pong"]), (&json!(15), &json!(true)));
    assert_eq!(reply["data"]["user_id"], json!(user(1)));
    assert!(reply["data"]["server_time"].as_i64().unwrap() > 1_700_000_000_000);
    assert!(reply["expires"].is_null() && reply["ttl"].is_null());
}

/// No command is free: an allowance that some do not touch is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_commands() {
    let limits = Limits { commands_per_second: 1, commands_burst: 20, ..Limits::default() };
    let engine = Engine::start_with(limits).await;
    let lines = [
        json!({"id": 1, "ping": {}}),
        json!({"id": 1, "rpc": {"method": "echo"}}),
        json!({"id": 1, "subscribe": {"channel": "none"}}),
        json!({"id": 1, "subscribe": {"channel": 5}}),
        json!({"id": 1, "history": {"channel": "none"}}),
        json!({"id": 1, "sub_refresh": {}}),
    ];
    for line in lines {
        let line = line.to_string();
        let mut client = engine.connected(1).await;
        client.send(&vec![line.as_str(); 25].join("\n")).await;
        let mut codes = Vec::new();
        for _ in 0..25 {
            codes.push(client.next().await["error"]["code"].clone());
        }
        assert!(codes[0] != 111 && codes[24] == 111, "{line}: {codes:?}");
        client.send(&vec![line.as_str(); 25].join("\n")).await;
        assert_eq!(client.close_code().await, 3013, "{line}");
    }
    let mut guessing = engine.client().await;
    let connect = json!({"id": 1, "connect": {"token": "bad"}}).to_string();
    for _ in 0..50 {
        guessing.send(&connect).await;
    }
    assert_eq!(guessing.close_code().await, 3013);
    // What is never answered is not answered by this either.
    let mut sending = engine.connected(1).await;
    let send = json!({"id": 9, "send": {"data": {}}}).to_string();
    sending.send(&vec![send.as_str(); 25].join("\n")).await;
    sending.send("{\"id\":77,\"ping\":{}}").await;
    assert_eq!(sending.next().await["id"], 77);
}
