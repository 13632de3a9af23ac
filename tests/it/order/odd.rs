//! Positions out of nowhere: a clear no at both doors, at once, and nothing else suffers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Three, position, tasks};
use crate::harness;

/// For an answer, of the quickest of three tries.
const AT_ONCE: Duration = Duration::from_millis(200);

/// What a position may be, and what is answered: the code of the live door, the status of REST.
fn positions(head: u64, epoch: &str) -> Vec<(Value, Value, u64, u16)> {
    let here = json!(epoch);
    vec![
        (json!(head + 1), here.clone(), 112, 410),
        (json!(1_u64 << 53), here.clone(), 112, 410),
        (json!(1_u64 << 63), here.clone(), 112, 410),
        (json!(u64::MAX), here.clone(), 112, 410),
        (json!(head), json!("other"), 112, 410),
        (json!(head), json!(""), 112, 410),
        (json!(-1), here.clone(), 107, 400),
        (json!("x"), here.clone(), 107, 400),
        (json!(1.5), here.clone(), 107, 400),
        (json!(18_446_744_073_709_551_616_f64), here, 107, 400),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_out_of_nowhere() {
    let three = Three::start().await;
    let ada = harness::sign_up(&three.url(0), "ada").await;
    tasks(&ada, 3).await;
    let channel = ada.channel();
    let here = position(&ada, &channel).await;
    let (head, epoch) = (here["offset"].as_u64().unwrap(), here["epoch"].as_str().unwrap().to_owned());
    // Another person, whom none of this may concern.
    let bob = harness::sign_up(&three.url(1), "bob").await;
    let mut other = bob.live().await;
    other.subscribe(&bob.channel()).await;
    let mut slowest = Duration::ZERO;
    for (number, (offset, epoch, code, status)) in positions(head, &epoch).into_iter().enumerate() {
        let ada = ada.at(&three.url(number));
        let (mut live, mut rest) = (Duration::MAX, Duration::MAX);
        for _ in 0..3 {
            let mut socket = ada.live().await;
            let began = Instant::now();
            let refused = socket.subscribe_from(&channel, &json!({"offset": offset, "epoch": epoch})).await;
            live = live.min(began.elapsed());
            assert_eq!(refused.unwrap_err()["code"], code, "{offset} {epoch}");
            // Without the flag: from the head on, and the client is told so.
            if code == 112 {
                let subscribe = json!({"channel": channel, "recover": true, "offset": offset, "epoch": epoch});
                let reply = socket.request(json!({"subscribe": subscribe})).await.unwrap()["subscribe"].clone();
                assert_eq!((&reply["was_recovering"], &reply["recovered"]), (&json!(true), &Value::Null));
                assert_eq!(reply["offset"], head);
            } else {
                socket.subscribe(&channel).await;
            }
            let shown = offset.as_str().map_or_else(|| offset.to_string(), str::to_owned);
            let path = format!("/channels/{channel}/events?since={shown}&epoch={}", epoch.as_str().unwrap());
            let began = Instant::now();
            let answer = ada.get(&path).await;
            rest = rest.min(began.elapsed());
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
        }
        slowest = slowest.max(live).max(rest);
        assert!(live <= AT_ONCE && rest <= AT_ONCE, "{offset}: {live:?} and {rest:?}");
    }
    // No position at all: the head, and the whole log.
    let mut socket = ada.live().await;
    assert_eq!(socket.subscribe(&channel).await["offset"], head);
    let page = ada.get(&format!("/channels/{channel}/events")).await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len() as u64, head);
    // A number without an epoch is of any epoch over REST, and of none on the live side.
    ada.get(&format!("/channels/{channel}/events?since={head}")).await.expect(200);
    let subscribe = json!({"channel": channel, "recover": true, "offset": head, "flag": 3});
    let refused = ada.live().await.request(json!({"subscribe": subscribe})).await;
    assert_eq!(refused.unwrap_err()["code"], 112);
    // Nobody was disturbed: whoever was there is told of what comes next.
    tasks(&bob, 0).await;
    assert_eq!(other.event().await.0, 1);
    println!("the slowest of the quickest: {slowest:?}");
}
