//! What is in one batch, for certain: while somebody holds the author's channel, all that comes waits for the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{is_sum, log, post};
use crate::harness::{self, Person, TestApp};

const FANS: usize = 30;
/// Enough to be drained, however slow the machine.
const HEAT: usize = 300;

/// An author whose posts are liked without pause, by people who do so already: nothing is told.
struct Hot {
    app: TestApp,
    author: Person,
    posts: Vec<Uuid>,
    stop: Arc<AtomicBool>,
    fans: Vec<JoinHandle<()>>,
}

/// The author's channel, in the hands of somebody else. One batch waits for it; all others wait for that.
type Lock = Transaction<'static, Postgres>;

async fn hot() -> Hot {
    hot_at(harness::app_with(|config| config.database_connections = 3).await).await
}

async fn hot_at(app: TestApp) -> Hot {
    let (author, fan) = (app.person("ada").await, Arc::new(app.person("fan").await));
    let mut posts = Vec::new();
    for _ in 0..3 {
        posts.push(post(&app, &author).await);
        fan.put(&format!("/posts/{}/like", posts.last().unwrap())).await.expect(200);
    }
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let path = format!("/posts/{}/like", posts[0]);
    let fans = (0..FANS).map(|_| {
        let (fan, stop, done, path) = (fan.clone(), stop.clone(), done.clone(), path.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                fan.put(&path).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let fans = fans.collect();
    until(async || done.load(Ordering::Relaxed) > HEAT).await;
    Hot { app, author, posts, stop, fans }
}

async fn until(mut there: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + harness::PATIENCE;
    while !there().await {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Hot {
    fn path(&self, post: usize) -> String {
        format!("/posts/{}/like", self.posts[post])
    }

    async fn scalar<T>(&self, query: &'static str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    {
        sqlx::query_scalar(query).fetch_one(&self.app.database.pool).await.unwrap()
    }

    /// Holds the channel until every fan waits. Only one of the transactions does.
    async fn hold(&self) -> Lock {
        let mut lock = self.app.database.pool.begin().await.unwrap();
        let take = sqlx::query("select from channel_heads where channel = $1 for update");
        take.bind(format!("profile:{}", self.author.id)).execute(&mut *lock).await.unwrap();
        self.in_flight(FANS).await;
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        until(async || self.scalar::<i64>(waiting).await == 1).await;
        lock
    }

    async fn in_flight(&self, commands: usize) {
        until(async || self.app.app.state.writer.in_flight() == commands).await;
    }

    /// Lets everybody go on, and the fans go home.
    async fn release(&self, lock: Lock) {
        self.stop.store(true, Ordering::Relaxed);
        // One more round for those that were let in a moment ago.
        self.author.get("/dashboard").await.expect(200);
        lock.rollback().await.unwrap();
    }

    /// The event of the author's channel that an answer names, once nobody likes any more.
    async fn named(self, answer: &Value) -> (Self, Value) {
        let Hot { app, author, posts, stop, fans } = self;
        join_all(fans).await.into_iter().for_each(Result::unwrap);
        let public = log(&author, &format!("profile:{}", author.id)).await;
        let event = public[answer["positions"][1]["offset"].as_u64().unwrap() as usize - 1].clone();
        (Hot { app, author, posts, stop, fans: Vec::new() }, event)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_command_fails_alone() {
    let hot = hot().await;
    let (good, bad, sad) = (hot.app.person("good").await, hot.app.person("bad").await, hot.app.person("sad").await);
    let pool = &hot.app.database.pool;
    let used = Uuid::new_v4();
    good.call("POST", "/task-lists", Some(json!({"name": "x"})), Some(used)).await.expect(201);
    for (blocker, blocked) in [(hot.author.id, bad.id), (sad.id, hot.author.id)] {
        sqlx::query("insert into blocks values ($1, $2)").bind(blocker).bind(blocked).execute(pool).await.unwrap();
    }
    sqlx::query("delete from posts where id = $1").bind(hot.posts[2]).execute(pool).await.unwrap();
    let (path, gone, refused) = (hot.path(1), hot.path(2), Uuid::new_v4());
    let lock = hot.hold().await;
    let release = async {
        hot.in_flight(FANS + 6).await;
        hot.release(lock).await;
    };
    let (first, blocked, blocks, deleted, reused, second, ()) = tokio::join!(
        good.put(&path),
        bad.call("PUT", &path, None, Some(refused)),
        sad.call("PUT", &path, None, Some(refused)),
        good.call("PUT", &gone, None, Some(refused)),
        good.call("PUT", &path, None, Some(used)),
        hot.author.put(&path),
        release,
    );
    assert_eq!(blocked.expect(404)["code"], "not_found");
    assert_eq!(blocks.expect(404)["code"], "not_found");
    assert_eq!(deleted.expect(404)["code"], "not_found");
    assert_eq!(reused.expect(422)["code"], "op_reused");
    let (first, second) = (first.expect(200), second.expect(200));
    assert_eq!((&first["data"]["like_count"], &second["data"]["like_count"]), (&json!(3), &json!(3)));
    assert_eq!(first["positions"][1], second["positions"][1], "one event for both");
    let (hot, sum) = hot.named(&first).await;
    assert!(is_sum(&sum), "{sum}");
    assert_eq!(sum["data"], json!({"posts": [{"post_id": hot.posts[1], "like_count": 3}]}));
    let kept: Vec<(Uuid, bool)> = sqlx::query_as("select op, answer is not null from operations where op in ($1, $2)")
        .bind(refused)
        .bind(used)
        .fetch_all(&hot.app.database.pool)
        .await
        .unwrap();
    assert_eq!(kept, [(used, true)], "what is refused may be sent again, and an old answer stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_an_id_elsewhere_and_waits_for_the_channel_gets_it() {
    let database = harness::database().await;
    // Nobody but us finds out that two wait for each other.
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&database.pool).await.unwrap();
    let patient = sqlx::AssertSqlSafe(format!("alter database {name} set deadlock_timeout = '1h'"));
    sqlx::query(patient).execute(&database.pool).await.unwrap();
    let hot = hot_at(harness::app_at(database, |_| {}).await).await;
    let (retries, other, path) = (hot.app.person("retries").await, hot.app.person("other").await, hot.path(1));
    let (pool, author, op) = (hot.app.database.pool.clone(), hot.author.id, Uuid::new_v4());
    let lock = hot.hold().await;
    // As another node does a command alone: first the id, then the channel.
    let mut alone = pool.begin().await.unwrap();
    let claim =
        sqlx::query("insert into operations (user_id, op, fingerprint, answer) values ($1, $2, 'other', 'null')");
    claim.bind(retries.id).bind(op).execute(&mut *alone).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *alone).await.unwrap();
    let twin = async {
        hot.in_flight(FANS + 2).await;
        hot.release(lock).await;
        let waits = "select count(*) from pg_stat_activity where $1 = any(pg_blocking_pids(pid))";
        until(async || sqlx::query_scalar::<_, i64>(waits).bind(pid).fetch_one(&pool).await.unwrap() == 1).await;
        let take = sqlx::query("select from channel_heads where channel = $1 for update");
        take.bind(format!("profile:{author}")).execute(&mut *alone).await.unwrap();
        alone.commit().await.unwrap();
    };
    let (reused, stayed, ()) = tokio::join!(retries.call("PUT", &path, None, Some(op)), other.put(&path), twin);
    assert_eq!(reused.expect(422)["code"], "op_reused");
    assert_eq!(stayed.expect(200)["data"]["like_count"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_commands_of_one_person_about_one_post_keep_their_order() {
    let hot = hot().await;
    let person = hot.app.person("bob").await;
    let (path, op) = (hot.path(1), Uuid::new_v4());
    let lock = hot.hold().await;
    let like = person.call("PUT", &path, None, Some(op));
    let twin = async {
        hot.in_flight(FANS + 1).await;
        person.call("PUT", &path, None, Some(op)).await
    };
    let unlike = async {
        hot.in_flight(FANS + 2).await;
        person.delete(&path).await
    };
    let release = async {
        hot.in_flight(FANS + 3).await;
        hot.release(lock).await;
    };
    let (like, twin, unlike, ()) = tokio::join!(like, twin, unlike, release);
    let (like, twin, unlike) = (like.expect(200), twin.expect(200), unlike.expect(200));
    assert_eq!(like, twin, "one operation, two answers");
    assert_eq!((&like["data"]["liked_by_me"], &unlike["data"]["liked_by_me"]), (&json!(true), &json!(false)));
    assert_eq!((&like["positions"][0]["offset"], &unlike["positions"][0]["offset"]), (&json!(1), &json!(2)));
    assert_eq!(like["positions"][1], unlike["positions"][1], "one event for both");
    let (hot, sum) = hot.named(&like).await;
    assert!(is_sum(&sum), "{sum}");
    // The fan, and nobody else.
    assert_eq!(sum["data"], json!({"posts": [{"post_id": hot.posts[1], "like_count": 1}]}));
    assert_eq!((&like["data"]["like_count"], &unlike["data"]["like_count"]), (&json!(1), &json!(1)));
    let own = log(&person, &person.channel()).await;
    let types: Vec<&Value> = own.iter().map(|item| &item["type"]).collect();
    assert_eq!(types, ["post.liked", "post.unliked"]);
    assert_eq!(own[0]["op"], json!(op));
    assert_eq!(hot.scalar::<i64>("select count(*) from post_likes").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_hold_no_connection_to_the_database() {
    let hot = hot().await;
    let other = hot.app.person("other").await;
    let lock = hot.hold().await;
    // Thirty wait, and there are three connections.
    for number in 0..10 {
        other.post("/task-lists", json!({"name": format!("{number}")})).await.expect(201);
        other.get("/dashboard").await.expect(200);
    }
    hot.release(lock).await;
    let app = hot.app.app.clone();
    join_all(hot.fans).await.into_iter().for_each(Result::unwrap);
    assert_eq!(app.state.writer.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_takes_nothing_along() {
    let hot = hot().await;
    let (gone, other) = (hot.app.person("gone").await, hot.app.person("other").await);
    let channel = gone.channel();
    let mut own = gone.live().await;
    own.subscribe(&channel).await;
    let path = hot.path(1);
    let theirs = path.clone();
    let lock = hot.hold().await;
    let call = tokio::spawn(async move { gone.put(&theirs).await.status });
    hot.in_flight(FANS + 1).await;
    call.abort();
    let release = async {
        hot.in_flight(FANS + 2).await;
        hot.release(lock).await;
    };
    let (stayed, ()) = tokio::join!(other.put(&path), release);
    assert_eq!(stayed.expect(200)["data"]["like_count"], 3);
    assert_eq!(own.event().await.1["type"], "post.liked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_cannot_be_done_is_done_one_by_one() {
    let hot = hot().await;
    let (erased, other) = (hot.app.person("erased").await, hot.app.person("other").await);
    let (path, pool) = (hot.path(1), &hot.app.database.pool);
    let lock = hot.hold().await;
    let erase = async {
        hot.in_flight(FANS + 2).await;
        // From now on their operation id cannot be stored, nor any that is stored by the same statement.
        sqlx::query("delete from users where id = $1").bind(erased.id).execute(pool).await.unwrap();
        hot.release(lock).await;
    };
    let (gone, stayed, ()) = tokio::join!(erased.put(&path), other.put(&path), erase);
    assert_eq!(gone.expect(401)["code"], "unauthorized");
    let stayed = stayed.expect(200);
    assert_eq!(stayed["data"]["like_count"], 2);
    let (_, event) = hot.named(&stayed).await;
    assert_eq!(event["actor"], json!(other.id));
}
