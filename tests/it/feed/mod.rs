//! The feed by both doors: posts, comments, their pages, and the counts that go with them.

mod counts;
pub mod folding;
mod pages;
mod rights;
mod stories;
mod verify;

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::harness::{Person, TestApp};

/// Posts something and returns its id.
async fn post(author: &Person, content: &str) -> String {
    let made = author.post("/posts", json!({"content": content})).await.expect(201);
    made["data"]["id"].as_str().unwrap().to_owned()
}

/// Says something about a post and returns the comment's id.
async fn comment(author: &Person, post: &str, body: &str) -> String {
    let made = author.post(&format!("/posts/{post}/comments"), json!({"body": body})).await.expect(201);
    made["data"]["id"].as_str().unwrap().to_owned()
}

/// Lets one person block another, as rows: this is about what the feed makes of it.
async fn block(app: &TestApp, blocker: &Person, blocked: &Person) {
    pair(&app.database.pool, "insert into blocks (blocker_id, blocked_id) values ($1, $2)", blocker, blocked).await;
}

/// Lets one person follow another, as rows.
async fn follow(app: &TestApp, follower: &Person, followee: &Person) {
    let pool = &app.database.pool;
    pair(pool, "insert into follows (follower_id, followee_id) values ($1, $2)", follower, followee).await;
    pair(pool, "update users set following_count = following_count + 1 where id = $1 and id <> $2", follower, followee)
        .await;
    pair(pool, "update users set followers_count = followers_count + 1 where id = $2 and id <> $1", follower, followee)
        .await;
}

async fn pair(pool: &PgPool, sql: &'static str, one: &Person, other: &Person) {
    sqlx::query(sql).bind(one.id).bind(other.id).execute(pool).await.unwrap();
}

/// Lets somebody like a post, as rows.
async fn like(app: &TestApp, person: &Person, post: &str) {
    let sql = "with l as (insert into post_likes (post_id, user_id) values ($1, $2))
        update posts set like_count = like_count + 1 where id = $1";
    let post: Uuid = post.parse().unwrap();
    sqlx::query(sql).bind(post).bind(person.id).execute(&app.database.pool).await.unwrap();
}

/// The ids of a page's items, and its cursor.
fn ids(page: &Value) -> (Vec<String>, Option<String>) {
    let items = page["items"].as_array().unwrap();
    let ids = items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
    (ids, page["next_cursor"].as_str().map(str::to_owned))
}

/// Every item of a list, page by page.
async fn all(person: &Person, path: &str, limit: usize) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let sign = if path.contains('?') { '&' } else { '?' };
        let page = person.get(&format!("{path}{sign}limit={limit}{cursor}")).await.expect(200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().cloned());
        assert!(found.len() < 1_000, "{path} has no end");
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Where a channel stands in an answer.
fn position(answer: &Value, channel: &str) -> Value {
    let positions = answer["positions"].as_array().unwrap();
    let mut found = positions.iter().filter(|position| position["channel"] == channel);
    let position = found.next().unwrap_or_else(|| panic!("no {channel} in {positions:?}"));
    assert!(found.next().is_none(), "{channel} twice");
    position.clone()
}
