//! Whoever guesses names and passwords learns nothing and gets slow: S9, S11, S13.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{Reply, Stage, stage};
use crate::harness;

const RIGHT: &str = "correct horse battery";

async fn sign_in(stage: &Stage, username: &str, password: &str) -> Reply {
    let body = json!({"username": username, "password": password}).to_string();
    stage.bare("POST", "/sessions", &[("content-type", "application/json")], body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_and_unknown_names_look_the_same() {
    let stage = stage().await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        for (name, times) in [("ada", &mut known), ("nobody", &mut unknown)] {
            let started = Instant::now();
            let reply = sign_in(&stage, name, "wrong horse battery").await;
            times.push(started.elapsed());
            assert!(!reply.headers.contains_key("set-cookie"));
            let problem = reply.problem(401, "wrong_credentials");
            let detail = "the name or the password is wrong";
            assert_eq!(
                problem,
                json!({"status": 401, "code": "wrong_credentials", "title": "Wrong credentials", "detail": detail})
            );
        }
    }
    known.sort();
    unknown.sort();
    // Both hash. Far from exact, since other tests take the same cores; without a hash it would be a tenth.
    let (known, unknown) = (known[4], unknown[4]);
    assert!(known < unknown * 3 && unknown < known * 3, "{known:?} {unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_failures_are_enough_whether_the_name_exists_or_not() {
    let mut stage = stage().await;
    stage.app.person("iiko").await;
    for name in ["iiko", "nobody"] {
        let replies = futures_util::future::join_all((0..15).map(|_| sign_in(&stage, name, "wrong"))).await;
        let (mut wrong, mut later) = (0, 0);
        for reply in replies {
            match reply.status {
                401 => wrong += 1,
                429 => later += 1,
                _ => drop(reply.problem(503, "busy")),
            }
        }
        // Not many more slip through at once than there are turns to hash.
        assert!(wrong <= 12, "{wrong} {later}");
        for _ in wrong..10 {
            sign_in(&stage, name, "wrong").await;
        }
        for (spelling, password) in [(name.to_owned(), RIGHT), (name.to_uppercase(), RIGHT), (name.into(), "wrong")] {
            let reply = sign_in(&stage, &spelling, password).await;
            let seconds: u32 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=900).contains(&seconds), "{seconds}");
            reply.problem(429, "too_many_attempts");
        }
    }
    // A letter that becomes an `i` in lower case is no way around it.
    for spelling in ["İiko", "Iİko", "ｉｉｋｏ", "iiko\u{200b}", " iiko", "iiko "] {
        assert!(matches!(sign_in(&stage, spelling, RIGHT).await.status, 401 | 429), "{spelling}");
    }
    // Others are not concerned, and the window ends.
    assert_eq!(sign_in(&stage, "ada", RIGHT).await.status, 201);
    let past = "update sign_in_attempts set window_started_at = window_started_at - interval '15 minutes'";
    sqlx::query(past).execute(&stage.app.database.pool).await.unwrap();
    assert_eq!(sign_in(&stage, "IIKO", RIGHT).await.status, 201);
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_not_guessed_by_changing_them() {
    let stage = stage().await;
    let change = |current: &str| json!({"current_password": current, "new_password": "another horse battery"});
    for _ in 0..10 {
        let problem = stage.bob.post("/me/password", change("wrong")).await.expect(403);
        assert_eq!((&problem["code"], &problem["field"]), (&json!("wrong_password"), &json!("current_password")));
    }
    assert_eq!(stage.bob.post("/me/password", change(RIGHT)).await.expect(429)["code"], "too_many_attempts");
    stage.bob.get("/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_account_says_so_only_to_its_owner() {
    let stage = stage().await;
    let disable = "update credentials set disabled_at = now() where user_id = $1";
    sqlx::query(disable).bind(stage.eve.id).execute(&stage.app.database.pool).await.unwrap();
    sign_in(&stage, "eve", "wrong").await.problem(401, "wrong_credentials");
    sign_in(&stage, "eve", RIGHT).await.problem(403, "account_disabled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_passwords_cost_nothing() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    for (bytes, status, code) in
        [(1 << 20, 413, "payload_too_large"), (100 << 10, 422, "invalid_field"), (1_025, 422, "invalid_field")]
    {
        let password = "x".repeat(bytes);
        for path in ["/accounts", "/sessions", "/me/password"] {
            let body = match path {
                "/me/password" => json!({"current_password": password, "new_password": password}),
                _ => json!({"username": "ada", "password": password}),
            };
            let started = Instant::now();
            let request = format!(
                "POST /api/v1{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                stage.ada.token,
                body.to_string().len()
            );
            // A body that is refused by its length is not sent.
            let sent = if status == 413 { request } else { format!("{request}{body}") };
            let answer = stage.raw(sent.as_bytes()).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code),
                "{path} {bytes}: {answer:.300}"
            );
            assert!(started.elapsed() < Duration::from_secs(2), "{path} {:?}", started.elapsed());
        }
    }
    stage.unchanged(&before, "long passwords").await;
    // The longest that is allowed counts to its last byte.
    let (long, almost) = ("x".repeat(1_024), format!("{}y", "x".repeat(1_023)));
    let change = json!({"current_password": RIGHT, "new_password": long});
    stage.ada.post("/me/password", change).await.expect(200);
    sign_in(&stage, "ada", &almost).await.problem(401, "wrong_credentials");
    assert_eq!(sign_in(&stage, "ada", &long).await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sign_ins_at_once_do_not_stop_live_connections() {
    let stage = stage().await;
    let mut live = stage.bob.live().await;
    let pings = async {
        let mut slowest = Duration::ZERO;
        loop {
            let started = Instant::now();
            live.request(json!({"ping": {}})).await.unwrap();
            slowest = slowest.max(started.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        }
    };
    let started = Instant::now();
    let storm = futures_util::future::join_all((0..200).map(|_| sign_in(&stage, "ada", RIGHT)));
    let replies = tokio::select! {
        replies = storm => replies,
        () = pings => unreachable!(),
    };
    let mut served = 0;
    for reply in replies {
        if reply.status == 201 {
            served += 1;
            continue;
        }
        assert_eq!(reply.headers["retry-after"], "1");
        reply.problem(503, "busy");
    }
    assert!(served > 0);
    println!("200 sign-ins at once: {served} served, {} told to come back, in {:?}", 200 - served, started.elapsed());
    assert!(started.elapsed() < harness::PATIENCE);
    let page = stage.ada.get("/me").await.expect(200);
    assert_eq!(page["data"]["username"], Value::from("ada"));
}
