//! What is due: whose, in which course, in which order.

use chrono::{Days, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{all, ear, hears, id, refused};
use crate::actors::place;
use crate::harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_writes_the_other_hears() {
    let app = harness::app().await;
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    let mut live = ear(&ada).await;
    let course = id(&ada.post("/courses", json!({"name": "Rust"})).await.expect(201));
    hears(&mut live, "course.created").await;
    let made = ada.post("/assignments", json!({"title": "Essay"})).await.expect(201);
    assert_eq!(hears(&mut live, "assignment.created").await, made["data"]);
    let usual =
        json!({"status": "Not started", "course_id": null, "due_at": null, "timeframe": "later", "notes": null});
    for (field, value) in usual.as_object().unwrap() {
        assert_eq!(&made["data"][field], value, "{field}");
    }
    let (due, path) = (id(&made), format!("/assignments/{}", id(&made)));
    let today = Utc::now().date_naive();
    let patch = json!({"id": due, "status": "In progress", "course_id": course, "due_at": today, "notes": "long"});
    let changed = live.rpc("assignment.update", patch.clone()).await.unwrap();
    assert_eq!(hears(&mut live, "assignment.updated").await, changed["data"]);
    assert_eq!((&changed["data"]["timeframe"], &changed["data"]["due_at"]), (&json!("week"), &json!(today)));
    assert_eq!(live.rpc("assignment.update", patch).await.unwrap(), changed, "nothing changed");
    assert_eq!(ada.get(&path).await.expect(200)["data"], changed["data"]);
    assert_eq!(ada.get("/dashboard").await.expect(200)["assignments"], json!([changed["data"]]));
    // Nobody else finds it.
    eve.get(&path).await.expect(404);
    let body = json!({"title": "mine"});
    let data = json!({"id": due, "title": "mine"});
    refused(&eve, ("PATCH", &path, Some(body)), ("assignment.update", data), 404, "not_found").await;
    refused(&eve, ("DELETE", &path, None), ("assignment.delete", json!({"id": due})), 404, "not_found").await;
    assert_eq!(all(&eve, "/assignments").await, Vec::<Value>::new());
    // Somebody else's course is no course, and looks like one that does not exist.
    let mut words = Vec::new();
    for foreign in [course.clone(), Uuid::new_v4().to_string()] {
        let body = json!({"title": "x", "course_id": foreign});
        let door = ("POST", "/assignments", Some(body.clone()));
        let problem = refused(&eve, door, ("assignment.create", body), 422, "invalid_field").await;
        assert_eq!(problem["field"], "course_id");
        words.push(problem);
    }
    assert_eq!(words[0], words[1]);
    let own = id(&eve.post("/assignments", json!({"title": "x"})).await.expect(201));
    let body = json!({"course_id": course});
    let data = json!({"id": own, "course_id": course});
    let path = format!("/assignments/{own}");
    let problem = refused(&eve, ("PATCH", &path, Some(body)), ("assignment.update", data), 422, "invalid_field").await;
    assert_eq!(problem["field"], "course_id");
    assert_eq!(live.rpc("assignment.delete", json!({"id": due})).await.unwrap()["data"], json!({"id": due}));
    assert_eq!(hears(&mut live, "assignment.deleted").await, json!({"id": due}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_first_and_what_is_due_on_no_day_last() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let course = id(&ada.post("/courses", json!({"name": "Rust"})).await.expect(201));
    let today = Utc::now().date_naive();
    for (title, days, inside) in [
        ("e", None, true),
        ("c", Some(60), false),
        ("b", Some(20), true),
        ("a", Some(1), true),
        ("d", Some(60), true),
        ("f", None, false),
    ] {
        let due_at = days.map(|days| today.checked_add_days(Days::new(days)).unwrap());
        let body = json!({"title": title, "due_at": due_at, "course_id": inside.then_some(&course)});
        ada.post("/assignments", body).await.expect(201);
    }
    let titles = async |path: &str| -> String {
        all(&ada, path).await.iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(titles("/assignments").await, "abcdef");
    assert_eq!(titles("/assignments?timeframe=later").await, "cdef");
    assert_eq!(titles("/assignments?timeframe=month").await, "b");
    assert_eq!(titles(&format!("/assignments?course_id={course}")).await, "abde");
    assert_eq!(titles(&format!("/assignments?course_id={course}&timeframe=later")).await, "de");
    assert_eq!(titles(&format!("/assignments?course_id={}", Uuid::new_v4())).await, "");
    assert_eq!(ada.get("/assignments?timeframe=soon").await.expect(422)["field"], "timeframe");
    ada.get("/assignments?course_id=x").await.expect(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_is_named() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let own = id(&ada.post("/assignments", json!({"title": "x"})).await.expect(201));
    for (field, value) in [
        ("title", json!(" ")),
        ("title", json!("x".repeat(161))),
        ("title", json!("a\0")),
        ("status", json!("")),
        ("status", json!("x".repeat(41))),
        ("notes", json!("x".repeat(10_001))),
        ("due_at", json!("+10000-01-01")),
        ("due_at", json!("0000-12-31")),
    ] {
        let mut body = json!({"title": "x"});
        body[field] = value.clone();
        assert_eq!(ada.post("/assignments", body).await.expect(422)["field"], field, "{value}");
        let body = json!({field: value});
        assert_eq!(ada.patch(&format!("/assignments/{own}"), body).await.expect(422)["field"], field, "{value}");
    }
    for body in [json!({"title": "x", "timeframe": "week"}), json!({"title": "x", "due_at": "2026-13-01"}), json!({})] {
        ada.post("/assignments", body).await.expect(400);
    }
    for due_at in ["0001-01-01", "9999-12-31"] {
        let body = json!({"title": "x", "due_at": due_at});
        assert_eq!(ada.post("/assignments", body).await.expect(201)["data"]["due_at"], due_at);
    }
    let day = |text: &str| cursor(&json!([text, "2026-01-01T00:00:00Z", Uuid::nil()]));
    for text in ["+10000-01-01", "-0001-01-01"] {
        let status = ada.get(&format!("/assignments?cursor={}", day(text))).await.status;
        assert!((400..500).contains(&status), "{text}");
    }
}

/// A cursor as somebody could make it by hand.
pub(super) fn cursor(key: &Value) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.to_string())
}

#[tokio::test]
async fn so_many_and_no_more() {
    let place = place().await;
    let ada = place.actor("ada").await;
    let fill = "insert into assignments (user_id, title) select $1, 'x' from generate_series(1, 2000)";
    sqlx::query(fill).bind(ada.id).execute(place.db.pool()).await.unwrap();
    ada.refused("assignment.create", json!({"title": "x"}), "409 limit_reached").await;
    let before = ada.dashboard().await;
    ada.ok("assignment.delete", json!({"id": before.assignments[0].id})).await;
    ada.ok("assignment.create", json!({"title": "x"})).await;
    place.assert_person(before, ada.dashboard().await).await;
}
