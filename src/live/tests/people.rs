//! Who is in a room: people, not connections.

use serde_json::{Value, json};

use super::*;
use crate::live::time::Ticks;

/// `+7` and `-7`: joins and leaves of person 7.
fn moves(lines: &[Value]) -> Vec<i64> {
    let of = |line: &Value, kind: &str| {
        let id = line["push"][kind]["info"]["user"].as_str()?.parse::<Uuid>().ok()?;
        Some(id.as_u128() as i64)
    };
    lines.iter().filter_map(|line| of(line, "join").or_else(|| of(line, "leave").map(|id| -id))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_connections_are_one_person() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(9, room(1)).await;
    let mut tabs = Vec::new();
    for _ in 0..3 {
        tabs.push(engine.subscribed(1, room(1)).await);
    }
    let presence = viewer.ask("presence", json!({"channel": room(1)})).await;
    let people = presence["presence"]["presence"].as_object().unwrap();
    assert_eq!(people.len(), 2);
    let one = &people[&user(1).to_string()];
    assert_eq!((&one["user"], &one["client"]), (&json!(user(1)), &json!(user(1))));
    assert_eq!((&one["chan_info"]["devices"], &one["conn_info"]["name"]), (&json!(3), &json!("u1")));
    let stats = viewer.ask("presence_stats", json!({"channel": room(1)})).await;
    assert_eq!(stats["presence_stats"], json!({"num_clients": 4, "num_users": 2}));
    let mut first = tabs.remove(0);
    first.ask("unsubscribe", json!({ "channel": room(1) })).await;
    let much_later = Ticks::now().after(Duration::from_secs(11));
    engine.topic(room(1)).tick(much_later, &engine.hub.flusher);
    let began = std::time::Instant::now();
    for mut tab in tabs {
        assert!(!moves(&viewer.all().await).contains(&-1), "somebody is still there");
        tab.ask("unsubscribe", json!({"channel": room(1)})).await;
    }
    let left = viewer.until(|line| moves(std::slice::from_ref(line)) == [-1]).await;
    assert_eq!(moves(&left), [-1]);
    assert!(began.elapsed() < Duration::from_millis(1_500), "a clean leave took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_is_a_leave_and_a_lost_connection_is_not() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(9, room(1)).await;
    let mut polite = engine.subscribed(1, room(1)).await;
    let lost = engine.subscribed(2, room(1)).await;
    drop(lost);
    let began = std::time::Instant::now();
    polite.frame(crate::live::ws::OpCode::Close, &1001_u16.to_be_bytes()).await;
    let seen = viewer.until(|line| moves(std::slice::from_ref(line)) == [-1]).await;
    assert!(began.elapsed() < Duration::from_millis(1_500));
    assert!(!moves(&seen).contains(&-2), "a lost connection is held");
    // A reconnect within the hold shows nothing.
    let back = engine.subscribed(2, room(1)).await;
    engine.topic(room(1)).tick(Ticks::now().after(Duration::from_secs(11)), &engine.hub.flusher);
    assert!(moves(&viewer.all().await).is_empty());
    // Lost again: nine seconds later the person is there, ten seconds later gone.
    drop(back);
    eventually("lost", || engine.hub.counts().0 == 1).await;
    let topic = engine.topic(room(1));
    topic.tick(Ticks::now().after(Duration::from_secs(9)), &engine.hub.flusher);
    assert!(moves(&viewer.all().await).is_empty());
    topic.tick(Ticks::now().after(Duration::from_millis(10_050)), &engine.hub.flusher);
    assert_eq!(moves(&viewer.all().await), [-2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_and_leaves_take_turns() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(9, room(1)).await;
    viewer.all().await;
    let topic = engine.topic(room(1));
    let mut seen = Vec::new();
    let churn = async {
        for round in 0..30_u64 {
            let mut client = engine.subscribed(1 + u128::from(round % 3), room(1)).await;
            if round % 2 == 0 {
                client.ask("unsubscribe", json!({"channel": room(1)})).await;
            }
            drop(client);
            if round % 4 == 0 {
                topic.tick(Ticks::now().after(Duration::from_secs(11)), &engine.hub.flusher);
            }
        }
        eventually("all are gone", || engine.hub.counts().0 == 1).await;
        topic.tick(Ticks::now().after(Duration::from_secs(11)), &engine.hub.flusher);
    };
    churn.await;
    seen.extend(moves(&viewer.all().await));
    for person in 1..=3 {
        let of_person: Vec<i64> = seen.iter().copied().filter(|id| id.abs() == person).collect();
        assert!(!of_person.is_empty() && of_person.len().is_multiple_of(2), "{of_person:?}");
        assert!(of_person.chunks(2).all(|pair| pair == [person, -person]), "{of_person:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_behind_gets_the_whole_picture() {
    let engine = Engine::start().await;
    let mut viewer = engine.connected(9).await;
    viewer.subscribe(room(1)).await;
    let topic = engine.topic(room(1));
    {
        let conn = engine.conn(9);
        // While its lock is held the viewer gets nothing, as if it did not read.
        let _held = conn.out.lock();
        let identity = engine.toy.identity_of("u1");
        let answers = Answers::new(0, true);
        let mut state = topic.state.lock();
        for _ in 0..200 {
            state.change_person(room(1), user(1), |people| people.enter(&identity, &answers.standing));
            state.change_person(room(1), user(1), |people| people.leave(user(1), Ticks::now()));
            state.people_left(room(1), Ticks::now(), &engine.hub.flusher);
        }
        assert!(state.rings.moves().unwrap().first().get() > 2);
    }
    let seen = viewer.all().await;
    let snapshot = seen.iter().find(|line| line["push"]["pub"]["data"]["type"] == "slots").unwrap();
    let people = snapshot["push"]["pub"]["data"]["data"]["people"].as_array().unwrap();
    assert_eq!(people.len(), 1);
}
