//! The calendar: what stands on which day and in which order, by both doors; whose it is; what cannot be.

pub mod folding;
mod reminders;

use serde_json::{Value, json};
use studyhall_protocol::dashboard::Dashboard;
use uuid::Uuid;

use crate::actors::{Actor, Dice, place};
use crate::harness;

fn ids(items: &Value) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn made(owner: &Actor, date: &str, title: &str) -> String {
    owner.make("calendar_event.create", json!({"event_date": date, "title": title})).await
}

/// Days around the one that it is now, where the person is.
fn days(page: &Dashboard) -> Vec<String> {
    page.calendar_from.iter_days().take_while(|day| *day <= page.calendar_to).map(|day| day.to_string()).collect()
}

fn order(page: &Dashboard, date: &str) -> Vec<String> {
    let events = page.calendar_events.iter().filter(|event| event.event_date.to_string() == date);
    events.map(|event| event.id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_acts_and_another_device_hears_of_it() {
    let app = harness::app().await;
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    let (mut desk, mut phone) = (ada.live().await, ada.live().await);
    phone.subscribe(&ada.channel()).await;
    let quick = json!({"event_date": "2026-11-24", "notes": "漢字 30", "source": "quick"});
    let one = ada.post("/calendar-events", quick).await.expect(201)["data"].clone();
    assert_eq!((&one["source"], &one["order_index"], &one["title"]), (&json!("quick"), &json!(1_024), &Value::Null));
    let (_, event) = phone.event().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("calendar_event.created"), &one));
    let exam = json!({"event_date": "2026-11-24", "title": "Exam", "starts_at": "2026-11-24T08:00:00Z",
        "ends_at": "2026-11-24T17:00:00+09:00"});
    let two = desk.rpc("calendar_event.create", exam).await.unwrap()["data"].clone();
    assert_eq!((&two["source"], &two["ends_at"]), (&json!("modal"), &json!("2026-11-24T08:00:00Z")));
    assert_eq!(phone.event().await.1["data"], two);
    let (first, second) = (one["id"].as_str().unwrap(), two["id"].as_str().unwrap());
    let path = format!("/calendar-events/{first}");
    let changed = ada.patch(&path, json!({"title": "Kanji", "notes": null})).await.expect(200);
    assert_eq!(phone.event().await.1["data"], changed["data"]);
    assert_eq!((&changed["data"]["title"], &changed["data"]["order_index"]), (&json!("Kanji"), &json!(1_024)));
    let moved = desk.rpc("calendar_event.move", json!({"id": second})).await.unwrap()["data"].clone();
    let (_, event) = phone.event().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("calendar_event.moved"), &moved));
    assert_eq!((&moved["moved"]["order_index"], &moved["reordered"]), (&json!(0), &json!([])));
    // On another day it goes to the end.
    let third = ada.post("/calendar-events", json!({"event_date": "2026-11-25", "title": "x"})).await.expect(201);
    phone.event().await;
    let later = ada.patch(&path, json!({"event_date": "2026-11-25"})).await.expect(200);
    assert_eq!(later["data"]["order_index"], 2_048);
    assert_eq!(phone.event().await.1["data"], later["data"]);
    let page = ada.get("/calendar-events?from=2026-11-24&to=2026-11-25").await.expect(200);
    let third = third["data"]["id"].as_str().unwrap();
    assert_eq!(ids(&page["items"]), [second, third, first]);
    assert_eq!(ids(&ada.get("/calendar-events?to=2026-11-24").await.expect(200)["items"]), [second]);
    assert_eq!(ids(&ada.get("/calendar-events?from=2026-11-26").await.expect(200)["items"]), [""; 0]);
    let shown = ada.get(&path).await.expect(200);
    assert_eq!((&shown["data"], &shown["positions"]), (&later["data"], &page["positions"]));
    // Page by page.
    let head = ada.get("/calendar-events?limit=2").await.expect(200);
    assert_eq!(ids(&head["items"]), [second, third]);
    let next = format!("/calendar-events?limit=2&cursor={}", head["next_cursor"].as_str().unwrap());
    assert_eq!(ids(&ada.get(&next).await.expect(200)["items"]), [first]);
    // Nobody else finds any of it.
    for (method, path, body) in [
        ("GET", path.clone(), None),
        ("PATCH", path.clone(), Some(json!({"title": "mine"}))),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/move"), Some(json!({}))),
        ("GET", format!("{path}/reminders"), None),
        ("POST", format!("{path}/reminders"), Some(json!({"remind_at": "2030-01-01T00:00:00Z"}))),
    ] {
        assert_eq!(eve.call(method, &path, body, None).await.expect(404)["code"], "not_found", "{method} {path}");
    }
    assert_eq!(eve.get("/calendar-events").await.expect(200)["items"], json!([]));
    ada.delete(&path).await.expect(200);
    let (_, event) = phone.event().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("calendar_event.deleted"), &json!({"id": first})));
    ada.delete(&path).await.expect(404);
}

#[tokio::test]
async fn what_cannot_be() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let early = json!({"event_date": "2026-11-24", "title": "x", "starts_at": "2026-11-24T08:00:00Z"});
    let made = ada.post("/calendar-events", early).await.expect(201);
    let path = format!("/calendar-events/{}", made["data"]["id"].as_str().unwrap());
    let long = "x".repeat(10_001);
    for (body, field) in [
        (json!({"event_date": "0000-12-31"}), "event_date"),
        (json!({"event_date": "+10000-01-01"}), "event_date"),
        (json!({"title": "日".repeat(161)}), "title"),
        (json!({"notes": long}), "notes"),
        (json!({"notes": "a\0b"}), "notes"),
        (json!({"title": null}), "title"),
        (json!({"title": " \u{a0}", "notes": ""}), "title"),
        (json!({"ends_at": "2026-11-24T07:59:59.999999Z"}), "ends_at"),
        (json!({"starts_at": null, "ends_at": "2026-11-24T09:00:00Z"}), "ends_at"),
        (json!({"starts_at": "+10000-01-01T00:00:00Z"}), "starts_at"),
    ] {
        let problem = ada.patch(&path, body.clone()).await.expect(422);
        assert_eq!((&problem["code"], &problem["field"]), (&json!("invalid_field"), &json!(field)), "{body}");
    }
    // What is there already counts too.
    ada.patch(&path, json!({"ends_at": "2026-11-24T09:00:00Z"})).await.expect(200);
    for body in [json!({"starts_at": null}), json!({"starts_at": "2026-11-24T09:00:00.000001Z"})] {
        assert_eq!(ada.patch(&path, body).await.expect(422)["field"], "ends_at");
    }
    ada.patch(&path, json!({"starts_at": null, "ends_at": null})).await.expect(200);
    for body in [json!({"source": "quick"}), json!({"event_date": null}), json!({"event_date": "24.11.2026"})] {
        assert_eq!(ada.patch(&path, body).await.expect(400)["code"], "bad_request");
    }
    let import = json!({"event_date": "2026-11-24", "title": "x", "source": "import"});
    assert_eq!(ada.post("/calendar-events", import).await.expect(422)["field"], "source");
    for (query, status) in
        [("from=yesterday", 400), ("from=-4800-01-01", 422), ("to=%2B10000-01-01", 422), ("from=9999-12-31", 200)]
    {
        ada.get(&format!("/calendar-events?{query}")).await.expect(status);
    }
    // A cursor that somebody made up.
    let forged = ["[\"-200000-01-01\",0,\"2026-11-24T08:00:00Z\"", "[\"2026-11-24\",0,\"-200000-01-01T00:00:00Z\""];
    for key in forged {
        let key = format!("{key},\"{}\"]", Uuid::nil());
        let cursor = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &key);
        let status = ada.get(&format!("/calendar-events?cursor={cursor}")).await.status;
        assert!(status < 500, "{status} for {key}");
    }
}

#[tokio::test]
async fn a_command_that_changes_nothing_makes_no_event() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let (one, two) = (made(&aiko, "2026-11-24", "one").await, made(&aiko, "2026-11-24", "two").await);
    let before = aiko.stand("calendar_event.update", json!({"id": one})).await;
    let same = json!({"id": one, "title": "one", "notes": null, "event_date": "2026-11-24"});
    assert_eq!(aiko.stand("calendar_event.update", same).await, before);
    assert_eq!(aiko.stand("calendar_event.move", json!({"id": one})).await, before);
    assert_eq!(aiko.stand("calendar_event.move", json!({"id": two, "after_id": one})).await, before);
    let there = json!({"id": two, "event_date": "2026-11-24", "after_id": one});
    assert_eq!(aiko.stand("calendar_event.move", there).await, before);
    assert_ne!(aiko.stand("calendar_event.move", json!({"id": two})).await, before);
}

#[tokio::test]
async fn moves_keep_the_order_that_was_asked_for() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let before = aiko.dashboard().await;
    let today = days(&before)[31].clone();
    let mut expected = Vec::new();
    for number in 0..20 {
        expected.push(made(&aiko, &today, &number.to_string()).await);
    }
    let (mut dice, mut renumbered) = (Dice(7), 0);
    for _ in 0..200 {
        let id = expected.remove(dice.roll(20));
        // Mostly behind the first one, so that the gaps there run out.
        let to = if dice.roll(4) == 0 { dice.roll(20) } else { 1 };
        let after = to.checked_sub(1).map(|place| expected[place].clone());
        expected.insert(to, id.clone());
        let moved = aiko.ok("calendar_event.move", json!({"id": id, "after_id": after})).await;
        renumbered += usize::from(moved["reordered"] != json!([]));
    }
    assert!(renumbered > 2, "{renumbered}");
    let after = aiko.dashboard().await;
    assert_eq!(order(&after, &today), expected);
    place.assert_person(before, after).await;
}

#[tokio::test]
async fn moves_between_days_and_at_the_edges_of_what_is_shown() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let before = aiko.dashboard().await;
    let shown = days(&before);
    let (first, last) = (shown[0].clone(), shown.last().unwrap().clone());
    assert_eq!(shown.len(), 94);
    let one = made(&aiko, &first, "one").await;
    let two = made(&aiko, &last, "two").await;
    let far = made(&aiko, "2019-01-01", "far").await;
    let elsewhere = json!({"id": one, "event_date": last, "after_id": far});
    aiko.refused("calendar_event.move", elsewhere, "409 after_not_in_list").await;
    aiko.refused("calendar_event.move", json!({"id": one, "after_id": one}), "422 invalid_field").await;
    let nobody = json!({"id": one, "after_id": Uuid::nil()});
    aiko.refused("calendar_event.move", nobody, "409 after_not_in_list").await;
    place.assert_person(before.clone(), aiko.dashboard().await).await;
    // In, out, and in again; from day to day; a reminder comes along.
    aiko.ok("reminder.create", json!({"event_id": far, "remind_at": "2999-01-01T00:00:00Z"})).await;
    aiko.ok("calendar_event.move", json!({"id": far, "event_date": last, "after_id": two})).await;
    let now = aiko.dashboard().await;
    assert_eq!(order(&now, &last), [two.clone(), far.clone()]);
    place.assert_person(before.clone(), now.clone()).await;
    aiko.ok("calendar_event.update", json!({"id": far, "event_date": "2019-01-01"})).await;
    aiko.ok("calendar_event.move", json!({"id": one, "event_date": last})).await;
    let out = aiko.dashboard().await;
    assert_eq!(order(&out, &last), [one, two]);
    place.assert_person(now, out.clone()).await;
    aiko.ok("calendar_event.delete", json!({"id": far})).await;
    let gone = aiko.dashboard().await;
    assert_eq!((out.reminders.len(), gone.reminders.len()), (1, 0));
    place.assert_person(out, gone.clone()).await;
    place.assert_person(before, gone).await;
}

#[tokio::test]
async fn the_day_is_that_of_the_person() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let mut first = Vec::new();
    // Such a zone there is not; there may have been when it was chosen.
    for zone in ["Etc/GMT+12", "Pacific/Kiritimati", "Middle-earth/Shire", "UTC"] {
        let set = sqlx::query("update user_settings set timezone = $2 where user_id = $1").bind(aiko.id).bind(zone);
        set.execute(place.db.pool()).await.unwrap();
        first.push(aiko.dashboard().await.calendar_from);
    }
    // A day begins 26 hours earlier on the one than on the other.
    assert!((1..=2).contains(&(first[1] - first[0]).num_days()), "{first:?}");
    assert_eq!(first[2], first[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tabs_at_once() {
    let place = place().await;
    let aiko = place.actor("aiko").await;
    let today = days(&aiko.dashboard().await)[31].clone();
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(made(&aiko, &today, &number.to_string()).await);
    }
    let before = aiko.dashboard().await;
    let tabs = (0..4).map(|tab| {
        let (aiko, ids, place, before, today) =
            (aiko.clone(), ids.clone(), place.clone(), before.clone(), today.clone());
        tokio::spawn(async move {
            let mut dice = Dice(tab);
            for _ in 0..15 {
                let (id, after) = (&ids[dice.roll(10)], &ids[dice.roll(10)]);
                if id != after {
                    aiko.ok("calendar_event.move", json!({"id": id, "event_date": today, "after_id": after})).await;
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
    let fill = "insert into calendar_events (user_id, event_date, title)
        select $1, $2::date + n % $3, 'x' from generate_series(1, $4) n";
    let fill = |from: &'static str, days: i32, events: i32| {
        sqlx::query(fill).bind(aiko.id).bind(from).bind(days).bind(events).execute(place.db.pool())
    };
    fill("2026-11-24", 1, 100).await.unwrap();
    let other = made(&aiko, "2026-11-25", "x").await;
    let full = "409 limit_reached";
    aiko.refused("calendar_event.create", json!({"event_date": "2026-11-24", "title": "x"}), full).await;
    aiko.refused("calendar_event.update", json!({"id": other, "event_date": "2026-11-24"}), full).await;
    aiko.refused("calendar_event.move", json!({"id": other, "event_date": "2026-11-24"}), full).await;
    // Within a full day one may.
    let first: Uuid = sqlx::query_scalar("select id from calendar_events where event_date = '2026-11-24' limit 1")
        .fetch_one(place.db.pool())
        .await
        .unwrap();
    aiko.ok("calendar_event.update", json!({"id": first, "title": "y"})).await;
    fill("2030-01-01", 1_000, 19_899).await.unwrap();
    aiko.refused("calendar_event.create", json!({"event_date": "2029-01-01", "title": "x"}), full).await;
    aiko.ok("calendar_event.delete", json!({"id": other})).await;
    made(&aiko, "2029-01-01", "x").await;
    // The last possible index is given out again and again rather than overflow.
    let edge = "update calendar_events set order_index = 2147483647 where event_date = '2029-01-01'";
    sqlx::query(edge).execute(place.db.pool()).await.unwrap();
    aiko.ok("calendar_event.delete", json!({"id": first})).await;
    made(&aiko, "2029-01-01", "y").await;
}

/// The pages and the looks that are asked for often find what they want by an index.
#[tokio::test]
async fn whatever_is_read_often_is_read_by_an_index() {
    let place = place().await;
    let (aiko, ben) = (place.actor("aiko").await, place.actor("ben").await);
    for person in [aiko.id, ben.id] {
        let fill = "insert into calendar_events (user_id, event_date, title)
            select $1, '2026-01-01'::date + n / 20, 'x' from generate_series(1, 5000) n";
        sqlx::query(fill).bind(person).execute(place.db.pool()).await.unwrap();
    }
    let fill = "insert into calendar_event_reminders (event_id, user_id, remind_at, sent_at)
        select id, user_id, event_date, case when random() < 0.9 then now() end from calendar_events";
    sqlx::query(fill).execute(place.db.pool()).await.unwrap();
    sqlx::query("analyze calendar_events, calendar_event_reminders").execute(place.db.pool()).await.unwrap();
    for (question, index) in [
        (
            "select user_id, remind_at from calendar_event_reminders where sent_at is null and remind_at <= '2026-01-02'
             order by remind_at limit 2000"
                .to_owned(),
            "calendar_event_reminders_due_idx",
        ),
        (
            format!("select * from calendar_event_reminders where user_id = '{}' and sent_at is null", aiko.id),
            "calendar_event_reminders_pending_idx",
        ),
        (
            format!(
                "select * from calendar_events where user_id = '{}' and event_date between '2026-02-01' and '2026-02-09'
                 order by event_date, order_index, created_at, id limit 51",
                aiko.id
            ),
            "calendar_events_user_id_event_date",
        ),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("explain {question}"));
        let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(place.db.pool()).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{question}: {plan}");
    }
}
