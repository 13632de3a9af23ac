//! Many likes in one transaction tell their author of them too, and nobody waits for each other in a circle.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use studyhall_protocol::Channel;
use uuid::Uuid;

use super::{assert_folds, folding, post};
use crate::actors::{Actor, Dice, Place, place};

const CLIENTS: u64 = 40;
const COMMANDS: usize = 50;

/// Likes and unlikes of everybody's posts, by authors too, who read of them meanwhile if they `read`.
async fn storm(place: &Place, authors: &[Actor], posts: &[String], fans: &[Actor], read: bool) {
    let clients = (0..CLIENTS).map(|number| {
        let people: Vec<Actor> = authors.iter().chain(fans).cloned().collect();
        let (me, posts) = (people[number as usize % people.len()].clone(), posts.to_vec());
        tokio::spawn(async move {
            let mut dice = Dice(number);
            for _ in 0..COMMANDS {
                let method = if dice.roll(3) == 0 { "post.unlike" } else { "post.like" };
                me.ok(method, json!({"post_id": posts[dice.roll(posts.len())]})).await;
            }
        })
    });
    let readers = authors.iter().map(|author| {
        let author = author.clone();
        tokio::spawn(async move {
            for _ in 0..if read { 30 } else { 0 } {
                author.ok("notification.read_all", json!({})).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    });
    let all: Vec<_> = clients.chain(readers).collect();
    join_all(all).await.into_iter().for_each(Result::unwrap);
    // Statistics are written down a moment later.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    let deadlocks: i64 = sqlx::query_scalar(deadlocks).fetch_one(place.db.pool()).await.unwrap();
    assert_eq!(deadlocks, 0);
}

/// Each unread notification of likes counts those that came since, and names the latest; what was told folds to it.
async fn verify(place: &Place, author: &Actor, before: studyhall_protocol::dashboard::Dashboard) {
    let wrong: Vec<(Uuid, i32, i64)> = sqlx::query_as(
        "select n.post_id, n.count, l.many from notifications n
         cross join lateral (select count(*) as many from post_likes l
             where l.post_id = n.post_id and l.created_at >= n.created_at and l.user_id <> n.user_id) l
         where n.user_id = $1 and n.read_at is null and n.count <> l.many",
    )
    .bind(author.id)
    .fetch_all(place.db.pool())
    .await
    .unwrap();
    assert_eq!(wrong, []);
    let after = author.dashboard().await;
    folding::assert_counted(&after);
    assert_folds(place, before, after).await;
}

async fn people(place: &Place, names: &[&str]) -> Vec<Actor> {
    join_all(names.iter().map(|name| place.actor(name))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authors_who_like_each_other_and_themselves() {
    let place = place().await;
    let authors = people(&place, &["ada", "bob", "cleo"]).await;
    let fans = people(&place, &["dan", "eve", "finn", "gil", "hana"]).await;
    let mut posts = Vec::new();
    for author in &authors {
        posts.extend([post(author).await, post(author).await]);
    }
    let before = join_all(authors.iter().map(Actor::dashboard)).await;
    storm(&place, &authors, &posts, &fans, false).await;
    let mut sums = 0;
    for (author, before) in authors.iter().zip(before) {
        // Nothing was read, so each post has one notification of all who like it but the author, or none.
        let likes: BTreeMap<Uuid, i64> = sqlx::query_as(
            "select l.post_id, count(*) from post_likes l join posts p on p.id = l.post_id
             where p.user_id = $1 and l.user_id <> $1 group by l.post_id",
        )
        .bind(author.id)
        .fetch_all(place.db.pool())
        .await
        .unwrap()
        .into_iter()
        .collect();
        let told = author.dashboard().await.notifications;
        let told: BTreeMap<Uuid, i64> = told.iter().map(|one| (one.post_id.unwrap(), one.count.into())).collect();
        assert_eq!(told, likes);
        let page = place.db.read_log(Channel::User(author.id), 0, 100_000).await.unwrap();
        sums +=
            page.events.iter().filter(|event| event.payload.windows(12).any(|part| part == b"\"actor\":null")).count();
        verify(&place, author, before).await;
    }
    assert!(sums > 0, "some were told by a batch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authors_who_read_meanwhile() {
    let place = place().await;
    let authors = people(&place, &["ada", "bob"]).await;
    let fans = people(&place, &["cleo", "dan", "eve", "finn", "gil", "hana"]).await;
    let mut posts = Vec::new();
    for author in &authors {
        posts.push(post(author).await);
    }
    let before = join_all(authors.iter().map(Actor::dashboard)).await;
    storm(&place, &authors, &posts, &fans, true).await;
    for (author, before) in authors.iter().zip(before) {
        verify(&place, author, before).await;
    }
}
