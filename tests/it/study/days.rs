//! Timeframes follow the days, where the person is.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{ear, hears};
use crate::actors::place;
use crate::harness::{self, Person};

/// The day it is so many hours east of Greenwich.
fn today(hours: i64) -> NaiveDate {
    (Utc::now() + TimeDelta::hours(hours)).date_naive()
}

fn within(today: NaiveDate, due: NaiveDate) -> &'static str {
    match (due - today).num_days() {
        ..=7 => "week",
        8..=31 => "month",
        _ => "later",
    }
}

async fn due(person: &Person, day: NaiveDate) -> Value {
    person.post("/assignments", json!({"title": "x", "due_at": day})).await.expect(201)["data"].take()
}

#[tokio::test]
async fn the_edges_of_a_week_and_a_month() {
    let place = place().await;
    let ada = place.actor("ada").await;
    let today = today(0);
    for (days, expected) in
        [(-400, "week"), (-1, "week"), (0, "week"), (7, "week"), (8, "month"), (31, "month"), (32, "later")]
    {
        let day = today + TimeDelta::days(days);
        let made = ada.ok("assignment.create", json!({"title": "x", "due_at": day})).await;
        assert_eq!(made["timeframe"], expected, "{days}");
        let patch = json!({"id": made["id"], "due_at": null});
        assert_eq!(ada.ok("assignment.update", patch).await["timeframe"], "later");
        let patch = json!({"id": made["id"], "due_at": day});
        assert_eq!(ada.ok("assignment.update", patch).await["timeframe"], expected, "{days}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_begins_where_the_person_is() {
    let app = harness::app().await;
    let (kiri, pago) = (app.person("kiri").await, app.person("pago").await);
    kiri.patch("/me/settings", json!({"timezone": "Pacific/Kiritimati"})).await.expect(200);
    pago.patch("/me/settings", json!({"timezone": "Pacific/Pago_Pago"})).await.expect(200);
    // 25 hours apart: it is never the same day in both.
    let day = today(-11) + Days::new(8);
    assert_eq!(due(&pago, day).await["timeframe"], "month");
    assert_eq!(due(&kiri, day).await["timeframe"], "week");
    let far = due(&kiri, today(14) + Days::new(32)).await;
    assert_eq!(far["timeframe"], "later");
    // Whoever moves has other days at once, in the same transaction.
    let mut live = ear(&pago).await;
    let moved = pago.patch("/me/settings", json!({"timezone": "Pacific/Kiritimati"})).await.expect(200);
    assert_eq!(hears(&mut live, "settings.updated").await, moved["data"]);
    let (offset, event) = live.event().await;
    assert_eq!((&event["type"], &event["data"]["timeframe"]), (&json!("assignment.updated"), &json!("week")));
    assert_eq!(moved["positions"][0]["offset"], json!(offset));
    pago.patch("/me/settings", json!({"timezone": null})).await.expect(200);
    hears(&mut live, "settings.updated").await;
    let expected = within(today(0), day);
    let shown = pago.get("/assignments").await.expect(200);
    assert_eq!(shown["items"][0]["timeframe"], expected);
}

/// When an assignment is looked at next.
async fn turn(pool: &PgPool, assignment: &Value) -> Option<DateTime<Utc>> {
    let id: Uuid = assignment["id"].as_str().unwrap().parse().unwrap();
    let turn = sqlx::query_scalar("select turns_at from assignment_turns where assignment_id = $1").bind(id);
    turn.fetch_optional(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_known_when_to_look_again() {
    let app = harness::app().await;
    let (ada, pool) = (app.person("ada").await, &app.database.pool);
    ada.patch("/me/settings", json!({"timezone": "Asia/Tokyo"})).await.expect(200);
    let midnight = |day: NaiveDate, hours: i64| (day.and_time(Default::default()) - TimeDelta::hours(hours)).and_utc();
    let (soon, month, later) = (today(9) + Days::new(3), today(9) + Days::new(20), today(9) + Days::new(50));
    assert_eq!(turn(pool, &due(&ada, soon).await).await, None);
    let next = due(&ada, month).await;
    assert_eq!(turn(pool, &next).await, Some(midnight(month - Days::new(7), 9)));
    let far = due(&ada, later).await;
    assert_eq!(turn(pool, &far).await, Some(midnight(later - Days::new(31), 9)));
    ada.patch("/me/settings", json!({"timezone": "America/Phoenix"})).await.expect(200);
    assert_eq!(turn(pool, &far).await, Some(midnight(later - Days::new(31), -7)), "another zone, another midnight");
    ada.patch(&format!("/assignments/{}", far["id"].as_str().unwrap()), json!({"due_at": null})).await.expect(200);
    assert_eq!(turn(pool, &far).await, None);
    ada.delete(&format!("/assignments/{}", next["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(turn(pool, &next).await, None);
    // A zone that PostgreSQL forgets keeps nobody from their work.
    sqlx::query("update user_settings set timezone = 'Mars/Olympus' where user_id = $1")
        .bind(ada.id)
        .execute(pool)
        .await
        .unwrap();
    assert_eq!(due(&ada, month).await["timeframe"], within(today(0), month));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_pass_on_two_nodes_and_each_change_is_told_once() {
    let here = harness::app().await;
    let there = here.beside(|_| {}).await;
    let (ada, bob) = (here.person("ada").await, here.person("bob").await);
    let pool = &here.database.pool;
    let (one, two) = (due(&ada, today(0) + Days::new(9)).await, due(&ada, today(0) + Days::new(40)).await);
    let still = due(&ada, today(0) + Days::new(100)).await;
    let bobs = due(&bob, today(0) + Days::new(32)).await;
    let (mut of_ada, mut of_bob) = (ear(&ada).await, ear(&bob.at(&there.url())).await);
    // As if it was three days later.
    let pass = "update assignments set due_at = due_at - $1 where user_id = $2";
    for person in [&ada, &bob] {
        sqlx::query(pass).bind(3).bind(person.id).execute(pool).await.unwrap();
    }
    let changed = hears(&mut of_ada, "assignment.updated").await;
    assert_eq!((&changed["id"], &changed["timeframe"]), (&one["id"], &json!("week")));
    let changed = hears(&mut of_bob, "assignment.updated").await;
    assert_eq!((&changed["id"], &changed["timeframe"]), (&bobs["id"], &json!("month")));
    sqlx::query(pass).bind(8).bind(ada.id).execute(pool).await.unwrap();
    let changed = hears(&mut of_ada, "assignment.updated").await;
    assert_eq!((&changed["id"], &changed["timeframe"]), (&two["id"], &json!("month")));
    // Wrong in the other direction too, and many at once.
    let wrong = "update assignments set timeframe = 'month' where user_id = $1";
    sqlx::query(wrong).bind(ada.id).execute(pool).await.unwrap();
    let mut told: Vec<Value> = Vec::new();
    for _ in 0..2 {
        told.push(hears(&mut of_ada, "assignment.updated").await["id"].take());
    }
    told.sort_by_key(Value::to_string);
    let mut expected = [one["id"].clone(), still["id"].clone()];
    expected.sort_by_key(Value::to_string);
    assert_eq!(told, expected);
    // A look that comes too early finds nothing to do, and does not look again at once.
    sqlx::query("update assignment_turns set turns_at = now() - interval '1 hour'").execute(pool).await.unwrap();
    let rest = "select count(*) from assignment_turns where turns_at <= now()";
    while sqlx::query_scalar::<_, i64>(rest).fetch_one(pool).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for live in [&mut of_ada, &mut of_bob] {
        assert_eq!(live.drain().await, Vec::<Value>::new(), "once is enough");
    }
    let events = "select count(*) from events where type = 'assignment.updated'";
    assert_eq!(sqlx::query_scalar::<_, i64>(events).fetch_one(pool).await.unwrap(), 5);
}
