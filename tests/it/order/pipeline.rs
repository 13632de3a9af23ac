//! Commands sent one behind the other on one socket, of kinds that take different ways through the server.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Three, log, room, tasks};
use crate::harness::{self, Person};

const AT_ONCE: usize = 100;
const SOCKETS: usize = 10;

/// What somebody has to write about.
struct Place {
    person: Person,
    list: Uuid,
    tasks: Vec<Uuid>,
    room: Uuid,
    widget: Uuid,
}

/// One command, and the channel of the author on which it is told.
fn command(number: usize, place: &Place, post: Uuid) -> (String, &'static str, Value) {
    let mine = place.person.channel();
    let hall = format!("workspace:{}", place.room);
    let task = place.tasks[number % place.tasks.len()];
    let text = format!("is {number}");
    match number % 10 {
        // Together with others, in a batch of rows.
        0 | 4 => (mine, "task.update", json!({"id": task, "description": text})),
        1 => (hall, "widget.move", json!({"id": place.widget, "grid_x": number, "grid_y": 1})),
        // Alone.
        2 => (mine, "task.create", json!({"list_id": place.list, "description": text})),
        3 => (mine, "settings.update", json!({"theme": format!("theme {number}")})),
        5 => (hall, "workspace.update", json!({"id": place.room, "name": text})),
        6 => (hall, "widget.update", json!({"id": place.widget, "title": text})),
        7 => (mine, "task_list.update", json!({"id": place.list, "name": text})),
        // Drained, once the author of the post is hot.
        8 => (mine, "post.like", json!({"post_id": post})),
        _ => (mine, "post.unlike", json!({"post_id": post})),
    }
}

async fn rounds(place: Place, post: Uuid, rounds: usize) -> usize {
    let mut live = place.person.live().await;
    let mut sent: Vec<(String, Uuid, u64)> = Vec::new();
    for round in 0..rounds {
        let mut ids = Vec::new();
        for number in 0..AT_ONCE {
            let op = Uuid::new_v4();
            let (channel, method, mut data) = command(number + round % 3 * AT_ONCE, &place, post);
            data["op"] = json!(op);
            ids.push((live.send(json!({"rpc": {"method": method, "data": data}})).await, channel, op));
        }
        for (id, channel, op) in ids {
            let answer = live.reply(id).await.unwrap()["rpc"]["data"].clone();
            let at = answer["positions"].as_array().unwrap().iter().find(|at| at["channel"] == channel.as_str());
            let offset = at.unwrap_or_else(|| panic!("{answer}"))["offset"].as_u64().unwrap();
            sent.push((channel, op, offset));
        }
    }
    for channel in [place.person.channel(), format!("workspace:{}", place.room)] {
        let here: Vec<_> = sent.iter().filter(|sent| sent.0 == channel).collect();
        assert!(here.is_sorted_by(|one, next| one.2 < next.2), "{channel}: numbers are not in the order of sending");
        let items = log(&place.person, &channel, 0).await;
        for (_, op, offset) in &here {
            assert_eq!(
                items[*offset as usize - 1]["op"],
                json!(op),
                "{channel} {offset}: {}",
                items[*offset as usize - 1]
            );
        }
    }
    sent.len()
}

async fn pipelines(rounds_each: usize) {
    let three = Three::start().await;
    let author = harness::sign_up(&three.url(0), "author").await;
    let post = author.post("/posts", json!({"content": "chapter 3"})).await.expect(201)["data"]["id"].clone();
    let post: Uuid = serde_json::from_value(post).unwrap();
    let mut places = Vec::new();
    for number in 0..SOCKETS {
        let person = harness::sign_up(&three.url(number), &format!("person{number}")).await;
        let (list, tasks) = tasks(&person, 3).await;
        let (room, widgets) = room(&person, &[], 1).await;
        places.push(Place { person, list, tasks, room, widget: widgets[0] });
    }
    let running = places.into_iter().map(|place| tokio::spawn(rounds(place, post, rounds_each)));
    let sent: usize = join_all(running).await.into_iter().map(Result::unwrap).sum();
    let profile = Arc::new(log(&author, &format!("profile:{}", author.id), 0).await);
    let sums = profile.iter().filter(|item| item["op"].is_null()).count();
    println!("{sent} commands of {SOCKETS} sockets, {AT_ONCE} at once; {sums} sums of likes");
    assert!(sums > 0, "likes were never drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_commands_at_once_keep_their_order() {
    pipelines(5).await;
}
