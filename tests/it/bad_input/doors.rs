//! The way in: the handshake (B4), origins and cookies (S1, S17, S18), tokens in the wrong place (S3).

use serde_json::{Value, json};

use super::stage::{Stage, stage};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Asks for a socket. `changes` are lines to put in place of those that begin alike; an empty value removes them.
async fn shake(stage: &Stage, line: &str, changes: &[(&str, &str)], more: &str) -> (u16, String) {
    let lines = [
        ("Host", format!("Host: {}\r\n", stage.app.address)),
        ("Upgrade", "Upgrade: websocket\r\n".into()),
        ("Connection", "Connection: Upgrade\r\n".into()),
        ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13\r\n".into()),
        ("Sec-WebSocket-Key", KEY.into()),
    ];
    let mut request = format!("{line}\r\n");
    for (name, usual) in &lines {
        match changes.iter().find(|(changed, _)| changed == name) {
            Some((_, instead)) => request.push_str(instead),
            None => request.push_str(usual),
        }
    }
    // Answers that are not the 101 end the connection, so that the test sees the end.
    let answer = match changes.iter().any(|(name, _)| *name == "Connection") {
        true => stage.raw(format!("{request}{more}\r\n").as_bytes()).await,
        false => {
            let request = request.replace("Connection: Upgrade", "Connection: Upgrade, close");
            stage.raw(format!("{request}{more}\r\n").as_bytes()).await
        }
    };
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.to_ascii_lowercase())
}

const GET: &str = "GET /connection/websocket HTTP/1.1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_right_handshake_opens_a_socket() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    assert_eq!(shake(&stage, GET, &[], "").await.0, 101);
    for version in ["8", "12", "14", "0", "x", "13, 13", ""] {
        let line = format!("Sec-WebSocket-Version: {version}\r\n");
        let (status, answer) = shake(&stage, GET, &[("Sec-WebSocket-Version", &line)], "").await;
        assert_eq!(status, 426, "{version}");
        assert!(answer.contains("sec-websocket-version: 13"), "{answer}");
    }
    let twice = format!("{KEY}{KEY}");
    for key in [
        "",
        "Sec-WebSocket-Key: \r\n",
        "Sec-WebSocket-Key: c2hvcnQ=\r\n",
        "Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ==\r\n",
        &twice,
    ] {
        assert_eq!(shake(&stage, GET, &[("Sec-WebSocket-Key", key)], "").await.0, 400, "{key}");
    }
    for (name, line) in [
        ("Upgrade", "Connection: close\r\n"),
        ("Upgrade", "Upgrade: h2c\r\n"),
        ("Connection", "Connection: close\r\n"),
        ("Host", ""),
    ] {
        let (status, answer) = shake(&stage, GET, &[(name, line)], "").await;
        assert!(status == 400 || name == "Host", "{name} {line}: {answer}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "HEAD", "TRACE"] {
        let (status, answer) = shake(&stage, &format!("{method} /connection/websocket HTTP/1.1"), &[], "").await;
        assert_eq!(status, 405, "{method}");
        assert!(answer.contains("allow: get"), "{answer}");
    }
    let (status, answer) = shake(&stage, "GET /connection/websocket HTTP/1.0", &[], "").await;
    assert_eq!(status, 400, "{answer}");
    for line in ["GET /connection/websocket/ HTTP/1.1", "GET /connection HTTP/1.1", "GET /connection/sse HTTP/1.1"] {
        assert_eq!(shake(&stage, line, &[], "").await.0, 404, "{line}");
    }
    for line in ["GET /connection/http_stream HTTP/1.1", "GET /emulation HTTP/1.1"] {
        assert_eq!(shake(&stage, line, &[], "").await.0, 405, "{line}");
    }
    let (status, answer) = shake(&stage, GET, &[], "Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
    assert!(status == 101 && !answer.contains("extensions"), "{answer}");
    let (status, answer) = shake(&stage, GET, &[], "Sec-WebSocket-Protocol: nonsense, centrifuge-json\r\n").await;
    assert!(status == 101 && answer.contains("sec-websocket-protocol: centrifuge-json"), "{answer}");
    stage.unchanged(&before, "handshakes").await;
    stage.goes_on().await;
}

fn foreign(stage: &Stage) -> Vec<String> {
    let (address, port) = (stage.app.address, stage.app.address.port());
    vec![
        "null".into(),
        String::new(),
        "http://evil.example".into(),
        format!("http://{address}.evil.example"),
        format!("http://evil{address}"),
        format!("http://{address}@evil.example"),
        format!("http://evil.example/{address}"),
        format!("http://{address}/"),
        format!("http://{}:{}", stage.app.address.ip(), port.wrapping_add(1)),
        format!("http://{}", stage.app.address.ip()),
        format!("http://localhost:{port}"),
        format!("http://{address}, http://evil.example"),
        format!("file://{address}"),
        format!("ws://{address}"),
        format!("//{address}"),
        format!("{address}"),
        format!("http://{address}%00.evil.example"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_foreign_pages_are_not_opened() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let cookie = format!("Cookie: studyhall={}\r\n", stage.ada.token);
    for origin in foreign(&stage) {
        for cookie in [&*cookie, ""] {
            let (status, answer) = shake(&stage, GET, &[], &format!("Origin: {origin}\r\n{cookie}")).await;
            assert!(status == 403 && answer.contains("foreign_origin"), "{origin}: {answer}");
        }
    }
    let own = format!("Origin: http://{}\r\n", stage.app.address);
    for origin in [own.clone(), own.replace("http:", "https:"), own.replace("http:", "HTTP:")] {
        assert_eq!(shake(&stage, GET, &[], &format!("{origin}{cookie}")).await.0, 101, "{origin}");
    }
    // Whether the cookie counts is seen at the connect command.
    for (origin, code) in [(Some(format!("http://{}", stage.app.address)), None), (None, Some(101))] {
        let url = format!("ws://{}/connection/websocket", stage.app.address);
        let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(url).unwrap();
        request.headers_mut().insert("cookie", format!("studyhall={}", stage.ada.token).parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let mut live = crate::harness::Live::open(request).await;
        let answer = live.request(json!({"connect": {}})).await;
        let refused = answer.as_ref().err().map(|error| error["code"].as_u64().unwrap());
        assert_eq!(refused, code, "{answer:?}");
    }
    stage.unchanged(&before, "foreign pages").await;
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cookie_changes_nothing_for_foreign_pages() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let cookie = format!("studyhall={}", stage.ada.token);
    for call in super::CALLS.iter().filter(|call| !["/accounts", "/sessions"].contains(&call.path)) {
        let path = call.path(&stage);
        let body = call.body(&stage).map_or(String::new(), |body| body.to_string());
        let usual = [("cookie", &*cookie), ("content-type", "application/json")];
        stage.bare(call.method, &path, &usual, body.clone()).await.problem(403, "foreign_origin");
        for origin in foreign(&stage).iter().filter(|origin| !origin.is_empty()) {
            let headers = [usual[0], usual[1], ("origin", origin)];
            let reply = stage.bare(call.method, &path, &headers, body.clone()).await;
            assert!(!reply.headers.contains_key("access-control-allow-origin"));
            reply.problem(403, "foreign_origin");
        }
        // A form of a foreign page needs no preflight and no script.
        if call.method == "POST" && !body.is_empty() {
            for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
                let own = format!("http://{}", stage.app.address);
                for (origin, status) in [("http://evil.example", 403), (&*own, 415)] {
                    let headers = [("cookie", &*cookie), ("content-type", kind), ("origin", origin)];
                    assert_eq!(stage.bare("POST", &path, &headers, body.clone()).await.status, status, "{path} {kind}");
                }
            }
        }
    }
    // Reads: never for a foreign page; without an Origin they are what an address bar does.
    for (path, _) in super::READS {
        let path = stage.fill(path);
        let evil = [("cookie", &*cookie), ("origin", "http://evil.example")];
        stage.bare("GET", &path, &evil, "").await.problem(403, "foreign_origin");
        assert_eq!(stage.bare("GET", &path, &[("cookie", &cookie)], "").await.status, 200);
    }
    // Signing in a visitor as somebody else is refused too.
    let body = json!({"username": "ada", "password": "correct horse battery"}).to_string();
    for path in ["/sessions", "/accounts"] {
        let headers = [("content-type", "application/json"), ("origin", "http://evil.example")];
        stage.bare("POST", path, &headers, body.clone()).await.problem(403, "foreign_origin");
    }
    stage.unchanged(&before, "foreign pages").await;
    let own = format!("http://{}", stage.app.address);
    let headers = [("cookie", &*cookie), ("content-type", "application/json"), ("origin", &*own)];
    assert_eq!(stage.bare("POST", "/task-lists", &headers, r#"{"name":"own page"}"#).await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_its_headers() {
    let stage = stage().await;
    for (method, path) in
        [("GET", "/me"), ("GET", "/nothing"), ("POST", "/me"), ("POST", "/task-lists"), ("GET", "/users/x")]
    {
        let reply = stage.send(method, path, &[("origin", "http://evil.example")], "<script>").await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(reply.headers[name], value, "{method} {path}");
        }
        assert!(!reply.headers.contains_key("access-control-allow-origin"));
        let text = reply.body.to_string();
        for secret in ["src/", ".rs", "sqlx", "select ", "postgres"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let body = json!({"username": "ada", "password": "correct horse battery"});
    let reply = stage.send("POST", "/sessions", &[], body.to_string()).await;
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert_ne!(reply.body["token"], Value::from(stage.ada.token.clone()), "every sign-in is new");
}
