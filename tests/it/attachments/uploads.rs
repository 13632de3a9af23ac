//! What is taken and what is not, and what is left of it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{count, file, node, objects, png, refusal, send, upload};
use crate::harness::{PATIENCE, Person};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_comes_back_as_it_was() {
    let (app, folder) = node(|_| {}).await;
    let ada = app.person("ada").await;
    let mut live = ada.live().await;
    live.subscribe(&ada.channel()).await;
    for bytes in [40, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 1024 * 1024, 9 * 1024 * 1024 + 7] {
        let image = png(bytes);
        let file = upload(&ada, "日本語 \"a\".png", image.clone()).await;
        assert_eq!(live.event().await.1["data"], file);
        assert_eq!((&file["kind"], &file["content_type"]), (&json!("image"), &json!("image/png")));
        assert_eq!((&file["width"], &file["height"]), (&json!(3), &json!(4)));
        assert_eq!(file["size_bytes"], bytes);
        assert_eq!(file["file_name"], "日本語 \"a\".png");
        let path = format!("/attachments/{}/content", file["id"].as_str().unwrap());
        let back = ada.request("GET", &path).send().await.unwrap();
        assert_eq!(back.headers()["content-length"], bytes.to_string().as_str());
        assert!(back.bytes().await.unwrap() == image, "{bytes} bytes differ");
    }
    assert_eq!(objects(&folder).len(), 6);
    assert_eq!(count(&app, "attachment_removals").await, 0);
    let page = ada.get("/attachments?limit=4").await.expect(200);
    assert_eq!(page["used_bytes"], 40 + 3 * 256 * 1024 + 10 * 1024 * 1024 + 7);
    assert_eq!(page["items"][0]["size_bytes"], 9 * 1024 * 1024 + 7);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = ada.get(&format!("/attachments?limit=4&cursor={cursor}")).await.expect(200);
    let rest = rest["items"].as_array().unwrap();
    assert_eq!((rest.len(), &rest[1]["size_bytes"]), (2, &json!(40)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_leaves_nothing() {
    let (app, folder) = node(|config| config.attachment_bytes_max = 600_000).await;
    let ada = app.person("ada").await;
    let text = |text: &str| text.as_bytes().to_vec();
    let mut late = vec![b'a'; 500_000];
    late[400_000] = 0;
    let mut cut = vec![b'a'; 500_000];
    cut.push(0xe6);
    let large = png(0).into_iter().enumerate().map(|(at, byte)| if at == 16 { 0x7f } else { byte }).collect();
    for (name, bytes, expected) in [
        ("cat.png", text("<!doctype html><script>alert(1)</script>"), (422, "unsupported_file")),
        ("cat.svg", text("<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"), (422, "unsupported_file")),
        ("cat.png", text("\u{feff}  <?xml version='1.0'?><svg/>"), (422, "unsupported_file")),
        ("cat.png", b"\x89PNG\r\n\x1a\n<html>".to_vec(), (422, "unsupported_file")),
        ("cat.png", large, (422, "unsupported_file")),
        ("empty", Vec::new(), (422, "unsupported_file")),
        ("late.txt", late, (422, "unsupported_file")),
        ("cut.txt", cut, (422, "unsupported_file")),
        ("large.png", png(600_001), (413, "payload_too_large")),
        ("../../etc/passwd", text("x"), (422, "invalid_field")),
        ("..\\x", text("x"), (422, "invalid_field")),
        (&"a".repeat(256), text("x"), (422, "invalid_field")),
    ] {
        let (status, code) = refusal(send(&ada, name, bytes, None).await).await;
        assert_eq!((status, code.as_str()), expected, "{name}");
    }
    for kind in ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"] {
        let form = ada.request("POST", "/attachments").header("content-type", kind).body("--x").send().await.unwrap();
        assert_eq!(refusal(form).await, (415, "unsupported_media_type".into()));
    }
    let packed = ada.request("POST", "/attachments").header("content-encoding", "gzip").body("x").send().await.unwrap();
    assert_eq!(refusal(packed).await.0, 415);
    // A body without a length, larger than allowed: nobody waits for its end.
    let mut stream = begin(&app.address, &ada, "Transfer-Encoding: chunked").await;
    for _ in 0..10 {
        let piece = [b"186a0\r\n".as_slice(), &[b'a'; 100_000], b"\r\n"].concat();
        if stream.write_all(&piece).await.is_err() {
            break;
        }
    }
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413"));
    assert_eq!((count(&app, "attachments").await, count(&app, "attachment_removals").await), (0, 0));
    assert_eq!(objects(&folder).len(), 0);
    // A picture that is also a page is a picture, and nothing else.
    let mut both = png(100);
    both.extend_from_slice(b"<script>alert(1)</script>");
    let served = upload(&ada, "both.html", both).await;
    assert_eq!(served["content_type"], "image/png");
}

async fn begin(address: &SocketAddr, person: &Person, length: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/v1/attachments?file_name=slow.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n{length}\r\n\r\n",
        person.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("an answer").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_is_waited_for() {
    let (app, _) = node(|_| {}).await;
    let ada = app.person("ada").await;
    // Longer than any other request may take, 20 s.
    let mut stream = begin(&app.address, &ada, "Content-Length: 460000").await;
    for _ in 0..23 {
        stream.write_all(&[b'a'; 20_000]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_leaves_nothing() {
    let (app, folder) = node(|_| {}).await;
    let ada = app.person("ada").await;
    let mut stream = begin(&app.address, &ada, "Content-Length: 5000000").await;
    stream.write_all(&vec![b'a'; 3_000_000]).await.unwrap();
    wait(async || objects(&folder).len() == 1).await;
    assert_eq!(count(&app, "attachment_removals").await, 1);
    drop(stream);
    wait(async || objects(&folder).is_empty() && count(&app, "attachment_removals").await == 0).await;
    assert_eq!(count(&app, "attachments").await, 0);
}

async fn wait(done: impl AsyncFn() -> bool) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while !done().await {
        assert!(tokio::time::Instant::now() < until, "it never came to that");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_hold_whoever_comes_at_once() {
    let (app, folder) = node(|config| config.attachment_quota_bytes = 1_000_000).await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    // Each fits, and all but one of them do not: without a length nobody sees that beforehand.
    let uploads = (0..6).map(|_| {
        let body = png(600_000);
        let (address, ada) = (app.address, ada.again(&ada.token));
        tokio::spawn(async move {
            let mut stream = begin(&address, &ada, "Transfer-Encoding: chunked").await;
            let body = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
            stream.write_all(&body).await.unwrap();
            answer(&mut stream).await
        })
    });
    let mut taken = 0;
    for answered in uploads.collect::<Vec<_>>() {
        let answered = answered.await.unwrap();
        taken += usize::from(answered.starts_with("HTTP/1.1 201"));
        assert!(answered.starts_with("HTTP/1.1 201") || answered.contains("quota_exceeded"), "{answered}");
    }
    assert_eq!((taken, objects(&folder).len()), (1, 1));
    assert_eq!(refusal(send(&ada, "x", png(500_000), None).await).await, (409, "quota_exceeded".into()));
    upload(&bob, "x", png(500_000)).await;
    let id = ada.get("/attachments").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    ada.delete(&format!("/attachments/{id}")).await.expect(200);
    upload(&ada, "x", png(500_000)).await;
    let fill = "insert into attachments (user_id, kind, file_name, content_type, size_bytes, storage_key, sha256)
        select $1, 'document', 'x', 'text/plain', 1, n, sha256('x') from generate_series(1, 4999) n";
    sqlx::query(fill).bind(ada.id).execute(&app.database.pool).await.unwrap();
    assert_eq!(refusal(send(&ada, "x", b"x".to_vec(), None).await).await, (409, "limit_reached".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_upload_twice_is_one_file() {
    let (app, folder) = node(|_| {}).await;
    let ada = app.person("ada").await;
    let (op, image) = (Uuid::new_v4(), png(300_000));
    let again = (0..5).map(|_| send(&ada, "a.png", image.clone(), Some(op)));
    let answers = futures_util::future::join_all(again).await;
    let mut bodies = Vec::new();
    for answer in answers {
        assert_eq!(answer.status(), 201);
        bodies.push(answer.text().await.unwrap());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!((count(&app, "attachments").await, objects(&folder).len()), (1, 1));
    for (name, bytes) in [("b.png", image.clone()), ("a.png", png(300_000))] {
        assert_eq!(refusal(send(&ada, name, bytes, Some(op)).await).await, (422, "op_reused".into()));
    }
    // One key for everything, by every door.
    let other = ada.call("POST", "/task-lists", Some(json!({"name": "x"})), Some(op)).await;
    assert_eq!(other.expect(422)["code"], "op_reused");
    let listed = Uuid::new_v4();
    ada.call("POST", "/task-lists", Some(json!({"name": "x"})), Some(listed)).await.expect(201);
    assert_eq!(refusal(send(&ada, "a.png", image, Some(listed)).await).await, (422, "op_reused".into()));
    let bad = ada.request("POST", "/attachments").header("idempotency-key", "x").body("x").send().await.unwrap();
    assert_eq!(refusal(bad).await, (400, "bad_op".into()));
    assert_eq!((count(&app, "attachments").await, objects(&folder).len()), (1, 1));
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_never_in_memory() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 3_200;
    let (app, _) = node(|config| config.attachment_bytes_max = 1 << 30).await;
    let ada = app.person("ada").await;
    let before = resident();
    let mut stream = begin(&app.address, &ada, &format!("Content-Length: {}", PIECE * PIECES)).await;
    let (piece, mut most) = (vec![b'a'; PIECE], 0);
    for number in 0..PIECES {
        stream.write_all(&piece).await.unwrap();
        if number % 100 == 0 {
            most = most.max(resident().saturating_sub(before));
        }
    }
    let answered = answer(&mut stream).await;
    assert!(answered.starts_with("HTTP/1.1 201"), "{answered}");
    let id = ada.get("/attachments").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let mut back = ada.request("GET", &format!("/attachments/{id}/content")).send().await.unwrap();
    let mut received = 0;
    while let Some(piece) = back.chunk().await.unwrap() {
        received += piece.len();
        most = most.max(resident().saturating_sub(before));
    }
    println!("{} MiB up and down with {} MiB of memory", (PIECE * PIECES) >> 20, most >> 20);
    assert_eq!(received, PIECE * PIECES);
    // Other tests run beside this one.
    assert!(most < PIECE * PIECES / 2, "{} MiB", most >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_is_signed_in_may_send() {
    let (app, folder) = node(|_| {}).await;
    let ada = app.person("ada").await;
    let stranger = ada.again("shs_nobody");
    assert_eq!(refusal(send(&stranger, "x", b"x".to_vec(), None).await).await, (401, "unauthorized".into()));
    let http = reqwest::Client::new();
    let url = format!("{}/api/v1/attachments", app.url());
    let cookie = format!("studyhall={}", ada.token);
    let foreign = http.post(&url).header("cookie", &cookie).header("origin", "http://evil.example").body("x");
    assert_eq!(refusal(foreign.send().await.unwrap()).await, (403, "foreign_origin".into()));
    let own = http.post(&url).header("cookie", &cookie).header("origin", app.url()).body("x").send().await.unwrap();
    let body: Value = own.json().await.unwrap();
    assert_eq!(body["data"]["file_name"], "file");
    file(&ada).await;
    assert_eq!(objects(&folder).len(), 2);
}
