//! What nodes tell each other of what happens: seen where it is heard, and believed only as far as the log agrees.

use serde_json::json;

use super::client::unnumbered;
use super::nodes::nodes;
use super::slots::{GESTURE, WIDGET, drag, given_up_after, values};
use super::*;
use crate::live::backend::{Effect, SlotKey};
use crate::live::limits::{GESTURE_HOLD, SAID_AGAIN_WITHIN, SILENT_AFTER};
use crate::live::roster::Ear;
use crate::live::time::Ticks;

fn pointer(x: u32) -> serde_json::Value {
    json!({"type": "pointer", "data": {"x": x}})
}

/// The values of somebody's pointer in these lines: `None` where it was cleared.
fn pointers(lines: &[serde_json::Value]) -> Vec<Option<u64>> {
    let pointers = unnumbered(lines).into_iter().filter(|data| data["type"] == "pointer");
    pointers.map(|data| data["data"]["x"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_on_one_node_is_seen_on_the_others() {
    let ([here, there], shared) = nodes().await;
    let mut author = here.subscribed(1, room(1)).await;
    let mut viewer = there.subscribed(2, room(1)).await;
    for x in 1..=3 {
        author.publish(room(1), drag(GESTURE, x)).await;
        author.publish(room(1), pointer(x)).await;
        author.publish(room(1), json!({"type": "reaction", "data": x})).await;
    }
    shared.settled().await;
    let seen = viewer.all().await;
    assert_eq!((values(&seen).last(), pointers(&seen).last()), (Some(&Some(3)), Some(&Some(3))));
    let reactions = unnumbered(&seen).into_iter().filter(|data| data["type"] == "reaction");
    let reactions: Vec<_> = reactions.map(|data| (data["actor"].clone(), data["data"].clone())).collect();
    assert_eq!(reactions, [1, 2, 3].map(|x| (json!(user(1)), json!(x))), "in order");
    // Each node writes its own: nobody is told of it twice.
    assert_eq!(pointers(&author.all().await).last(), Some(&Some(3)));
    let data = there.connected(3).await.subscribe(room(1)).await["data"].clone();
    assert_eq!(data["slots"].as_array().unwrap().len(), 2, "{data}");
    // And what is cleared there is cleared here.
    author.publish(room(1), json!({"type": "pointer", "data": null})).await;
    shared.settled().await;
    assert_eq!(pointers(&viewer.all().await), [None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_begin_at_the_same_moment_one_goes_on_everywhere() {
    for (first, second) in [(60, 61), (61, 60)] {
        let ([here, there], shared) = nodes().await;
        let mut anna = here.subscribed(1, room(1)).await;
        let mut ben = there.subscribed(2, room(1)).await;
        shared.deafen(0, true);
        shared.deafen(1, true);
        assert!(anna.publish(room(1), drag(first, 1)).await["publish"].is_object());
        assert!(ben.publish(room(1), drag(second, 2)).await["publish"].is_object());
        shared.settled().await;
        shared.deafen(0, false);
        shared.deafen(1, false);
        shared.ask(room(1));
        shared.settled().await;
        let (winner, loser) = if first < second { (&mut anna, &mut ben) } else { (&mut ben, &mut anna) };
        let refused = loser.publish(room(1), drag(61, 3)).await;
        assert_eq!(refused["error"]["code"], 1409, "{refused}");
        assert!(winner.publish(room(1), drag(60, 4)).await["publish"].is_object());
        shared.settled().await;
        for client in [winner, loser] {
            assert_eq!(values(&client.all().await).last(), Some(&Some(4)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_ends_its_gesture_on_all_nodes() {
    let ([here, there], shared) = nodes().await;
    let mut author = here.subscribed(1, room(1)).await;
    let mut viewer = there.subscribed(2, room(1)).await;
    author.publish(room(1), drag(GESTURE, 1)).await;
    shared.settled().await;
    let key = SlotKey { kind: "drag", id: user(WIDGET) };
    let dropped = here.toy.commit(room(1), vec![Effect::EndGesture { key, gesture: Some(user(GESTURE)) }]);
    // The other node is told first: a value that is late everywhere but here.
    shared.hint(1, "e1", vec![dropped.clone()]);
    viewer.offsets_until(room(1), 1).await;
    author.publish(room(1), drag(GESTURE, 2)).await;
    shared.settled().await;
    assert_eq!(values(&viewer.all().await), []);
    here.hub.apply(vec![dropped]);
    assert_eq!(there.connected(3).await.subscribe(room(1)).await["data"]["slots"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_comes_behind_the_end_of_its_gesture_does_not_stay() {
    let ([here, there], shared) = nodes().await;
    let mut author = here.subscribed(1, room(1)).await;
    author.publish(room(1), drag(GESTURE, 1)).await;
    let key = SlotKey { kind: "drag", id: user(WIDGET) };
    let dropped = here.toy.commit(room(1), vec![Effect::EndGesture { key, gesture: Some(user(GESTURE)) }]);
    // One who begins to listen behind the event gets the value from a node that has not seen it yet.
    let mut viewer = there.subscribed(2, room(1)).await;
    shared.ask(room(1));
    shared.settled().await;
    assert_eq!(values(&viewer.all().await), [Some(1)]);
    here.hub.apply(vec![dropped]);
    shared.settled().await;
    assert_eq!(values(&viewer.all().await), [None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gesture_that_ends_while_somebody_comes_is_not_seen() {
    let ([here, there], shared) = nodes().await;
    let mut author = here.subscribed(1, room(1)).await;
    here.toy.admitting.shut();
    let mut viewer = there.connected(2).await;
    let coming = tokio::spawn(async move { viewer.subscribe(room(1)).await });
    eventually("the channel is there", || there.hub.counts().1 > 0).await;
    author.publish(room(1), drag(GESTURE, 1)).await;
    let key = SlotKey { kind: "drag", id: user(WIDGET) };
    let dropped = here.toy.commit(room(1), vec![Effect::EndGesture { key, gesture: Some(user(GESTURE)) }]);
    there.hub.published(
        Uuid::nil(),
        room(1),
        json!({"type": "drag", "key": user(WIDGET), "actor": user(1), "data":
        {"drag_id": user(GESTURE), "x": 1}})
        .to_string()
        .as_bytes(),
    );
    shared.hint(1, "e1", vec![dropped]);
    here.toy.admitting.open();
    // The gate stands behind the snapshot, so this one is from before the event; the next one is not.
    assert!(coming.await.unwrap()["data"]["slots"] == json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_vanishes_with_a_node_is_cleared_and_adopted() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = here.subscribed(2, room(1)).await;
    let mut author = there.subscribed(1, room(1)).await;
    author.publish(room(1), drag(GESTURE, 7)).await;
    author.publish(room(1), pointer(7)).await;
    shared.settled().await;
    viewer.all().await;
    // However long it is silent: that is for the node of its author.
    here.hub.look_after_channels(Ticks::now().after(SILENT_AFTER - Duration::from_secs(1)));
    assert!(here.toy.state.lock().orphans.is_empty());
    shared.bury(1);
    shared.settled().await;
    assert_eq!(pointers(&viewer.all().await), [None]);
    given_up_after(&here, 4).await;
    let orphans = here.toy.state.lock().orphans.clone();
    assert_eq!((orphans.len(), orphans[0].author, orphans[0].gesture), (1, user(1), user(GESTURE)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_vanishes_with_a_node_and_comes_back_on_another_drags_no_more() {
    let ([here, there, third], shared) = nodes().await;
    let mut viewer = here.subscribed(2, room(1)).await;
    let mut author = there.subscribed(1, room(1)).await;
    author.publish(room(1), drag(GESTURE, 7)).await;
    author.publish(room(1), pointer(7)).await;
    // The same person, who has nothing in hand here.
    let _again = third.subscribed(1, room(1)).await;
    shared.settled().await;
    assert_eq!(pointers(&viewer.all().await), [Some(7)]);
    shared.bury(1);
    shared.settled().await;
    assert_eq!(pointers(&viewer.all().await), [None]);
    given_up_after(&here, 4).await;
    assert_eq!(values(&viewer.all().await), [None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_never_said_to_be_there_is_missed() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = here.subscribed(2, room(1)).await;
    // Their node died before it said that they had come; where they are by now they do nothing.
    let _again = there.subscribed(1, room(1)).await;
    shared.settled().await;
    for data in [drag(GESTURE, 7), pointer(7)] {
        let mut data = data;
        data["actor"] = json!(user(1));
        here.hub.published(Uuid::from_u128(99), room(1), data.to_string().as_bytes());
    }
    assert_eq!(pointers(&viewer.all().await), [Some(7)]);
    here.hub.look_after_channels(Ticks::now());
    assert_eq!(pointers(&viewer.all().await), []);
    eventually("they are missed", || {
        here.hub.look_after_channels(Ticks::now().after(GESTURE_HOLD));
        here.hub.look_after_channels(Ticks::now().after(2 * GESTURE_HOLD));
        !here.toy.state.lock().orphans.is_empty()
    })
    .await;
    assert_eq!(pointers(&viewer.all().await), [None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_others_nothing_of_theirs_is_committed() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = here.subscribed(2, room(1)).await;
    let mut author = there.subscribed(1, room(1)).await;
    author.publish(room(1), drag(GESTURE, 7)).await;
    shared.settled().await;
    assert_eq!(values(&viewer.all().await), [Some(7)]);
    // Redis is gone for so long that the others are not shown any more; the author may well be dragging still.
    shared.deafen(0, true);
    here.hub.heard(room(1), (user(1), Vec::new()));
    assert_eq!(values(&viewer.all().await), [None]);
    here.hub.look_after_channels(Ticks::now().after(2 * SILENT_AFTER));
    assert!(here.toy.state.lock().orphans.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_begins_to_listen_is_told_what_holds() {
    let ([here, there], shared) = nodes().await;
    let mut author = here.subscribed(1, room(1)).await;
    author.publish(room(1), pointer(5)).await;
    author.publish(room(1), drag(GESTURE, 5)).await;
    shared.settled().await;
    let mut viewer = there.subscribed(2, room(1)).await;
    viewer.all().await;
    shared.ask(room(1));
    shared.settled().await;
    let seen = viewer.all().await;
    assert_eq!((values(&seen), pointers(&seen)), (vec![Some(5)], vec![Some(5)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_break_what_is_not_said_again_is_cleared() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = here.subscribed(9, room(1)).await;
    let (mut stays, mut stops) = (there.subscribed(1, room(1)).await, there.subscribed(2, room(1)).await);
    stays.publish(room(1), pointer(1)).await;
    stops.publish(room(1), pointer(2)).await;
    shared.settled().await;
    assert_eq!(pointers(&viewer.all().await).len(), 2);
    shared.deafen(0, true);
    stops.publish(room(1), json!({"type": "pointer", "data": null})).await;
    shared.settled().await;
    // The clock of values counts milliseconds; what is older than the break has to look so.
    let break_began = Ticks::now();
    eventually("a millisecond has passed", || Ticks::now() != break_began).await;
    shared.deafen(0, false);
    shared.ask(room(1));
    shared.settled().await;
    assert_eq!(pointers(&viewer.all().await), [Some(1)]);
    here.hub.look_after_channels(Ticks::now().after(SAID_AGAIN_WITHIN));
    let cleared = unnumbered(&viewer.all().await);
    assert_eq!(cleared, [json!({"type": "pointer", "actor": user(2), "data": null})]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_in_any_order_are_put_in_line() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = there.subscribed(2, room(1)).await;
    let events: Vec<_> = (0..5).map(|_| here.toy.commit(room(1), vec![])).collect();
    shared.hint(1, "e1", vec![events[3].clone(), events[1].clone(), events[1].clone()]);
    shared.hint(1, "e1", vec![events[4].clone()]);
    // The first one never comes: it is in the log.
    assert_eq!(viewer.offsets_until(room(1), 5).await, [1, 2, 3, 4, 5]);
    shared.hint(1, "e1", events);
    assert_eq!(viewer.all().await.iter().filter(|line| line["push"]["pub"]["offset"].is_u64()).count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_of_another_epoch_say_nothing() {
    let ([here, there], shared) = nodes().await;
    let mut viewer = there.subscribed(2, room(1)).await;
    let event = here.toy.commit(room(1), vec![]);
    shared.hint(1, "before", vec![event.clone()]);
    assert_eq!(viewer.all().await.iter().filter(|line| line["push"]["pub"]["offset"].is_u64()).count(), 0);
    shared.hint(1, "e1", vec![event]);
    assert_eq!(viewer.offsets_until(room(1), 1).await, [1]);
}
