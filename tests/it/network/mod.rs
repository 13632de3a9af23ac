//! Links between clients and the server as they are: slow, lost, torn in the middle of a word, far away and in pieces.

mod ends;
mod rough;
mod slow;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{self, Live, PATIENCE, Person, TestApp};

/// A room in which somebody changes a widget, and somebody else looks on.
struct Stage {
    app: TestApp,
    author: Person,
    viewer: Person,
    channel: String,
    widget: String,
}

impl Stage {
    async fn set() -> Self {
        Self::in_app(harness::app().await).await
    }

    async fn in_app(app: TestApp) -> Self {
        let mut people = harness::crowd(&app, 2, 2).await;
        let ((viewer, channel), (author, _)) = (people.pop().unwrap(), people.pop().unwrap());
        let room = channel.strip_prefix("workspace:").unwrap();
        let clock = json!({"type": "clock", "grid_x": 0, "grid_y": 0, "grid_w": 2, "grid_h": 2});
        let made = author.post(&format!("/workspaces/{room}/widgets"), clock).await.expect(201);
        let widget = made["data"]["id"].as_str().unwrap().to_owned();
        Self { app, author, viewer, channel, widget }
    }

    /// One event in the room, with about so many bytes; its offset.
    async fn change(&self, bytes: usize) -> u64 {
        // What is as it was is no event.
        let settings = json!({"settings": {"nonce": Uuid::new_v4(), "text": "x".repeat(bytes)}});
        let answer = self.author.patch(&format!("/widgets/{}", self.widget), settings).await.expect(200);
        answer["positions"][0]["offset"].as_u64().unwrap()
    }

    /// The viewer, by way of this address.
    async fn view(&self, url: &str) -> (Live, Value) {
        let mut live = self.viewer.at(url).live().await;
        let subscribed = live.subscribe(&self.channel).await;
        (live, subscribed)
    }

    /// How long it takes until the server has only so many connections.
    async fn until_connections(&self, wanted: usize) -> Duration {
        let since = Instant::now();
        while self.app.app.hub.counts().0 != wanted {
            assert!(since.elapsed() < PATIENCE, "{} connections are left", self.app.app.hub.counts().0);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        since.elapsed()
    }
}

/// Takes events until this one, each once and in order after `from`.
async fn until_offset(live: &mut Live, from: u64, to: u64) {
    for wanted in from + 1..=to {
        let (offset, _) = live.event().await;
        assert_eq!(offset, wanted, "a gap or a repetition");
    }
}
