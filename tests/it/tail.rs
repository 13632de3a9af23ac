//! `studyhall tail` as somebody at a terminal sees it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::harness;

/// A running `tail`, and its lines.
struct Tail {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Tail {
    fn start(url: &str, name: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_studyhall"));
        command.args(["tail", "--url", url, "--as", name]).env("STUDYHALL_PASSWORD", "correct horse battery");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// Waits for a line with all of these words in it.
    fn reads(&self, words: &[&str]) -> String {
        loop {
            let line = self.lines.recv_timeout(harness::PATIENCE).unwrap_or_else(|_| panic!("no line with {words:?}"));
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feeds_and_pills() {
    let app = harness::app().await;
    let (aiko, ben) = (app.person("aiko").await, app.person("ben").await);
    aiko.put(&format!("/users/{}/follow", ben.id)).await.expect(200);
    ben.patch("/me/settings", json!({"presence_visibility": "everyone"})).await.expect(200);
    let url = app.url();
    let started = tokio::task::spawn_blocking(move || {
        let tail = Tail::start(&url, "aiko");
        tail.reads(&["connected to", "3 channels"]);
        tail
    });
    let tail = started.await.unwrap();
    let mut tab = ben.live().await;
    tab.rpc("presence.set", json!({"activity": "Pair programming"})).await.unwrap();
    let post = ben.post("/posts", json!({"content": "Two hours of proofs"})).await.expect(201)["data"]["id"].clone();
    aiko.put(&format!("/posts/{}/like", post.as_str().unwrap())).await.expect(200);
    let read = tokio::task::spawn_blocking(move || {
        tail.reads(&["profile ben", "presence", "online", "Pair programming"]);
        tail.reads(&["profile ben", "post.created", "Two hours of proofs"]);
        tail.reads(&["profile ben", "post.likes_changed", "likes: 1"]);
    });
    read.await.unwrap();
}
