//! What somebody who can write to Redis does with hints: says them again, late, elsewhere, altered, or makes them up.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use studyhall::cluster::{Cluster, Seal, Timing};
use studyhall::live::backend::LogEvent;
use studyhall::live::roster::Roster;
use studyhall_protocol::Channel;

use super::Stage;
use crate::cluster::until;
use crate::harness;

const FOR: Duration = Duration::from_secs(4);

/// One more node, with this key, that listens to the rooms.
async fn listener(stage: &Stage, key: &[u8]) -> std::sync::Arc<Cluster> {
    let cluster = Cluster::start(&stage.redis.url, Seal::new(key), Timing::default());
    until("it has reached Redis", async || cluster.is_reachable()).await;
    let rooms = stage.rooms.iter().map(|room| room.channel.parse::<Channel>().unwrap()).collect();
    cluster.attend(rooms).await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_are_repeated_reordered_altered_and_made_up() {
    let seed = harness::seed();
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let stage = Stage::set_and_reached().await;
    let key = "select hint_key from log_epoch";
    let key: Vec<u8> = sqlx::query_scalar(key).fetch_one(&stage.nodes[0].database.pool).await.unwrap();
    let epoch = "select epoch from log_epoch";
    let epoch: String = sqlx::query_scalar(epoch).fetch_one(&stage.nodes[0].database.pool).await.unwrap();
    let honest = listener(&stage, &key).await;
    let stranger = listener(&stage, b"guessed").await;
    let mut spy = redis::Client::open(stage.redis.url.as_str()).unwrap().get_async_pubsub().await.unwrap();
    spy.psubscribe("studyhall:at:workspace:*").await.unwrap();
    let mut messages = spy.into_on_message();
    let mut redis = stage.redis.connect().await;
    let load = stage.load().await;
    let (mut kept, began, mut sent): (Vec<(String, Vec<u8>)>, _, _) = (Vec::new(), Instant::now(), 0);
    while began.elapsed() < FOR {
        let message = tokio::time::timeout(Duration::from_secs(5), messages.next()).await.unwrap().unwrap();
        let (channel, text) = (message.get_channel_name().to_owned(), message.get_payload_bytes().to_vec());
        // What the test itself has said is heard here as well.
        if text.first() == Some(&b'!') && !kept.contains(&(channel.clone(), text.clone())) {
            kept.push((channel.clone(), text));
        }
        let Some((of, text)) = kept.choose(&mut random) else { continue };
        let mut bad = text.clone();
        let to = match random.random_range(0..5) {
            0 => of,
            // Of another room.
            1 => &channel,
            2 => {
                let at = random.random_range(0..bad.len());
                bad[at] ^= random.random_range(1..=255);
                of
            }
            3 => {
                bad.truncate(random.random_range(0..bad.len()));
                of
            }
            _ => {
                random.fill_bytes(&mut bad[1..]);
                of
            }
        };
        redis::cmd("PUBLISH").arg(to).arg(bad).exec_async(&mut redis).await.unwrap();
        sent += 1;
        made_up(&stage, &mut random, [(&stranger, &epoch), (&honest, "of a backup")]);
    }
    load.end("forged hints").await;
    let counted = honest.counted();
    println!("{sent} bad messages; a node that listened counted {counted:?}");
    assert!(sent > 50 && counted.forged > 10 && counted.stale > 5);
    for node in 0..3 {
        assert_eq!(stage.says(node).await, "ok");
    }
}

/// Events that nobody committed: with another key, or with the right one and another epoch.
fn made_up(stage: &Stage, random: &mut StdRng, by: [(&std::sync::Arc<Cluster>, &str); 2]) {
    let room = stage.rooms.choose(random).unwrap();
    for (cluster, epoch) in by {
        let event = LogEvent {
            channel: room.channel.parse().unwrap(),
            offset: random.random_range(1..200),
            name: "widget.updated".into(),
            payload: Bytes::from_static(br#"{"type":"widget.updated","op":null,"data":"made up"}"#),
        };
        cluster.tell_events(epoch, &[event]);
    }
}
