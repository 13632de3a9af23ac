//! One room in which thirty people write, through all nodes and both doors.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::reader::Reader;
use super::{Three, log, room};
use crate::harness::{self, Person};

const WRITERS: usize = 30;
const SUBSCRIBERS: usize = 15;

/// A command that was answered.
struct Sent {
    op: Uuid,
    offset: u64,
    sent: Instant,
    acknowledged: Instant,
}

/// One who writes: every fourth command takes another way through the server.
async fn write(person: Arc<Person>, room: Uuid, widget: Uuid, shared: Uuid, commands: usize) -> Vec<Sent> {
    let mut live = person.live().await;
    let mut done = Vec::new();
    for number in 0..commands {
        let op = Uuid::new_v4();
        let moved = json!({"id": widget, "grid_x": number, "grid_y": 1, "op": op});
        let sent = Instant::now();
        let answer = match number % 4 {
            0 => live.rpc("widget.update", json!({"id": widget, "title": format!("{op}"), "op": op})).await.unwrap(),
            1 => live.rpc("widget.move", moved).await.unwrap(),
            2 => live.rpc("workspace.update", json!({"id": room, "name": format!("{op}"), "op": op})).await.unwrap(),
            _ => {
                let path = format!("/widgets/{shared}");
                person.call("PATCH", &path, Some(json!({"title": format!("{op}")})), Some(op)).await.expect(200)
            }
        };
        let (positions, acknowledged) = (answer["positions"].as_array().unwrap(), Instant::now());
        assert_eq!(positions.len(), 1, "{answer}");
        done.push(Sent { op, offset: positions[0]["offset"].as_u64().unwrap(), sent, acknowledged });
    }
    done
}

/// Who was acknowledged before another was sent has the smaller number. Returns for how many pairs that said anything.
fn assert_real_time_order(sent: &mut [Sent]) -> usize {
    sent.sort_by_key(|sent| sent.offset);
    let mut earliest: Option<Instant> = None;
    for later in sent.iter().rev() {
        // `earliest` is when the first of those with a greater number was acknowledged.
        assert!(
            earliest.is_none_or(|earliest| earliest >= later.sent),
            "{} was sent after a greater number",
            later.offset
        );
        earliest = Some(earliest.map_or(later.acknowledged, |earliest| earliest.min(later.acknowledged)));
    }
    let mut acknowledged: Vec<Instant> = sent.iter().map(|sent| sent.acknowledged).collect();
    acknowledged.sort();
    sent.iter().map(|later| acknowledged.partition_point(|earlier| *earlier < later.sent)).sum()
}

async fn hot_room(commands: usize) {
    let three = Three::start().await;
    let owner = harness::sign_up(&three.url(0), "owner").await;
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        writers.push(harness::sign_up(&three.url(n), &format!("writer{n}")).await);
    }
    let (room, widgets) = room(&owner, &writers.iter().collect::<Vec<_>>(), WRITERS + 1).await;
    let channel = format!("workspace:{room}");
    let before = log(&owner, &channel, 0).await.len() as u64;
    let mut readers = Vec::new();
    for number in 0..SUBSCRIBERS {
        readers.push(Reader::open(&three.url(number), &owner, &channel, None).await.unwrap());
    }
    let head = before + (WRITERS * commands) as u64;
    let readers = readers.into_iter().map(|mut reader| {
        tokio::spawn(async move {
            reader.until(head).await;
            reader
        })
    });
    let readers: Vec<_> = readers.collect();
    let began = Instant::now();
    let shared = widgets[WRITERS];
    let writing = writers
        .into_iter()
        .zip(widgets)
        .map(|(writer, widget)| tokio::spawn(write(Arc::new(writer), room, widget, shared, commands)));
    let mut sent: Vec<Sent> = join_all(writing).await.into_iter().flat_map(Result::unwrap).collect();
    let took = began.elapsed();
    let telling = assert_real_time_order(&mut sent);
    let items = log(&owner, &channel, before).await;
    assert_eq!(items.len(), WRITERS * commands, "one event for each command");
    for (sent, item) in sent.iter().zip(&items) {
        assert_eq!((item["offset"].as_u64(), &item["op"]), (Some(sent.offset), &json!(sent.op)));
    }
    let readers: Vec<Reader> = join_all(readers).await.into_iter().map(Result::unwrap).collect();
    for (number, (_, text)) in readers[0].seen.iter().enumerate() {
        let mut event: Value = serde_json::from_str(text.get()).unwrap();
        event["offset"] = (before + 1 + number as u64).into();
        assert_eq!(event, items[number], "what is pushed is what the log says");
    }
    for reader in &readers {
        let same = reader
            .seen
            .iter()
            .zip(&readers[0].seen)
            .all(|(one, other)| (one.0, one.1.get()) == (other.0, other.1.get()));
        assert!(same && reader.seen.len() == items.len(), "two subscribers saw different things");
    }
    println!(
        "{} commands in {:.1} s, {SUBSCRIBERS} equal sequences of {}, {telling} pairs one after the other",
        sent.len(),
        took.as_secs_f64(),
        items.len(),
    );
    assert!(telling > sent.len() * sent.len() / 4, "everything was at once: that says nothing about order in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_writers_and_fifteen_subscribers_on_three_nodes() {
    hot_room(100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn ten_thousand_commands_of_thirty_writers() {
    hot_room(334).await;
}
