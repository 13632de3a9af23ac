//! Reads that are asked often, and the look of the duties, find their rows by an index among those of many people.

use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::harness;

/// The statement that has this in it, from what the build checks statements against.
fn statement(part: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let texts = files.map(|text| serde_json::from_str::<Value>(&text).unwrap()["query"].as_str().unwrap().to_owned());
    let found: Vec<String> = texts.filter(|text| text.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part}");
    found.into_iter().next().unwrap()
}

/// Many people, each with something of everything.
const FILL: &str = "insert into users (id, username) select gen_random_uuid(), 'u' || n from generate_series(1, 300) n;
        insert into user_settings (user_id) select id from users;
        insert into assignments (user_id, title, due_at, timeframe)
            select u.id, 'x', current_date + 60 + n, 'later' from users u, generate_series(1, 60) n;
        insert into progress_metrics (user_id, scope, captured_at)
            select u.id, 's' || n % 4, current_date - n from users u, generate_series(1, 80) n;
        insert into study_resources (user_id, label, order_index)
            select u.id, 'x', n from users u, generate_series(1, 40) n;
        insert into focus_entries (user_id, title, order_index)
            select u.id, 'x', n from users u, generate_series(1, 40) n;
        insert into study_playlists (user_id, title, provider, embed_url, order_index)
            select u.id, 'x', 'vimeo', 'x', n from users u, generate_series(1, 40) n;
        with c as (insert into courses (user_id, name) select id, 'x' from users, generate_series(1, 20) returning *)
            insert into course_members (course_id, user_id, role) select id, user_id, 'owner' from c;
        insert into user_tags (user_id, tag) select u.id, 'tag' || n from users u, generate_series(1, 40) n;
        analyze";

#[tokio::test]
async fn hot_reads_use_an_index() {
    let database = harness::database().await;
    let mut db = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut db).await.unwrap();
    let me: uuid::Uuid = sqlx::query_scalar("select id from users limit 1").fetch_one(&mut db).await.unwrap();
    let me = format!("'{me}'");
    let mut whole = Vec::new();
    for (part, arguments, tables) in [
        ("order by min(t.turns_at)", "200".to_owned(), &["assignment_turns", "assignments"][..]),
        (
            "coalesce(due_at, 'infinity'), created_at, id",
            format!("{me}, null, null, null, 51, null, null, null"),
            &["assignments"],
        ),
        ("captured_at between", format!("{me}, null, null, 51, null, null, null"), &["progress_metrics"]),
        ("captured_at between", format!("{me}, null, null, 51, 's1', null, null"), &["progress_metrics"]),
        ("select * from study_resources", format!("{me}, null, null, null, 51"), &["study_resources"]),
        ("select * from focus_entries", format!("{me}, null, null, null, 51"), &["focus_entries"]),
        ("select * from study_playlists", format!("{me}, null, null, null, 51"), &["study_playlists"]),
        ("m.course_id = $5", format!("{me}, null, null, 51, null"), &["course_members", "courses"]),
        (
            "select t.user_id, t.tag, t.created_at from user_tags",
            format!("{me}, 'tag1', null, null, 20"),
            &["user_tags", "users"],
        ),
        ("limit $3) c) as \"people!\"", format!("{me}, 'tag1', 1000"), &["user_tags"]),
        (
            "as \"progress_metrics!",
            me.clone(),
            &[
                "assignments",
                "courses",
                "course_members",
                "study_resources",
                "focus_entries",
                "study_playlists",
                "progress_metrics",
            ],
        ),
        ("update assignments a set timeframe", me.clone(), &["assignments"]),
    ] {
        let prepare = format!("prepare s as {}", statement(part));
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut db).await.unwrap();
        let explain = format!("explain execute s({arguments})");
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut db).await.unwrap();
        for table in tables {
            let read = |line: &String| {
                line.contains(&format!("Seq Scan on {table} ")) || line.ends_with(&format!("Seq Scan on {table}"))
            };
            if plan.iter().any(read) {
                whole.push(format!("{part} reads all {table}:\n{}", plan.join("\n")));
            }
        }
        sqlx::raw_sql("deallocate s").execute(&mut db).await.unwrap();
    }
    assert!(whole.is_empty(), "{}", whole.join("\n"));
}
