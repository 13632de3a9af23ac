//! Who sees whom, on every surface: the table of `docs/live.md` is what this test sees.

use serde_json::{Value, json};

use super::{presences, profile, slot};
use crate::harness::{self, Person, TestApp};

const SETTINGS: [(&str, &str, bool); 4] = [
    ("everyone", "everyone", false),
    ("following", "following", false),
    ("nobody", "nobody", false),
    ("invisible", "everyone", true),
];
const VIEWERS: [&str; 5] = ["follower", "followed", "room-mate", "stranger", "blocked"];
const SURFACES: [&str; 5] = ["slot", "REST", "presence", "stats", "join"];

/// Makes `viewer` to `author` what the word says. In the room, who is no member is a guest.
async fn relate(word: &str, viewer: &Person, author: &Person, room: &str) {
    let member = format!("/workspaces/{room}/members/{}", viewer.id);
    match word {
        "follower" => drop(viewer.put(&format!("/users/{}/follow", author.id)).await.expect(200)),
        "followed" => drop(author.put(&format!("/users/{}/follow", viewer.id)).await.expect(200)),
        "room-mate" => drop(author.put(&member).await.expect(201)),
        "blocked" => {
            author.put(&member).await.expect(201);
            viewer.put(&format!("/users/{}/block", author.id)).await.expect(200);
        }
        _ => {}
    }
}

/// What one viewer sees of an author who comes, on every surface.
async fn look(app: &TestApp, word: &str, (visibility, invisible): (&str, bool)) -> [bool; 5] {
    let name = |role: &str| format!("{role}_{visibility}_{invisible}_{}", word.replace('-', "_"));
    let (author, viewer) = (app.person(&name("a")).await, app.person(&name("v")).await);
    let settings = json!({"presence_visibility": visibility, "invisible": invisible});
    author.patch("/me/settings", settings).await.expect(200);
    let room = json!({"name": "Room", "settings": {"guests": true}});
    let room = author.post("/workspaces", room).await.expect(201)["data"]["id"].as_str().unwrap().to_owned();
    relate(word, &viewer, &author, &room).await;
    let channel = format!("workspace:{room}");
    let join_leave = json!({"subscribe": {"channel": channel, "join_leave": true}});
    let mut eyes = viewer.live().await;
    eyes.request(join_leave.clone()).await.unwrap();
    let mut person = author.live().await;
    // The answer comes when it is known how the author stands, and everybody was told.
    person.request(join_leave).await.unwrap();
    let pushes = eyes.drain().await;
    let joined = pushes.iter().any(|push| push["join"]["info"]["user"] == json!(author.id));
    let presence = eyes.request(json!({"presence": {"channel": channel}})).await.unwrap();
    let people = presence["presence"]["presence"].as_object().unwrap();
    let stats = eyes.request(json!({"presence_stats": {"channel": channel}})).await.unwrap();
    let pill = eyes.request(json!({"subscribe": {"channel": profile(&author)}})).await;
    let pill = pill.map_or(Value::Null, |reply| slot(&reply["subscribe"]));
    let rest = presences(&viewer, &[author.id]).await.remove(0);
    [
        pill["status"] == "online",
        rest["status"] == "online",
        people.contains_key(&author.id.to_string()),
        stats["presence_stats"]["num_users"] == 2,
        joined,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sees_whom() {
    let app = harness::app().await;
    let mut table = format!("| setting | surface | {} |\n| --- | --- |{}\n", VIEWERS.join(" | "), " --- |".repeat(5));
    for (setting, visibility, invisible) in SETTINGS {
        let mut seen = Vec::new();
        for viewer in VIEWERS {
            seen.push(look(&app, viewer, (visibility, invisible)).await);
        }
        for (surface, name) in SURFACES.iter().enumerate() {
            let cells = seen.iter().map(|seen| if seen[surface] { "yes" } else { "–" });
            table += &format!("| {setting} | {name} | {} |\n", cells.collect::<Vec<_>>().join(" | "));
        }
    }
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/live.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    assert!(manual.contains(&table), "docs/live.md does not have this table:\n{table}");
}
