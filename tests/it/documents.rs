//! The documents in `protocol/` and the server say the same; see also `harness::described`, which holds everything
//! against them that passes by in other tests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use studyhall_protocol::Command;
use studyhall_protocol::routes::{BASE, ROUTES};
use uuid::Uuid;

use crate::bad_input::CALLS;
use crate::harness;
use crate::harness::described;

/// What a path answers to, by its own words: the server says it to whoever asks with another method.
async fn allowed(http: &reqwest::Client, url: &str, path: &str) -> BTreeSet<String> {
    let id = Uuid::new_v4().to_string();
    let path = path.replace("{channel}", &format!("user:{id}")).replace("{user_id}", &id).replace("{id}", &id);
    let answer = http.request("PROPFIND".parse().unwrap(), format!("{url}{BASE}{path}")).send().await.unwrap();
    assert_eq!(answer.status(), 405, "{path} is not served");
    let allow = answer.headers()["allow"].to_str().unwrap();
    allow.split(',').map(|method| method.trim().to_owned()).filter(|method| method != "HEAD").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn described_calls_are_served() {
    let app = harness::app().await;
    let http = reqwest::Client::new();
    let mut paths: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for route in ROUTES {
        paths.entry(route.path).or_default().insert(route.method.to_owned());
    }
    for (path, described) in paths {
        assert_eq!(allowed(&http, &app.url(), path).await, described, "{path}");
    }
}

#[test]
fn bodies_are_described_with_every_field() {
    let names = |schema: &Value, field: &str| -> BTreeSet<String> {
        let found = schema[field].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned());
        found.collect()
    };
    for call in CALLS {
        let what = format!("{} {}", call.method, call.path);
        let operation = described::operation(call.method, call.path).unwrap_or_else(|| panic!("{what}"));
        if !call.command.is_empty() {
            assert_eq!(operation["operationId"], call.command, "{what}");
        }
        let Some(schema) = described::body(operation) else {
            assert_eq!(call.body, "", "{what} has no body");
            continue;
        };
        let body: Value = serde_json::from_str(call.body).unwrap();
        let fields: BTreeSet<_> = body.as_object().unwrap().keys().collect();
        let described: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(fields, described, "{what}");
        let required: BTreeSet<_> = call.required.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(names(schema, "required"), required, "{what}");
    }
}

#[test]
fn every_command_has_a_call() {
    for name in Command::NAMES {
        assert!(ROUTES.iter().any(|route| route.command == Some(name)), "{name} is not in REST");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_for_people_is_whole_and_asks_nobody() {
    let app = harness::app().await;
    let answer = reqwest::get(format!("{}/docs", app.url())).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline';"), "{policy}");
    let page = answer.text().await.unwrap();
    for outside in ["http://", "https://", "//", "src=", "@import", "url("] {
        let quoted = |place: usize| page[place..].starts_with("https://e.example");
        let found = page.match_indices(&format!("\"{outside}")).find(|(place, _)| !quoted(*place));
        assert_eq!(found, None, "something of elsewhere");
    }
    let ids: BTreeSet<&str> = page.split("id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let links: BTreeSet<&str> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links.difference(&ids).collect::<Vec<_>>(), Vec::<&&str>::new(), "links that lead nowhere");
    assert!(links.len() > 100 && Command::NAMES.iter().all(|name| ids.contains(&*format!("command-{name}"))));
}
