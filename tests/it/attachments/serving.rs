//! What is in a file, on its way out.

use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{node, png, upload};
use crate::harness::Person;

async fn ask(person: &Person, id: &Value, headers: &[(&str, &str)]) -> Response {
    let mut request = person.request("GET", &format!("/attachments/{}/content", id.as_str().unwrap()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[track_caller]
fn guarded(headers: &HeaderMap, disposition: &str) {
    for (name, value) in [
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-site"),
        ("cache-control", "private, max-age=3600, immutable"),
        ("vary", "Authorization, Cookie, Origin"),
        ("referrer-policy", "no-referrer"),
        ("content-disposition", disposition),
    ] {
        assert!(headers.get_all(name).iter().any(|found| found == value), "{name}: {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_are_told_what_to_do_with_it() {
    let (app, _) = node(|_| {}).await;
    let ada = app.person("ada").await;
    let image = upload(&ada, "日 \"a\".png", png(100)).await;
    let answer = ask(&ada, &image["id"], &[]).await;
    guarded(answer.headers(), "inline; filename*=UTF-8''%E6%97%A5%20%22a%22.png");
    assert_eq!(answer.headers()["content-type"], "image/png");
    let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(etag, format!("\"{}\"", image["sha256"].as_str().unwrap()));
    for (tag, status) in [
        (etag.as_str(), 304),
        (&format!("W/{etag}"), 304),
        (&format!("\"x\", {etag}"), 304),
        ("*", 304),
        ("\"x\"", 200),
    ] {
        let answer = ask(&ada, &image["id"], &[("if-none-match", tag)]).await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["etag"]), (status, &etag.parse().unwrap()), "{tag}");
        assert_eq!(answer.bytes().await.unwrap().len(), if status == 304 { 0 } else { 100 });
    }
    let text = upload(&ada, "page.html", b"no <b>page</b>".to_vec()).await;
    let answer = ask(&ada, &text["id"], &[]).await;
    guarded(answer.headers(), "attachment; filename*=UTF-8''page.html");
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    let head = ada.request("HEAD", &format!("/attachments/{}/content", text["id"].as_str().unwrap()));
    let head = head.send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"14".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_get_the_part_that_they_want() {
    let (app, _) = node(|_| {}).await;
    let ada = app.person("ada").await;
    let mut video = b"\0\0\0\x20ftypisom\0\0\x02\0".to_vec();
    video.extend((0..400_000_u32).flat_map(u32::to_le_bytes));
    let size = video.len();
    let file = upload(&ada, "a.mp4", video.clone()).await;
    assert_eq!((&file["kind"], &file["width"]), (&json!("video"), &json!(null)));
    let last = size - 1;
    for (range, expected) in [
        ("bytes=0-".to_owned(), 0..size),
        ("bytes=0-0".into(), 0..1),
        ("bytes=1000000-1300000".into(), 1_000_000..1_300_001),
        (format!("bytes={last}-"), last..size),
        (format!("bytes=5-{}", size * 2), 5..size),
        ("bytes=-10".into(), size - 10..size),
    ] {
        let answer = ask(&ada, &file["id"], &[("range", &range)]).await;
        assert_eq!(answer.status(), 206, "{range}");
        let said = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
        assert_eq!(answer.headers()["content-range"], said.as_str());
        assert!(answer.bytes().await.unwrap() == video[expected], "{range}");
    }
    for range in [format!("bytes={size}-"), "bytes=-0".into()] {
        let answer = ask(&ada, &file["id"], &[("range", &range)]).await;
        assert_eq!(answer.status(), 416, "{range}");
        assert_eq!(answer.headers()["content-range"], format!("bytes */{size}").as_str());
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "range_not_satisfiable");
    }
    // What is not understood, or not of these bytes, is all of it.
    let others = [("range", "bytes=0-1,5-6"), ("range", "bytes=x-"), ("range", "lines=1-2")];
    for headers in [&others[..1], &others[1..2], &others[2..], &[("range", "bytes=0-1"), ("if-range", "\"x\"")]] {
        let answer = ask(&ada, &file["id"], headers).await;
        assert_eq!(answer.status(), 200, "{headers:?}");
        assert_eq!(answer.bytes().await.unwrap().len(), size);
    }
    let tag = format!("\"{}\"", file["sha256"].as_str().unwrap());
    assert_eq!(ask(&ada, &file["id"], &[("range", "bytes=0-1"), ("if-range", &tag)]).await.status(), 206);
}
