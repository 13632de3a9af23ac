//! A stream: one answer that does not end.

use serde_json::{Value, json};

use crate::harness::PATIENCE;

pub struct Stream {
    answer: reqwest::Response,
    text: String,
}

impl Stream {
    pub async fn open(url: &str, token: &str) -> Self {
        let connect = json!({"id": 1, "connect": {"token": token}}).to_string();
        let request = reqwest::Client::new().post(format!("{url}/connection/http_stream")).body(connect);
        let mut stream = Self { answer: request.send().await.unwrap(), text: String::new() };
        let connected = stream.line().await.expect("a reply");
        assert!(connected["connect"]["session"].is_string(), "{connected}");
        stream
    }

    /// The next line but pings; `None` when the answer has ended.
    pub async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line: Value = serde_json::from_str(line).unwrap();
                self.text = rest.to_owned();
                if line != json!({}) {
                    return Some(line);
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("nothing came").unwrap();
            self.text.push_str(std::str::from_utf8(&chunk?).unwrap());
        }
    }
}
