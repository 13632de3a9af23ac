//! What PostgreSQL makes of the server's statements on a database that has no statistics yet: on a fresh one, after a
//! restore, and of tables that are too small for autovacuum for ever.

use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use studyhall::db::Db;

use crate::harness;

/// Every statement that a plan is made for, and how many parameters it has, from what the build checks them against.
fn statements() -> Vec<(String, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let described = files.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let statements = described.map(|described| {
        let parameters = described["describe"]["parameters"]["Left"].as_array().map_or(0, Vec::len);
        (described["query"].as_str().unwrap().trim_start().to_owned(), parameters)
    });
    let planned = ["select", "with", "insert", "update", "delete"];
    statements.filter(|(text, _)| planned.iter().any(|word| text.to_lowercase().starts_with(word))).collect()
}

/// Those of them that PostgreSQL would compile before it runs them.
async fn compiled(pool: &PgPool, settings: &str) -> Vec<String> {
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut *connection).await.unwrap();
    let mut compiled = Vec::new();
    for (number, (text, parameters)) in statements().into_iter().enumerate() {
        let nulls = vec!["null"; parameters].join(", ");
        let given = if parameters == 0 { String::new() } else { format!("({nulls})") };
        let prepare = format!("prepare s{number} as {text}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        let explain = format!("explain (format json) execute s{number}{given}");
        let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
        if !plan[0]["JIT"].is_null() {
            compiled.push(text);
        }
    }
    compiled
}

#[tokio::test]
async fn no_statement_is_compiled_whatever_is_expected_of_it() {
    let database = harness::database().await;
    let db = Db::connect(&database.url, 2).await.unwrap();
    let generic = "set plan_cache_mode = force_generic_plan";
    assert_eq!(compiled(db.pool(), generic).await, Vec::<String>::new());

    // Without our settings they would be, where PostgreSQL expects them to be dear.
    let able: bool = sqlx::query_scalar("select pg_jit_available()").fetch_one(&database.pool).await.unwrap();
    if able {
        let dear = compiled(&database.pool, &format!("{generic}; set jit = on; set jit_above_cost = 0")).await;
        assert!(!dear.is_empty(), "this test can fail");
    }
}
