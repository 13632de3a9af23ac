//! Files: taken, kept, shown to whom they may be shown, and removed.

pub mod folding;
mod links;
#[cfg(feature = "s3")]
mod s3;
mod serving;
mod tidy;
mod uploads;

use std::path::PathBuf;

use reqwest::Response;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::harness::{Person, TestApp, app_with};

/// A node with a folder of files of its own.
pub async fn node(change: impl FnOnce(&mut studyhall::config::Config)) -> (TestApp, PathBuf) {
    let mut folder = PathBuf::new();
    let app = app_with(|config| {
        config.data = config.data.join(Uuid::new_v4().to_string());
        folder = config.data.join("attachments");
        change(config);
    });
    (app.await, folder)
}

/// Everything that is in the folder, with what is not finished.
pub fn objects(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for shard in std::fs::read_dir(folder).unwrap() {
        found.extend(std::fs::read_dir(shard.unwrap().path()).unwrap().map(|object| object.unwrap().path()));
    }
    found
}

pub async fn count(app: &TestApp, of: &str) -> i64 {
    let count = sqlx::AssertSqlSafe(format!("select count(*) from {of}"));
    sqlx::query_scalar(count).fetch_one(&app.database.pool).await.unwrap()
}

/// An image of so many bytes, every time another one.
pub fn png(bytes: usize) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x04\x08\x02\0\0\0".to_vec();
    let noise = Sha256::digest(Uuid::new_v4().as_bytes());
    let rest = bytes.saturating_sub(png.len());
    png.extend(noise.iter().cycle().zip(0_usize..).map(|(byte, at)| byte ^ (at >> 5) as u8).take(rest));
    png
}

pub async fn send(person: &Person, name: &str, bytes: Vec<u8>, op: Option<Uuid>) -> Response {
    let name: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let mut request = person.request("POST", &format!("/attachments?file_name={name}")).body(bytes);
    if let Some(op) = op {
        request = request.header("idempotency-key", op.to_string());
    }
    request.send().await.unwrap()
}

/// Uploads what must be taken, and returns the file.
pub async fn upload(person: &Person, name: &str, bytes: Vec<u8>) -> Value {
    let answer = send(person, name, bytes, None).await;
    let status = answer.status();
    let mut body: Value = answer.json().await.unwrap();
    assert_eq!(status, 201, "{body}");
    crate::harness::described::rest("POST", "/attachments", None, 201, &body);
    body["data"].take()
}

/// The id of a new small file.
pub async fn file(person: &Person) -> String {
    upload(person, "note.txt", b"a note".to_vec()).await["id"].as_str().unwrap().to_owned()
}

/// What is refused, by its status and word.
pub async fn refusal(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    crate::harness::described::rest("POST", "/attachments", None, status, &body);
    (status, body["code"].as_str().unwrap().to_owned())
}

/// The status of what somebody is answered who wants to see what is in a file.
pub async fn sees(person: &Person, id: &str) -> u16 {
    let answer = person.request("GET", &format!("/attachments/{id}/content")).send().await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(person.get(&format!("/attachments/{id}")).await.status, status, "both doors say the same");
    status
}
