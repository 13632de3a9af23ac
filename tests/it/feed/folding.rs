//! What the histories of `folding.rs` have of the feed: random posts, comments and likes, and the state behind `profile:`.

use std::collections::BTreeSet;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use sqlx::PgPool;
use studyhall_protocol::posts::{CommentPerson, FeedPost};
use studyhall_protocol::state::{ProfileState, UserState};
use uuid::Uuid;

use super::{all, position};
use crate::harness::Person;

/// The posts and comments of a history.
pub struct Feed {
    /// Somebody whom nobody blocks: people do not find what is said by whom a block parts from them.
    reader: Person,
    posts: Vec<(usize, Uuid)>,
    comments: Vec<(usize, Uuid)>,
}

impl Feed {
    pub fn new(reader: Person) -> Self {
        Self { reader, posts: Vec::new(), comments: Vec::new() }
    }

    /// Runs one random command. Comments are by the reader, or by the author of the post.
    pub async fn step(&mut self, random: &mut StdRng, people: &[Person]) {
        let me = random.random_range(0..people.len());
        let text = format!("{} 日本語 \"quoted\" \\", random.random_range(0..100));
        let post = self.posts.choose(random).copied();
        let comment = self.comments.choose(random).copied();
        match (random.random_range(0..10), post, comment) {
            (0 | 1, ..) | (_, None, _) => {
                let made = people[me].post("/posts", any_post(random, &text)).await.expect(201);
                self.posts.push((me, id(&made)));
            }
            (2, Some((author, id)), _) => {
                let mut patch = any_post(random, &text);
                let fields = patch.as_object_mut().unwrap();
                fields.retain(|_, _| random.random_bool(0.5));
                people[author].patch(&format!("/posts/{id}"), patch).await.expect(200);
            }
            (3, Some((author, id)), _) if self.posts.len() > 3 => {
                people[author].delete(&format!("/posts/{id}")).await.expect(200);
                self.posts.retain(|(_, other)| *other != id);
            }
            // Refused where a block parts the two.
            (8, Some((_, id)), _) => drop(people[me].put(&format!("/posts/{id}/like")).await),
            (9, Some((_, id)), _) => drop(people[me].delete(&format!("/posts/{id}/like")).await),
            (4, _, Some((_, id))) => {
                self.reader.patch(&format!("/comments/{id}"), json!({"body": text})).await;
            }
            (5, _, Some((author, id))) => {
                people[author].delete(&format!("/comments/{id}")).await;
                self.comments.retain(|(_, other)| *other != id);
            }
            (_, Some((author, post)), _) => {
                let by = if random.random_bool(0.5) { &self.reader } else { &people[author] };
                let made = by.post(&format!("/posts/{post}/comments"), json!({"body": text})).await.expect(201);
                self.comments.push((author, id(&made)));
            }
        }
    }
}

fn any_post(random: &mut StdRng, text: &str) -> Value {
    let media: Vec<Value> = (0..random.random_range(0..3))
        .map(|_| json!({"media_type": "image", "url": "https://e.example/a", "metadata": {"x": [1.5, -0.0, 1e300, text]}}))
        .collect();
    let tags = ["#Ärger", "rust", "ärger", "Zoo", "日本"];
    let tags: Vec<&str> = tags.into_iter().filter(|_| random.random_bool(0.5)).collect();
    json!({"content": text, "subject": text, "tags": tags, "media": media})
}

fn id(made: &Value) -> Uuid {
    made["data"]["id"].as_str().unwrap().parse().unwrap()
}

/// Adds the posts of a person and what was said about them, which must be of the position that is known already.
pub async fn load(person: &Person, at: &Value, state: &mut ProfileState) {
    let channel = format!("profile:{}", person.id);
    let path = format!("/users/{}/posts", person.id);
    assert_eq!(&position(&person.get(&path).await.expect(200), &channel), at);
    for item in all(person, &path, 100).await {
        let post: FeedPost = serde_json::from_value(item).unwrap();
        let path = format!("/posts/{}/comments", post.post.id);
        for item in all(person, &path, 100).await {
            let comment: CommentPerson = serde_json::from_value(item).unwrap();
            state.comments.insert(comment.comment.id, comment.comment);
        }
        state.posts.insert(post.post.id, post.post);
    }
}

/// The posts that somebody likes. From the rows: people do not find what they liked of whom a block parts from them.
pub async fn liked(pool: &PgPool, person: &Person) -> BTreeSet<Uuid> {
    let liked = sqlx::query_scalar("select post_id from post_likes where user_id = $1").bind(person.id);
    liked.fetch_all(pool).await.unwrap().into_iter().collect()
}

/// Forgets likes that ended with their post: nobody is told of them on `user:`.
pub async fn forget_deleted(pool: &PgPool, state: &mut UserState) {
    let posts: Vec<Uuid> = sqlx::query_scalar("select id from posts").fetch_all(pool).await.unwrap();
    state.liked.retain(|post| posts.contains(post));
}
