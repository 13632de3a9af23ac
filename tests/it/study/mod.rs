//! What people study: courses, what is due in them, buttons, focus areas, playlists, progress, tags.

mod assignments;
mod courses;
mod days;
pub mod folding;
mod lists;
mod metrics;
mod plans;
mod tags;

use serde_json::{Value, json};

use crate::harness::{Live, Person};

/// The payload of the next event, which must be of this type.
async fn hears(live: &mut Live, kind: &str) -> Value {
    loop {
        let (_, mut event) = live.event().await;
        // What others did is notified besides.
        if event["type"].as_str().unwrap().starts_with("notification") {
            continue;
        }
        assert_eq!(event["type"], kind, "{event}");
        return event["data"].take();
    }
}

/// A connection of this person that hears what happens to them.
async fn ear(person: &Person) -> Live {
    let mut live = person.live().await;
    live.subscribe(&person.channel()).await;
    live
}

fn id(made: &Value) -> String {
    made["data"]["id"].as_str().unwrap_or_else(|| panic!("no id in {made}")).to_owned()
}

/// Both doors refuse with the same word.
async fn refused(
    who: &Person,
    rest: (&str, &str, Option<Value>),
    rpc: (&str, Value),
    status: u16,
    code: &str,
) -> Value {
    let answer = who.call(rest.0, rest.1, rest.2, None).await;
    assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{} {}: {}", rest.0, rest.1, answer.body);
    let error = who.live().await.rpc(rpc.0, rpc.1).await.unwrap_err();
    assert_eq!(error["code"], 1_000 + status, "{}: {error}", rpc.0);
    assert!(error["message"].as_str().unwrap().starts_with(code), "{}: {error}", rpc.0);
    answer.body
}

/// All rows of a list, page by page.
async fn all(person: &Person, path: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    let joint = if path.contains('?') { '&' } else { '?' };
    loop {
        let page = person.get(&format!("{path}{joint}limit=2{cursor}")).await.expect(200);
        rows.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}
