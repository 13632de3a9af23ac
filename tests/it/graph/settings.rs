//! Settings: private, checked, told to one's own devices.

use serde_json::{Value, json};

use super::profile;
use crate::harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_device_changes_them_and_the_other_hears_it() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let first = ada.get("/me/settings").await.expect(200);
    let usual = json!({"user_id": ada.id, "preferred_locale": "en", "timezone": "UTC", "theme": "system", "data": {},
        "presence_visibility": "following", "invisible": false});
    assert_eq!(first["data"], usual);
    let (mut live, mut other) = (ada.live().await, bob.live().await);
    assert_eq!(live.subscribe_from(&ada.channel(), &first["positions"][0]).await.unwrap()["recovered"], true);
    other.subscribe(&profile(&ada)).await;
    let all = json!({"preferred_locale": "ja", "timezone": "Asia/Tokyo", "theme": "dark", "data": {"sidebar": [1, 2]},
        "presence_visibility": "nobody", "invisible": true});
    let answer = ada.patch("/me/settings", all.clone()).await.expect(200);
    for (field, value) in all.as_object().unwrap() {
        assert_eq!(&answer["data"][field], value);
    }
    let (offset, event) = live.event().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("settings.updated"), &answer["data"]));
    assert_eq!(json!(offset), answer["positions"][0]["offset"]);
    // One field, and the rest stays; null clears.
    let answer = live.rpc("settings.update", json!({"timezone": null, "invisible": false})).await.unwrap();
    assert_eq!((&answer["data"]["timezone"], &answer["data"]["invisible"]), (&Value::Null, &json!(false)));
    assert_eq!((&answer["data"]["theme"], &answer["data"]["presence_visibility"]), (&json!("dark"), &json!("nobody")));
    assert_eq!(live.event().await.1["data"], answer["data"]);
    let read = ada.get("/me/settings").await.expect(200);
    assert_eq!(read, json!({"positions": answer["positions"], "data": answer["data"]}));
    assert_eq!(ada.get("/dashboard").await.expect(200)["settings"], answer["data"]);
    // What is so already is no event.
    for same in [json!({}), json!({"theme": "dark", "timezone": null})] {
        assert_eq!(ada.patch("/me/settings", same).await.expect(200), answer);
    }
    assert_eq!(live.drain().await, Vec::<Value>::new());
    assert_eq!(other.drain().await, Vec::<Value>::new(), "nobody else's business");
    assert_eq!(bob.get("/me/settings").await.expect(200)["data"]["theme"], "system");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_set_is_named() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let mut live = ada.live().await;
    let before = ada.get("/me/settings").await.expect(200);
    let deep = (0..40).fold(json!({}), |inner, _| json!({"a": inner}));
    for (field, value) in [
        ("timezone", json!("Mars/Olympus")),
        ("timezone", json!("asia/tokyo")),
        ("timezone", json!("Foo5")),
        ("timezone", json!("UTC+3")),
        ("timezone", json!("posix/Asia/Tokyo")),
        ("timezone", json!("")),
        ("timezone", json!("Asia/Tokyo'; select 1")),
        ("timezone", json!("x".repeat(65))),
        ("preferred_locale", json!("")),
        ("preferred_locale", json!("x".repeat(11))),
        ("theme", json!("x".repeat(33))),
        ("data", json!([])),
        ("data", json!({"a": "x".repeat(20_000)})),
        ("data", deep),
    ] {
        let refused = ada.patch("/me/settings", json!({field: value})).await.expect(422);
        assert_eq!((&refused["code"], &refused["field"]), (&json!("invalid_field"), &json!(field)), "{value}");
        let error = live.rpc("settings.update", json!({field: value})).await.unwrap_err();
        assert_eq!(error["code"], 1_422, "{value}: {error}");
    }
    for body in [
        json!({"presence_visibility": "friends"}),
        json!({"presence_visibility": null}),
        json!({"invisible": "yes"}),
        json!({"invisible": null}),
        json!({"theme": null}),
        json!({"user_id": ada.id}),
    ] {
        assert_eq!(ada.patch("/me/settings", body).await.expect(400)["code"], "bad_request");
    }
    assert_eq!(ada.get("/me/settings").await.expect(200), before);
    for good in ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "UTC"] {
        let set = ada.patch("/me/settings", json!({"timezone": good})).await.expect(200);
        assert_eq!(set["data"]["timezone"], good);
    }
}
