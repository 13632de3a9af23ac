//! P2, P3: one operation id, one effect; commands keep their order; refused ones leave nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_operation_id_sent_three_times_at_once_by_both_doors() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    for round in 0..20 {
        let op = Uuid::new_v4();
        let body = json!({"name": format!("list {round}")});
        let with_op = json!({"name": format!("list {round}"), "op": op});
        let (mut one, mut two) = (ada.live().await, ada.live().await);
        let (rest, first, second) = tokio::join!(
            ada.call("POST", "/task-lists", Some(body), Some(op)),
            one.rpc("task_list.create", with_op.clone()),
            two.rpc("task_list.create", with_op.clone()),
        );
        let (rest, first, second) = (rest.expect(201), first.unwrap(), second.unwrap());
        assert_eq!(rest, first);
        assert_eq!(first, second);
        let again = one.rpc("task_list.create", with_op).await.unwrap();
        assert_eq!(again, first, "a later retry gets the same answer");
    }
    let page = ada.get("/task-lists?limit=100").await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 20);
    let log = ada.get(&format!("/channels/{}/events?since=0&limit=500", ada.channel())).await.expect(200);
    let created = log["items"].as_array().unwrap().iter().filter(|item| item["type"] == "task_list.created");
    assert_eq!(created.count(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_id_is_for_one_body_and_one_person() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let op = Uuid::new_v4();
    ada.call("POST", "/task-lists", Some(json!({"name": "mine"})), Some(op)).await.expect(201);
    let problem = ada.call("POST", "/task-lists", Some(json!({"name": "other"})), Some(op)).await.expect(422);
    assert_eq!(problem["code"], "op_reused");
    let error = ada.live().await.rpc("task_list.create", json!({"name": "other", "op": op})).await.unwrap_err();
    assert_eq!(
        (error["code"].as_u64(), error["message"].as_str().unwrap().starts_with("op_reused")),
        (Some(1422), true)
    );
    bob.call("POST", "/task-lists", Some(json!({"name": "other"})), Some(op)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_commands_keep_their_order() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let mut live = ada.live().await;
    live.subscribe(&ada.channel()).await;
    let mut ids = Vec::new();
    for number in 0..100 {
        let rpc = json!({"rpc": {"method": "task_list.create", "data": {"name": format!("{number}")}}});
        ids.push(live.send(rpc).await);
    }
    let mut acknowledged = Vec::new();
    for id in ids {
        let answer = live.reply(id).await.unwrap()["rpc"]["data"].clone();
        acknowledged.push((answer["positions"][0]["offset"].as_u64().unwrap(), answer["data"]["name"].clone()));
    }
    for (number, (offset, name)) in acknowledged.iter().enumerate() {
        let (seen, event) = live.event().await;
        assert_eq!((seen, &event["data"]["name"]), (*offset, name));
        assert_eq!(name, &Value::from(number.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_sees_the_same_dense_order() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let mut readers = Vec::new();
    for _ in 0..5 {
        let mut live = ada.live().await;
        live.subscribe(&ada.channel()).await;
        readers.push(live);
    }
    let writers = (0..8).map(|writer| {
        let ada = &ada;
        async move {
            for number in 0..25 {
                let body = json!({"name": format!("{writer}-{number}")});
                ada.post("/task-lists", body).await;
            }
        }
    });
    futures_util::future::join_all(writers).await;
    let mut orders = BTreeSet::new();
    for reader in &mut readers {
        let mut order = Vec::new();
        for expected in 1..=200 {
            let (offset, event) = reader.event().await;
            assert_eq!(offset, expected);
            order.push(event["op"].as_str().unwrap().to_owned());
        }
        orders.insert(order);
    }
    assert_eq!(orders.len(), 1, "all saw the same order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_command_leaves_nothing() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let list = ada.post("/task-lists", json!({"name": "mine"})).await.expect(201);
    let list = list["data"]["id"].as_str().unwrap();
    let before = ada.get("/dashboard").await.expect(200);
    let op = Uuid::new_v4();
    let path = format!("/task-lists/{list}/tasks");
    bob.call("POST", &path, Some(json!({"description": "not yours"})), Some(op)).await.expect(404);
    bob.patch(&format!("/task-lists/{list}"), json!({"name": "taken"})).await.expect(404);
    bob.delete(&format!("/task-lists/{list}")).await.expect(404);
    assert_eq!(ada.get("/dashboard").await.expect(200), before);
    let operations: i64 = sqlx::query_scalar("select count(*) from operations where op = $1")
        .bind(op)
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(operations, 0, "a refused command may be sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_is_in_postgresql_when_it_is_acknowledged() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let list = ada.post("/task-lists", json!({"name": "today"})).await.expect(201)["data"]["id"].clone();
    let mut live = ada.live().await;
    let made = live.rpc("task.create", json!({"list_id": list, "description": "read"})).await.unwrap();
    let id: Uuid = serde_json::from_value(made["data"]["id"].clone()).unwrap();
    live.rpc("task.update", json!({"id": id, "is_completed": true})).await.unwrap();
    let row: (String, bool, bool) =
        sqlx::query_as("select description, is_completed, completed_at is not null from tasks where id = $1")
            .bind(id)
            .fetch_one(&app.database.pool)
            .await
            .unwrap();
    assert_eq!(row, ("read".into(), true, true));
    live.rpc("task.delete", json!({"id": id})).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from tasks where id = $1")
        .bind(id)
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
}
