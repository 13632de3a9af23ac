//! Who is here, over all devices of one node. Time is not waited for: the clock is shown a later hour.

use serde_json::{Value, json};
use studyhall_protocol::presence::{PresenceSet, Status};

use super::*;
use crate::live::limits::{LEFT_HOLD, LOST_HOLD, PROGRAM_FOR, TICK};
use crate::live::presence::DeviceId;
use crate::live::time::Ticks;
use crate::live::ws::OpCode;

/// The profile of person `n`.
pub fn pill(n: u128) -> Channel {
    Channel::Profile(user(n))
}

/// The presence that this line brings of person `n`: a status, or `null` where it was taken away.
pub fn shown(line: &Value, n: u128) -> Option<Value> {
    let of_person = line["push"]["channel"] == json!(pill(n)) && line["push"]["pub"]["data"]["type"] == "presence";
    of_person.then(|| line["push"]["pub"]["data"]["data"]["status"].clone())
}

/// All that these lines bring of person `n`.
pub fn all_shown(lines: &[Value], n: u128) -> Vec<Value> {
    lines.iter().filter_map(|line| shown(line, n)).collect()
}

/// The presence in a subscribe reply.
pub fn slot(reply: &Value) -> Value {
    reply["data"]["slots"].as_array().unwrap().first().map_or(Value::Null, |slot| slot["data"].clone())
}

/// Waits until this is what is seen of person `n`, and returns all that was.
pub async fn sees(viewer: &mut Client, n: u128, status: &str) -> Vec<Value> {
    all_shown(&viewer.until(|line| shown(line, n) == Some(json!(status))).await, n)
}

pub async fn set(client: &mut Client, set: Value) {
    let reply = client.ask("rpc", json!({"method": "presence.set", "data": set})).await;
    assert!(reply["rpc"].is_object(), "{reply}");
}

pub fn later(engine: &Engine, after: Duration) {
    engine.hub.look_after_people(Ticks::now().after(after));
}

async fn close(mut client: Client) {
    client.frame(OpCode::Close, &1001_u16.to_be_bytes()).await;
    client.end().await;
}

/// A viewer of person 1 who has seen them come.
async fn watched(engine: &Engine) -> (Client, Client) {
    let mut viewer = engine.connected(9).await;
    assert_eq!(slot(&viewer.subscribe(pill(1)).await)["status"], "offline");
    let person = engine.connected(1).await;
    assert_eq!(sees(&mut viewer, 1, "online").await, ["online"]);
    (viewer, person)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_tabs_closed_in_every_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let engine = Engine::start().await;
        let (mut viewer, first) = watched(&engine).await;
        let mut tabs = vec![Some(first)];
        for tab in 1..3 {
            let mut client = engine.client().await;
            client.connect(&format!("u1:{tab}")).await;
            tabs.push(Some(client));
        }
        for (nth, tab) in order.into_iter().enumerate() {
            let tab = tabs[tab].take().unwrap();
            // One of them by crash.
            if nth == 1 {
                drop(tab)
            } else {
                close(tab).await
            }
            let left = 3 - nth;
            eventually("closed", || engine.hub.counts().0 == left).await;
            if nth < 2 {
                later(&engine, LOST_HOLD);
                assert!(all_shown(&viewer.all().await, 1).is_empty(), "{order:?}: somebody is still there");
            }
        }
        later(&engine, LEFT_HOLD);
        assert_eq!(sees(&mut viewer, 1, "offline").await, ["offline"], "{order:?}");
        later(&engine, LOST_HOLD);
        assert!(all_shown(&viewer.all().await, 1).is_empty(), "{order:?}: only once");
    }
    assert!(LEFT_HOLD + 2 * TICK < Duration::from_millis(1_500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_held_and_may_come_back() {
    let engine = Engine::start().await;
    let (mut viewer, person) = watched(&engine).await;
    for _ in 0..2 {
        drop(engine.connected(1).await);
    }
    drop(person);
    eventually("lost", || engine.hub.counts().0 == 1).await;
    later(&engine, LOST_HOLD - Duration::from_secs(2));
    let back = engine.connected(1).await;
    later(&engine, 2 * LOST_HOLD);
    assert!(all_shown(&viewer.all().await, 1).is_empty(), "a reconnect shows nothing");
    drop(back);
    eventually("lost", || engine.hub.counts().0 == 1).await;
    later(&engine, LOST_HOLD - Duration::from_secs(2));
    assert!(all_shown(&viewer.all().await, 1).is_empty(), "held");
    later(&engine, LOST_HOLD);
    assert_eq!(sees(&mut viewer, 1, "offline").await, ["offline"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_in_all_tabs() {
    let engine = Engine::start().await;
    let (mut viewer, mut one) = watched(&engine).await;
    let mut other = engine.client().await;
    other.connect("u1:7").await;
    set(&mut one, json!({"status": "idle"})).await;
    assert!(all_shown(&viewer.all().await, 1).is_empty(), "active in the other tab");
    set(&mut other, json!({"status": "idle"})).await;
    assert_eq!(sees(&mut viewer, 1, "idle").await, ["idle"]);
    set(&mut one, json!({"status": "online"})).await;
    assert_eq!(sees(&mut viewer, 1, "online").await, ["online"]);
    close(one).await;
    eventually("closed", || engine.hub.counts().0 == 2).await;
    later(&engine, LEFT_HOLD);
    assert_eq!(sees(&mut viewer, 1, "idle").await, ["idle"], "what is left is idle");
    set(&mut other, json!({"status": "offline"})).await;
    assert_eq!(sees(&mut viewer, 1, "offline").await, ["offline"], "at once");
    // An unsubscribe is no goodbye.
    set(&mut other, json!({"status": "online"})).await;
    sees(&mut viewer, 1, "online").await;
    other.subscribe(room(1)).await;
    other.ask("unsubscribe", json!({"channel": room(1)})).await;
    later(&engine, LOST_HOLD);
    assert!(all_shown(&viewer.all().await, 1).is_empty());
}

/// 15 seconds to the next ping, 10 to its pong that does not come, and then nobody is held any longer: 30 in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_socket() {
    let engine = Engine::start().await;
    let (mut viewer, mut person) = watched(&engine).await;
    person.subscribe(room(1)).await;
    viewer.subscribe(room(1)).await;
    let conn = engine.conn(1);
    conn.ping(&engine.hub.flusher);
    eventually("its clock runs", || conn.times.pong_by.get().is_some()).await;
    engine.conn(9).times.pong_by.set(None);
    engine.hub.look_after_connections(Ticks::now().after(Duration::from_secs(10)));
    assert_eq!(person.close_code().await, 3012);
    person.end().await;
    eventually("reaped", || engine.hub.counts().0 == 1).await;
    later(&engine, LEFT_HOLD);
    engine.topic(room(1)).tick(Ticks::now().after(LEFT_HOLD), &engine.hub.flusher);
    let lines = viewer.all().await;
    assert_eq!(all_shown(&lines, 1), ["offline"]);
    assert!(lines.iter().any(|line| line["push"]["leave"].is_object()), "gone from the room as well: {lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_counts_for_a_minute_after_each_call() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(9, pill(1)).await;
    let identity = engine.toy.identity_of("u1");
    let call = |status| {
        let set = PresenceSet { status, activity: None };
        engine.hub.set_presence(&identity, DeviceId::Session(identity.session_id), &set);
    };
    call(None);
    assert_eq!(sees(&mut viewer, 1, "online").await, ["online"]);
    later(&engine, PROGRAM_FOR - Duration::from_secs(1));
    call(Some(Status::Idle));
    assert_eq!(sees(&mut viewer, 1, "idle").await, ["idle"]);
    call(None);
    assert!(all_shown(&viewer.all().await, 1).is_empty(), "what is absent stays");
    later(&engine, PROGRAM_FOR);
    assert_eq!(sees(&mut viewer, 1, "offline").await, ["offline"]);
    call(Some(Status::Online));
    assert_eq!(sees(&mut viewer, 1, "online").await, ["online"]);
    call(Some(Status::Offline));
    assert_eq!(sees(&mut viewer, 1, "offline").await, ["offline"], "at once");
    // A page with a connection is that connection, also when it calls.
    call(None);
    sees(&mut viewer, 1, "online").await;
    let page = engine.connected(1).await;
    call(Some(Status::Idle));
    assert_eq!(sees(&mut viewer, 1, "idle").await, ["idle"]);
    close(page).await;
    eventually("closed", || engine.hub.counts().0 == 1).await;
    later(&engine, LEFT_HOLD);
    assert_eq!(sees(&mut viewer, 1, "offline").await, ["offline"]);
    // With the sign-in its programs end.
    call(None);
    assert_eq!(sees(&mut viewer, 1, "online").await, ["online"]);
    let (user_id, session_ids) = (identity.user_id, vec![identity.session_id]);
    let why = studyhall_protocol::error::Disconnect::SIGNED_OUT;
    let end = crate::live::backend::Effect::EndSessions { user_id, session_ids, why };
    engine.hub.apply(vec![engine.toy.commit(Channel::User(user_id), vec![end])]);
    assert_eq!(sees(&mut viewer, 1, "offline").await, ["offline"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_activity_is_the_persons() {
    let engine = Engine::start().await;
    let (mut viewer, mut one) = watched(&engine).await;
    let mut other = engine.client().await;
    other.connect("u1:7").await;
    set(&mut one, json!({"activity": "Reading"})).await;
    set(&mut other, json!({"activity": "Writing", "status": "idle"})).await;
    viewer.until(|line| line["push"]["pub"]["data"]["data"]["activity"] == "Writing").await;
    let late = slot(&engine.connected(8).await.subscribe(pill(1)).await);
    assert_eq!(
        (&late["activity"], &late["user_id"], &late["status"]),
        (&json!("Writing"), &json!(user(1)), &json!("online"))
    );
    set(&mut one, json!({"activity": null})).await;
    viewer.until(|line| shown(line, 1).is_some() && line["push"]["pub"]["data"]["data"]["activity"].is_null()).await;
    set(&mut one, json!({"activity": "Thinking"})).await;
    for tab in [&mut one, &mut other] {
        set(tab, json!({"status": "offline"})).await;
    }
    set(&mut one, json!({"status": "online"})).await;
    let lines = viewer.all().await;
    let last = lines.iter().rfind(|line| shown(line, 1).is_some()).unwrap();
    assert_eq!(last["push"]["pub"]["data"]["data"]["activity"], Value::Null, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_is_written_down() {
    let engine = Engine::start().await;
    engine.toy.state.lock().failing_stores = 2;
    let mut person = engine.connected(1).await;
    set(&mut person, json!({"activity": "Reading"})).await;
    let last = |n: u128| engine.toy.state.lock().stored.iter().rfind(|row| row.user_id == user(n)).cloned();
    eventually("written", || last(1).is_some_and(|row| row.activity.as_deref() == Some("Reading"))).await;
    let first = last(1).unwrap();
    assert!(first.status == Status::Online && first.last_seen_at.is_some());
    close(person).await;
    eventually("closed", || engine.hub.counts().0 == 0).await;
    let other = engine.connected(2).await;
    eventually("standing", || engine.hub.standing_known(user(2)).is_some()).await;
    later(&engine, LEFT_HOLD);
    // The engine stops at once: nothing is lost, and who was not to be seen leaving is still here.
    engine.hub.stop().await;
    let gone = last(1).unwrap();
    assert_eq!((gone.status, gone.activity), (Status::Offline, None));
    assert!(gone.last_seen_at > first.last_seen_at);
    assert_eq!(last(2).unwrap().status, Status::Online);
    drop(other);
}

/// Nobody is looked at for being here: only who has something that ends by time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_cost_nothing_while_they_are_here() {
    let engine = Engine::start().await;
    let mut people = Vec::new();
    for n in 1..=20 {
        people.push(engine.connected(n).await);
    }
    assert_eq!(engine.hub.timed_people(), 0);
    drop(people.pop());
    eventually("held", || engine.hub.timed_people() == 1).await;
    later(&engine, LOST_HOLD);
    assert_eq!(engine.hub.timed_people(), 0);
    assert_eq!(engine.toy.state.lock().questions, 0);
}
