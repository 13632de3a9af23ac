//! Who may see whom, and what is seen of it when that changes.

use serde_json::{Value, json};
use studyhall_protocol::settings::PresenceVisibility::{self, Everyone, Following, Nobody};

use super::presence::{all_shown, later, pill, sees, set, shown, slot};
use super::*;
use crate::live::backend::{Effect, Standing};
use crate::live::limits::LEFT_HOLD;
use crate::live::time::Ticks;

/// What is seen of person `n` in a room: `+` for a join, `-` for a leave.
fn moves_of(lines: &[Value], n: u128) -> String {
    let of = |line: &Value, kind: &str| line["push"][kind]["info"]["user"] == json!(user(n));
    let sign = |line: &Value| match (of(line, "join"), of(line, "leave")) {
        (true, _) => Some('+'),
        (_, true) => Some('-'),
        _ => None,
    };
    lines.iter().filter_map(sign).collect()
}

impl Engine {
    fn stand(&self, n: u128, audience: PresenceVisibility, invisible: bool, hidden: &[u128]) {
        let hidden = hidden.iter().map(|n| user(*n)).collect();
        let standing = Standing { user_id: user(n), audience, invisible, hidden };
        self.toy.state.lock().standings.insert(user(n), standing);
    }

    fn effect(&self, effects: Vec<Effect>) {
        self.hub.apply(vec![self.toy.commit(Channel::User(user(1)), effects)]);
    }

    /// The standing of person 1 changes while they are here; waits until that is known.
    async fn restand(&self, n: u128, audience: PresenceVisibility, invisible: bool, hidden: &[u128]) {
        let before = self.hub.standing_known(user(n)).map(|known| known.version);
        self.stand(n, audience, invisible, hidden);
        self.effect(vec![Effect::Reload(user(n))]);
        let after = || self.hub.standing_known(user(n)).map(|known| known.version);
        eventually("reloaded", || after() != before).await;
        // Asked again: by then the first answer has reached the rooms.
        let before = after();
        self.effect(vec![Effect::Reload(user(n))]);
        eventually("reloaded", || after() != before).await;
    }

    fn may_see(&self, viewer: u128, author: u128, may: bool) {
        let mut state = self.toy.state.lock();
        let pair = (user(viewer), user(author));
        if may {
            state.unseen.remove(&pair)
        } else {
            state.unseen.insert(pair)
        };
    }
}

fn recheck(author: Option<u128>, viewer: Option<u128>) -> Vec<Effect> {
    vec![Effect::Recheck { author: author.map(user), viewer: viewer.map(user) }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_there_is_no_slot() {
    let engine = Engine::start().await;
    engine.may_see(8, 1, false);
    let mut viewer = engine.connected(9).await;
    let mut stranger = engine.connected(8).await;
    assert_eq!(slot(&viewer.subscribe(pill(1)).await)["status"], "offline");
    assert_eq!(slot(&stranger.subscribe(pill(1)).await), Value::Null);
    let mut person = engine.connected(1).await;
    sees(&mut viewer, 1, "online").await;
    assert!(all_shown(&stranger.all().await, 1).is_empty());
    // The right comes, by either end of the pair, and goes again.
    for effects in [recheck(Some(1), None), recheck(None, Some(8)), recheck(Some(1), Some(8))] {
        engine.may_see(8, 1, true);
        engine.effect(effects.clone());
        assert_eq!(sees(&mut stranger, 1, "online").await, ["online"], "the value of now");
        engine.may_see(8, 1, false);
        engine.effect(effects);
        let taken = stranger.until(|line| shown(line, 1).is_some()).await;
        assert_eq!(taken.last().unwrap()["push"]["pub"]["data"]["data"], Value::Null);
        set(&mut person, json!({"status": "idle"})).await;
        set(&mut person, json!({"status": "online"})).await;
        assert!(all_shown(&stranger.all().await, 1).is_empty());
    }
    // About others nothing is asked.
    let questions = engine.toy.state.lock().questions;
    engine.effect(recheck(Some(77), None));
    engine.effect(recheck(None, Some(77)));
    engine.effect(recheck(Some(1), Some(77)));
    engine.effect(recheck(Some(1), Some(8)));
    eventually("asked", || engine.toy.state.lock().questions > questions).await;
    assert_eq!(engine.toy.state.lock().questions, questions + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_answer_never_counts_after_a_newer_one() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(9, pill(1)).await;
    let _person = engine.connected(1).await;
    sees(&mut viewer, 1, "online").await;
    let asked = engine.toy.asking.count();
    engine.toy.asking.shut();
    engine.may_see(9, 1, false);
    engine.effect(recheck(Some(1), None));
    engine.toy.asking.arrived(asked + 1).await;
    engine.may_see(9, 1, true);
    engine.effect(recheck(Some(1), None));
    engine.toy.asking.open();
    engine.toy.asking.arrived(asked + 2).await;
    // One question at a time: when the next one comes, that answer is in.
    engine.effect(recheck(Some(1), None));
    engine.toy.asking.arrived(asked + 3).await;
    let seen = all_shown(&viewer.all().await, 1);
    assert!(seen.last().is_none_or(|last| last == "online"), "{seen:?}");
    assert!(engine.topic(pill(1)).state.lock().seats.iter().all(|seat| seat.sees));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_lost_while_subscribing() {
    let engine = Engine::start().await;
    let _person = engine.connected(1).await;
    let mut viewer = engine.connected(9).await;
    engine.toy.admitting.shut();
    let subscribe = json!({"id": 70, "subscribe": {"channel": pill(1)}});
    viewer.send(&subscribe.to_string()).await;
    engine.toy.admitting.arrived(1).await;
    engine.may_see(9, 1, false);
    engine.effect(recheck(Some(1), None));
    engine.toy.admitting.open();
    let reply = viewer.reply(70).await["subscribe"].clone();
    assert_eq!(slot(&reply)["status"], "online", "the answer is older than the change");
    let taken = viewer.until(|line| shown(line, 1).is_some()).await;
    assert_eq!(taken.last().unwrap()["push"]["pub"]["data"]["data"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invisible_is_offline_and_nothing_moves() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(9, pill(1)).await;
    let mut person = engine.connected(1).await;
    sees(&mut viewer, 1, "online").await;
    let own = slot(&person.subscribe(pill(1)).await);
    assert_eq!(own["status"], "online");
    engine.restand(1, Everyone, true, &[]).await;
    let left = viewer.until(|line| shown(line, 1) == Some(json!("offline"))).await;
    let left_at = left.last().unwrap()["push"]["pub"]["data"]["data"]["last_seen_at"].clone();
    // As times: their texts have as many digits as they need.
    let time = |value: &Value| serde_json::from_value::<chrono::DateTime<chrono::Utc>>(value.clone()).unwrap();
    assert!(time(&left_at) > time(&own["last_seen_at"]));
    set(&mut person, json!({"activity": "Secret", "status": "idle"})).await;
    assert_eq!(sees(&mut person, 1, "idle").await.last(), Some(&json!("idle")), "to oneself one is there");
    let second = engine.connected(1).await;
    drop(second);
    eventually("lost", || engine.hub.counts().0 == 2).await;
    later(&engine, Duration::from_secs(11));
    assert!(all_shown(&viewer.all().await, 1).is_empty(), "nothing is to be noticed");
    let late = slot(&engine.connected(8).await.subscribe(pill(1)).await);
    assert_eq!(
        (&late["status"], &late["last_seen_at"], &late["activity"]),
        (&json!("offline"), &left_at, &Value::Null)
    );
    let stored = || engine.toy.state.lock().stored.iter().rfind(|row| row.user_id == user(1)).cloned();
    eventually("written", || stored().is_some_and(|row| row.status.as_str() == "offline")).await;
    assert_eq!(json!(stored().unwrap().last_seen_at), left_at);
    drop(person);
    eventually("lost", || engine.hub.counts().0 == 1).await;
    later(&engine, Duration::from_secs(11));
    assert!(all_shown(&viewer.all().await, 1).is_empty());
    let mut back = engine.connected(1).await;
    eventually("standing", || engine.hub.standing_known(user(1)).is_some()).await;
    back.all().await;
    assert!(all_shown(&viewer.all().await, 1).is_empty());
    engine.restand(1, Everyone, false, &[]).await;
    sees(&mut viewer, 1, "online").await;
}

/// Everybody who may look at person 1, as member 2, guest 3, and member 4 whom a block parts from them.
async fn audience(engine: &Engine) -> [Client; 3] {
    engine.toy.state.lock().guests.insert(user(3));
    let mut audience = Vec::new();
    for n in 2..=4 {
        audience.push(engine.subscribed(n, room(1)).await);
    }
    for client in &mut audience {
        client.all().await;
    }
    audience.try_into().ok().unwrap()
}

async fn people(client: &mut Client) -> (bool, u64) {
    let presence = client.ask("presence", json!({"channel": room(1)})).await;
    let people = presence["presence"]["presence"].as_object().unwrap().clone();
    let stats = client.ask("presence_stats", json!({"channel": room(1)})).await["presence_stats"].clone();
    assert_eq!(stats["num_users"], people.len());
    (people.contains_key(&user(1).to_string()), stats["num_clients"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sees_whom_in_a_room() {
    for (audience_of, invisible, expected) in [
        (Everyone, false, [true, true, false]),
        (Following, false, [true, false, false]),
        (Nobody, false, [false, false, false]),
        (Everyone, true, [false, false, false]),
        (Following, true, [false, false, false]),
    ] {
        let engine = Engine::start().await;
        engine.stand(1, audience_of, invisible, &[4]);
        engine.stand(4, Everyone, false, &[1]);
        let mut viewers = audience(&engine).await;
        let mut person = engine.connected(1).await;
        let own = person.subscribe(room(1)).await;
        let ids = own["data"]["people"].as_array().unwrap();
        let seen = |n: u128| ids.iter().any(|info| info["user"] == json!(user(n)));
        assert!(seen(1) && seen(2) && seen(3) && !seen(4), "a block parts both: {ids:?}");
        assert_eq!((own["data"]["num_users"].as_u64(), people(&mut person).await.1), (Some(3), 3));
        for (viewer, sees) in viewers.iter_mut().zip(expected) {
            let joined = moves_of(&viewer.all().await, 1);
            assert_eq!(joined, if sees { "+" } else { "" }, "{audience_of:?} {invisible} {expected:?}");
            assert_eq!(people(viewer).await.0, sees);
        }
        let late = engine.connected(5).await.subscribe(room(1)).await;
        let late = late["data"]["people"].as_array().unwrap().iter().any(|info| info["user"] == json!(user(1)));
        assert_eq!(late, expected[0]);
        person.ask("unsubscribe", json!({"channel": room(1)})).await;
        engine.topic(room(1)).tick(Ticks::now().after(LEFT_HOLD), &engine.hub.flusher);
        for (viewer, sees) in viewers.iter_mut().zip(expected) {
            assert_eq!(moves_of(&viewer.all().await, 1), if sees { "-" } else { "" });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standing_that_changes_in_a_room() {
    let engine = Engine::start().await;
    let mut viewers = audience(&engine).await;
    let mut person = engine.subscribed(1, room(1)).await;
    person.all().await;
    for viewer in &mut viewers {
        assert_eq!(moves_of(&viewer.all().await, 1), "+");
    }
    let steps: [(PresenceVisibility, bool, &[u128], [&str; 3]); 8] = [
        (Following, false, &[], ["", "-", ""]),
        (Following, false, &[], ["", "", ""]),
        (Everyone, false, &[], ["", "+", ""]),
        (Everyone, true, &[], ["-", "-", "-"]),
        (Following, true, &[], ["", "", ""]),
        (Following, false, &[], ["+", "", "+"]),
        (Nobody, false, &[], ["-", "", "-"]),
        (Everyone, false, &[], ["+", "+", "+"]),
    ];
    for (audience, invisible, hidden, expected) in steps {
        engine.restand(1, audience, invisible, hidden).await;
        for (viewer, expected) in viewers.iter_mut().zip(expected) {
            assert_eq!(moves_of(&viewer.all().await, 1), expected, "{audience:?} {invisible}");
        }
        assert_eq!(moves_of(&person.all().await, 1), "", "one always sees oneself");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_in_a_room_parts_two_and_nobody_else() {
    let engine = Engine::start().await;
    let mut viewers = audience(&engine).await;
    let mut person = engine.subscribed(1, room(1)).await;
    for client in viewers.iter_mut().chain([&mut person]) {
        client.all().await;
    }
    for (hidden, sign) in [(true, "-"), (false, "+")] {
        let of = |n: u128| if hidden { vec![n] } else { Vec::new() };
        engine.restand(1, Everyone, false, &of(4)).await;
        engine.restand(4, Everyone, false, &of(1)).await;
        assert_eq!(moves_of(&person.all().await, 4), sign);
        let seen: Vec<String> = [
            moves_of(&viewers[0].all().await, 1),
            moves_of(&viewers[1].all().await, 1),
            moves_of(&viewers[2].all().await, 1),
        ]
        .into();
        assert_eq!(seen, ["", "", sign]);
        if hidden {
            // What happens behind a block is not seen, and what is seen after it is whole.
            person.ask("unsubscribe", json!({"channel": room(1)})).await;
            engine.topic(room(1)).tick(Ticks::now().after(LEFT_HOLD), &engine.hub.flusher);
            assert_eq!(moves_of(&viewers[0].all().await, 1), "-");
            assert_eq!(moves_of(&viewers[2].all().await, 1), "");
            person.subscribe(room(1)).await;
            assert_eq!(moves_of(&person.all().await, 4), "");
            assert_eq!(moves_of(&viewers[0].all().await, 1), "+");
            assert_eq!(moves_of(&viewers[1].all().await, 1), "-+");
            assert_eq!(moves_of(&viewers[2].all().await, 1), "");
        }
    }
}

/// The standing that a seat was taken with is an older one than the room's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standing_that_changes_while_subscribing() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(2, room(1)).await;
    viewer.all().await;
    let mut person = engine.connected(1).await;
    eventually("standing", || engine.hub.standing_known(user(1)).is_some()).await;
    engine.toy.admitting.shut();
    let admitted = engine.toy.admitting.count();
    person.send(&json!({"id": 70, "subscribe": {"channel": room(1)}}).to_string()).await;
    engine.toy.admitting.arrived(admitted + 1).await;
    engine.restand(1, Nobody, false, &[]).await;
    engine.toy.admitting.open();
    assert!(person.reply(70).await["subscribe"].is_object());
    person.all().await;
    let seen = moves_of(&viewer.all().await, 1);
    assert!(["", "+-"].contains(&&*seen), "{seen}");
    assert!(!people(&mut viewer).await.0);
}

/// Who has lost their connection has no seat any more, and is still to be seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standing_that_changes_of_somebody_held() {
    let engine = Engine::start().await;
    let mut viewer = engine.subscribed(2, room(1)).await;
    let person = engine.subscribed(1, room(1)).await;
    assert_eq!(moves_of(&viewer.all().await, 1), "+");
    drop(person);
    eventually("lost", || engine.hub.counts().0 == 1).await;
    engine.restand(1, Everyone, true, &[]).await;
    assert_eq!(moves_of(&viewer.all().await, 1), "-");
}
