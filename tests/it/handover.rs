//! From the first load to the live stream: no gap, no duplicate, or an explicit refusal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use studyhall_protocol::EventRecord;
use studyhall_protocol::state::UserState;

use crate::harness::{self, Person};

const CYCLES: usize = 1_000;
const CHANGES_PER_SECOND: f64 = 300.0;

async fn dashboard(person: &Person) -> (UserState, Value) {
    let page = person.get("/dashboard").await.expect(200);
    let position = page["positions"].as_array().unwrap().iter().find(|at| at["channel"] == person.channel()).unwrap();
    let position = position.clone();
    let page: studyhall_protocol::dashboard::Dashboard = serde_json::from_value(page).unwrap();
    (page.into(), position)
}

/// Ticks tasks at a steady rate until told to stop; says how many.
async fn change_steadily(ada: &Person, tasks: &[Value], stop: &AtomicBool, changes: &AtomicU64) {
    let mut live = ada.live().await;
    let started = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let number = changes.fetch_add(1, Ordering::Relaxed);
        let task = &tasks[number as usize % tasks.len()];
        let update = json!({"id": task, "description": format!("change {number}")});
        live.rpc("task.update", update).await.unwrap();
        let due = Duration::from_secs_f64(number as f64 / CHANGES_PER_SECOND);
        tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_loads_and_subscribes_while_things_change() {
    // One client does what a thousand would.
    let app = harness::app_with(|config| config.commands_per_second = 10_000).await;
    let ada = Arc::new(app.person("ada").await);
    let list = ada.post("/task-lists", json!({"name": "busy"})).await.expect(201)["data"]["id"].clone();
    let mut tasks = Vec::new();
    for number in 0..5 {
        let path = format!("/task-lists/{}/tasks", list.as_str().unwrap());
        let made = ada.post(&path, json!({"description": format!("task {number}")})).await.expect(201);
        tasks.push(made["data"]["id"].clone());
    }
    let (stop, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let started = Instant::now();
    let writers: Vec<_> = (0..6)
        .map(|_| {
            let (ada, tasks, stop, changes) = (ada.clone(), tasks.clone(), stop.clone(), changes.clone());
            tokio::spawn(async move { change_steadily(&ada, &tasks, &stop, &changes).await })
        })
        .collect();
    let mut live = ada.live().await;
    for _ in 0..CYCLES {
        let (mut state, position) = dashboard(&ada).await;
        let reply = live.subscribe_from(&ada.channel(), &position).await.unwrap();
        assert_eq!((&reply["recovered"], &reply["offset"]), (&json!(true), &position["offset"]));
        let mut at = position["offset"].as_u64().unwrap();
        for _ in 0..3 {
            let (offset, event) = live.event().await;
            assert_eq!(offset, at + 1, "a gap or a duplicate");
            at = offset;
            let record: EventRecord = serde_json::from_value(event).unwrap();
            state.apply(&record.event).unwrap();
        }
        live.request(json!({"unsubscribe": {"channel": ada.channel()}})).await.unwrap();
        live.drain().await;
    }
    let seconds = started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let rate = changes.load(Ordering::Relaxed) as f64 / seconds;
    println!("{CYCLES} cycles in {seconds:.1} s, {rate:.0} changes/s");
    assert!(rate > CHANGES_PER_SECOND * 0.8, "only {rate:.0} changes/s went on meanwhile");
    assert_final_state(&ada).await;
}

/// A subscriber that began in the middle ends where a fresh load is.
async fn assert_final_state(ada: &Person) {
    let (fresh, position) = dashboard(ada).await;
    let path = format!("/channels/{}/events?since=0&limit=500", ada.channel());
    let first = ada.get(&path).await.expect(200);
    assert_eq!(first["items"][0]["offset"], 1);
    let mut state = UserState {
        me: fresh.me.clone(),
        settings: fresh.settings.clone(),
        calendar_from: fresh.calendar_from,
        calendar_to: fresh.calendar_to,
        ..UserState::default()
    };
    let mut since = 0;
    while since < position["offset"].as_u64().unwrap() {
        let page = ada.get(&format!("/channels/{}/events?since={since}&limit=500", ada.channel())).await.expect(200);
        for item in page["items"].as_array().unwrap() {
            since += 1;
            assert_eq!(item["offset"], since);
            let record: EventRecord = serde_json::from_value(item.clone()).unwrap();
            state.apply(&record.event).unwrap();
        }
    }
    assert_eq!(state, fresh, "all events from the first one on make what a load shows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_cannot_be_resumed_is_refused() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    for number in 0..10 {
        ada.post("/task-lists", json!({"name": format!("{number}")})).await.expect(201);
    }
    let (_, head) = dashboard(&ada).await;
    assert_eq!(head["offset"], 10);
    sqlx::query("select trim_channel($1, 6)").bind(ada.channel()).execute(&app.database.pool).await.unwrap();
    let epoch = head["epoch"].as_str().unwrap();
    let cases = [
        (5, epoch, true),
        (4, epoch, false),
        (0, epoch, false),
        (10, epoch, true),
        (11, epoch, false),
        (9_007_199_254_740_991, epoch, false),
        (7, "other", false),
        (7, "", false),
        (0, "_", false),
    ];
    for (offset, epoch, good) in cases {
        let mut live = ada.live().await;
        let reply = live.subscribe_from(&ada.channel(), &json!({"offset": offset, "epoch": epoch})).await;
        match reply {
            Ok(reply) => {
                assert!(good, "{offset} {epoch}");
                assert_eq!(reply["offset"].as_u64().unwrap(), offset);
                for expected in offset + 1..=10 {
                    assert_eq!(live.event().await.0, expected);
                }
            }
            Err(error) => {
                assert!(!good, "{offset} {epoch}: {error}");
                assert_eq!(error["code"], 112);
            }
        }
        // Without the flag the client goes on from the head and is told so.
        let mut live = ada.live().await;
        let subscribe = json!({"channel": ada.channel(), "recover": true, "offset": offset, "epoch": epoch});
        let reply = live.request(json!({"subscribe": subscribe})).await.unwrap()["subscribe"].clone();
        assert_eq!(reply["was_recovering"], true);
        assert_eq!(reply["recovered"].as_bool().unwrap_or(false), good);
        assert_eq!(reply["offset"].as_u64().unwrap(), if good { offset } else { 10 });
        assert_eq!(reply.get("publications"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_changes_while_away() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let mut live = ada.live().await;
    live.subscribe(&ada.channel()).await;
    ada.post("/task-lists", json!({"name": "seen"})).await.expect(201);
    let (seen, _) = live.event().await;
    let (_, position) = dashboard(&ada).await;
    live.vanish();
    for number in 0..200 {
        ada.post("/task-lists", json!({"name": format!("missed {number}")})).await;
    }
    let mut live = ada.live().await;
    live.subscribe_from(&ada.channel(), &json!({"offset": seen, "epoch": position["epoch"]})).await.unwrap();
    for number in 0..199 {
        let (offset, event) = live.event().await;
        assert_eq!(offset, seen + 1 + number);
        assert_eq!(event["data"]["name"], format!("missed {number}"));
    }
}
