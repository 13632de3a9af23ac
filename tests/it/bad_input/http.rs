//! What HTTP itself allows people to get wrong: B14, B15, B21, B22.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::stage::stage;
use super::{CALLS, ODD, READS};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_types_and_sizes() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    for call in CALLS.iter().filter(|call| !call.body.is_empty()) {
        let (path, good) = (call.path(&stage), call.body(&stage).unwrap().to_string());
        for kind in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/json",
            "json",
        ] {
            let reply = stage.send(call.method, &path, &[("content-type", kind)], good.clone()).await;
            reply.problem(415, "unsupported_media_type");
        }
        let head = format!(
            "{} /api/v1{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n",
            call.method, stage.ada.token
        );
        let length = format!("{head}Content-Length: {}\r\n\r\n{good}", 257 * 1024);
        // No end: the server does not wait for what it would not take.
        let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, " ".repeat(64 * 1024));
        let chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(5));
        for request in [length, chunks] {
            let answer = stage.raw(request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("payload_too_large"), "{answer}");
        }
        // Compressed bodies are not unpacked: nothing to blow up.
        let reply = stage.send(call.method, &path, &[("content-encoding", "gzip")], vec![0x1f_u8, 0x8b, 8, 0]).await;
        reply.problem(400, "malformed_json");
        stage.unchanged(&before, call.path).await;
    }
    let body = format!(r#"{{"name":"large"{}}}"#, " ".repeat(255 * 1024));
    assert_eq!(stage.send("POST", "/task-lists", &[], body).await.status, 201);
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"] {
        assert_eq!(
            stage.send("POST", "/task-lists", &[("content-type", kind)], r#"{"name":"typed"}"#).await.status,
            201
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_that_a_route_does_not_have() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let known = CALLS.iter().map(|call| (call.method, call.path)).chain(READS.iter().map(|read| ("GET", read.0)));
    let known: Vec<_> = known.chain(ODD.iter().copied()).collect();
    for (_, path) in &known {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"] {
            let as_get = if method == "HEAD" { "GET" } else { method };
            // The same route with somebody else in it.
            let same = |other: &str| other.replace("{eve}", "{bob}") == path.replace("{eve}", "{bob}");
            if known.iter().any(|(method, other)| *method == as_get && same(other)) {
                continue;
            }
            let overrides = [("x-http-method-override", "DELETE"), ("x-method-override", "PATCH")];
            let reply = stage.send(method, &stage.fill(path), &overrides, "{}").await;
            let allowed = reply
                .headers
                .get("allow")
                .unwrap_or_else(|| panic!("{method} {path}: {} {}", reply.status, reply.body));
            let allowed = allowed.to_str().unwrap().to_owned();
            assert!(
                known.iter().filter(|(_, other)| other == path).all(|(method, _)| allowed.contains(method)),
                "{path} {allowed}"
            );
            assert!(!allowed.contains("TRACE"));
            if method == "HEAD" {
                assert_eq!(reply.status, 405);
            } else {
                reply.problem(405, "method_not_allowed");
            }
        }
    }
    stage.unchanged(&before, "methods").await;
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_and_requests_that_do_not_exist() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let long = format!("/{}", "a".repeat(4_000));
    let unknown = [
        "",
        "/",
        "/nothing",
        "/me/",
        "/ME",
        "//me",
        "/task-lists/{list}/",
        "/task-lists/{list}/x",
        "/admin",
        "/users/{bob}/x",
        "/metrics",
        "/..%2f..%2fetc%2fpasswd",
        "/%00",
        "/%ff",
        "/%",
        "/me%00",
        "/sessions/current/x",
        &long,
    ];
    for path in unknown {
        for method in ["GET", "POST", "DELETE"] {
            let reply = stage.send(method, &stage.fill(path), &[], "{}").await;
            reply.problem(404, "not_found");
        }
    }
    for line in [
        "CONNECT x:1",
        "TRACE /api/v1/me",
        "OPTIONS *",
        "GET http://other.example/api/v1/me",
        "get /api/v1/me",
        "GET /\u{1}",
    ] {
        let answer = stage.raw(format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4") || line.starts_with("OPTIONS"), "{line}: {answer}");
    }
    stage.unchanged(&before, "routes").await;
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_have_one_thing_they_name() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let paths = READS.iter().map(|read| ("GET", read.0)).chain(CALLS.iter().map(|call| (call.method, call.path)));
    let paths: Vec<_> = paths.filter(|(_, path)| path.contains('{')).collect();
    let nil = Uuid::nil().to_string();
    for (method, path) in &paths {
        let (at, end) = (path.find('{').unwrap(), path.find('}').unwrap());
        let spell = |id: &str| stage.fill(&format!("{}{id}{}", &path[..at], &path[end + 1..]));
        let call = CALLS.iter().find(|call| (call.method, call.path) == (*method, *path));
        let body = call.and_then(|call| call.body(&stage)).map_or(String::new(), |body| body.to_string());
        for id in [
            "x",
            "%00",
            "%ff",
            "0",
            "-1",
            "..",
            "%2e%2e",
            "1%20or%201=1",
            "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5",
            &"f".repeat(33),
            &"9".repeat(2_000),
        ] {
            let reply = stage.send(method, &spell(id), &[], body.clone()).await;
            let fine = matches!(
                (reply.status, reply.code()),
                (400, "bad_request") | (404, "not_found") | (405, "method_not_allowed")
            );
            // Dots never leave the client: that is another address, and may be one of a list.
            let elsewhere = matches!(id, ".." | "%2e%2e") && *method == "GET" && reply.status == 200;
            assert!(fine || elsewhere, "{method} {path} {id}: {} {}", reply.status, reply.body);
        }
        let missing = [nil.clone(), Uuid::new_v4().to_string(), Uuid::max().simple().to_string()];
        for id in &missing {
            let reply = stage.send(method, &spell(id), &[], body.clone()).await;
            assert_eq!(
                reply.problem(404, "not_found"),
                json!({"status": 404, "code": "not_found", "title": "Not found"})
            );
        }
    }
    stage.unchanged(&before, "ids").await;
    for (_, path) in paths.iter().filter(|(method, path)| *method == "GET" && !path.starts_with("/channels")) {
        let good = stage.ada.get(&stage.fill(path)).await.expect(200);
        let id: Uuid = stage.fill(&path[path.find('{').unwrap()..=path.find('}').unwrap()]).parse().unwrap();
        let (simple, plain) = (id.simple().to_string(), id.to_string());
        for spelling in [simple, format!("%7B{id}%7D"), format!("urn:uuid:{id}"), plain.to_uppercase()] {
            let reply = stage.send("GET", &stage.fill(path).replace(&plain, &spelling), &[], "").await;
            assert!(
                reply.status == 404 || (reply.status == 200 && reply.body == good),
                "{path} {spelling} {}",
                reply.status
            );
        }
    }
    let upper = format!("/channels/WORKSPACE:{}/events", stage.id("room").to_uppercase());
    stage.send("GET", &upper, &[], "").await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_have_bounds() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let cursor = |key: Value| URL_SAFE_NO_PAD.encode(key.to_string());
    let far = json!(["+262142-12-31T23:59:59Z", Uuid::max()]);
    for (path, _) in READS.iter().filter(|(_, paged)| *paged) {
        let path = stage.fill(path);
        let all = stage.ada.get(&path).await.expect(200);
        for limit in ["-1", "0", "1", "100", "1000000000", "9223372036854775807", "-9223372036854775808"] {
            let page = stage.ada.get(&format!("{path}?limit={limit}")).await.expect(200);
            let most = if limit.starts_with('-') || limit.len() == 1 { 1 } else { 500 };
            assert!(page["items"].as_array().unwrap().len() <= most, "{path} {limit}");
        }
        for limit in ["abc", "", "1.5", "1e3", "9223372036854775808", "%00", "0x10", "١"] {
            stage.send("GET", &format!("{path}?limit={limit}"), &[], "").await.problem(400, "bad_limit");
        }
        stage.send("GET", &format!("{path}?limit=1&limit=2"), &[], "").await.problem(400, "bad_request");
        let garbage = ["", "x", "%00", "AAAA", "e30", "bnVsbA", "W10", "%ff"].map(str::to_owned);
        let forged = [
            json!([]),
            json!({}),
            json!("\0"),
            json!(["\0"]),
            json!([1e308]),
            json!([u64::MAX, "e", 1, 2]),
            json!([[[]]]),
        ];
        for cursor in garbage.into_iter().chain(forged.map(cursor)).chain(["x".repeat(3_000)]) {
            let reply = stage.send("GET", &format!("{path}?cursor={cursor}"), &[], "").await;
            reply.problem(400, "bad_cursor");
        }
        // Keys that could be ours and name no row: a page, or a refusal.
        for key in [
            &far,
            &json!([i32::MAX, "+262142-12-31T23:59:59Z", Uuid::nil()]),
            &json!(["-262143-01-01T00:00:00Z", Uuid::nil()]),
        ] {
            let reply = stage.send("GET", &format!("{path}?cursor={}", cursor(key.clone())), &[], "").await;
            assert!(matches!(reply.status, 200 | 400 | 422), "{path} {key}: {} {}", reply.status, reply.body);
        }
        assert_eq!(stage.ada.get(&format!("{path}?nothing=1")).await.expect(200), all);
    }
    let log = stage.fill("/channels/workspace:{room}/events");
    for since in ["-1", "abc", "1.5", "18446744073709551616", ""] {
        let reply = stage.send("GET", &format!("{log}?since={since}"), &[], "").await;
        assert_eq!(reply.problem(400, "bad_request")["field"], "since");
    }
    for query in [
        "since=18446744073709551615",
        "since=9223372036854775807",
        "since=1000",
        "since=0&epoch=x",
        "since=0&epoch=%00",
    ] {
        stage.send("GET", &format!("{log}?{query}"), &[], "").await.problem(410, "unrecoverable_position");
    }
    for query in ["%00", &"a".repeat(121), &"%F0%9F%A6%80".repeat(121)] {
        let reply = stage.send("GET", &format!("/users?query={query}"), &[], "").await;
        assert_eq!(reply.problem(422, "invalid_field")["field"], "query");
    }
    for query in ["%25", "_", "%5C", "'%20or%201=1--", "%F0%9F%A6%80"] {
        assert_eq!(stage.ada.get(&format!("/users?query={query}")).await.expect(200)["items"], json!([]), "{query}");
    }
    stage.unchanged(&before, "pages").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operation_ids_are_uuids() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let good = Uuid::new_v4().to_string();
    for call in CALLS.iter().filter(|call| !call.command.is_empty()) {
        let body = call.body(&stage).map_or(String::new(), |body| body.to_string());
        for key in [
            "x",
            "1",
            "\"\"",
            "0190a1b2-c3d4-7e5f-8a9b",
            "{}",
            "null",
            "\u{e9}",
            &format!("{good},{good}"),
            &"a".repeat(5_000),
        ] {
            let reply = stage.send(call.method, &call.path(&stage), &[("idempotency-key", key)], body.clone()).await;
            assert_eq!(reply.problem(400, "bad_op")["field"], "op", "{key}");
        }
        let twice = [("idempotency-key", &*good), ("idempotency-key", &*good)];
        stage.send(call.method, &call.path(&stage), &twice, body).await.problem(400, "bad_op");
        stage.unchanged(&before, call.path).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_signed_in_gets_nothing() {
    let mut stage = stage().await;
    let app = &stage.app.database.pool;
    let expire = "update sign_ins set expires_at = now() - interval '1 minute' where user_id = $1";
    let (over, ended) = (stage.app.person("olga").await, stage.app.person("emil").await);
    sqlx::query(expire).bind(over.id).execute(app).await.unwrap();
    ended.delete("/sessions/current").await;
    let before = stage.dump().await;
    let unknown = format!("shs_{}", URL_SAFE_NO_PAD.encode([7_u8; 32]));
    let basic = "Basic YWRhOmNvcnJlY3Q=".to_owned();
    let bearer = |token: &str| format!("Bearer {token}");
    let long = "x".repeat(9_000);
    let none = ["", "x", "shs_", "null", "shs_%00", &unknown, &ended.token, &stage.ada.token[4..], &long].map(bearer);
    let calls = CALLS.iter().filter(|call| !["/accounts", "/sessions"].contains(&call.path));
    let calls = calls.map(|call| (call.method, call.path)).chain(READS.iter().map(|read| ("GET", read.0)));
    for (method, path) in calls {
        let path = stage.fill(path);
        for credentials in none.iter().chain([&basic, &stage.ada.token]) {
            let reply = stage.send(method, &path, &[("authorization", credentials)], "{}").await;
            assert_eq!(reply.headers["www-authenticate"], "Bearer");
            reply.problem(401, "unauthorized");
        }
        stage.send(method, &path, &[("authorization", "")], "{}").await.problem(401, "unauthorized");
        stage.send(method, &path, &[("authorization", &bearer(&over.token))], "{}").await.problem(401, "token_expired");
        // Not in the address either.
        let path = format!("{path}?token={0}&access_token={0}", stage.ada.token);
        stage.send(method, &path, &[("authorization", "")], "{}").await.problem(401, "unauthorized");
    }
    for (token, code) in [("", 101), ("x", 101), (&*unknown, 101), (&*ended.token, 101), (&*over.token, 109)] {
        let mut socket = stage.ada.socket().await;
        let error = socket.request(json!({"connect": {"token": token}})).await.unwrap_err();
        assert_eq!((&error["code"], error.get("temporary")), (&json!(code), None));
    }
    stage.unchanged(&before, "strangers").await;
}
