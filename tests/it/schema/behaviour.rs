//! What the database does by itself: triggers, checks, cascades and its functions.

use sqlx::PgPool;
use uuid::Uuid;

/// Inserts a row and returns its id.
async fn insert(pool: &PgPool, sql: &'static str) -> Uuid {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn person(pool: &PgPool, username: &str) -> Uuid {
    let sql = "insert into users (username) values ($1) returning id";
    sqlx::query_scalar(sql).bind(username).fetch_one(pool).await.expect("a person")
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The name of the constraint that refuses the statement.
async fn refused(pool: &PgPool, sql: &'static str) -> String {
    let error = sqlx::raw_sql(sql).execute(pool).await.expect_err(sql);
    let error = error.as_database_error().unwrap_or_else(|| panic!("{sql}: {error}"));
    error.constraint().unwrap_or_else(|| panic!("{sql}: {error}")).to_owned()
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[tokio::test]
async fn updated_at_moves_when_the_content_changes_and_only_then() {
    let db = crate::harness::database().await;
    run(
        &db.pool,
        "insert into users (username, updated_at) values ('aiko', now() - interval '1 hour');
        insert into posts (user_id, content, updated_at) select id, 'one', updated_at from users",
    )
    .await;
    let recent = "select count(*) from (select updated_at from posts union all select updated_at from users) rows
                  where updated_at > now() - interval '1 minute'";

    run(&db.pool, "update posts set content = content; update users set bio = bio").await;
    assert_eq!(count(&db.pool, recent).await, 0, "nothing changed");
    run(&db.pool, "update posts set like_count = like_count + 1, comment_count = 3").await;
    run(&db.pool, "update users set followers_count = 1, following_count = 1, posts_count = 1").await;
    assert_eq!(count(&db.pool, recent).await, 0, "counters are not content");
    run(&db.pool, "update posts set content = 'two', like_count = 2").await;
    assert_eq!(count(&db.pool, recent).await, 1);
    run(&db.pool, "update users set bio = 'Reads.', updated_at = '2000-01-01'").await;
    assert_eq!(count(&db.pool, recent).await, 2, "no statement can set it back");
}

#[tokio::test]
async fn updated_at_never_goes_backwards() {
    let db = crate::harness::database().await;
    person(&db.pool, "aiko").await;
    run(
        &db.pool,
        "insert into task_lists (user_id, name, updated_at)
        select id, 'Today', now() + interval '1 hour' from users",
    )
    .await;
    run(&db.pool, "update task_lists set name = 'Tomorrow'").await;
    let later = "select count(*) from task_lists where updated_at > now() + interval '30 minutes'";
    assert_eq!(count(&db.pool, later).await, 1);
}

#[tokio::test]
async fn names_are_unique_without_regard_to_case() {
    let db = crate::harness::database().await;
    run(&db.pool, "insert into users (username, email) values ('Aiko', 'aiko@example.org'), ('Ben', null)").await;
    run(&db.pool, "insert into users (username) values ('Cleo')").await;
    assert_eq!(refused(&db.pool, "insert into users (username) values ('aIKO')").await, "users_username_key");
    let same_email = "insert into users (username, email) values ('Dora', 'AIKO@example.org')";
    assert_eq!(refused(&db.pool, same_email).await, "users_email_key");
}

#[tokio::test]
async fn a_task_belongs_to_the_owner_of_its_list() {
    let db = crate::harness::database().await;
    let (aiko, ben) = (person(&db.pool, "aiko").await, person(&db.pool, "ben").await);
    let list = insert(
        &db.pool,
        "insert into task_lists (user_id, name)
        select id, 'Today' from users where username = 'aiko' returning id",
    )
    .await;
    let task = "insert into tasks (list_id, user_id, description) values ($1, $2, 'Read chapter 3')";

    let stolen = sqlx::query(task).bind(list).bind(ben).execute(&db.pool).await.expect_err("not Ben's list");
    let constraint = stolen.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("tasks_list_owner_fkey"));

    sqlx::query(task).bind(list).bind(aiko).execute(&db.pool).await.expect("Aiko's own list");
    run(&db.pool, "delete from task_lists").await;
    assert_eq!(count(&db.pool, "select count(*) from tasks").await, 0);
}

#[tokio::test]
async fn impossible_values_are_refused_by_name() {
    let db = crate::harness::database().await;
    person(&db.pool, "aiko").await;
    run(
        &db.pool,
        "insert into posts (user_id, content) select id, 'Hello' from users;
        insert into immersive_workspaces (user_id, name) select id, 'Desk' from users",
    )
    .await;
    let cases = [
        ("insert into user_presence (user_id, status) select id, 'away' from users", "user_presence_status_check"),
        ("insert into follows select id, id from users", "follows_no_self_check"),
        ("update users set followers_count = -1", "users_followers_count_check"),
        ("update posts set like_count = -1", "posts_like_count_check"),
        ("insert into user_tags (user_id, tag) select id, '#maths' from users", "user_tags_tag_check"),
        ("insert into user_settings (user_id, data) select id, '[]' from users", "user_settings_data_check"),
        ("update immersive_workspaces set background_type = 'gif'", "immersive_workspaces_background_type_check"),
        (
            "insert into immersive_widgets (workspace_id, type, grid_w) select id, 'clock', 0 from immersive_workspaces",
            "immersive_widgets_grid_w_check",
        ),
        (
            "insert into immersive_widgets (workspace_id, type, grid_h) select id, 'clock', -1 from immersive_workspaces",
            "immersive_widgets_grid_h_check",
        ),
        (
            "insert into workspace_members select w.id, u.id, 'guest' from immersive_workspaces w, users u",
            "workspace_members_role_check",
        ),
        (
            "insert into attachments (user_id, kind, file_name, content_type, size_bytes, storage_key, sha256, post_id,
          workspace_id) select u.id, 'image', 'a.png', 'image/png', 1, 'a', sha256('a'), p.id, w.id
          from users u, posts p, immersive_workspaces w",
            "attachments_one_parent_check",
        ),
        (
            "insert into audit_logs (action, subject_id) values ('post.created', gen_random_uuid())",
            "audit_logs_subject_check",
        ),
        (
            "insert into sign_ins (user_id, token_hash, expires_at, ended_at) select id, 'a', now(), now() from users",
            "sign_ins_ended_check",
        ),
        ("insert into channel_heads (channel, floor) values ('a', 2)", "channel_heads_floor_check"),
        ("insert into log_epoch (singleton, epoch) values (false, 'e')", "log_epoch_singleton_check"),
        ("update log_epoch set epoch = '_'", "log_epoch_epoch_check"),
    ];
    for (sql, constraint) in cases {
        assert_eq!(refused(&db.pool, sql).await, constraint, "{sql}");
    }
    let epoch: String = sqlx::query_scalar("select epoch from log_epoch").fetch_one(&db.pool).await.expect("one row");
    assert_eq!((epoch.len(), &epoch[..1]), (11, "e"));
}

#[tokio::test]
async fn erasing_a_person_takes_what_is_theirs_and_leaves_the_record() {
    let db = crate::harness::database().await;
    person(&db.pool, "aiko").await;
    run(
        &db.pool,
        "insert into courses (user_id, name) select id, 'Algebra' from users;
        insert into assignments (user_id, course_id, title) select user_id, id, 'Sheet 1' from courses;
        insert into audit_logs (actor_id, action) select id, 'account.created' from users;
        delete from courses",
    )
    .await;
    assert_eq!(count(&db.pool, "select count(*) from assignments where course_id is null").await, 1);
    run(&db.pool, "delete from users").await;
    assert_eq!(count(&db.pool, "select count(*) from assignments").await, 0);
    assert_eq!(count(&db.pool, "select count(*) from audit_logs where actor_id is null").await, 1);
}

#[tokio::test]
async fn event_partitions_are_daily_and_made_once() {
    let db = crate::harness::database().await;
    let partitions = "select count(*) from pg_inherits where inhparent = 'events'::regclass";
    assert_eq!(count(&db.pool, partitions).await, 9, "yesterday, today and seven days");

    let ensure = |days: i32| sqlx::query_scalar::<_, i32>("select ensure_event_partitions($1)").bind(days);
    assert_eq!(ensure(7).fetch_one(&db.pool).await.expect("again"), 0);
    // Another time zone of the connection must not move the borders of a day.
    let mut other = db.pool.acquire().await.expect("a connection");
    sqlx::raw_sql("set time zone 'Asia/Tokyo'").execute(&mut *other).await.expect("a time zone");
    assert_eq!(ensure(8).fetch_one(&mut *other).await.expect("one more"), 1);
    let (one, two) = tokio::join!(ensure(10).fetch_one(&db.pool), ensure(10).fetch_one(&mut *other));
    assert_eq!(one.expect("one server") + two.expect("another server"), 2, "two at once make each day once");
    assert_eq!(count(&db.pool, partitions).await, 12);
    sqlx::raw_sql("reset time zone").execute(&mut *other).await.expect("a time zone");
    drop(other);

    let sql = "insert into events (channel, \"offset\", at, type)
               select 'a', n + 2, date_trunc('day', now(), 'UTC') + make_interval(days => n::int, hours => 23), 'x'
               from generate_series(-1, 10) n";
    run(&db.pool, sql).await;
    let misplaced = "select count(*) from events
                     where tableoid::regclass::text <> 'events_' || to_char(at at time zone 'utc', 'YYYYMMDD')";
    assert_eq!(count(&db.pool, misplaced).await, 0);
    let too_far = "insert into events (channel, \"offset\", at, type) values ('a', 99, now() + interval '20 d', 'x')";
    assert!(sqlx::raw_sql(too_far).execute(&db.pool).await.is_err(), "there is no default partition");
}

#[tokio::test]
async fn trimming_drops_events_and_moves_the_floor_together() {
    let db = crate::harness::database().await;
    run(
        &db.pool,
        "insert into channel_heads (channel, head) values ('a', 5), ('b', 5);
        insert into events (channel, \"offset\", type)
        select channel, n, 'x' from channel_heads, generate_series(1, 5) n",
    )
    .await;
    let trim = async |keep_from: Option<i64>| -> (Option<i64>, i64, i64) {
        let sql = "select trim_channel('a', $1)";
        let answer = sqlx::query_scalar(sql).bind(keep_from).fetch_one(&db.pool).await.expect("a floor");
        let (floor, left) = sqlx::query_as(
            "select floor, (select count(*) from events where channel = 'a' and \"offset\" >= floor)
             from channel_heads where channel = 'a'",
        )
        .fetch_one(&db.pool)
        .await
        .expect("a head");
        (answer, floor, left)
    };
    assert_eq!(trim(Some(3)).await, (Some(3), 3, 3));
    assert_eq!(trim(Some(1)).await, (Some(3), 3, 3), "the floor never moves back");
    assert_eq!(trim(None).await, (None, 3, 3), "no bound is not every event");
    assert_eq!(trim(Some(100)).await, (Some(6), 6, 0), "never beyond the head");
    assert_eq!(count(&db.pool, "select count(*) from events where channel = 'a'").await, 0);
    assert_eq!(count(&db.pool, "select count(*) from events where channel = 'b'").await, 5);
    let unknown: Option<i64> =
        sqlx::query_scalar("select trim_channel('c', 1)").fetch_one(&db.pool).await.expect("an answer");
    assert_eq!(unknown, None);
}
