//! Loads while sums are kept constant: what several rows show is one moment, and the position is that of the moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use studyhall::db::{Tx, Writer};
use studyhall_protocol::tasks::Task;
use studyhall_protocol::widgets::Widget;
use studyhall_protocol::{Channel, Event};
use uuid::Uuid;

use super::{Three, log, room, tasks};
use crate::harness::{self, Person};

const ROWS: usize = 10;
const LOADS: usize = 2_000;

/// What is read: where, what the channel is, and which field of which rows adds up.
#[derive(Clone)]
struct Read {
    path: String,
    channel: String,
    rows: &'static str,
    field: &'static str,
}

/// Moves an amount from one row to another in one transaction, with an event for each.
async fn transfer(
    tx: &mut Tx,
    (room, me): (Uuid, Uuid),
    widgets: [Uuid; 2],
    tasks: [Uuid; 2],
) -> studyhall::error::Result<()> {
    let (room, mine) = (Channel::Workspace(room), Channel::User(me));
    tx.lock(&[room, mine]).await?;
    for (number, by) in [(0, -1), (1, 1)] {
        let text = "update immersive_widgets g set grid_x = grid_x + $2 where id = $1 returning row_to_json(g)";
        let widget = sqlx::query_scalar::<_, Value>(text).bind(widgets[number]).bind(by);
        let widget: Widget = serde_json::from_value(widget.fetch_one(tx.conn()).await?).unwrap();
        tx.emit(room, Event::WidgetUpdated(widget));
        let text =
            "update tasks t set description = (description::int + $2)::text where id = $1 returning row_to_json(t)";
        let task = sqlx::query_scalar::<_, Value>(text).bind(tasks[number]).bind(by);
        let task: Task = serde_json::from_value(task.fetch_one(tx.conn()).await?).unwrap();
        tx.emit(mine, Event::TaskUpdated(task));
    }
    Ok(())
}

async fn transfer_all_the_time(
    writer: Writer,
    place: (Uuid, Uuid),
    (widgets, tasks): (Vec<Uuid>, Vec<Uuid>),
    seed: u64,
    stop: Arc<AtomicBool>,
) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let from = random.random_range(0..ROWS);
        let to = (from + random.random_range(1..ROWS)) % ROWS;
        let (two_widgets, two_tasks) = ([widgets[from], widgets[to]], [tasks[from], tasks[to]]);
        let moved = writer.run(place.1, move |tx| transfer(tx, place, two_widgets, two_tasks).boxed());
        moved.await.unwrap();
        done += 1;
    }
    done
}

fn value(field: &Value) -> i64 {
    field.as_i64().unwrap_or_else(|| field.as_str().unwrap().parse().unwrap())
}

/// What was loaded: the position, and the value of each row.
type Loaded = (u64, BTreeMap<Uuid, i64>);

async fn load(http: &reqwest::Client, person: &Person, url: &str, read: &Read) -> Loaded {
    let answer = http.get(format!("{url}/api/v1{}", read.path)).bearer_auth(&person.token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let page: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let position = page["positions"].as_array().unwrap().iter().find(|at| at["channel"] == read.channel.as_str());
    let rows = page[read.rows].as_array().unwrap().iter();
    let rows = rows.map(|row| (row["id"].as_str().unwrap().parse().unwrap(), value(&row[read.field])));
    (position.unwrap()["offset"].as_u64().unwrap(), rows.collect())
}

/// Of every position of a channel, what its events add up to.
fn histories(start: Loaded, items: &[Value], field: &str) -> HashMap<u64, BTreeMap<Uuid, i64>> {
    let (at, mut rows) = start;
    let mut all = HashMap::from([(at, rows.clone())]);
    for item in items {
        let id = item["data"]["id"].as_str().unwrap().parse().unwrap();
        rows.insert(id, value(&item["data"][field]));
        all.insert(item["offset"].as_u64().unwrap(), rows.clone());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_loads_during_transfers() {
    let seed = harness::seed();
    println!("SEED={seed}");
    let three = Three::start().await;
    let ada = harness::sign_up(&three.url(0), "ada").await;
    let (room, widgets) = room(&ada, &[], ROWS).await;
    let (list, tasks) = tasks(&ada, ROWS).await;
    let reads = [
        (format!("/workspaces/{room}"), format!("workspace:{room}"), "widgets", "grid_x"),
        ("/dashboard".into(), ada.channel(), "tasks", "description"),
        (format!("/task-lists/{list}/tasks?limit=100"), ada.channel(), "items", "description"),
    ];
    let reads = reads.map(|(path, channel, rows, field)| Read { path, channel, rows, field });
    let http = reqwest::Client::new();
    let mut starts = Vec::new();
    for read in &reads {
        starts.push(load(&http, &ada, &three.url(0), read).await);
    }
    let sums = starts.iter().map(|(_, rows)| rows.values().sum::<i64>()).collect::<Vec<_>>();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|node| {
            let (writer, rows) = (three.nodes[node].app.state.writer.clone(), (widgets.clone(), tasks.clone()));
            tokio::spawn(transfer_all_the_time(writer, (room, ada.id), rows, seed ^ node as u64, stop.clone()))
        })
        .collect();
    let left = AtomicUsize::new(LOADS);
    let loaders = (0..6).map(async |loader| {
        let mut loaded: Vec<(usize, Loaded)> = Vec::new();
        for number in loader.. {
            if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                break;
            }
            let which = number % reads.len();
            loaded.push((which, load(&http, &ada, &three.url(number / 3), &reads[which]).await));
        }
        loaded
    });
    let loaded: Vec<_> = join_all(loaders).await.into_iter().flatten().collect();
    stop.store(true, Ordering::Relaxed);
    let mut transfers = 0;
    for writer in writers {
        transfers += writer.await.unwrap();
    }
    let mut histories_of = Vec::new();
    for (read, start) in reads.iter().zip(starts) {
        let items = log(&ada, &read.channel, start.0).await;
        assert_eq!(items.len(), 2 * transfers);
        histories_of.push(histories(start, &items, read.field));
    }
    let mut positions = std::collections::BTreeSet::new();
    for (which, (at, rows)) in &loaded {
        let path = &reads[*which].path;
        assert_eq!(rows.values().sum::<i64>(), sums[*which], "a torn load of {path} at {at}");
        assert_eq!(Some(rows), histories_of[*which].get(at), "{path} shows something else than the log up to {at}");
        positions.insert((*which, *at));
    }
    println!("{} loads at {} positions, {transfers} transfers", loaded.len(), positions.len());
    assert!(positions.len() > 200, "hardly anything changed between loads");
}
