//! Tasks: whose they are, what changes nothing, and where they end up when they are moved.

use serde_json::json;
use studyhall_protocol::dashboard::Dashboard;
use uuid::Uuid;

use crate::actors::{Actor, Dice, place};

async fn list_of(owner: &Actor, tasks: usize) -> (String, Vec<String>) {
    let list = owner.make("task_list.create", json!({"name": "List"})).await;
    let mut ids = Vec::new();
    for number in 0..tasks {
        ids.push(owner.make("task.create", json!({"list_id": list, "description": number.to_string()})).await);
    }
    (list, ids)
}

fn order(page: &Dashboard, list: &str) -> Vec<String> {
    let tasks = page.tasks.iter().filter(|task| task.list_id.to_string() == list);
    tasks.map(|task| task.id.to_string()).collect()
}

#[tokio::test]
async fn strangers_learn_of_nothing() {
    let place = place().await;
    let (aiko, ben) = (place.actor("aiko").await, place.actor("ben").await);
    let (list, ids) = list_of(&aiko, 1).await;
    let (bens, _) = list_of(&ben, 0).await;
    for (method, data) in [
        ("task_list.update", json!({"id": list, "name": "mine"})),
        ("task_list.delete", json!({"id": list})),
        ("task.create", json!({"list_id": list, "description": "x"})),
        ("task.update", json!({"id": ids[0], "description": "x"})),
        ("task.move", json!({"id": ids[0]})),
        ("task.move", json!({"id": ids[0], "list_id": bens})),
        ("task.delete", json!({"id": ids[0]})),
        ("task.delete", json!({"id": Uuid::nil()})),
    ] {
        ben.refused(method, data, "404 not_found").await;
    }
    aiko.refused("task.move", json!({"id": ids[0], "list_id": bens}), "404 not_found").await;
}

#[tokio::test]
async fn a_command_that_changes_nothing_makes_no_event() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let (list, ids) = list_of(&aiko, 3).await;
    let before = aiko.stand("task.update", json!({"id": ids[0]})).await;
    assert_eq!(aiko.stand("task.update", json!({"id": ids[0], "description": "0", "due_at": null})).await, before);
    assert_eq!(aiko.stand("task.update", json!({"id": ids[0], "is_completed": false})).await, before);
    assert_eq!(aiko.stand("task.move", json!({"id": ids[0]})).await, before);
    assert_eq!(aiko.stand("task.move", json!({"id": ids[1], "after_id": ids[0]})).await, before);
    assert_eq!(aiko.stand("task_list.update", json!({"id": list, "name": "List"})).await, before);
    assert_ne!(aiko.stand("task.update", json!({"id": ids[0], "description": "1"})).await, before);
}

#[tokio::test]
async fn completed_at_follows() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let (_, ids) = list_of(&aiko, 1).await;
    let ticked = aiko.ok("task.update", json!({"id": ids[0], "is_completed": true})).await;
    assert!(ticked["completed_at"].is_string());
    let described = aiko.ok("task.update", json!({"id": ids[0], "description": "again"})).await;
    assert_eq!(described["completed_at"], ticked["completed_at"]);
    let due = json!({"id": ids[0], "is_completed": false, "due_at": "2026-12-01T10:00:00.5+09:00"});
    let open = aiko.ok("task.update", due).await;
    assert_eq!((&open["completed_at"], &open["due_at"]), (&json!(null), &json!("2026-12-01T01:00:00.500Z")));
}

#[tokio::test]
async fn moves_keep_the_order_that_was_asked_for() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let (list, mut expected) = list_of(&aiko, 20).await;
    let before = aiko.dashboard().await;
    let (mut dice, mut renumbered) = (Dice(7), 0);
    for _ in 0..200 {
        let id = expected.remove(dice.roll(20));
        // Mostly behind the first one, so that the gaps there run out.
        let to = if dice.roll(4) == 0 { dice.roll(20) } else { 1 };
        let after = to.checked_sub(1).map(|place| expected[place].clone());
        expected.insert(to, id.clone());
        let moved = aiko.ok("task.move", json!({"id": id, "after_id": after})).await;
        renumbered += usize::from(moved["reordered"] != json!([]));
    }
    assert!(renumbered > 2, "{renumbered}");
    let after = aiko.dashboard().await;
    assert_eq!(order(&after, &list), expected);
    place.assert_person(before, after).await;
}

#[tokio::test]
async fn moves_between_lists_and_at_the_edges() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let ((one, ids), (two, others)) = (list_of(&aiko, 3).await, list_of(&aiko, 2).await);
    aiko.refused("task.move", json!({"id": ids[0], "after_id": ids[0]}), "422 invalid_field").await;
    let elsewhere = json!({"id": ids[0], "list_id": two, "after_id": ids[1]});
    aiko.refused("task.move", elsewhere, "409 after_not_in_list").await;
    aiko.ok("task.move", json!({"id": ids[0], "list_id": two, "after_id": others[0]})).await;
    let edge = "update tasks set order_index = 2147483647 where list_id = $1";
    sqlx::query(edge).bind(two.parse::<Uuid>().unwrap()).execute(place.db.pool()).await.unwrap();
    let last = aiko.make("task.create", json!({"list_id": two, "description": "last"})).await;
    let before = aiko.dashboard().await;
    assert_eq!(order(&before, &two).last(), Some(&last));
    aiko.ok("task.move", json!({"id": ids[1], "list_id": two, "after_id": last})).await;
    let after = aiko.dashboard().await;
    assert_eq!(order(&after, &one), [ids[2].clone()]);
    assert_eq!(order(&after, &two).last(), Some(&ids[1]));
    place.assert_person(before, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tabs_at_once() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let (_, ids) = list_of(&aiko, 10).await;
    let before = aiko.dashboard().await;
    let tabs = (0..8).map(|tab| {
        let (aiko, ids, place, before) = (aiko.clone(), ids.clone(), place.clone(), before.clone());
        tokio::spawn(async move {
            let mut dice = Dice(tab);
            for _ in 0..15 {
                let (id, after) = (&ids[dice.roll(10)], &ids[dice.roll(10)]);
                if id != after {
                    aiko.ok("task.move", json!({"id": id, "after_id": after})).await;
                }
                place.assert_person(before.clone(), aiko.dashboard().await).await;
            }
        })
    });
    for tab in tabs.collect::<Vec<_>>() {
        tab.await.unwrap();
    }
}

#[tokio::test]
async fn limits() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let ((list, _), (_, ids)) = (list_of(&aiko, 0).await, list_of(&aiko, 1).await);
    let fill = "insert into tasks (list_id, user_id, description) select $1, $2, 'x' from generate_series(1, 2000)";
    sqlx::query(fill).bind(list.parse::<Uuid>().unwrap()).bind(aiko.id).execute(place.db.pool()).await.unwrap();
    aiko.refused("task.create", json!({"list_id": list, "description": "x"}), "409 limit_reached").await;
    aiko.refused("task.move", json!({"id": ids[0], "list_id": list}), "409 limit_reached").await;
    let fill = "insert into task_lists (user_id, name) select $1, 'x' from generate_series(1, 198)";
    sqlx::query(fill).bind(aiko.id).execute(place.db.pool()).await.unwrap();
    aiko.refused("task_list.create", json!({"name": "x"}), "409 limit_reached").await;
    let before = aiko.dashboard().await;
    aiko.ok("task_list.delete", json!({"id": list})).await;
    place.assert_person(before, aiko.dashboard().await).await;
}
