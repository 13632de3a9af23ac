//! Buttons, focus areas and playlists: a person's own lists, in the order that they put them in.

use serde_json::{Value, json};
use studyhall_protocol::dashboard::Dashboard;
use uuid::Uuid;

use super::{all, ear, hears, id, refused};
use crate::actors::{Actor, Dice, place};
use crate::harness;

/// One of the three.
struct List {
    command: &'static str,
    path: &'static str,
    /// Of the home page.
    field: &'static str,
    table: &'static str,
    /// The field that it is called by.
    name: &'static str,
    body: fn(&str) -> Value,
}

const LISTS: &[List] = &[
    List {
        command: "resource",
        path: "/resources",
        field: "resources",
        table: "study_resources (user_id, label)",
        name: "label",
        body: |name| json!({"label": name, "emoji": "📐", "url": "https://e.example/a"}),
    },
    List {
        command: "focus_entry",
        path: "/focus-entries",
        field: "focus_entries",
        table: "focus_entries (user_id, title)",
        name: "title",
        body: |name| json!({"title": name, "description": "long"}),
    },
    List {
        command: "playlist",
        path: "/playlists",
        field: "playlists",
        table: "study_playlists (user_id, title, provider, embed_url)",
        name: "title",
        body: |name| json!({"title": name, "provider": "vimeo", "embed_url": "https://player.vimeo.com/video/1"}),
    },
];

fn order(page: &Dashboard, list: &List) -> Vec<String> {
    let page = serde_json::to_value(page).unwrap();
    page[list.field].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

async fn make(actor: &Actor, list: &List, many: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..many {
        ids.push(actor.make(&format!("{}.create", list.command), (list.body)(&number.to_string())).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_writes_the_other_hears_and_strangers_find_nothing() {
    let app = harness::app().await;
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    let mut live = ear(&ada).await;
    for list in LISTS {
        let (path, event) = (list.path, |what: &str| format!("{}.{what}", list.command));
        let made = ada.post(path, (list.body)("one")).await.expect(201);
        assert_eq!(hears(&mut live, &event("created")).await, made["data"]);
        let two = live.rpc(&event("create"), (list.body)("two")).await.unwrap();
        assert_eq!(hears(&mut live, &event("created")).await, two["data"]);
        let (one, at) = (id(&made), format!("{path}/{}", id(&made)));
        let changed = ada.patch(&at, json!({list.name: "other"})).await.expect(200);
        assert_eq!(hears(&mut live, &event("updated")).await, changed["data"]);
        assert_eq!(changed["data"][list.name], "other");
        assert_eq!(ada.patch(&at, json!({list.name: "other"})).await.expect(200), changed, "nothing changed");
        let moved = ada.post(&format!("{at}/move"), json!({"after_id": id(&two)})).await.expect(200);
        assert_eq!(hears(&mut live, &event("moved")).await, moved["data"]);
        assert_eq!(moved["data"]["moved"]["id"], json!(one));
        let still = live.rpc(&event("move"), json!({"id": one, "after_id": id(&two)})).await.unwrap();
        assert_eq!(still, moved, "it stands there already");
        let ids: Vec<Value> = all(&ada, path).await.iter().map(|row| row["id"].clone()).collect();
        assert_eq!(ids, [json!(id(&two)), json!(one)]);

        let name = json!({list.name: "mine"});
        let named = json!({"id": one, list.name: "mine"});
        refused(&eve, ("PATCH", &at, Some(name)), (&event("update"), named), 404, "not_found").await;
        refused(&eve, ("DELETE", &at, None), (&event("delete"), json!({"id": one})), 404, "not_found").await;
        let door = format!("{at}/move");
        refused(&eve, ("POST", &door, Some(json!({}))), (&event("move"), json!({"id": one})), 404, "not_found").await;
        assert_eq!(all(&eve, path).await, Vec::<Value>::new());
        for (after, status, code) in
            [(json!(one), 422, "invalid_field"), (json!(Uuid::new_v4()), 409, "after_not_in_list")]
        {
            let (body, data) = (json!({"after_id": after}), json!({"id": one, "after_id": after}));
            let problem = refused(&ada, ("POST", &door, Some(body)), (&event("move"), data), status, code).await;
            assert_eq!(problem["field"], "after_id");
        }
        assert_eq!(ada.delete(&at).await.expect(200)["data"], json!({"id": one}));
        assert_eq!(hears(&mut live, &event("deleted")).await, json!({"id": one}));
        assert_eq!(ada.get("/dashboard").await.expect(200)[list.field], json!([two["data"]]));
    }
}

#[tokio::test]
async fn moves_keep_the_order_that_was_asked_for() {
    let place = place().await;
    let ada = place.actor("ada").await;
    for list in LISTS {
        let mut expected = make(&ada, list, 12).await;
        let before = ada.dashboard().await;
        let (mut dice, mut renumbered) = (Dice(7), 0);
        for _ in 0..80 {
            let id = expected.remove(dice.roll(12));
            // Mostly behind the first one, so that the gaps there run out.
            let to = if dice.roll(4) == 0 { dice.roll(12) } else { 1 };
            let after = to.checked_sub(1).map(|place| expected[place].clone());
            expected.insert(to, id.clone());
            let moved = ada.ok(&format!("{}.move", list.command), json!({"id": id, "after_id": after})).await;
            renumbered += usize::from(moved["reordered"] != json!([]));
        }
        assert!(renumbered > 1, "{renumbered}");
        let after = ada.dashboard().await;
        assert_eq!(order(&after, list), expected);
        place.assert_person(before, after).await;
        // The last possible index overflows nothing.
        let table = list.table.split(' ').next().unwrap();
        let edge = format!("update {table} set order_index = 2147483647 where id = $1");
        let last = expected.last().unwrap().parse::<Uuid>().unwrap();
        sqlx::query(sqlx::AssertSqlSafe(edge)).bind(last).execute(place.db.pool()).await.unwrap();
        let newest = make(&ada, list, 1).await;
        let before = ada.dashboard().await;
        assert_eq!(order(&before, list).last(), newest.first());
        ada.ok(&format!("{}.move", list.command), json!({"id": expected[0], "after_id": newest[0]})).await;
        let after = ada.dashboard().await;
        assert_eq!(order(&after, list).last(), Some(&expected[0]));
        place.assert_person(before, after).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tabs_at_once() {
    let place = place().await;
    let ada = place.actor("ada").await;
    for list in LISTS {
        let ids = make(&ada, list, 6).await;
        let before = ada.dashboard().await;
        let tabs = (0..4).map(|tab| {
            let (ada, ids, place, before) = (ada.clone(), ids.clone(), place.clone(), before.clone());
            tokio::spawn(async move {
                let mut dice = Dice(tab);
                for _ in 0..8 {
                    let (id, after) = (&ids[dice.roll(6)], &ids[dice.roll(6)]);
                    if id != after {
                        ada.ok(&format!("{}.move", list.command), json!({"id": id, "after_id": after})).await;
                    }
                    place.assert_person(before.clone(), ada.dashboard().await).await;
                }
            })
        });
        for tab in tabs.collect::<Vec<_>>() {
            tab.await.unwrap();
        }
        let mut left = order(&ada.dashboard().await, list);
        left.sort_unstable();
        let mut ids = ids;
        ids.sort_unstable();
        assert_eq!(left, ids);
    }
}

#[tokio::test]
async fn so_many_and_no_more() {
    let place = place().await;
    let ada = place.actor("ada").await;
    for list in LISTS {
        let columns = list.table.matches(',').count();
        let texts = vec!["'x'"; columns].join(", ");
        let fill = format!("insert into {} select $1, {texts} from generate_series(1, 200)", list.table);
        sqlx::query(sqlx::AssertSqlSafe(fill)).bind(ada.id).execute(place.db.pool()).await.unwrap();
        let create = format!("{}.create", list.command);
        ada.refused(&create, (list.body)("one more"), "409 limit_reached").await;
        let some = order(&ada.dashboard().await, list)[0].clone();
        ada.ok(&format!("{}.delete", list.command), json!({"id": some})).await;
        ada.ok(&create, (list.body)("as many")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_is_named() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let long = "x".repeat(10_001);
    let wrong = [
        vec![
            ("label", json!("")),
            ("label", json!("x".repeat(121))),
            ("emoji", json!("📐".repeat(9))),
            ("url", json!("javascript:alert(1)")),
            ("url", json!("https://user@e.example")),
            ("label", json!("a\0")),
        ],
        vec![("title", json!("\n")), ("title", json!("x".repeat(121))), ("description", json!(long))],
        vec![
            ("title", json!("x".repeat(161))),
            ("provider", json!("napster")),
            ("provider", json!("Vimeo")),
            ("embed_url", json!("https://www.youtube.com/embed/x")),
            ("embed_url", json!("http://player.vimeo.com/video/1")),
            ("embed_url", json!("https://player.vimeo.com:443/video/1")),
            ("embed_url", json!("https://player.vimeo.com@evil.example/video/1")),
            ("embed_url", json!("https://player.vimeo.com\\.evil.example/video/1")),
            ("embed_url", json!("https://player.vimeo.com/video/../x")),
            ("embed_url", json!("javascript:alert(1)")),
        ],
    ];
    for (list, wrong) in LISTS.iter().zip(wrong) {
        let own = id(&ada.post(list.path, (list.body)("fine")).await.expect(201));
        let at = format!("{}/{own}", list.path);
        let before = ada.get("/dashboard").await.expect(200);
        for (field, value) in wrong {
            let mut body = (list.body)("fine");
            body[field] = value.clone();
            assert_eq!(ada.post(list.path, body).await.expect(422)["field"], field, "{value}");
            assert_eq!(ada.patch(&at, json!({field: value})).await.expect(422)["field"], field, "{value}");
        }
        assert_eq!(ada.get("/dashboard").await.expect(200), before);
    }
    // The two belong together, also when only one of them changes.
    let own = id(&ada.post("/playlists", (LISTS[2].body)("fine")).await.expect(201));
    let at = format!("/playlists/{own}");
    let problem = ada.patch(&at, json!({"provider": "spotify"})).await.expect(422);
    assert_eq!(problem["field"], "embed_url");
    assert!(problem["detail"].as_str().unwrap().contains("https://open.spotify.com/embed/"), "{problem}");
    let both = json!({"provider": "spotify", "embed_url": "https://open.spotify.com/embed/playlist/1"});
    assert_eq!(ada.patch(&at, both).await.expect(200)["data"]["provider"], "spotify");
    let other = json!({"embed_url": "https://open.spotify.com/embed/album/2"});
    ada.patch(&at, other).await.expect(200);
}
