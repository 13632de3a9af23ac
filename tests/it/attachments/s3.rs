//! The same over a store that speaks S3, which is a small one of our own: it wants every request signed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use studyhall::config::Secret;
use studyhall::domain::attachments::tidy_up;

use super::{png, refusal, send, upload};
use crate::harness::app_with;

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Bytes>,
    parts: BTreeMap<String, BTreeMap<u32, Bytes>>,
    largest: usize,
    asked: usize,
}

type Shared = Arc<Mutex<Bucket>>;

async fn serve(
    State(bucket): State<Shared>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut bucket = bucket.lock();
    bucket.asked += 1;
    let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signed.starts_with("AWS4-HMAC-SHA256 Credential=key/") || !signed.contains("Signature=") {
        return StatusCode::FORBIDDEN.into_response();
    }
    bucket.largest = bucket.largest.max(body.len());
    let key = uri.path().to_owned();
    let part = query.get("partNumber").and_then(|number| number.parse().ok());
    match (method.as_str(), part) {
        ("PUT", Some(number)) => {
            bucket.parts.entry(key).or_default().insert(number, body);
            ([("etag", format!("\"part{number}\""))], "").into_response()
        }
        ("PUT", None) => {
            bucket.objects.insert(key, body);
            ([("etag", "\"whole\"")], "").into_response()
        }
        ("POST", _) if query.contains_key("uploads") => {
            bucket.parts.insert(key, BTreeMap::new());
            let begun = "<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>";
            begun.into_response()
        }
        ("POST", _) if query.contains_key("uploadId") => {
            let parts = bucket.parts.remove(&key).unwrap();
            let whole: Vec<u8> = parts.values().flat_map(|part| part.iter().copied()).collect();
            bucket.objects.insert(key, whole.into());
            "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>".into_response()
        }
        ("DELETE", _) if query.contains_key("uploadId") => {
            bucket.parts.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        ("DELETE", _) => {
            bucket.objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        ("GET", _) => match bucket.objects.get(&key) {
            None => (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response(),
            Some(object) => {
                let asked = headers.get("range").and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
                let (first, last) = asked.and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
                let first: usize = first.parse().unwrap();
                let last = last.parse().map_or(object.len(), |last: usize| last + 1).min(object.len());
                let range = format!("bytes {first}-{}/{}", last - 1, object.len());
                let headers = [
                    ("etag", "\"whole\"".into()),
                    ("content-range", range),
                    ("last-modified", "Tue, 24 Nov 2026 00:00:00 GMT".to_owned()),
                ];
                (StatusCode::PARTIAL_CONTENT, headers, object.slice(first..last)).into_response()
            }
        },
        _ => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_a_bucket() {
    let bucket = Shared::default();
    let routes =
        Router::new().fallback(serve).layer(axum::extract::DefaultBodyLimit::disable()).with_state(bucket.clone());
    let listener = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let app = app_with(|config| {
        config.store_url = Some("s3://files/below".into());
        config.s3_endpoint = Some(endpoint);
        config.s3_access_key = Some("key".into());
        config.s3_secret_key = Some(Secret::from("secret".to_owned()));
        config.attachment_bytes_max = 13_000_000;
    })
    .await;
    let ada = app.person("ada").await;
    for bytes in [100, 12_345_678] {
        let image = png(bytes);
        let file = upload(&ada, "a.png", image.clone()).await;
        let path = format!("/attachments/{}/content", file["id"].as_str().unwrap());
        let back = ada.request("GET", &path).send().await.unwrap().bytes().await.unwrap();
        assert!(back == image, "{bytes} bytes differ");
        let part = ada.request("GET", &path).header("range", "bytes=50-59").send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert!(part.bytes().await.unwrap() == image[50..60]);
    }
    {
        let bucket = bucket.lock();
        assert!(bucket.objects.keys().all(|key| key.starts_with("/files/below/")), "{:?}", bucket.objects.keys());
        assert!(bucket.objects.len() == 2 && bucket.parts.is_empty() && bucket.largest < 6_000_000);
    }
    // What turns out to be something else is taken back, parts and all.
    let mut late = vec![b'a'; 6_000_000];
    late[5_900_000] = 0;
    assert_eq!(refusal(send(&ada, "late", late, None).await).await, (422, "unsupported_file".into()));
    assert!(bucket.lock().objects.len() == 2 && bucket.lock().parts.is_empty());
    let files = ada.get("/attachments").await.expect(200);
    for file in files["items"].as_array().unwrap() {
        ada.delete(&format!("/attachments/{}", file["id"].as_str().unwrap())).await.expect(200);
    }
    let state = &app.app.state;
    assert_eq!(tidy_up(&state.db, &state.writer, &state.storage).await.unwrap().objects, 2);
    assert!(bucket.lock().objects.is_empty() && bucket.lock().asked > 8);
}
