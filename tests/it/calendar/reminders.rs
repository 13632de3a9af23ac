//! Reminders ring once, at their time: on whatever node, after whatever happened.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::actors::place;
use crate::faults::postgres::{Commits, Road};
use crate::harness::{self, PATIENCE, Person};
use crate::likes::log;

/// How late a reminder may be, and a machine that does something else meanwhile.
const LATE: Duration = Duration::from_millis(2_500);

async fn event(owner: &Person) -> String {
    let made = owner.post("/calendar-events", json!({"event_date": "2026-11-24", "title": "Exam"})).await.expect(201);
    made["data"]["id"].as_str().unwrap().to_owned()
}

async fn remind(owner: &Person, event: &str, at: DateTime<Utc>) -> Value {
    let path = format!("/calendar-events/{event}/reminders");
    owner.post(&path, json!({"remind_at": at})).await.expect(201)["data"].clone()
}

/// Reminders as rows, due a minute ago, before any node could see them being made.
async fn overdue(pool: &PgPool, owners: &[Person], each: i32) {
    for owner in owners {
        let event = event(owner).await;
        let insert = "insert into calendar_event_reminders (event_id, user_id, remind_at)
            select $1, $2, now() - make_interval(secs => 60 + n) from generate_series(1, $3) n";
        let insert = sqlx::query(insert).bind(event.parse::<Uuid>().unwrap()).bind(owner.id).bind(each);
        insert.execute(pool).await.unwrap();
    }
}

async fn until_sent(pool: &PgPool) {
    let deadline = Instant::now() + PATIENCE;
    let pending = "select count(*) from calendar_event_reminders where sent_at is null";
    while sqlx::query_scalar::<_, i64>(pending).fetch_one(pool).await.unwrap() > 0 {
        assert!(Instant::now() < deadline, "reminders wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How often each reminder rang, by the log.
async fn rings(owner: &Person) -> BTreeMap<String, usize> {
    let mut rings = BTreeMap::new();
    for item in log(owner, &owner.channel()).await {
        if item["type"] == "reminder.fired" {
            *rings.entry(item["data"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    rings
}

/// Every reminder of theirs rang exactly once.
async fn assert_rung(owners: &[Person], each: usize) {
    for owner in owners {
        let rings = rings(owner).await;
        assert_eq!((rings.len(), rings.values().all(|times| *times == 1)), (each, true), "{rings:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reminder_is_made_heard_and_gone() {
    let app = harness::app().await;
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    let exam = event(&ada).await;
    let mut phone = ada.live().await;
    phone.subscribe(&ada.channel()).await;
    let at = Utc::now() + TimeDelta::seconds(2);
    let soon = remind(&ada, &exam, at).await;
    assert_eq!((&soon["sent_at"], &soon["delivery"]), (&Value::Null, &json!("live")));
    assert_eq!(phone.event().await.1["data"], soon);
    // Asking twice is one reminder, and no event.
    assert_eq!(remind(&ada, &exam, at).await, soon);
    let mut desk = ada.live().await;
    let later = json!({"event_id": exam, "remind_at": "2999-01-01T00:00:00Z"});
    let later = desk.rpc("reminder.create", later).await.unwrap()["data"].clone();
    assert_eq!(phone.event().await.1["data"], later);
    let pending = ada.get("/dashboard").await.expect(200)["reminders"].clone();
    assert_eq!(pending, json!([soon, later]));
    let (_, fired) = phone.event().await;
    let late = Utc::now() - at;
    assert!(late >= TimeDelta::zero() && late.to_std().unwrap() < LATE, "{late}");
    assert_eq!((&fired["type"], &fired["data"]["id"]), (&json!("reminder.fired"), &soon["id"]));
    assert!(fired["data"]["sent_at"].is_string());
    let path = format!("/calendar-events/{exam}/reminders");
    let all = ada.get(&path).await.expect(200);
    assert_eq!(all["items"], json!([fired["data"], later]));
    assert_eq!(ada.get("/dashboard").await.expect(200)["reminders"], json!([later]));
    let gone = format!("/reminders/{}", later["id"].as_str().unwrap());
    eve.delete(&gone).await.expect(404);
    ada.delete(&gone).await.expect(200);
    loop {
        let (_, event) = phone.event().await;
        if event["type"] == "reminder.deleted" {
            assert_eq!(event["data"], json!({"id": later["id"]}));
            break;
        }
    }
    ada.delete(&gone).await.expect(404);
    // A moment ago is at once; long ago is a mistake.
    remind(&ada, &exam, Utc::now() - TimeDelta::hours(23)).await;
    for at in ["2026-11-20T00:00:00Z", "0000-01-01T00:00:00Z", "+10000-01-01T00:00:00Z"] {
        assert_eq!(ada.post(&path, json!({"remind_at": at})).await.expect(422)["field"], "remind_at");
    }
    until_sent(&app.database.pool).await;
    assert_eq!(rings(&ada).await.len(), 2);
}

#[tokio::test]
async fn so_many_and_no_more() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let exam = aiko.make("calendar_event.create", json!({"event_date": "2026-11-24", "title": "Exam"})).await;
    let at =
        |event: &str, second: usize| json!({"event_id": event, "remind_at": format!("2999-01-01T00:00:{second:02}Z")});
    for second in 0..10 {
        aiko.ok("reminder.create", at(&exam, second)).await;
    }
    aiko.refused("reminder.create", at(&exam, 10), "409 limit_reached").await;
    // The same again is none more.
    aiko.ok("reminder.create", at(&exam, 9)).await;
    let fill = "with made as (insert into calendar_events (user_id, event_date, title)
            select $1, '2027-01-01'::date + n, 'x' from generate_series(1, 99) n returning id)
        insert into calendar_event_reminders (event_id, user_id, remind_at)
        select id, $1, '2999-01-01'::timestamptz + make_interval(secs => n) from made, generate_series(1, 10) n";
    sqlx::query(fill).bind(aiko.id).execute(place.db.pool()).await.unwrap();
    let other = aiko.make("calendar_event.create", json!({"event_date": "2026-11-25", "title": "x"})).await;
    aiko.refused("reminder.create", at(&other, 0), "409 limit_reached").await;
    let before = aiko.dashboard().await;
    assert_eq!(before.reminders.len(), 1_000);
    aiko.ok("calendar_event.delete", json!({"id": exam})).await;
    aiko.ok("reminder.create", at(&other, 0)).await;
    place.assert_person(before, aiko.dashboard().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reminders_ring_once_on_two_nodes() {
    let here = harness::app().await;
    let there = here.beside(|_| {}).await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cleo", "dan", "eve"] {
        people.push(here.person(name).await);
    }
    let mut listener = people[0].at(&there.url()).live().await;
    listener.subscribe(&people[0].channel()).await;
    overdue(&here.database.pool, &people, 10).await;
    until_sent(&here.database.pool).await;
    // Also what whoever would ring them once more needs to find something.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_rung(&people, 10).await;
    let pushed: Vec<Value> =
        listener.drain().await.into_iter().filter(|push| push["pub"]["data"]["type"] == "reminder.fired").collect();
    assert_eq!(pushed.len(), 10, "the one node or the other told it, once");
    let times: Vec<&str> =
        pushed.iter().map(|push| push["pub"]["data"]["data"]["remind_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_due_while_nobody_was_there_rings_at_the_start() {
    let first = harness::app().await;
    let ada = first.person("ada").await;
    let exam = event(&ada).await;
    remind(&ada, &exam, Utc::now() + TimeDelta::milliseconds(2_500)).await;
    remind(&ada, &exam, Utc::now() + TimeDelta::days(1)).await;
    first.stop();
    let down = Instant::now();
    let pool = first.database.pool.clone();
    while first.app.state.writer.run(ada.id, |_| Box::pin(async { Ok(()) })).await.is_ok() {
        assert!(down.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(4).saturating_sub(down.elapsed())).await;
    let sent = "select count(*) from calendar_event_reminders where sent_at is not null";
    assert_eq!(sqlx::query_scalar::<_, i64>(sent).fetch_one(&pool).await.unwrap(), 0, "nobody was there");
    let (second, third) = (first.beside(|_| {}).await, first.beside(|_| {}).await);
    let started = Instant::now();
    while sqlx::query_scalar::<_, i64>(sent).fetch_one(&pool).await.unwrap() == 0 {
        assert!(started.elapsed() < LATE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_rung(&[ada.at(&second.url()), ada.at(&third.url())], 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_lose_their_connections_half_way_ring_once() {
    let database = harness::database().await;
    let road = Road::start(&database.url);
    let here = harness::app_at(database, |config| config.database_url = Some(road.url.clone())).await;
    let there = here.beside(|_| {}).await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cleo", "dan", "eve", "finn"] {
        people.push(here.person(name).await.at(&there.url()));
    }
    // Every other COMMIT of the one node is lost, or its answer is; and whoever is in a transaction is thrown out.
    road.one_in(2);
    road.commits(Commits::Lose);
    let pool = &here.database.pool;
    for round in 1..=5 {
        overdue(pool, &people, 2).await;
        for _ in 0..10 {
            let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and application_name = 'studyhall'
                    and (state like 'idle in%' or state = 'active')";
            sqlx::query(kill).execute(pool).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("round {round}: {} commits were hit", road.hits());
    }
    road.commits(Commits::Pass);
    until_sent(pool).await;
    assert_rung(&people, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_whose_channel_is_held_keeps_nobody_waiting() {
    let app = harness::app().await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        people.push(app.person(name).await);
    }
    let pool = &app.database.pool;
    let held = event(&people[0]).await;
    let mut lock = pool.begin().await.unwrap();
    let take = sqlx::query("select from channel_heads where channel = $1 for update").bind(people[0].channel());
    take.execute(&mut *lock).await.unwrap();
    let insert = "insert into calendar_event_reminders (event_id, user_id, remind_at) values ($1, $2, now() - interval '9 minutes')";
    let insert = sqlx::query(insert).bind(held.parse::<Uuid>().unwrap()).bind(people[0].id);
    insert.execute(pool).await.unwrap();
    overdue(pool, &people[1..], 10).await;
    let started = Instant::now();
    let sent = "select count(*) from calendar_event_reminders where sent_at is not null";
    while sqlx::query_scalar::<_, i64>(sent).fetch_one(pool).await.unwrap() < 20 {
        assert!(started.elapsed() < LATE, "they wait for somebody else");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    lock.rollback().await.unwrap();
    until_sent(pool).await;
    assert_rung(&people[..1], 1).await;
    assert_rung(&people[1..], 10).await;
}
