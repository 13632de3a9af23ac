//! A server of tomorrow: events and fields that a client of today has never heard of.

use serde_json::{Value, json};
use studyhall_protocol::EventRecord;
use studyhall_protocol::state::UserState;

use super::reader::Reader;
use super::{Three, tasks};
use crate::harness;

/// Appends an event as a newer server would, behind the back of the nodes.
async fn append(three: &Three, channel: &str, kind: &str, data: &Value) -> u64 {
    let mut tx = three.pool().begin().await.unwrap();
    let raise = "update channel_heads set head = head + 1 where channel = $1 returning head";
    let head: i64 = sqlx::query_scalar(raise).bind(channel).fetch_one(&mut *tx).await.unwrap();
    let insert = r#"insert into events (channel, "offset", type, data) values ($1, $2, $3, $4::text::json)"#;
    sqlx::query(insert).bind(channel).bind(head).bind(kind).bind(data.to_string()).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    head.cast_unsigned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_does_not_know_moves_its_position_on() {
    let three = Three::start().await;
    let ada = harness::sign_up(&three.url(0), "ada").await;
    let (list, ids) = tasks(&ada, 2).await;
    let channel = ada.channel();
    let page = ada.get("/dashboard").await.expect(200);
    let position = page["positions"].as_array().unwrap().iter().find(|at| at["channel"] == channel.as_str()).unwrap();
    let (position, state) = (
        position.clone(),
        UserState::from(serde_json::from_value::<studyhall_protocol::dashboard::Dashboard>(page).unwrap()),
    );
    let mut task = serde_json::to_value(&state.tasks[&ids[0]]).unwrap();
    task["description"] = "with a field of tomorrow".into();
    task["estimate"] = json!({"minutes": 25});
    let sent = [
        ("task.sparkled", json!({"id": ids[0], "sparkles": 3})),
        ("task.updated", task),
        ("constellation.formed", json!(null)),
        ("task.deleted", json!({"id": ids[1]})),
    ];
    let mut last = 0;
    for (kind, data) in &sent {
        last = append(&three, &channel, kind, data).await;
    }
    // A command of today comes behind them.
    ada.patch(&format!("/task-lists/{list}"), json!({"name": "still here"})).await.expect(200);
    last += 1;
    for node in 0..3 {
        let mut state = state.clone();
        let mut reader = Reader::open(&three.url(node), &ada, &channel, Some(&position)).await.unwrap();
        reader.until(last).await;
        let mut unknown = 0;
        for (_, text) in &reader.seen {
            match serde_json::from_str::<EventRecord>(text.get()) {
                Ok(record) => state.apply(&record.event).unwrap(),
                Err(_) => unknown += 1,
            }
        }
        assert_eq!(unknown, 2, "what is known is understood, whatever else it says");
        assert_eq!(state.tasks[&ids[0]].description, "with a field of tomorrow");
        assert!(!state.tasks.contains_key(&ids[1]));
        assert_eq!(state.task_lists[&list].name, "still here");
    }
    // The log over REST shows them as well.
    let path = format!("{}/api/v1/channels/{channel}/events?since={}", three.url(1), position["offset"]);
    let answer = reqwest::Client::new().get(path).bearer_auth(&ada.token).send().await.unwrap();
    let page: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(page["items"][0]["data"]["sparkles"], 3);
    assert_eq!(page["items"].as_array().unwrap().len(), sent.len() + 1);
}
