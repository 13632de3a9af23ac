//! A stream is on one node; what its client says may come to any, through a balancer that knows of no sessions.

use serde_json::{Value, json};

use super::Stage;
use crate::cluster::until;
use crate::harness::{PATIENCE, TestApp};

struct Stream {
    answer: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(node: &TestApp, token: &str) -> (Self, Value) {
        let connect = json!({"id": 1, "connect": {"token": token}}).to_string();
        let request = reqwest::Client::new().post(format!("{}/connection/http_stream", node.url())).body(connect);
        let mut stream = Self { answer: request.send().await.unwrap(), text: String::new() };
        let connected = stream.line().await["connect"].clone();
        (stream, connected)
    }

    async fn line(&mut self) -> Value {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = serde_json::from_str(line).unwrap();
                self.text = rest.to_owned();
                return line;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("nothing came").unwrap();
            self.text.push_str(std::str::from_utf8(&chunk.expect("the stream ended")).unwrap());
        }
    }
}

async fn say(node: &TestApp, connected: &Value, command: Value) -> u16 {
    let body = json!({"session": connected["session"], "node": connected["node"], "data": command.to_string()});
    let request = reqwest::Client::new().post(format!("{}/emulation", node.url())).json(&body);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_find_their_node() {
    let stage = Stage::set(2).await;
    let (mut stream, connected) = Stream::open(&stage.there, &stage.aiko.token).await;
    assert!(connected["node"] != "" && connected["session"].as_str().unwrap().len() == 32, "{connected}");
    // By way of the other node, again and again; in their order, as each reply is waited for.
    for id in 2..12 {
        assert_eq!(say(&stage.here, &connected, json!({"id": id, "ping": {}})).await, 204);
        assert_eq!(stream.line().await, json!({"id": id, "ping": {}}));
    }
    let subscribe = json!({"id": 12, "subscribe": {"channel": stage.aiko.channel()}});
    assert_eq!(say(&stage.here, &connected, subscribe).await, 204);
    assert_eq!(stream.line().await["id"], 12);
    stage.aiko.post("/task-lists", json!({"name": "Today"})).await.expect(201);
    assert_eq!(stream.line().await["push"]["pub"]["data"]["type"], "task_list.created");
    let nobody = json!({"node": "00000000000000000000000000000000", "session": connected["session"]});
    assert_eq!(say(&stage.here, &nobody, json!({"id": 3, "ping": {}})).await, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_the_client_is_told_to_come_again() {
    let mut stage = Stage::set(2).await;
    let (_stream, connected) = Stream::open(&stage.there, &stage.aiko.token).await;
    stage.redis.as_mut().unwrap().kill().await;
    let refused = || say(&stage.here, &connected, json!({"id": 2, "ping": {}}));
    until("the other node is out of reach", async || matches!(refused().await, 404 | 503)).await;
    assert_eq!(say(&stage.there, &connected, json!({"id": 3, "ping": {}})).await, 204);
}
