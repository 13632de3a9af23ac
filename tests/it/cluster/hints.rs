//! Hints over a real Redis: who gets them, and what is believed.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use studyhall::cluster::{Cluster, Seal, Timing};
use studyhall::live::backend::{LogEvent, SlotKey};
use studyhall::live::roster::Roster;
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use super::ears::Ears;
use super::server::Server;
use super::{node, reached, room, until};

/// Two nodes that know of each other, and what the second one hears.
async fn two(server: &Server) -> (Arc<Cluster>, Arc<Cluster>, Arc<Ears>) {
    let timing = Timing { pulse: std::time::Duration::from_millis(50), ..Timing::default() };
    let (ada, _) = node(server, timing.clone());
    let (bob, bob_hears) = node(server, timing);
    reached(&ada).await;
    reached(&bob).await;
    let marker = room();
    bob.attend(vec![marker]).await;
    // Alone one need not tell anybody; each notices the other with its next pulse.
    until("ada knows that bob is there", async || {
        ada.publish(marker, None, b"hello");
        !bob_hears.hints(marker).is_empty()
    })
    .await;
    (ada, bob, bob_hears)
}

/// Waits until a node listens to this.
async fn listens(server: &Server, channel: Channel) {
    let channels = format!("PUBSUB CHANNELS studyhall:at:{channel}");
    until("somebody listens", async || server.ask::<Vec<String>>(&channels).await.len() == 1).await;
}

fn event(channel: Channel, offset: u64) -> LogEvent {
    LogEvent { channel, offset, name: "task.created".into(), payload: Bytes::from(format!("{{\"n\":{offset}}}")) }
}

#[tokio::test]
async fn events_and_publications_are_told_to_who_listens() {
    let server = Server::start().await;
    let (ada, bob, bob_hears) = two(&server).await;
    let (user, place, other) = (Channel::User(Uuid::new_v4()), room(), room());
    bob.attend(vec![user, place]).await;
    // Nobody waits for the channel of a person to be listened to; what is missed is in the log.
    listens(&server, user).await;
    ada.tell_events("e1", &[event(user, 1), event(place, 1), event(other, 1), event(user, 2)]);
    bob_hears.last_hint(user, "e1 2 task.created {\"n\":2}").await;
    assert_eq!(bob_hears.hints(user), ["e1 1 task.created {\"n\":1}", "e1 2 task.created {\"n\":2}"]);
    let slot = Some(SlotKey { kind: "pointer", id: Uuid::new_v4() });
    ada.publish(place, slot, b"{\"x\":1}");
    ada.publish(place, slot, b"{\"x\":2}");
    bob_hears.last_hint(place, "{\"x\":2}").await;
    assert!(bob_hears.hints(other).is_empty());
    assert_eq!(bob.counted().forged + bob.counted().stale, 0);
}

#[tokio::test]
async fn who_listens_asks_what_holds() {
    let server = Server::start().await;
    let (_ada, bob, _) = two(&server).await;
    let (cleo, cleo_hears) = node(&server, Timing::default());
    let place = room();
    reached(&cleo).await;
    cleo.attend(vec![place]).await;
    listens(&server, place).await;
    bob.attend(vec![place]).await;
    until("asked", async || cleo_hears.was_asked(place)).await;
}

/// Everything that can be done to a message by somebody who can write to this Redis, but does not know the key.
#[tokio::test]
async fn what_strangers_publish_is_not_believed() {
    let server = Server::start().await;
    let (ada, bob, bob_hears) = two(&server).await;
    let (place, elsewhere) = (room(), room());
    bob.attend(vec![place, elsewhere]).await;
    let mut spy = redis::Client::open(server.url.as_str()).unwrap().get_async_pubsub().await.unwrap();
    spy.subscribe(format!("studyhall:at:{place}")).await.unwrap();
    let mut messages = spy.into_on_message();
    ada.tell_events("e1", &[event(place, 1)]);
    let genuine: Vec<u8> = messages.next().await.unwrap().get_payload().unwrap();
    bob_hears.last_hint(place, "e1 1 task.created {\"n\":1}").await;
    let mut redis = server.connect().await;
    let mut publish = async |channel: Channel, message: &[u8]| {
        let mut command = redis::cmd("PUBLISH");
        command.arg(format!("studyhall:at:{channel}")).arg(message).exec_async(&mut redis).await.unwrap();
    };
    publish(place, &genuine).await;
    publish(elsewhere, &genuine).await;
    let mut forged = genuine.clone();
    let at = forged.len() - 2;
    forged[at] = b'9';
    publish(place, &forged).await;
    for length in [1, 17, 41, genuine.len() - 1] {
        publish(place, &genuine[..length]).await;
    }
    let (stranger, _) = stranger(&server);
    reached(&stranger).await;
    for junk in [&b""[..], b"!", b"\xff\xfe", b"{}", &[b'!'; 300]] {
        publish(place, junk).await;
    }
    until("the stranger was heard", async || {
        stranger.publish(place, None, b"{\"x\":\"of another database\"}");
        bob.counted().forged > 8
    })
    .await;
    ada.tell_events("e1", &[event(place, 2)]);
    bob_hears.last_hint(place, "e1 2 task.created {\"n\":2}").await;
    assert_eq!(bob_hears.hints(place).len(), 2, "{:?}", bob_hears.hints(place));
    assert!(bob_hears.hints(elsewhere).is_empty());
    assert_eq!(bob.counted().stale, 1, "the same again");
}

fn stranger(server: &Server) -> (Arc<Cluster>, Arc<Ears>) {
    let timing = Timing { pulse: std::time::Duration::from_millis(50), ..Timing::default() };
    (Cluster::start(&server.url, Seal::new(b"of another database"), timing), Ears::new())
}

#[tokio::test]
async fn alone_nobody_is_told() {
    let server = Server::start().await;
    let timing = Timing { pulse: std::time::Duration::from_millis(50), ..Timing::default() };
    let (ada, _) = node(&server, timing.clone());
    reached(&ada).await;
    let place = room();
    let mut spy = redis::Client::open(server.url.as_str()).unwrap().get_async_pubsub().await.unwrap();
    spy.subscribe(format!("studyhall:at:{place}")).await.unwrap();
    let mut messages = spy.into_on_message();
    ada.tell_events("e1", &[event(place, 1)]);
    let (bob, _) = node(&server, timing);
    reached(&bob).await;
    let mut first = None;
    until("somebody is told", async || {
        ada.publish(place, None, b"{}");
        first = messages.next().now_or_never().flatten();
        first.is_some()
    })
    .await;
    // The event was not kept for whoever may come: it is in the log.
    let first: Vec<u8> = first.unwrap().get_payload().unwrap();
    assert!(!first.windows(12).any(|part| part == b"task.created"));
}
