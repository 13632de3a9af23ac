//! People on several nodes are the same people.

use serde_json::json;

use super::nodes::{Shared, nodes};
use super::presence::{all_shown, later, pill, sees, set, slot};
use super::*;
use crate::live::backend::Effect;
use crate::live::limits::{LEFT_HOLD, LOST_HOLD};
use crate::live::time::Ticks;

/// Joins and leaves of person 1 in these lines.
fn moves(lines: &[serde_json::Value]) -> String {
    let of = |line: &serde_json::Value, kind: &str| line["push"][kind]["info"]["user"] == json!(user(1));
    let sign = |line: &serde_json::Value| match (of(line, "join"), of(line, "leave")) {
        (true, _) => Some('+'),
        (_, true) => Some('-'),
        _ => None,
    };
    lines.iter().filter_map(sign).collect()
}

async fn leave(engine: &Engine, shared: &Shared, mut client: Client) {
    client.ask("unsubscribe", json!({"channel": room(1)})).await;
    engine.topic(room(1)).tick(Ticks::now().after(LEFT_HOLD), &engine.hub.flusher);
    shared.settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_in_a_room_on_two_nodes_is_one_person() {
    let ([here, there], shared) = nodes().await;
    let mut near = here.subscribed(9, room(1)).await;
    let mut far = there.subscribed(8, room(1)).await;
    let one = here.subscribed(1, room(1)).await;
    let other = there.subscribed(1, room(1)).await;
    shared.settled().await;
    for viewer in [&mut near, &mut far] {
        assert_eq!(moves(&viewer.all().await), "+");
        let stats = viewer.ask("presence_stats", json!({"channel": room(1)})).await;
        assert_eq!(stats["presence_stats"], json!({"num_clients": 4, "num_users": 3}));
        let presence = viewer.ask("presence", json!({"channel": room(1)})).await;
        let person = &presence["presence"]["presence"][user(1).to_string()];
        assert_eq!((&person["chan_info"]["devices"], &person["conn_info"]["name"]), (&json!(2), &json!("u1")));
    }
    leave(&here, &shared, one).await;
    assert_eq!((moves(&near.all().await), moves(&far.all().await)), (String::new(), String::new()));
    leave(&there, &shared, other).await;
    assert_eq!((moves(&near.all().await), moves(&far.all().await)), ("-".into(), "-".into()));
}

/// The reply has everybody, and one question was asked for all channels of the frame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_reply_has_the_people_of_other_nodes() {
    let ([here, there], shared) = nodes().await;
    let mut person = there.subscribed(1, room(1)).await;
    set(&mut person, json!({"activity": "Reading"})).await;
    let mut viewer = here.connected(9).await;
    shared.questions.lock().clear();
    let line = |id: u32, channel| json!({"id": id, "subscribe": {"channel": channel, "join_leave": true}}).to_string();
    viewer
        .send(&[line(50, room(1)), line(51, pill(1)), line(52, pill(2)), line(53, Channel::User(user(9)))].join("\n"))
        .await;
    let reply = viewer.reply(50).await["subscribe"].clone();
    assert_eq!((&reply["data"]["num_users"], reply["data"]["people"].as_array().unwrap().len()), (&json!(2), 2));
    let shown = slot(&viewer.reply(51).await["subscribe"]);
    assert_eq!((&shown["status"], &shown["activity"]), (&json!("online"), &json!("Reading")));
    assert_eq!(slot(&viewer.reply(52).await["subscribe"])["status"], "offline");
    viewer.reply(53).await;
    assert_eq!(*shared.questions.lock(), [4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_shows_all_nodes_together() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = here.subscribed(9, pill(1)).await;
    let mut idle = here.connected(1).await;
    let mut active = there.connected(1).await;
    sees(&mut viewer, 1, "online").await;
    set(&mut idle, json!({"status": "idle", "activity": "Reading"})).await;
    set(&mut active, json!({"activity": "Writing"})).await;
    viewer.until(|line| line["push"]["pub"]["data"]["data"]["activity"] == "Writing").await;
    assert_eq!(here.hub.presences(&[user(1), user(2)]).await[0].activity.as_deref(), Some("Writing"));
    // Also from a node where nobody watches.
    assert_eq!(there.hub.presences(&[user(1)]).await[0].status.as_str(), "online");
    assert_eq!(there.hub.nowhere(&[user(1), user(2)]).await, [user(2)]);
    drop(active);
    eventually("lost", || there.hub.counts().0 == 0).await;
    later(&there, LOST_HOLD);
    shared.settled().await;
    assert_eq!(sees(&mut viewer, 1, "idle").await, ["idle"]);
    drop(idle);
    eventually("lost", || here.hub.counts().0 == 1).await;
    later(&here, LOST_HOLD);
    assert_eq!(sees(&mut viewer, 1, "offline").await, ["offline"]);
}

/// Who goes from one node to the other, as in a deploy, is not seen to go; and is written down by the one they are on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_the_node_is_no_flap() {
    let ([here, there, third], shared) = nodes().await;
    let mut viewer = third.subscribed(9, pill(1)).await;
    viewer.subscribe(room(1)).await;
    let first = here.subscribed(1, room(1)).await;
    sees(&mut viewer, 1, "online").await;
    shared.settled().await;
    viewer.all().await;
    here.hub.drain(Duration::ZERO).await;
    drop(first);
    let second = there.subscribed(1, room(1)).await;
    eventually("drained", || here.hub.counts().0 == 0).await;
    later(&here, LOST_HOLD);
    here.topic(room(1)).tick(Ticks::now().after(LOST_HOLD), &here.hub.flusher);
    shared.settled().await;
    let lines = viewer.all().await;
    assert_eq!((all_shown(&lines, 1), moves(&lines)), (vec![], "".into()), "{lines:?}");
    here.hub.write_records().await.unwrap();
    there.hub.write_records().await.unwrap();
    let stored = there.toy.state.lock().stored.clone();
    let of_person: Vec<_> = stored.iter().filter(|row| row.user_id == user(1)).collect();
    assert!(!of_person.is_empty() && of_person.iter().all(|row| row.status.as_str() == "online"), "{of_person:?}");
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_people_of_a_dead_node_leave() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = here.subscribed(9, pill(1)).await;
    viewer.subscribe(room(1)).await;
    let _ghost = there.subscribed(1, room(1)).await;
    sees(&mut viewer, 1, "online").await;
    shared.settled().await;
    viewer.all().await;
    shared.bury(1);
    shared.settled().await;
    let lines = viewer.all().await;
    assert_eq!((all_shown(&lines, 1), moves(&lines)), (vec![json!("offline")], "-".into()));
}

/// What was heard while a node began to listen is newer than the answer that it got.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_answer_of_the_others_does_not_count() {
    let ([here, there], shared) = nodes().await;
    let person = there.subscribed(1, room(1)).await;
    let mut viewer = here.connected(9).await;
    let asked = shared.attending.count();
    shared.attending.shut();
    viewer.send(&json!({"id": 70, "subscribe": {"channel": room(1), "join_leave": true}}).to_string()).await;
    shared.attending.arrived(asked + 1).await;
    leave(&there, &shared, person).await;
    shared.attending.open();
    let reply = viewer.reply(70).await;
    assert_eq!(reply["subscribe"]["data"]["num_users"], 1, "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens_to_what_is_not_used() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = here.connected(9).await;
    here.toy.state.lock().denied.insert((user(9), room(2)));
    viewer.ask("subscribe", json!({"channel": room(2)})).await;
    assert!(shared.attended(0).is_empty(), "a stranger makes no node listen");
    let person = there.subscribed(1, room(1)).await;
    for round in 0..2 {
        assert_eq!(viewer.subscribe(room(1)).await["data"]["num_users"], 2, "round {round}");
        viewer.subscribe(pill(1)).await;
        assert_eq!(shared.attended(0), [room(1), pill(1)].into());
        for channel in [room(1), pill(1)] {
            viewer.ask("unsubscribe", json!({"channel": channel})).await;
        }
        here.topic(room(1)).tick(Ticks::now().after(LEFT_HOLD), &here.hub.flusher);
        here.hub.retire_idle(Ticks::now().after(Duration::from_secs(31)));
        assert!(shared.attended(0).is_empty(), "the people of others keep no channel alive");
    }
    assert_eq!((shared.said_by(room(1), user(1)), shared.said_by(room(1), user(9))), (1, 0));
    drop(person);
}

/// Each node takes its own out; what the other one says is not believed after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_leaves_once_on_every_node() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = here.subscribed(9, room(1)).await;
    let mut removed = there.subscribed(1, room(1)).await;
    shared.settled().await;
    assert_eq!(moves(&viewer.all().await), "+");
    let why = studyhall_protocol::error::Unsubscribed::REMOVED;
    let event = here.toy.commit(room(1), vec![Effect::Remove(user(1), why)]);
    here.hub.apply(vec![event.clone()]);
    viewer.offsets_until(room(1), 1).await;
    there.hub.apply(vec![event]);
    removed.until(|line| line["push"]["unsubscribe"].is_object()).await;
    shared.settled().await;
    assert_eq!(moves(&viewer.all().await), "-");
}
