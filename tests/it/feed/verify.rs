//! `studyhall verify`: it finds what differs, repairs what can be, and open tabs follow.

use std::process::Output;

use serde_json::json;
use studyhall::domain::verify::differences;

use super::{comment, follow, like, position, post};
use crate::harness::{self, TestApp};

/// Runs the program against the database of a server that is running.
async fn studyhall(app: &TestApp, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_studyhall"));
    command.args(arguments).env("DATABASE_URL", &app.database.url);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_differences_are_found_and_repaired() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (first, second, fine) = (post(&ada, "one").await, post(&bob, "two").await, post(&bob, "three").await);
    comment(&bob, &first, "x").await;
    like(&app, &bob, &first).await;
    follow(&app, &bob, &ada).await;
    let (code, said) = studyhall(&app, &["verify"]).await;
    assert_eq!((code, &*said), (Some(0), "everything agrees\n"));
    let plant = format!(
        "update posts set like_count = 7, comment_count = 0 where id = '{first}';
         update posts set comment_count = 3 where id = '{second}';
         update users set posts_count = 5, followers_count = 0 where id = '{}';
         update users set following_count = 9 where id = '{}'",
        ada.id, bob.id
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(plant)).execute(&app.database.pool).await.unwrap();
    let (code, said) = studyhall(&app, &["verify"]).await;
    assert_eq!(code, Some(1), "{said}");
    for line in [
        format!("post {first} of {}: like_count is 7 and should be 1\n", ada.id),
        format!("post {first} of {}: comment_count is 0 and should be 1\n", ada.id),
        format!("post {second} of {}: comment_count is 3 and should be 0\n", bob.id),
        format!("person {}: posts_count is 5 and should be 1\n", ada.id),
        format!("person {}: followers_count is 0 and should be 1\n", ada.id),
        format!("person {}: following_count is 9 and should be 1\n", bob.id),
    ] {
        assert!(said.contains(&line), "{line}{said}");
    }
    assert!(said.contains("6 numbers differ") && !said.contains(&fine), "{said}");

    let channel = format!("profile:{}", ada.id);
    let before = bob.get(&format!("/posts/{first}")).await.expect(200);
    let (mut tab, mut hers) = (bob.live().await, ada.live().await);
    tab.subscribe_from(&channel, &position(&before, &channel)).await.unwrap();
    hers.subscribe(&ada.channel()).await;
    let (code, said) = studyhall(&app, &["verify", "--repair"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("4 repaired\neverything agrees\n"), "{said}");
    let (_, event) = tab.event().await;
    assert_eq!((&event["type"], &event["data"]["id"]), (&json!("post.updated"), &json!(first)));
    assert_eq!((&event["data"]["like_count"], &event["data"]["comment_count"]), (&json!(1), &json!(1)));
    let (_, event) = tab.event().await;
    assert_eq!((&event["type"], &event["data"]["posts_count"]), (&json!("profile.updated"), &json!(1)));
    assert_eq!(event["data"]["followers_count"], 1);
    assert_eq!(hers.event().await.1["data"]["posts_count"], 1);
    let after = bob.get(&format!("/posts/{first}")).await.expect(200);
    assert_eq!(after["data"]["updated_at"], before["data"]["updated_at"], "a count is no edit");
    assert_eq!(studyhall(&app, &["verify", "--repair"]).await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_in_a_log_is_found_and_not_made_up() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    post(&ada, "one").await;
    post(&ada, "two").await;
    let channel = format!("profile:{}", ada.id);
    for (plant, undo) in [
        (
            "update channel_heads set head = head + 1 where channel = $1",
            "update channel_heads set head = head - 1 where channel = $1",
        ),
        (
            "update events set \"offset\" = 100 where channel = $1 and \"offset\" = 2",
            "update events set \"offset\" = 2 where channel = $1 and \"offset\" = 100",
        ),
        (
            "update channel_heads set head = head - 1 where channel = $1",
            "update channel_heads set head = head + 1 where channel = $1",
        ),
    ] {
        sqlx::query(plant).bind(&channel).execute(&app.database.pool).await.unwrap();
        let found = differences(&app.app.state.db).await.unwrap();
        assert!(!found.is_empty(), "{plant}");
        for arguments in [&["verify"][..], &["verify", "--repair"]] {
            let (code, said) = studyhall(&app, arguments).await;
            assert!(code == Some(1) && said.contains(&format!("log of {channel}: ")), "{said}");
        }
        sqlx::query(undo).bind(&channel).execute(&app.database.pool).await.unwrap();
        assert_eq!(differences(&app.app.state.db).await.unwrap(), []);
    }
    // What retention took away is no difference.
    sqlx::query("select trim_channel($1, 3)").bind(&channel).execute(&app.database.pool).await.unwrap();
    assert_eq!(differences(&app.app.state.db).await.unwrap(), []);
}
