//! Pages: nothing twice, nothing left out, whoever posts meanwhile; newest first, and comments oldest first.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{all, comment, follow, ids, like, position, post};
use crate::harness::{self, Person, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_neither_repeat_nor_skip_while_posts_come_in() {
    let app = harness::app().await;
    let (ada, bob, me) = (app.person("ada").await, app.person("bob").await, app.person("mia").await);
    follow(&app, &me, &ada).await;
    follow(&app, &me, &bob).await;
    let mut expected = Vec::new();
    for turn in 0..30 {
        expected.push(post([&ada, &bob, &me][turn % 3], "early").await);
    }
    // Posts of one instant: the id orders them.
    let same = "update posts set created_at = (select min(created_at) from posts) where content = 'early'
        and id in (select id from posts order by created_at limit 12)";
    sqlx::query(same).execute(&app.database.pool).await.unwrap();
    let order = "select id from posts order by created_at desc, id desc";
    let order: Vec<Uuid> = sqlx::query_scalar(order).fetch_all(&app.database.pool).await.unwrap();
    let expected: Vec<String> = order.iter().map(Uuid::to_string).collect();
    for path in ["/feed", "/posts"] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = me.get(&format!("{path}?limit=4{cursor}")).await.expect(200);
            let (more, next) = ids(&page);
            found.extend(more);
            let Some(next) = next else { break };
            cursor = format!("&cursor={next}");
            // Ahead of every page, some for a moment only.
            let late = post(&ada, "late").await;
            post(&bob, "late").await;
            ada.delete(&format!("/posts/{late}")).await.expect(200);
        }
        assert_eq!(found.iter().filter(|id| expected.contains(id)).cloned().collect::<Vec<_>>(), expected, "{path}");
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "{path}");
        sqlx::query("delete from posts where content = 'late'").execute(&app.database.pool).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comments_go_on_where_the_page_ended() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let id = post(&ada, "talk").await;
    let path = format!("/posts/{id}/comments");
    let (mut said, mut found, mut cursor) = (Vec::new(), Vec::new(), String::new());
    for turn in 0..10 {
        said.push(comment([&ada, &bob][turn % 2], &id, "x").await);
    }
    loop {
        let page = bob.get(&format!("{path}?limit=3{cursor}")).await.expect(200);
        let (more, next) = ids(&page);
        found.extend(more);
        let Some(next) = next else { break };
        cursor = format!("&cursor={next}");
        if said.len() < 20 {
            said.push(comment(&bob, &id, "late").await);
        }
    }
    assert_eq!(found, said, "oldest first, those that came meanwhile at the end");
}

/// People who follow each other at random and post at a few instants.
async fn crowd(app: &TestApp, random: &mut StdRng) -> Vec<Person> {
    let mut people = Vec::new();
    for name in ["ada", "bob", "cleo", "dan", "eve", "fay"] {
        people.push(app.person(name).await);
    }
    for one in &people {
        for other in &people {
            if one.id != other.id && random.random_bool(0.5) {
                follow(app, one, other).await;
            }
        }
    }
    let insert = "insert into posts (user_id, content, created_at)
        values ($1, 'x', timestamptz '2026-01-01' + $2 * interval '1 second')";
    for _ in 0..120 {
        // Some post much, some little, and often at once.
        let author = &people[random.random_range(0..people.len()).min(random.random_range(0..people.len()))];
        let at = f64::from(random.random_range(0..40));
        sqlx::query(insert).bind(author.id).bind(at).execute(&app.database.pool).await.unwrap();
    }
    people
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_home_page_has_what_the_plain_question_finds() {
    let seed = harness::seed();
    println!("SEED={seed}");
    let app = harness::app().await;
    let people = crowd(&app, &mut StdRng::seed_from_u64(seed)).await;
    let plain = "select p.id from posts p
        where p.user_id = $1 or p.user_id in (select followee_id from follows where follower_id = $1)
        order by p.created_at desc, p.id desc";
    for me in &people {
        let expected: Vec<Uuid> = sqlx::query_scalar(plain).bind(me.id).fetch_all(&app.database.pool).await.unwrap();
        for limit in [1, 2, 3, 7, 50, 100] {
            let found = all(me, "/feed", limit).await;
            let found: Vec<Uuid> = found.iter().map(|item| item["id"].as_str().unwrap().parse().unwrap()).collect();
            assert_eq!(found, expected, "{} at {limit}", me.username);
        }
        // The first page says where everybody stands whom I follow; later ones, where those stand whom they show.
        let followed = "select followee_id from follows where follower_id = $1 union select $1";
        let followed: Vec<Uuid> = sqlx::query_scalar(followed).bind(me.id).fetch_all(&app.database.pool).await.unwrap();
        let page = me.get("/feed?limit=2").await.expect(200);
        assert_eq!(page["positions"].as_array().unwrap().len(), followed.len() + 1);
        followed.iter().for_each(|id| drop(position(&page, &format!("profile:{id}"))));
        let Some(next) = page["next_cursor"].as_str() else { continue };
        let page = me.get(&format!("/feed?limit=10&cursor={next}")).await.expect(200);
        let shown: BTreeSet<String> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| format!("profile:{}", item["user_id"].as_str().unwrap()))
            .collect();
        assert_eq!(page["positions"].as_array().unwrap().len(), shown.len() + 1);
        shown.iter().chain([&me.channel()]).for_each(|channel| drop(position(&page, channel)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tag_by_subject_by_person() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut made: BTreeMap<&str, String> = BTreeMap::new();
    for (name, author, body) in [
        ("one", &ada, json!({"content": "x", "tags": ["Rust"], "subject": "Systems"})),
        ("two", &bob, json!({"content": "x", "tags": ["rust", "more"], "subject": "systems"})),
        ("three", &bob, json!({"content": "x", "tags": ["Ärger"]})),
        ("four", &ada, json!({"content": "x", "subject": "SYSTEMS"})),
    ] {
        let answer = author.post("/posts", body).await.expect(201);
        made.insert(name, answer["data"]["id"].as_str().unwrap().to_owned());
    }
    let hers = format!("/users/{}/posts", ada.id);
    for (path, expected) in [
        ("/posts", vec!["four", "three", "two", "one"]),
        ("/posts?tag=RUST", vec!["two", "one"]),
        ("/posts?tag=%23rust", vec!["two", "one"]),
        ("/posts?tag=rus", vec![]),
        ("/posts?tag=", vec![]),
        ("/posts?subject=systems", vec!["four", "two", "one"]),
        ("/posts?subject=Systems&tag=more", vec!["two"]),
        ("/posts?tag=%25", vec![]),
        (&hers, vec!["four", "one"]),
    ] {
        for limit in [1, 50] {
            let found = all(&bob, path, limit).await;
            let found: Vec<_> = found.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
            let expected: Vec<_> = expected.iter().map(|name| made[name].clone()).collect();
            assert_eq!(found, expected, "{path}");
        }
    }
    let nobodys = app.person("cleo").await;
    let page = bob.get(&format!("/users/{}/posts", nobodys.id)).await.expect(200);
    position(&page, &format!("profile:{}", nobodys.id));
    let long = "x".repeat(81);
    for (path, field) in [
        ("tag=a%00", "tag"),
        ("subject=%00", "subject"),
        (&*format!("tag={long}"), "tag"),
        (&*format!("subject={long}"), "subject"),
    ] {
        assert_eq!(bob.get(&format!("/posts?{path}")).await.expect(422)["field"], field);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn likes_newest_first() {
    let app = harness::app().await;
    let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
    let (first, second, third) = (post(&ada, "1").await, post(&bob, "2").await, post(&ada, "3").await);
    for (who, what) in [(&cleo, &third), (&ada, &first), (&cleo, &first), (&bob, &first), (&cleo, &second)] {
        like(&app, who, what).await;
    }
    for limit in [1, 2, 50] {
        let mine = all(&cleo, "/me/likes", limit).await;
        assert_eq!(
            mine.iter().map(|item| &item["id"]).collect::<Vec<_>>(),
            [&json!(second), &json!(first), &json!(third)]
        );
        assert!(mine.iter().all(|item| item["liked_by_me"] == true));
        let likers = all(&bob, &format!("/posts/{first}/likes"), limit).await;
        assert_eq!(likers.iter().map(|item| &item["user"]["username"]).collect::<Vec<_>>(), ["bob", "cleo", "ada"]);
    }
    let page: Value = cleo.get("/me/likes?limit=1").await.expect(200);
    for channel in [cleo.channel(), format!("profile:{}", bob.id)] {
        position(&page, &channel);
    }
    assert_eq!(page["positions"].as_array().unwrap().len(), 2, "of what is shown");
    let seen = bob.get(&format!("/posts/{third}")).await.expect(200);
    assert_eq!((&seen["data"]["liked_by_me"], &seen["data"]["like_count"]), (&json!(false), &json!(1)));
}
