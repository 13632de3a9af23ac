//! The tags of people, and what a tag leads to.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{all, ear, hears, refused};
use crate::actors::place;
use crate::harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_is_shown_wherever_the_person_is() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut live = ear(&ada).await;
    let mut other = bob.live().await;
    other.subscribe(&format!("profile:{}", ada.id)).await;
    let me = ada.put("/me/tags/%23Rust").await.expect(200);
    assert_eq!(me["data"]["tags"], json!(["Rust"]));
    assert_eq!(hears(&mut live, "user.updated").await, me["data"]);
    assert_eq!(hears(&mut other, "profile.updated").await["tags"], json!(["Rust"]));
    let more = live.rpc("user_tag.add", json!({"tag": "algebra"})).await.unwrap();
    assert_eq!(more["data"]["tags"], json!(["algebra", "Rust"]), "in alphabetical order");
    hears(&mut live, "user.updated").await;
    hears(&mut other, "profile.updated").await;
    // In another case it is the same tag: nothing changes.
    for same in ["RUST", "%23rust", "%20%23%20Algebra%20"] {
        assert_eq!(ada.put(&format!("/me/tags/{same}")).await.expect(200)["data"], more["data"], "{same}");
    }
    assert_eq!(ada.delete("/me/tags/zoo").await.expect(200)["data"], more["data"]);
    // Everywhere that a person is read.
    let tags = json!(["algebra", "Rust"]);
    assert_eq!(ada.get("/me").await.expect(200)["data"], more["data"]);
    assert_eq!(ada.get("/dashboard").await.expect(200)["me"], more["data"]);
    assert_eq!(bob.get(&format!("/users/{}", ada.id)).await.expect(200)["data"]["tags"], tags);
    assert_eq!(bob.get("/users?query=ada").await.expect(200)["items"][0]["tags"], tags);
    assert_eq!(ada.patch("/me", json!({"bio": "x"})).await.expect(200)["data"]["tags"], tags);
    assert_eq!(hears(&mut live, "user.updated").await["tags"], tags);
    bob.put(&format!("/users/{}/follow", ada.id)).await.expect(200);
    assert_eq!(hears(&mut live, "user.updated").await["tags"], tags);
    ada.post("/posts", json!({"content": "x"})).await.expect(201);
    assert_eq!(hears(&mut live, "user.updated").await["tags"], tags);
    bob.delete(&format!("/users/{}/follow", ada.id)).await.expect(200);
    assert_eq!(hears(&mut live, "user.updated").await["tags"], tags);
    let body = json!({"username": "ada", "password": "correct horse battery"});
    assert_eq!(ada.post("/sessions", body).await.expect(201)["user"]["tags"], tags);
    let gone = live.rpc("user_tag.remove", json!({"tag": "#RUST"})).await.unwrap();
    assert_eq!(gone["data"]["tags"], json!(["algebra"]));
    assert_eq!(hears(&mut live, "user.updated").await, gone["data"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_leads_to_people_and_posts() {
    let app = harness::app().await;
    let mut people = Vec::new();
    for name in ["ann", "ben", "cay", "dan", "eva"] {
        let person = app.person(name).await;
        person.put("/me/tags/Rust").await.expect(200);
        person.post("/posts", json!({"content": name, "tags": ["#rust"]})).await.expect(201);
        people.push(person);
    }
    let (ann, eva) = (&people[0], &people[4]);
    let names = |rows: &[Value], who: &str| -> Vec<String> {
        rows.iter().map(|row| row[who]["username"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&all(ann, "/tags/%23RUST/people").await, "user"), ["eva", "dan", "cay", "ben", "ann"]);
    assert_eq!(names(&all(ann, "/tags/rust/posts").await, "author"), ["eva", "dan", "cay", "ben", "ann"]);
    let view = ann.get("/tags/%23rUST").await.expect(200);
    assert_eq!((&view["tag"], &view["people_count"], &view["posts_count"]), (&json!("rUST"), &json!(5), &json!(5)));
    assert_eq!(view["people"], ann.get("/tags/rust/people").await.expect(200));
    assert_eq!(view["posts"], ann.get("/posts?tag=rust").await.expect(200));
    assert_eq!(view["people"]["items"][0]["tag"], "Rust");
    assert_eq!(view["people"]["positions"].as_array().unwrap().len(), 5);
    // A block, whoever began it, takes both out of what the other finds.
    ann.put(&format!("/users/{}/block", people[1].id)).await.expect(200);
    eva.put(&format!("/users/{}/block", ann.id)).await.expect(200);
    let view = ann.get("/tags/rust").await.expect(200);
    assert_eq!((&view["people_count"], &view["posts_count"]), (&json!(3), &json!(3)));
    assert_eq!(names(&all(ann, "/tags/rust/people").await, "user"), ["dan", "cay", "ann"]);
    assert_eq!(names(&all(ann, "/tags/rust/posts").await, "author"), ["dan", "cay", "ann"]);
    let nothing = ann.get("/tags/never").await.expect(200);
    assert_eq!((&nothing["people_count"], &nothing["people"]["items"]), (&json!(0), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_a_tag_is_named() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let long = "x".repeat(51);
    for (path, tag) in [("%23", "#"), ("%20%23%20", " # "), (&*long, &*long), ("a%00", "a\0")] {
        for (method, command) in [("PUT", "user_tag.add"), ("DELETE", "user_tag.remove")] {
            let door = format!("/me/tags/{path}");
            let problem =
                refused(&ada, (method, &door, None), (command, json!({"tag": tag})), 422, "invalid_field").await;
            assert_eq!(problem["field"], "tag");
        }
        assert_eq!(ada.get(&format!("/tags/{path}")).await.expect(422)["field"], "tag");
    }
    let most = "%E6%97%A5".repeat(50);
    assert_eq!(ada.put(&format!("/me/tags/{most}")).await.expect(200)["data"]["tags"], json!(["日".repeat(50)]));
    ada.put("/me/tags/a%2Fb").await.expect(200);
    ada.delete("/me/tags/a%2Fb").await.expect(200);
}

#[tokio::test]
async fn so_many_and_no_more() {
    let place = place().await;
    let ada = place.actor("ada").await;
    let fill = "insert into user_tags (user_id, tag) select $1, 'tag' || n from generate_series(1, 50) n";
    sqlx::query(fill).bind(ada.id).execute(place.db.pool()).await.unwrap();
    ada.refused("user_tag.add", json!({"tag": "new"}), "409 limit_reached").await;
    ada.ok("user_tag.add", json!({"tag": "TAG7"})).await;
    ada.ok("user_tag.remove", json!({"tag": "TAG7"})).await;
    ada.ok("user_tag.add", json!({"tag": "new"})).await;
}

/// Tags from before there was only one of each, whatever its case.
#[tokio::test]
async fn the_migration_leaves_the_oldest_of_each() {
    let database = harness::database().await;
    let pool: &PgPool = &database.pool;
    let before = "drop index user_tags_user_id_lower_tag_idx;
        insert into users (id, username) values (gen_random_uuid(), 'ada');
        insert into user_tags (user_id, tag, created_at)
        select u.id, t.tag, timestamptz '2026-01-01' + t.day * interval '1 day' from users u,
            (values ('rust', 2), ('Rust', 1), ('RUST', 3), ('zoo', 1)) t (tag, day)";
    sqlx::raw_sql(before).execute(pool).await.unwrap();
    let migration = include_str!("../../../migrations/0014_study.sql");
    let begin = migration.find("delete from user_tags").unwrap();
    let end = migration.find("-- Who has a tag").unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(&migration[begin..end])).execute(pool).await.unwrap();
    let left: Vec<String> = sqlx::query_scalar("select tag from user_tags order by tag").fetch_all(pool).await.unwrap();
    assert_eq!(left, ["Rust", "zoo"]);
}
