//! Who writes reads too: the answer and the event are told once each, with the same number, in either order.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::reader::Reader;
use super::{Three, log, tasks};
use crate::harness;

const COMMANDS: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_author_sees_each_event_of_their_own_once() {
    let three = Three::start().await;
    let ada = Arc::new(harness::sign_up(&three.url(0), "ada").await);
    let (_, ids) = tasks(&ada, 2).await;
    let channel = ada.channel();
    let before = log(&ada, &channel, 0).await.len() as u64;
    // The socket that the commands go over, one more of the same node, and one of each other node.
    let mut own = ada.live().await;
    own.subscribe(&channel).await;
    let mut others = Vec::new();
    let last = before + COMMANDS as u64;
    for node in 0..3 {
        let mut reader = Reader::open(&three.url(node), &ada, &channel, None).await.unwrap();
        others.push(tokio::spawn(async move {
            reader.until(last).await;
            reader
        }));
    }
    let (mut answer_first, mut event_first) = (0, 0);
    let mut acknowledged: Vec<(u64, Uuid)> = Vec::new();
    let mut seen: Vec<(u64, Value)> = Vec::new();
    for number in 0..COMMANDS {
        let op = Uuid::new_v4();
        let id = ids[number % 2];
        let body = json!({"description": format!("{op}")});
        let answer = if number % 3 == 0 {
            let mut data = body.clone();
            data["id"] = json!(id);
            data["op"] = json!(op);
            own.rpc("task.update", data).await.unwrap()
        } else {
            // Over REST, at any node: the event may be here before the answer is.
            let person = ada.at(&three.url(number / 3));
            let path = format!("/tasks/{id}");
            let answer = person.call("PATCH", &path, Some(body), Some(op));
            let mut answer = std::pin::pin!(answer);
            loop {
                tokio::select! {
                    biased;
                    event = own.event() => seen.push(event),
                    answer = &mut answer => break answer.expect(200),
                }
            }
        };
        let offset = answer["positions"][0]["offset"].as_u64().unwrap();
        acknowledged.push((offset, op));
        if seen.last().is_some_and(|(last, _)| *last >= offset) {
            event_first += 1;
        } else {
            answer_first += 1;
        }
    }
    while seen.len() < COMMANDS {
        seen.push(own.event().await);
    }
    let expected: Vec<u64> = (before + 1..=last).collect();
    assert_eq!(seen.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), expected);
    for ((offset, op), (seen, event)) in acknowledged.iter().zip(&seen) {
        assert_eq!((seen, &event["op"]), (offset, &json!(op)));
    }
    assert_all_saw(others, &acknowledged).await;
    println!("{answer_first} times the answer first, {event_first} times the event");
    assert!(answer_first > 0 && event_first > 0, "one of the orders never came");
}

/// Each subscriber, on every node, saw each command once and in order.
async fn assert_all_saw(others: Vec<JoinHandle<Reader>>, acknowledged: &[(u64, Uuid)]) {
    for other in others {
        let other = other.await.unwrap();
        assert_eq!(other.seen.len(), acknowledged.len());
        for ((offset, op), (seen, text)) in acknowledged.iter().zip(&other.seen) {
            let event: Value = serde_json::from_str(text.get()).unwrap();
            assert_eq!((seen, &event["op"]), (offset, &json!(op)));
        }
    }
}
