//! Old events go while people come back for them: all that was promised to them, or a clear no.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use studyhall::db::retention::{self, Policy};
use studyhall_protocol::tasks::TaskList;
use studyhall_protocol::{Channel, Event};

use super::reader::{End, Reader};
use super::{Three, tasks};
use crate::harness::{self, Person};

const PRUNE_EVERY: Duration = Duration::from_millis(100);
/// Events that stay.
const KEPT: u64 = 300;
const CLIENTS: usize = 6;

#[derive(Debug, Default)]
struct Count {
    whole: AtomicU64,
    refused: AtomicU64,
    overtaken: AtomicU64,
    events: AtomicU64,
}

async fn bounds(three: &Three, channel: &str) -> (u64, u64) {
    let row = sqlx::query_as::<_, (i64, i64)>("select floor, head from channel_heads where channel = $1").bind(channel);
    let (floor, head) = row.fetch_one(three.pool()).await.unwrap();
    (floor.cast_unsigned(), head.cast_unsigned())
}

/// Moves the floor up behind the head, again and again, as if each day had so many events; beside it the real thing.
async fn prune(three: &Three, channel: &str, stop: &AtomicBool) -> u64 {
    let mut runs = 0;
    while !stop.load(Ordering::Relaxed) {
        let trim = sqlx::query("select trim_channel($1, (select head from channel_heads where channel = $1) - $2)");
        trim.bind(channel).bind(KEPT.cast_signed()).execute(three.pool()).await.unwrap();
        retention::run_once(&three.nodes[runs as usize % 3].app.state.db, Policy::default()).await.unwrap();
        runs += 1;
        tokio::time::sleep(PRUNE_EVERY).await;
    }
    runs
}

/// Writes fifty at a time.
async fn write(three: &Three, me: Channel, list: &TaskList, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let list = list.clone();
        let fifty = three.nodes[1].app.state.writer.run(me.id(), move |tx| {
            let list = list.clone();
            async move {
                tx.lock(&[me]).await?;
                (0..50).for_each(|_| tx.emit(me, Event::TaskListUpdated(list.clone())));
                Ok(())
            }
            .boxed()
        });
        fifty.await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Comes back from somewhere near the floor and reads up to the head of that moment.
async fn resume(three: &Three, ada: &Person, epoch: &str, random: &mut StdRng, count: &Count) {
    let channel = ada.channel();
    let (floor, head) = bounds(three, &channel).await;
    let from = (floor.saturating_sub(60) + random.random_range(0..120)).min(head);
    let position = json!({"offset": from, "epoch": epoch});
    let url = three.url(random.random_range(0..3));
    match Reader::open(&url, ada, &channel, Some(&position)).await {
        Err(code) => {
            let (floor, _) = bounds(three, &channel).await;
            assert_eq!(code, 112);
            assert!(from + 1 < floor, "refused from {from}, though kept from {floor}");
            count.refused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(mut reader) => loop {
            match reader.next().await {
                Ok(offset) if offset < head => {}
                Ok(_) => {
                    count.whole.fetch_add(1, Ordering::Relaxed);
                    count.events.fetch_add(reader.seen.len() as u64, Ordering::Relaxed);
                    return;
                }
                Err(end) => {
                    let next = reader.seen.last().map_or(from, |(last, _)| *last) + 1;
                    let (floor, _) = bounds(three, &channel).await;
                    assert_eq!(end, End::Closed(3010));
                    assert!(next < floor, "told to load anew at {next}, though kept from {floor}");
                    count.overtaken.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        },
    }
}

async fn replays_while_pruning(rounds: usize) {
    let seed = harness::seed();
    println!("SEED={seed}");
    let three = Three::start().await;
    let ada = harness::sign_up(&three.url(0), "ada").await;
    tasks(&ada, 0).await;
    let list: TaskList = serde_json::from_value(ada.get("/task-lists").await.expect(200)["items"][0].clone()).unwrap();
    let epoch: String = sqlx::query_scalar("select epoch from log_epoch").fetch_one(three.pool()).await.unwrap();
    let (stop, count) = (AtomicBool::new(false), Arc::new(Count::default()));
    let clients = async {
        while bounds(&three, &ada.channel()).await.1 < 2 * KEPT {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        join_all((0..CLIENTS).map(async |client| {
            let mut random = StdRng::seed_from_u64(seed ^ client as u64);
            for _ in 0..rounds {
                resume(&three, &ada, &epoch, &mut random, &count).await;
            }
        }))
        .await;
        stop.store(true, Ordering::Relaxed);
    };
    let me = Channel::User(ada.id);
    let channel = ada.channel();
    let ((), runs, ()) = tokio::join!(clients, prune(&three, &channel, &stop), write(&three, me, &list, &stop));
    let (floor, head) = bounds(&three, &ada.channel()).await;
    println!("{count:?}; pruned {runs} times, {floor} to {head} left");
    assert!(count.whole.load(Ordering::Relaxed) > 0 && count.refused.load(Ordering::Relaxed) > 0 && runs > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_while_the_floor_rises() {
    replays_while_pruning(15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn many_replays_while_the_floor_rises() {
    replays_while_pruning(400).await;
}
