//! Loads at one node that go on as a stream at another, while people write on all three.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use studyhall_protocol::EventRecord;
use studyhall_protocol::state::WorkspaceState;
use studyhall_protocol::workspaces::Room;
use uuid::Uuid;

use super::{Three, log, room};
use crate::harness::{self, Person};

const CLIENTS: usize = 5;
const WRITERS: usize = 12;
const CHANGES_PER_SECOND: f64 = 300.0;

async fn load(person: &Person, room: Uuid) -> (WorkspaceState, Value) {
    let page = person.get(&format!("/workspaces/{room}")).await.expect(200);
    let position = page["positions"][0].clone();
    let room: Room = serde_json::from_value(page).unwrap();
    (room.into(), position)
}

fn fold(state: &mut WorkspaceState, event: Value) {
    let record: EventRecord = serde_json::from_value(event).unwrap();
    state.apply(&record.event).unwrap();
}

/// Changes a widget at a steady rate until told to stop.
async fn change(person: Arc<Person>, widget: Uuid, stop: Arc<AtomicBool>, changes: Arc<AtomicU64>) {
    let mut live = person.live().await;
    let began = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        live.rpc("widget.update", json!({"id": widget, "title": format!("{number}")})).await.unwrap();
        changes.fetch_add(1, Ordering::Relaxed);
        let due = Duration::from_secs_f64(f64::from(number) * WRITERS as f64 / CHANGES_PER_SECOND);
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
}

/// Loads here, subscribes there, again and again; three events each time. The state in which the last one ended.
async fn cycles(
    three: &Three,
    person: &Person,
    room: Uuid,
    client: usize,
    left: &AtomicUsize,
) -> (WorkspaceState, u64) {
    let channel = format!("workspace:{room}");
    let mut lives = Vec::new();
    for node in 0..3 {
        lives.push(person.at(&three.url(node)).live().await);
    }
    let mut last = Default::default();
    for cycle in client.. {
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            break;
        }
        let (mut state, position) = load(&person.at(&three.url(cycle)), room).await;
        let live = &mut lives[(cycle + 1 + cycle / 3 % 2) % 3];
        let reply = live.subscribe_from(&channel, &position).await.unwrap();
        assert_eq!((&reply["recovered"], &reply["offset"]), (&json!(true), &position["offset"]));
        let mut at = position["offset"].as_u64().unwrap();
        for _ in 0..3 {
            let (offset, event) = live.event().await;
            assert_eq!(offset, at + 1, "a gap or a duplicate");
            at = offset;
            fold(&mut state, event);
        }
        live.request(json!({"unsubscribe": {"channel": channel}})).await.unwrap();
        live.drain().await;
        last = (state, at);
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_loads_here_and_subscriptions_there() {
    let three = Three::start().await;
    let owner = harness::sign_up(&three.url(0), "owner").await;
    let (room, widgets) = room(&owner, &[], WRITERS).await;
    let (stop, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = widgets
        .iter()
        .enumerate()
        .map(|(number, widget)| {
            let person = Arc::new(owner.at(&three.url(number)));
            tokio::spawn(change(person, *widget, stop.clone(), changes.clone()))
        })
        .collect();
    let began = Instant::now();
    let left = AtomicUsize::new(1_000);
    let ended = join_all((0..CLIENTS).map(|client| cycles(&three, &owner, room, client, &left))).await;
    let seconds = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let rate = changes.load(Ordering::Relaxed) as f64 / seconds;
    println!("1,000 cycles in {seconds:.1} s, {rate:.0} changes/s");
    // Whoever began in the middle ends where everybody does.
    let (fresh, position) = load(&owner, room).await;
    let items = log(&owner, &format!("workspace:{room}"), 0).await;
    assert_eq!(position["offset"], items.len());
    for (mut state, at) in ended {
        items[at as usize..].iter().for_each(|item| fold(&mut state, item.clone()));
        assert_eq!(state, fresh, "a load and what followed it is not what a fresh load shows");
    }
    assert!(rate > CHANGES_PER_SECOND * 0.2, "only {rate:.0} changes/s went on meanwhile");
}
