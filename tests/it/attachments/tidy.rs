//! What nobody refers to goes, once, however many look.

use serde_json::json;
use studyhall::domain::attachments::{Tidied, tidy_up};

use super::{count, file, node, objects, send};
use crate::harness::TestApp;

async fn tidy(app: &TestApp) -> Tidied {
    let state = &app.app.state;
    tidy_up(&state.db, &state.writer, &state.storage).await.unwrap()
}

async fn age(app: &TestApp, hours: i32) {
    let age = "update attachments set created_at = created_at - make_interval(hours => $1)";
    sqlx::query(age).bind(hours).execute(&app.database.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_collected_once() {
    let (app, folder) = node(|_| {}).await;
    let data = folder.parent().unwrap().to_owned();
    let other = app.beside(|config| config.data = data).await;
    let ada = app.person("ada").await;
    let kept = file(&ada).await;
    ada.post(&format!("/attachments/{kept}/link"), json!({"parent": "profile"})).await.expect(200);
    let mut live = ada.live().await;
    live.subscribe(&ada.channel()).await;
    let mut orphans = Vec::new();
    for _ in 0..20 {
        orphans.push(file(&ada).await);
    }
    age(&app, 23).await;
    assert_eq!((tidy(&app).await, tidy(&other).await), (Tidied::default(), Tidied::default()));
    age(&app, 2).await;
    let young = file(&ada).await;
    let mut done = Tidied::default();
    for _ in 0..2 {
        let (one, two) = tokio::join!(tidy(&app), tidy(&other));
        done.orphans += one.orphans + two.orphans;
        done.objects += one.objects + two.objects;
    }
    assert_eq!(done, Tidied { orphans: 20, objects: 20 });
    assert_eq!((objects(&folder).len(), count(&app, "attachment_removals").await), (2, 0));
    // What the other node did comes by way of the log.
    let mut deleted = Vec::new();
    while deleted.len() < 20 {
        let (_, event) = live.event().await;
        if event["type"] == "attachment.deleted" {
            deleted.push(event["data"]["id"].as_str().unwrap().to_owned());
        }
    }
    deleted.sort_unstable();
    orphans.sort_unstable();
    assert_eq!(deleted, orphans);
    let left = ada.get("/attachments").await.expect(200);
    let left: Vec<_> = left["items"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap()).collect();
    assert_eq!(left, [young.as_str(), &kept]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_with_its_parent_goes_from_the_store() {
    let (app, folder) = node(|_| {}).await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let post = ada.post("/posts", json!({"content": "x"})).await.expect(201)["data"]["id"].clone();
    let room = ada.post("/workspaces", json!({"name": "x"})).await.expect(201)["data"]["id"].clone();
    for (parent, of) in [("post", &post), ("workspace", &room)] {
        let path = format!("/attachments/{}/link", file(&ada).await);
        ada.post(&path, json!({"parent": parent, "parent_id": of})).await.expect(200);
    }
    file(&bob).await;
    assert_eq!((objects(&folder).len(), tidy(&app).await), (3, Tidied::default()));
    ada.delete(&format!("/posts/{}", post.as_str().unwrap())).await.expect(200);
    assert_eq!((tidy(&app).await.objects, objects(&folder).len()), (1, 2));
    ada.delete(&format!("/workspaces/{}", room.as_str().unwrap())).await.expect(200);
    assert_eq!((tidy(&app).await.objects, objects(&folder).len()), (1, 1));
    sqlx::query("delete from users where id = $1").bind(bob.id).execute(&app.database.pool).await.unwrap();
    assert_eq!((tidy(&app).await.objects, objects(&folder).len()), (1, 0));
    assert_eq!(count(&app, "attachment_removals").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_node_began_goes_too() {
    let (app, folder) = node(|_| {}).await;
    let ada = app.person("ada").await;
    // Two that a node was writing as it died: one was all there, and one was not.
    let begin = "insert into attachment_removals (storage_key, due_at) values ('00/whole', now() + interval '1 hour'),
        ('00/half', now() + interval '1 hour')";
    sqlx::query(begin).execute(&app.database.pool).await.unwrap();
    std::fs::create_dir_all(folder.join("00")).unwrap();
    std::fs::write(folder.join("00/whole"), "x").unwrap();
    std::fs::write(folder.join("00/half#1"), "x").unwrap();
    assert_eq!((tidy(&app).await, objects(&folder).len()), (Tidied::default(), 2));
    let due = "update attachment_removals set due_at = now()";
    sqlx::query(due).execute(&app.database.pool).await.unwrap();
    assert_eq!((tidy(&app).await.objects, objects(&folder).len()), (2, 0));
    // What is being removed cannot become a file any more: here the removal is quicker than the upload.
    let quicker = "create function quick() returns trigger language plpgsql as $$
        begin new.attempts := 1; return new; end $$;
        create trigger quick before insert on attachment_removals for each row execute function quick();";
    sqlx::raw_sql(quicker).execute(&app.database.pool).await.unwrap();
    let late = send(&ada, "x", b"x".to_vec(), None).await;
    assert_eq!(late.status(), 503);
    assert_eq!(count(&app, "attachments").await, 0);
    sqlx::query(due).execute(&app.database.pool).await.unwrap();
    assert_eq!((tidy(&app).await.objects, objects(&folder).len()), (1, 0));
}
