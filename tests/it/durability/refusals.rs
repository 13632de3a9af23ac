//! What is set wrongly is refused at the start: by a message that names the setting and the remedy, and with nothing done.

use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use studyhall::db::Db;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::crash::Postgres;
use crate::faults::node::Node;
use crate::harness;

/// Starts a server that must end by itself, and returns what it says about that.
async fn refused(database: &str, redis: Option<&str>) -> String {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_studyhall"));
    command
        .kill_on_drop(true)
        .arg("serve")
        .env("DATABASE_URL", database)
        .env("STUDYHALL_LISTEN", "127.0.0.1:0")
        .env_remove("REDIS_URL");
    command.env("STUDYHALL_METRICS_LISTEN", "off").stdin(Stdio::null());
    if let Some(redis) = redis {
        command.env("REDIS_URL", redis);
    }
    let output = tokio::time::timeout(harness::PATIENCE, command.output()).await.expect("it ends").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(output.stdout.is_empty(), "it was ready for a moment: {}", String::from_utf8_lossy(&output.stdout));
    assert!(!said.contains("correct horse"), "it says a password: {said}");
    println!("{}", said.trim_end());
    said
}

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

/// How much there is in a database.
async fn tables(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_is_not_there() {
    let free = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let said = refused(&format!("postgres://ada:correct%20horse@{address}/studyhall"), None).await;
    says(&said, &["cannot reach PostgreSQL", &address.to_string(), "DATABASE_URL"]);
    let said = refused("mysql://ada@127.0.0.1/studyhall", None).await;
    says(&said, &["DATABASE_URL", "postgres://"]);
    let other = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = other.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = other.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let said = refused(&format!("postgres://ada@{address}/studyhall?sslmode=disable"), None).await;
    says(&said, &["does not speak PostgreSQL's protocol", &address.to_string(), "DATABASE_URL"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_could_lose_what_was_acknowledged_and_people_who_are_not_let_in() {
    let mut postgres = Postgres::start().await;
    let pool = postgres.pool().await;
    let run = async |statement: &str| {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
    };
    run("create role forgetful login superuser password 'correct horse'").await;
    let url = postgres.url.clone();
    let as_forgetful = url.replace("user=studyhall", "user=forgetful");
    // For the role, for the database, and for the role in this database.
    for (change, undo, remedy) in [
        (
            "alter role forgetful set synchronous_commit = off",
            "alter role forgetful reset synchronous_commit",
            "alter role forgetful reset synchronous_commit",
        ),
        (
            "alter database studyhall set synchronous_commit = off",
            "alter database studyhall reset synchronous_commit",
            "alter database studyhall reset synchronous_commit",
        ),
        (
            "alter role forgetful in database studyhall set synchronous_commit = off",
            "alter role forgetful in database studyhall reset synchronous_commit",
            "alter role forgetful in database studyhall reset synchronous_commit",
        ),
    ] {
        // The private server has it on its command line, which settings of roles outrank.
        run(change).await;
        says(&refused(&as_forgetful, None).await, &["synchronous_commit = off", remedy]);
        run(undo).await;
    }
    run("alter role forgetful set default_transaction_read_only = on").await;
    says(&refused(&as_forgetful, None).await, &["takes no writes", "default_transaction_read_only", "DATABASE_URL"]);
    run("alter role forgetful reset default_transaction_read_only").await;

    let nowhere = url.replace("///studyhall?", "///nowhere?");
    says(&refused(&nowhere, None).await, &["\"nowhere\"", "createdb nowhere", "DATABASE_URL"]);
    assert_eq!(tables(&pool).await, 0, "nothing was made");

    // With a password, and with fsync off: the server's own files decide.
    let hba = postgres.cluster().join("pg_hba.conf");
    std::fs::write(&hba, "local all studyhall trust\nlocal all all scram-sha-256\n").unwrap();
    run("select pg_reload_conf()").await;
    let wrong = format!("{as_forgetful}&password=correct%20horses");
    says(&refused(&wrong, None).await, &["refuses user \"forgetful\"", "password", "DATABASE_URL"]);
    pool.close().await;
    postgres.stop().await;
    fsync_off(&mut postgres).await;
}

/// Started by hand, since the private server always has it on.
async fn fsync_off(postgres: &mut Postgres) {
    postgres.again().await;
    let (cluster, url) = (postgres.cluster(), postgres.url.clone());
    let run = url.split("host=").nth(1).unwrap().split('&').next().unwrap().replace("%2F", "/");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&cluster).unwrap());
    let group = std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(&cluster).unwrap());
    let program = std::fs::read_link(format!("/proc/{}/exe", postgres.pid())).unwrap();
    postgres.stop().await;
    let mut command = Command::new(program);
    command.arg("-D").arg(&cluster).args(["-p", "5432", "-k", &run, "-c", "listen_addresses=", "-c", "fsync=off"]);
    command.current_dir(&cluster).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::uid(&mut command, owner);
    std::os::unix::process::CommandExt::gid(&mut command, group);
    let mut child = command.spawn().unwrap();
    let said = refused(&url, None).await;
    let asked = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), nix::sys::signal::SIGINT);
    asked.unwrap();
    child.wait().unwrap();
    says(&said, &["fsync = off", "command line", "without -c fsync=off"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_newer_than_the_program() {
    let database = harness::database().await;
    let node = Node::start(&database.url, None).await;
    let pool = &database.pool;
    // As a newer server leaves it that was started beside this one.
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'of next year', true, '', 0)",
    )
    .execute(pool)
    .await
    .unwrap();
    let before = tables(pool).await;
    let said = refused(&database.url, None).await;
    says(&said, &["newer schema", "9999", "DATABASE_URL"]);
    assert_eq!(tables(pool).await, before);
    // The one that ran before goes on.
    assert_eq!(reqwest::get(format!("{}/readyz", node.url)).await.unwrap().status(), 200);
    harness::sign_up(&node.url, "ada").await;
}

/// A server that answers every line with the same.
async fn pretender(answer: String) -> String {
    let listener = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 4_096];
                while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                    if answer.starts_with("HTTP") {
                        let _ = stream.write_all(answer.as_bytes()).await;
                        continue;
                    }
                    let said = String::from_utf8_lossy(&bytes[..read]).to_uppercase();
                    for command in said.split("\r\n").filter(|word| ["INFO", "CLIENT", "HELLO", "GET"].contains(word)) {
                        let reply = if command == "INFO" { &answer } else { "-ERR unknown command\r\n" };
                        let _ = stream.write_all(reply.as_bytes()).await;
                    }
                }
            });
        }
    });
    format!("redis://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_too_old_or_none_at_all() {
    let database = harness::database().await;
    // An empty database of its own: the refusal comes before anything is made in it.
    let info = "# Server\r\nredis_version:5.0.14\r\nos:Linux\r\n";
    let old = pretender(format!("${}\r\n{info}\r\n", info.len())).await;
    let said = refused(&database.url, Some(&old)).await;
    says(&said, &["version 5.0.14", "6.0", "REDIS_URL"]);
    let http = pretender("HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()).await;
    let said = refused(&database.url, Some(&http)).await;
    says(&said, &["REDIS_URL", "Redis", "6.0"]);
    let said = refused(&database.url, Some("postgres://127.0.0.1/")).await;
    says(&said, &["REDIS_URL", "redis://"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_not_there_yet_is_no_reason() {
    let database = harness::database().await;
    let node = Node::start(&database.url, Some("redis://127.0.0.1:1")).await;
    assert!(node.log().contains("REDIS_URL"), "{}", node.log());
    harness::sign_up(&node.url, "ada").await;
}

/// A role's setting that is changed while a node runs: its next connections are refused, and it says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_are_looked_at_as_well() {
    let database = harness::database().await;
    let db = Db::connect(&database.url, 2).await.unwrap();
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&database.pool).await.unwrap();
    let change = format!("alter database {name} set synchronous_commit = off");
    sqlx::raw_sql(AssertSqlSafe(change)).execute(&database.pool).await.unwrap();
    let began = std::time::Instant::now();
    assert!(db.begin().await.is_err());
    assert!(began.elapsed() < Duration::from_secs(5));
}
