//! Counts and rows are one: whoever writes at the same moment, by whatever door.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use studyhall::domain::verify::differences;

use super::post;
use crate::actors::Dice;
use crate::harness::{self, Live, Person};

/// One command by the door of the turn; the id of what it made. Somebody else may have deleted what it is about.
async fn run(
    person: &Person,
    live: &mut Live,
    rest: bool,
    call: (&str, String, &str, serde_json::Value),
) -> Option<String> {
    let (method, path, command, data) = call;
    let answer = if rest {
        let mut body = data;
        for field in ["id", "post_id"] {
            body.as_object_mut().unwrap().remove(field);
        }
        let answer = person.call(method, &path, (method != "DELETE").then_some(body), None).await;
        assert!([200, 201, 403, 404].contains(&answer.status), "{method} {path}: {}", answer.body);
        (answer.status < 300).then_some(answer.body)
    } else {
        live.rpc(command, data)
            .await
            .map_err(|error| assert!([1_403, 1_404].contains(&error["code"].as_u64().unwrap())))
            .ok()
    };
    answer.map(|answer| answer["data"]["id"].as_str().unwrap().to_owned())
}

/// Posts, comments and deletes, its own things and those of others.
async fn client(person: Person, seed: u64, shared: Vec<String>) {
    let (mut live, mut dice) = (person.live().await, Dice(seed));
    let (mut posts, mut comments) = (shared, Vec::new());
    for _ in 0..40 {
        let rest = dice.roll(2) == 0;
        let any =
            |ids: &Vec<String>, dice: &mut Dice| ids.get(dice.roll(ids.len().max(1))).cloned().unwrap_or_default();
        let (post, comment) = (any(&posts, &mut dice), any(&comments, &mut dice));
        match dice.roll(8) {
            0 | 1 => {
                let call = ("POST", "/posts".to_owned(), "post.create", json!({"content": "x", "tags": ["t"]}));
                posts.extend(run(&person, &mut live, rest, call).await);
            }
            2 => {
                run(&person, &mut live, rest, ("DELETE", format!("/posts/{post}"), "post.delete", json!({"id": post})))
                    .await;
            }
            3 if !comment.is_empty() => {
                let call = ("DELETE", format!("/comments/{comment}"), "comment.delete", json!({"id": comment}));
                run(&person, &mut live, rest, call).await;
            }
            _ => {
                let data = json!({"post_id": post, "body": "x"});
                let call = ("POST", format!("/posts/{post}/comments"), "comment.create", data);
                comments.extend(run(&person, &mut live, rest, call).await);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_clients_and_one_who_counts() {
    let app = harness::app().await;
    let people = [app.person("ada").await, app.person("bob").await];
    let mut shared = Vec::new();
    for turn in 0..4 {
        shared.push(post(&people[turn % 2], "shared").await);
    }
    let clients: Vec<_> = (0..8_usize)
        .map(|seed| {
            let person = people[seed % 2].again(&people[seed % 2].token);
            tokio::spawn(client(person, seed as u64, shared.clone()))
        })
        .collect();
    // Whoever compares while they write finds no difference that is none.
    let (db, over) = (app.app.state.db.clone(), Arc::new(AtomicBool::new(false)));
    let end = over.clone();
    let counting = tokio::spawn(async move {
        let mut looks = 0;
        while !end.load(Ordering::Relaxed) {
            assert_eq!(differences(&db).await.unwrap(), []);
            looks += 1;
        }
        looks
    });
    for client in clients {
        client.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    assert!(counting.await.unwrap() > 0);
    assert_eq!(differences(&app.app.state.db).await.unwrap(), []);
    let counted = "select (select sum(posts_count) from users), (select count(*) from posts),
        (select sum(comment_count) from posts), (select count(*) from post_comments)";
    let (posts, post_rows, comments, comment_rows): (i64, i64, i64, i64) =
        sqlx::query_as(counted).fetch_one(&app.database.pool).await.unwrap();
    assert!(post_rows > 4 && comment_rows > 10, "{post_rows} {comment_rows}");
    assert_eq!((posts, comments), (post_rows, comment_rows));
    // Whoever waited for the lock is as late as the lock: the order of the pages is that of the events.
    let unordered = "select count(*) from (
            select (data ->> 'created_at')::timestamptz as at,
                lag((data ->> 'created_at')::timestamptz) over (partition by channel, type order by \"offset\") as before
            from events where type in ('post.created', 'comment.created')) e
        where at <= before";
    let unordered: i64 = sqlx::query_scalar(unordered).fetch_one(&app.database.pool).await.unwrap();
    assert_eq!(unordered, 0);
}
