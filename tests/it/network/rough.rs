//! Links that are far, narrow, in pieces, or often gone.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::{Stage, until_offset};
use crate::faults::link::Link;
use crate::harness;

/// 200 ± 100 ms in each direction, in pieces of one to seven bytes: nothing but time is different.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn far_away_and_in_pieces() {
    let seed = harness::seed();
    println!("SEED={seed}");
    let stage = Stage::set().await;
    let link = Link::start_with(stage.app.address, seed, None);
    link.both(|way| {
        (way.delay, way.jitter) = (Duration::from_millis(200), Duration::from_millis(100));
        way.slice = Some(7);
    });
    let (mut live, subscribed) = stage.view(&link.url("http")).await;
    let head = subscribed["offset"].as_u64().unwrap_or(0);
    // One after another without waiting: they keep their order.
    let mut ids = Vec::new();
    for number in 0..40 {
        let update = json!({"id": stage.widget, "title": format!("{number}")});
        ids.push(live.send(json!({"rpc": {"method": "widget.update", "data": update}})).await);
        stage.change(300).await;
    }
    let mut offsets = Vec::new();
    for id in ids {
        let reply = live.reply(id).await.unwrap();
        offsets.push(reply["rpc"]["data"]["positions"][0]["offset"].as_u64().unwrap());
    }
    assert!(offsets.is_sorted(), "{offsets:?}");
    until_offset(&mut live, head, head + 80).await;
    for number in 0..20 {
        live.publish(&stage.channel, json!({"type": "pointer", "data": {"x": number, "y": 0}})).await.unwrap();
    }
    let refused = live.rpc("widget.update", json!({"id": stage.widget, "title": 7})).await.unwrap_err();
    assert_eq!(refused["code"], 1400, "{refused}");
    live.bye().await;
}

/// 100 kbit/s: what fits goes through, what does not waits, and nobody is cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrow_link() {
    let stage = Stage::set().await;
    let link = Link::start(stage.app.address);
    let (mut live, subscribed) = stage.view(&link.url("http")).await;
    link.both(|way| way.rate = Some(12_500));
    let mut head = subscribed["offset"].as_u64().unwrap_or(0);
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    for number in 1..=10 {
        // 5 KiB a second.
        let sent = Instant::now();
        let to = stage.change(2_000).await;
        until_offset(&mut live, head, to).await;
        head = to;
        slowest = slowest.max(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(500).saturating_mul(number).saturating_sub(began.elapsed())).await;
    }
    println!("5 KiB/s over 100 kbit/s: an event takes {slowest:?} at most");
    assert!(slowest <= Duration::from_secs(1), "{slowest:?}");
    // Six seconds' worth within a moment.
    let (mut last, sent) = (head, Instant::now());
    for _ in 0..6 {
        last = stage.change(12_000).await;
    }
    until_offset(&mut live, head, last).await;
    println!("75 KB at once came within {:?}", sent.elapsed());
    assert!(sent.elapsed() <= Duration::from_secs(10), "{:?}", sent.elapsed());
    assert_eq!(link.connections(), 1, "it was never cut off");
    live.request(json!({"ping": {}})).await.unwrap();
}

/// The link is gone again and again; whoever comes back each time misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_again_and_again() {
    often_gone(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make test-long"]
async fn gone_again_and_again_for_a_minute() {
    often_gone(Duration::from_secs(60)).await;
}

async fn often_gone(long: Duration) {
    let seed = harness::seed();
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let stage = Stage::set().await;
    let link = Link::start_with(stage.app.address, seed, None);
    link.both(|way| way.delay = Duration::from_millis(20));
    let (live, first) = stage.view(&link.url("http")).await;
    let mut live = Some(live);
    let mut seen = first["offset"].as_u64().unwrap_or(0);
    let (began, mut cuts, mut head) = (Instant::now(), 0, seen);
    while began.elapsed() < long || live.is_none() {
        head = stage.change(random.random_range(10..3_000)).await;
        if random.random_bool(0.2) {
            // At any moment of what is under way.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
            if random.random_bool(0.5) {
                link.cut()
            } else {
                link.fin()
            }
            cuts += 1;
        }
        let Some(mut current) = live.take() else {
            let mut next = stage.viewer.at(&link.url("http")).live().await;
            let position = json!({"offset": seen, "epoch": first["epoch"]});
            let resumed = next.subscribe_from(&stage.channel, &position).await.unwrap();
            assert_eq!(resumed["recovered"], true, "{resumed}");
            for publication in resumed["publications"].as_array().into_iter().flatten() {
                assert_eq!(publication["offset"], seen + 1, "a gap or a repetition");
                seen += 1;
            }
            live = Some(next);
            continue;
        };
        // What has come, until it has all or the link is gone.
        while seen < head {
            let Some(line) = current.line().await else { break };
            if let Some(offset) = line["push"]["pub"]["offset"].as_u64() {
                assert_eq!(offset, seen + 1, "a gap or a repetition");
                seen = offset;
            }
        }
        live = (seen == head).then_some(current);
    }
    println!("{cuts} cuts, {head} events, none missing");
    assert!(cuts >= 5);
}
