//! The archive of a person: everything, and nothing of others; whole or not at all.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness;

/// Tables with a person in them that nobody needs in an archive: secrets, and what only keeps the server's promises.
const NOT_EXPORTED: &[&str] = &["credentials", "operations", "erasures"];
/// Part of the rows of another section.
const INSIDE: &[&str] = &["post_tags", "post_media", "immersive_widgets"];

async fn archive(person: &harness::Person) -> Value {
    person.get("/me/export").await.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_that_knows_people_is_in_it() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let sections: BTreeSet<String> = archive(&ada).await.as_object().unwrap().keys().cloned().collect();
    let query = "select distinct c.conrelid::regclass::text from pg_constraint c
         where c.contype = 'f' and c.confrelid = 'users'::regclass";
    let tables: Vec<String> = sqlx::query_scalar(query).fetch_all(&app.database.pool).await.unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        let known =
            sections.contains(&table) || NOT_EXPORTED.contains(&table.as_str()) || INSIDE.contains(&table.as_str());
        assert!(known, "{table} is in no section");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_has_all_of_mine_and_none_of_others() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for (person, word) in [(&ada, "mine"), (&bob, "theirs")] {
        person.post("/posts", json!({"content": word, "tags": [word], "media": []})).await.expect(201);
        let list = person.post("/task-lists", json!({"name": word})).await.expect(201)["data"]["id"].clone();
        let room = person.post("/workspaces", json!({"name": word})).await.expect(201)["data"]["id"].clone();
        let widget = json!({"type": "clock", "title": word, "grid_x": 0, "grid_y": 0, "grid_w": 1, "grid_h": 1});
        person.post(&format!("/workspaces/{}/widgets", room.as_str().unwrap()), widget).await.expect(201);
        // More than are read at once.
        let insert = "insert into tasks (list_id, user_id, description, order_index)
             select $1::text::uuid, $2, $3 || n, n from generate_series(1, 450) n";
        let insert = sqlx::query(insert).bind(list.as_str().unwrap()).bind(person.id).bind(word);
        insert.execute(&app.database.pool).await.unwrap();
    }
    bob.put(&format!("/users/{}/block", ada.id)).await.expect(200);
    let archive = archive(&ada).await;
    let count = |section: &str| archive[section].as_array().unwrap().len();
    assert_eq!((count("tasks"), count("posts"), count("task_lists"), count("users")), (450, 1, 1, 1));
    assert_eq!(archive["tasks"][449]["description"], "mine450");
    assert_eq!(
        (&archive["posts"][0]["tags"], &archive["immersive_workspaces"][0]["widgets"][0]["title"]),
        (&json!(["mine"]), &json!("mine"))
    );
    assert_eq!(count("blocks"), 0, "who blocks me is not told");
    let text = archive.to_string();
    assert!(!text.contains("theirs"), "something of somebody else");
    assert!(!text.contains("argon2") && !text.contains("token_hash"), "a secret");
    assert!(archive["audit_logs"].as_array().unwrap().iter().any(|line| line["action"] == "post.create"));
}
