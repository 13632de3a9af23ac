//! Progress: one number for each scope and day; the home page shows the newest.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{all, assignments::cursor, ear, hears, id, refused};
use crate::actors::place;
use crate::harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_for_each_scope_and_day() {
    let app = harness::app().await;
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    let mut live = ear(&ada).await;
    let put = async |body: Value| ada.call("PUT", "/progress-metrics", Some(body), None).await;
    let first = put(json!({"scope": "week", "value": 40, "captured_at": "2026-11-01"})).await.expect(200);
    assert_eq!(hears(&mut live, "progress_metric.recorded").await, first["data"]);
    assert_eq!(first["data"]["target_value"], 100, "by default");
    let same = put(json!({"scope": "week", "value": 40, "captured_at": "2026-11-01"})).await.expect(200);
    assert_eq!(same, first, "nothing changed");
    let body = json!({"scope": "week", "value": 60, "target_value": 80, "captured_at": "2026-11-01"});
    let replaced = live.rpc("progress_metric.record", body).await.unwrap();
    assert_eq!(hears(&mut live, "progress_metric.recorded").await, replaced["data"]);
    assert_eq!(replaced["data"]["id"], first["data"]["id"]);
    let kept = put(json!({"scope": "week", "value": 61, "captured_at": "2026-11-01"})).await.expect(200);
    assert_eq!(kept["data"]["target_value"], 80, "as it was");
    hears(&mut live, "progress_metric.recorded").await;
    let none = json!({"scope": "week", "value": 61, "target_value": null, "captured_at": "2026-11-01"});
    assert_eq!(put(none).await.expect(200)["data"]["target_value"], Value::Null);
    hears(&mut live, "progress_metric.recorded").await;

    // The home page has the newest day, whatever was said last.
    let newer = put(json!({"scope": "week", "value": 1, "captured_at": "2026-11-03"})).await.expect(200);
    put(json!({"scope": "week", "value": 2, "captured_at": "2026-10-01"})).await.expect(200);
    let shown = async || ada.get("/dashboard").await.expect(200)["progress_metrics"].take();
    assert_eq!(shown().await, json!([newer["data"]]));
    live.drain().await;
    let path = format!("/progress-metrics/{}", id(&newer));
    refused(&eve, ("DELETE", &path, None), ("progress_metric.delete", json!({"id": id(&newer)})), 404, "not_found")
        .await;
    let gone = ada.delete(&path).await.expect(200);
    assert_eq!((&gone["data"]["scope"], &gone["data"]["latest"]["value"]), (&json!("week"), &json!(61)));
    assert_eq!(hears(&mut live, "progress_metric.deleted").await, gone["data"]);
    assert_eq!(shown().await, json!([gone["data"]["latest"]]));
    for row in all(&ada, "/progress-metrics").await {
        ada.delete(&format!("/progress-metrics/{}", row["id"].as_str().unwrap())).await.expect(200);
    }
    assert_eq!(shown().await, json!([]));
    ada.delete(&path).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn today_is_where_the_person_is() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    for (zone, hours) in [("Pacific/Kiritimati", 14), ("Pacific/Pago_Pago", -11)] {
        ada.patch("/me/settings", json!({"timezone": zone})).await.expect(200);
        let body = json!({"scope": "day", "value": hours + 11});
        let made = ada.call("PUT", "/progress-metrics", Some(body), None).await.expect(200);
        assert_eq!(made["data"]["captured_at"], json!((Utc::now() + TimeDelta::hours(hours)).date_naive()), "{zone}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_comes_in_pages() {
    let app = harness::app().await;
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    for (scope, days) in [("day", 1..=5), ("week", 3..=4)] {
        for day in days {
            let body = json!({"scope": scope, "value": day, "captured_at": format!("2026-11-0{day}")});
            ada.call("PUT", "/progress-metrics", Some(body), None).await.expect(200);
        }
    }
    let values = async |query: &str| -> Vec<i64> {
        all(&ada, &format!("/progress-metrics{query}")).await.iter().map(|row| row["value"].as_i64().unwrap()).collect()
    };
    assert_eq!(values("").await, [5, 4, 4, 3, 3, 2, 1]);
    assert_eq!(values("?scope=day").await, [5, 4, 3, 2, 1]);
    assert_eq!(values("?scope=day&from=2026-11-02&to=2026-11-04").await, [4, 3, 2]);
    assert_eq!(values("?to=2026-11-01").await, [1]);
    assert_eq!(all(&eve, "/progress-metrics").await, Vec::<Value>::new());
    for (query, field) in [
        ("scope=01234567890123456", "scope"),
        ("scope=a%00", "scope"),
        ("from=x", "from"),
        ("to=2026-13-01", "to"),
        ("to=%2B10000-01-01", "to"),
        ("from=-0001-01-01", "from"),
    ] {
        assert_eq!(ada.get(&format!("/progress-metrics?{query}")).await.expect(422)["field"], field, "{query}");
    }
    let far = cursor(&json!(["-200000-01-01", Uuid::nil()]));
    let status = ada.get(&format!("/progress-metrics?cursor={far}")).await.status;
    assert!((400..500).contains(&status), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_is_named() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    for (field, value) in [
        ("scope", json!("")),
        ("scope", json!("x".repeat(17))),
        ("scope", json!("a\0")),
        ("value", json!(-1)),
        ("value", json!(1_000_001)),
        ("target_value", json!(0)),
        ("target_value", json!(1_000_001)),
        ("captured_at", json!("+10000-01-01")),
    ] {
        let mut body = json!({"scope": "day", "value": 1});
        body[field] = value.clone();
        let problem = ada.call("PUT", "/progress-metrics", Some(body), None).await.expect(422);
        assert_eq!(problem["field"], field, "{value}");
    }
    let body = json!({"scope": "day", "value": 1_000_000, "target_value": 1});
    ada.call("PUT", "/progress-metrics", Some(body), None).await.expect(200);
}

#[tokio::test]
async fn so_many_and_no_more() {
    let place = place().await;
    let ada = place.actor("ada").await;
    let fill = "insert into progress_metrics (user_id, scope, captured_at)
        select $1, 'scope ' || n % 50, date '2000-01-01' + n from generate_series(1, $2) n";
    let pool = place.db.pool();
    sqlx::query(fill).bind(ada.id).bind(50).execute(pool).await.unwrap();
    ada.refused("progress_metric.record", json!({"scope": "new", "value": 1}), "409 limit_reached").await;
    ada.ok("progress_metric.record", json!({"scope": "scope 7", "value": 1})).await;
    sqlx::query("delete from progress_metrics").execute(pool).await.unwrap();
    sqlx::query(fill).bind(ada.id).bind(20_000).execute(pool).await.unwrap();
    ada.refused("progress_metric.record", json!({"scope": "scope 7", "value": 1}), "409 limit_reached").await;
    let there = json!({"scope": "scope 7", "value": 1, "captured_at": "2000-01-08"});
    assert_eq!(ada.ok("progress_metric.record", there).await["value"], 1, "what is there may change");
}
