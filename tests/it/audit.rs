//! The record: who did what to what, from where; read by the person whom it is about.

use serde_json::{Value, json};
use studyhall::db::retention::{self, Policy};
use uuid::Uuid;

use crate::harness::{self, Person};

/// All lines about a person, newest first, through pages of two.
async fn lines(person: &Person) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut path = "/me/audit-log?limit=2".to_owned();
    loop {
        let page = person.get(&path).await.expect(200);
        lines.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return lines };
        path = format!("/me/audit-log?limit=2&cursor={cursor}");
    }
}

fn actions(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["action"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_on_record_and_what_was_not_is_not() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut live = ada.live().await;
    let list = ada.post("/task-lists", json!({"name": "secret"})).await.expect(201)["data"]["id"].clone();
    let op = Uuid::new_v4();
    let new = json!({"list_id": list, "description": "hidden", "op": op});
    let task = live.rpc("task.create", new.clone()).await.unwrap()["data"]["id"].clone();
    live.rpc("task.create", new).await.unwrap();
    // Done with others' in one transaction.
    let done = json!({"is_completed": true});
    ada.patch(&format!("/tasks/{}", task.as_str().unwrap()), done.clone()).await.expect(200);
    // Nothing changes, or nothing is done.
    ada.patch(&format!("/tasks/{}", task.as_str().unwrap()), done.clone()).await.expect(200);
    ada.patch("/me/settings", json!({"theme": "system"})).await.expect(200);
    bob.patch(&format!("/tasks/{}", task.as_str().unwrap()), done).await.expect(404);
    ada.post("/task-lists", json!({"name": ""})).await.expect(422);

    let found = lines(&ada).await;
    assert_eq!(actions(&found), ["task.update", "task.create", "task_list.create", "account.create"]);
    for line in &found {
        assert_eq!((&line["actor_id"], &line["ip"]), (&json!(ada.id), &json!("127.0.0.1")), "{line}");
    }
    assert_eq!((&found[0]["subject_type"], &found[0]["subject_id"]), (&json!("task"), &task));
    assert_eq!((&found[1]["subject_type"], &found[1]["subject_id"]), (&json!("task"), &task));
    assert_eq!(found[1]["metadata"], json!({"list_id": list}));
    assert_eq!((&found[2]["subject_type"], &found[2]["subject_id"]), (&json!("task_list"), &list));
    let stored: String =
        sqlx::query_scalar("select json_agg(a)::text from audit_logs a").fetch_one(&app.database.pool).await.unwrap();
    assert!(!stored.contains("secret") && !stored.contains("hidden"), "what was written is not on record");
    assert_eq!(actions(&lines(&bob).await), ["account.create"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_and_out_is_on_record() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let credentials = json!({"username": ada.username, "password": "correct horse battery"});
    let token = ada.post("/sessions", credentials).await.expect(201)["token"].as_str().unwrap().to_owned();
    ada.post("/sessions", json!({"username": ada.username, "password": "wrong horse battery"})).await.expect(401);
    ada.again(&token).delete("/sessions/current").await.expect(204);
    let change = json!({"current_password": "correct horse battery", "new_password": "another horse battery"});
    ada.post("/me/password", change).await.expect(200);
    let expected = ["password.change", "session.end", "session.create", "account.create"];
    assert_eq!(actions(&lines(&ada).await), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_reads_what_others_did_to_one_and_not_from_where() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let room = ada.post("/workspaces", json!({"name": "r"})).await.expect(201)["data"]["id"].clone();
    let place = format!("/workspaces/{}/members/{}", room.as_str().unwrap(), bob.id);
    ada.put(&place).await.expect(201);
    ada.delete(&place).await.expect(200);
    ada.put(&format!("/users/{}/follow", bob.id)).await.expect(200);
    ada.put(&format!("/users/{}/block", bob.id)).await.expect(200);
    let of_bob = lines(&bob).await;
    assert_eq!(actions(&of_bob), ["member.remove", "member.add", "account.create"]);
    for line in &of_bob[..2] {
        assert_eq!((&line["actor_id"], &line["ip"]), (&json!(ada.id), &Value::Null), "{line}");
        assert_eq!((&line["subject_id"], &line["metadata"]), (&json!(bob.id), &json!({"workspace_id": room})));
    }
    let of_ada = lines(&ada).await;
    assert_eq!(actions(&of_ada)[..3], ["user.block", "user.follow", "member.remove"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_lines_go_and_young_ones_stay() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    ada.post("/task-lists", json!({"name": "old"})).await.expect(201);
    let age = "update audit_logs set created_at = now() - interval '366 days' where action = 'task_list.create'";
    sqlx::query(age).execute(&app.database.pool).await.unwrap();
    ada.post("/task-lists", json!({"name": "young"})).await.expect(201);
    let report = retention::run_once(&app.app.state.db, Policy::default()).await.unwrap();
    assert_eq!(report.audit_deleted, 1);
    assert_eq!(actions(&lines(&ada).await), ["task_list.create", "account.create"]);
}
