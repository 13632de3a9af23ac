//! Removing somebody is an event: nothing behind it reaches them, by any path.

use serde_json::json;
use studyhall_protocol::error::Unsubscribed;

use super::*;
use crate::live::backend::Effect;

fn remove(n: u128) -> Vec<Effect> {
    vec![Effect::Remove(user(n), Unsubscribed::REMOVED)]
}

fn ended(line: &serde_json::Value) -> bool {
    line["push"]["unsubscribe"]["code"] == 2101
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_behind_a_removal() {
    let engine = Engine::start().await;
    let mut removed = engine.subscribed(1, room(1)).await;
    let mut other = engine.subscribed(2, room(1)).await;
    let mut events: Vec<LogEvent> = (0..20).map(|_| engine.toy.commit(room(1), Vec::new())).collect();
    events.push(engine.toy.commit(room(1), remove(1)));
    events.extend((0..20).map(|_| engine.toy.commit(room(1), Vec::new())));
    // Backwards: all of it is applied in one go, when the first one is there.
    events.reverse();
    engine.hub.apply(events);
    let seen = removed.until(ended).await;
    assert!(seen.iter().all(|line| line["push"]["pub"]["offset"].as_u64().is_none_or(|offset| offset <= 21)));
    assert_eq!(seen.last().unwrap()["push"]["unsubscribe"]["reason"], "removed from the room");
    engine.publish(room(1), 5);
    let refused = removed.publish(room(1), json!({"type": "reaction"})).await;
    assert_eq!(refused["error"]["code"], 103);
    assert_eq!(removed.ask("history", json!({"channel": room(1), "limit": 10})).await["error"]["code"], 103);
    assert_eq!(removed.ask("presence", json!({"channel": room(1)})).await["error"]["code"], 103);
    assert_eq!(removed.recover(room(1), 10, "e1", 2).await["error"]["code"], 103);
    assert!(removed.all().await.is_empty(), "told once, and nothing else");
    assert_eq!(other.offsets_until(room(1), 46).await, (1..=46).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_to_a_reader_that_lags() {
    let engine = Engine::start().await;
    let mut removed = engine.small_reader(1).await;
    removed.subscribe(room(1)).await;
    engine.toy.state.lock().padding = 3_000;
    engine.publish(room(1), 100);
    let conn = engine.conn(1);
    eventually("the reader lags", || conn.is_blocked()).await;
    engine.hub.apply(vec![engine.toy.commit(room(1), remove(1))]);
    engine.publish(room(1), 100);
    let seen = removed.until(ended).await;
    let offsets: Vec<u64> = seen.iter().filter_map(|line| line["push"]["pub"]["offset"].as_u64()).collect();
    assert_eq!(offsets, (1..=offsets.len() as u64).collect::<Vec<_>>());
    assert!(offsets.len() <= 101);
    assert!(removed.all().await.is_empty());
}

/// Removed, but not told yet, for it does not read: what it publishes goes nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_not_told_yet_publishes_nothing() {
    let engine = Engine::start().await;
    let mut other = engine.subscribed(2, room(1)).await;
    let mut removed = engine.small_reader(1).await;
    removed.subscribe(room(1)).await;
    engine.toy.state.lock().padding = 3_000;
    engine.publish(room(1), 100);
    let conn = engine.conn(1);
    eventually("the reader lags", || conn.is_blocked()).await;
    engine.hub.apply(vec![engine.toy.commit(room(1), remove(1))]);
    let publish = json!({"id": 60, "publish": {"channel": room(1), "data": {"type": "reaction"}}});
    removed.send(&publish.to_string()).await;
    assert_eq!(removed.reply(60).await["error"]["code"], 103);
    other.offsets_until(room(1), 101).await;
    let seen = other.all().await;
    assert!(seen.iter().all(|line| line["push"]["pub"].is_null()), "{seen:?}");
}

/// The log is ahead of this node: what lies there may lie behind a removal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_cut_where_the_node_is() {
    let engine = Engine::start().await;
    let mut keeper = engine.subscribed(2, room(1)).await;
    engine.publish(room(1), 10);
    keeper.offsets_until(room(1), 10).await;
    engine.topic(room(1)).drop_rings();
    let mut removed = engine.connected(1).await;
    engine.toy.admitting.shut();
    let asked = engine.toy.admitting.count();
    let request = json!({"channel": room(1), "recover": true, "offset": 4, "epoch": "e1"});
    removed.send(&json!({"id": 70, "subscribe": request}).to_string()).await;
    engine.toy.admitting.arrived(asked + 1).await;
    let mut events = vec![engine.toy.commit(room(1), remove(1))];
    events.extend((0..5).map(|_| engine.toy.commit(room(1), Vec::new())));
    engine.toy.admitting.open();
    assert_eq!(removed.reply(70).await["subscribe"]["recovered"], true);
    assert_eq!(removed.offsets_until(room(1), 10).await, (5..=10).collect::<Vec<_>>());
    engine.hub.apply(events);
    let seen = removed.until(ended).await;
    // The removal itself is still theirs, nothing behind it.
    assert!(
        seen.iter().all(|line| line["push"]["pub"]["offset"].as_u64().is_none_or(|offset| offset <= 11)),
        "{seen:?}"
    );
    assert_eq!(keeper.offsets_until(room(1), 16).await, (11..=16).collect::<Vec<_>>());
}

/// The answer to "may they?" is older than the removal that this node has applied already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_admission_is_asked_for_again() {
    let engine = Engine::start().await;
    let _keeper = engine.subscribed(2, room(1)).await;
    let mut removed = engine.connected(1).await;
    engine.toy.admitting.shut();
    let asked = engine.toy.admitting.count();
    removed.send(&json!({"id": 80, "subscribe": {"channel": room(1)}}).to_string()).await;
    engine.toy.admitting.arrived(asked + 1).await;
    engine.hub.apply(vec![engine.toy.commit(room(1), remove(1))]);
    engine.publish(room(1), 1);
    engine.toy.admitting.open();
    assert_eq!(removed.reply(80).await["error"]["code"], 103);
    assert_eq!(engine.toy.admitting.count(), asked + 2);
}

/// As before, but the channel came to life behind the removal: this node never saw it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admission_older_than_the_topic_is_asked_for_again() {
    let engine = Engine::start().await;
    engine.publish(room(1), 1);
    let mut removed = engine.connected(1).await;
    engine.toy.admitting.shut();
    removed.send(&json!({"id": 80, "subscribe": {"channel": room(1)}}).to_string()).await;
    engine.toy.admitting.arrived(1).await;
    let removal = engine.toy.commit(room(1), remove(1));
    engine.toy.commit(room(1), Vec::new());
    // The second one knows a newer head, and is answered first.
    let topic = engine.topic(room(1));
    let identity = engine.toy.identity_of("u2");
    let flusher = &engine.hub.flusher;
    let other = engine.connected(2).await;
    let conn = engine.conn(2);
    let answers = Answers::new(3, true);
    let newcomer = crate::live::newcomer::Newcomer { conn: &conn, index: 0, asked: &answers.of(&identity) };
    assert!(topic.enter(newcomer, flusher).is_ok());
    engine.hub.apply(vec![removal]);
    engine.toy.admitting.open();
    assert_eq!(removed.reply(80).await["error"]["code"], 103);
    assert!(removed.all().await.is_empty());
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admission_older_than_the_end_of_the_room_is_asked_for_again() {
    let engine = Engine::start().await;
    let mut keeper = engine.subscribed(2, room(1)).await;
    let mut late = engine.connected(1).await;
    engine.toy.admitting.shut();
    let asked = engine.toy.admitting.count();
    late.send(&json!({"id": 80, "subscribe": {"channel": room(1)}}).to_string()).await;
    engine.toy.admitting.arrived(asked + 1).await;
    engine.toy.state.lock().denied.insert((user(1), room(1)));
    engine.hub.apply(vec![engine.toy.commit(room(1), vec![Effect::RemoveAll(Unsubscribed::DELETED)])]);
    engine.toy.admitting.open();
    assert_eq!(late.reply(80).await["error"]["code"], 103);
    keeper.until(|line| line["push"]["unsubscribe"]["code"] == 2102).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_go_and_members_stay() {
    let engine = Engine::start().await;
    engine.toy.state.lock().guests.insert(user(1));
    let mut guest = engine.subscribed(1, room(1)).await;
    let mut member = engine.subscribed(2, room(1)).await;
    let closed = engine.toy.commit(room(1), vec![Effect::RemoveGuests(Unsubscribed::REMOVED)]);
    engine.hub.apply(vec![closed]);
    guest.until(ended).await;
    member.until(|line| line["push"]["leave"]["info"]["user"] == json!(user(1))).await;
    assert_eq!(member.publish(room(1), json!({"type": "reaction"})).await["publish"], json!({}));
}

/// Who is removed while held after a lost connection goes at once, and so does what they dragged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_person_is_not_held() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(2, room(1)).await;
    let mut lost = engine.subscribed(1, room(1)).await;
    let drag = json!({"type": "drag", "key": user(50), "data": {"drag_id": user(51)}});
    assert!(lost.publish(room(1), drag).await["publish"].is_object());
    drop(lost);
    eventually("gone", || engine.hub.counts().0 == 1).await;
    engine.hub.apply(vec![engine.toy.commit(room(1), remove(1))]);
    let seen = viewer.all().await;
    assert!(seen.iter().any(|line| line["push"]["leave"]["info"]["user"] == json!(user(1))), "{seen:?}");
    let cleared = |line: &serde_json::Value| {
        line["push"]["pub"]["data"]["key"] == json!(user(50)) && line["push"]["pub"]["data"]["data"].is_null()
    };
    assert!(seen.iter().any(cleared), "{seen:?}");
}

/// What the removed person holds of the node is little: a note, and that goes with the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_do_not_stay() {
    let engine = Engine::start().await;
    let keeper = engine.subscribed(9, room(1)).await;
    let mut asleep = engine.small_reader(1).await;
    asleep.subscribe(room(1)).await;
    engine.toy.state.lock().padding = 3_000;
    engine.publish(room(1), 200);
    let conn = engine.conn(1);
    eventually("the reader lags", || conn.is_blocked()).await;
    engine.hub.apply(vec![engine.toy.commit(room(1), remove(1))]);
    assert_eq!(engine.topic(room(1)).state.lock().expelled.len(), 1);
    drop(asleep);
    eventually("the note is gone", || engine.topic(room(1)).state.lock().expelled.is_empty()).await;
    drop(keeper);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_let_in_again_is_not_put_out_by_the_past() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(2, room(1)).await;
    let removed = engine.toy.commit(room(1), remove(1));
    engine.toy.state.lock().denied.remove(&(user(1), room(1)));
    let let_in = engine.toy.commit(room(1), vec![]);
    // This node has not seen either of the two; the answer about the right is newer.
    let mut person = engine.subscribed(1, room(1)).await;
    engine.hub.apply(vec![removed, let_in]);
    viewer.offsets_until(room(1), 2).await;
    let next = engine.toy.commit(room(1), vec![]);
    engine.hub.apply(vec![next]);
    assert_eq!(person.offsets_until(room(1), 3).await, [3]);
    // A removal that is newer than the right counts as ever.
    let removed = engine.toy.commit(room(1), remove(1));
    engine.hub.apply(vec![removed]);
    person.until(ended).await;
}
