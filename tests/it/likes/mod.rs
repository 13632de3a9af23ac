//! Likes: one of each, told on two channels; many at once in one transaction, with the same promises.

mod batches;
mod doors;
mod hot;
mod lost;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Live, Person, TestApp};

/// A post, as a row: how posts are made is tested elsewhere.
async fn post(app: &TestApp, author: &Person) -> Uuid {
    let insert = sqlx::query_scalar("insert into posts (user_id, content) values ($1, 'chapter 3') returning id");
    insert.bind(author.id).fetch_one(&app.database.pool).await.unwrap()
}

/// The whole log of a channel; a hole fails the test.
pub async fn log(reader: &Person, channel: &str) -> Vec<Value> {
    let mut items = Vec::new();
    loop {
        let path = format!("/channels/{channel}/events?since={}&limit=500", items.len());
        let page = reader.get(&path).await.expect(200);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        if page["next_cursor"].is_null() {
            assert!(items.iter().zip(1..).all(|(item, offset)| item["offset"] == offset), "a hole in {channel}");
            return items;
        }
    }
}

/// What a command was and what came back.
#[derive(Debug, Clone)]
struct Sent {
    person: Uuid,
    post: Uuid,
    liked: bool,
    op: Uuid,
    answer: Value,
}

impl Sent {
    fn offset(&self, channel: &str) -> usize {
        let positions = self.answer["positions"].as_array().unwrap();
        assert_eq!(positions.len(), 2, "{self:?}");
        let position = positions.iter().find(|position| position["channel"] == channel);
        position.unwrap_or_else(|| panic!("no {channel} in {self:?}"))["offset"].as_u64().unwrap() as usize
    }
}

/// Which doors a command takes.
#[derive(Debug, Clone, Copy)]
enum Door {
    Rest,
    Rpc,
    /// Both at the same moment, with the same operation id.
    Both,
}

/// Likes or unlikes, again and again with the same operation id until there is an answer that is not temporary.
async fn send(person: &Person, live: &mut Live, door: Door, post: Uuid, liked: bool) -> Sent {
    let op = Uuid::new_v4();
    let (method, verb) = if liked { ("post.like", "PUT") } else { ("post.unlike", "DELETE") };
    let path = format!("/posts/{post}/like");
    let rest = async || loop {
        let answer = person.call(verb, &path, None, Some(op)).await;
        if answer.status != 503 {
            return answer.expect(200);
        }
    };
    let rpc = async |live: &mut Live| loop {
        match live.rpc(method, json!({"post_id": post, "op": op})).await {
            Ok(answer) => return answer,
            Err(error) => assert_eq!(error["temporary"], true, "{error}"),
        }
    };
    let answer = match door {
        Door::Rest => rest().await,
        Door::Rpc => rpc(live).await,
        Door::Both => {
            let (one, two) = tokio::join!(rest(), rpc(live));
            assert_eq!(one, two, "one operation, two answers");
            one
        }
    };
    assert_eq!((&answer["data"]["post_id"], &answer["data"]["liked_by_me"]), (&json!(post), &json!(liked)));
    Sent { person: person.id, post, liked, op, answer }
}

/// Everything that must be true of likes once they were answered, from the logs and the tables. Returns the log of the
/// author's profile.
async fn verify(app: &TestApp, author: &Person, people: &[&Person], sent: &[Sent]) -> Vec<Value> {
    let public = log(author, &format!("profile:{}", author.id)).await;
    let counts = counts(&public);
    let mut rows = BTreeSet::new();
    for person in people {
        let own = log(person, &person.channel()).await;
        let liked = likes(&own, person);
        for sent in sent.iter().filter(|sent| sent.person == person.id) {
            let at = sent.offset(&person.channel());
            assert_eq!(liked[at].contains(&sent.post), sent.liked, "{sent:?}");
            let count = counts[sent.offset(&format!("profile:{}", author.id))].get(&sent.post).copied();
            assert_eq!(json!(count.unwrap_or(0)), sent.answer["data"]["like_count"], "{sent:?}");
        }
        let told: BTreeSet<String> = own.iter().filter_map(|item| item["op"].as_str().map(str::to_owned)).collect();
        assert_eq!(told.len(), own.len(), "an operation was done twice");
        rows.extend(liked.last().unwrap().iter().map(|post| (*post, person.id)));
    }
    let stored: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select post_id, user_id from post_likes").fetch_all(&app.database.pool).await.unwrap();
    assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), rows, "what people were told is not what is stored");
    let wrong: Vec<(Uuid, i32, i64)> = sqlx::query_as(
        "select p.id, p.like_count, n.many from posts p
         cross join lateral (select count(*) as many from post_likes l where l.post_id = p.id) n
         where p.like_count <> n.many",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
    for (post, count) in counts.last().unwrap() {
        assert_eq!(rows.iter().filter(|(liked, _)| liked == post).count() as i64, *count);
    }
    public
}

/// The counts that were told up to each offset.
fn counts(public: &[Value]) -> Vec<BTreeMap<Uuid, i64>> {
    let mut counts = vec![BTreeMap::new()];
    for item in public {
        let mut now = counts.last().unwrap().clone();
        if item["type"] == "post.likes_changed" {
            for count in item["data"]["posts"].as_array().unwrap() {
                let post: Uuid = count["post_id"].as_str().unwrap().parse().unwrap();
                now.insert(post, count["like_count"].as_i64().unwrap());
            }
        }
        counts.push(now);
    }
    counts
}

/// The posts that somebody likes at each offset of their own channel.
fn likes(own: &[Value], person: &Person) -> Vec<BTreeSet<Uuid>> {
    let mut likes = vec![BTreeSet::new()];
    for item in own {
        let mut now = likes.last().unwrap().clone();
        let post = item["data"]["post_id"].as_str().unwrap().parse().unwrap();
        let changed = if item["type"] == "post.liked" { now.insert(post) } else { now.remove(&post) };
        assert!(changed, "nothing changed by {item}");
        assert_eq!(item["actor"], json!(person.id));
        likes.push(now);
    }
    likes
}

/// Whether an event sums up several commands.
fn is_sum(item: &Value) -> bool {
    item["type"] == "post.likes_changed" && item["actor"].is_null() && item["op"].is_null()
}
