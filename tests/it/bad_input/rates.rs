//! REST holds off whoever asks too often: by person, by address, and by what trusted proxies say of the address.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::harness::{self, TestApp};

/// A server that limits this machine too: 20 requests at once, one a second, three sign-ups an hour.
async fn strict(trusted_proxies: usize) -> TestApp {
    let change = |config: &mut studyhall::config::Config| {
        config.limit_loopback = true;
        config.requests_per_second = 1;
        config.requests_burst = 20;
        config.sign_ups_per_hour = 3;
        config.trusted_proxies = trusted_proxies;
    };
    harness::app_with(change).await
}

fn sign_up(app: &TestApp, name: &str, forwarded: &str) -> RequestBuilder {
    let body = json!({"username": name, "password": "correct horse battery"});
    let request = Client::new().post(format!("{}/api/v1/accounts", app.url())).json(&body);
    if forwarded.is_empty() { request } else { request.header("x-forwarded-for", forwarded) }
}

fn me(app: &TestApp, token: &str, forwarded: &str) -> RequestBuilder {
    let request = Client::new().get(format!("{}/api/v1/me", app.url())).bearer_auth(token);
    if forwarded.is_empty() { request } else { request.header("x-forwarded-for", forwarded) }
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

/// A 429 as it should be; returns how long to wait, in seconds.
async fn held_off(response: Response) -> u64 {
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
        (429, "application/problem+json")
    );
    assert!(response.headers().contains_key("x-request-id"));
    let seconds = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(response.json::<Value>().await.unwrap()["code"], "too_many_requests");
    assert!(seconds >= 1);
    seconds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_counted_one_by_one() {
    let app = strict(0).await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut live = ada.live().await;
    // Known from here on.
    assert_eq!((status(me(&app, &ada.token, "")).await, status(me(&app, &bob.token, "")).await), (200, 200));
    let mut wait = 0;
    for number in 0..60 {
        let response = me(&app, &ada.token, "").send().await.unwrap();
        if response.status() != 200 {
            // The one above was hers.
            assert!(number >= 19, "{number}");
            wait = held_off(response).await;
            break;
        }
    }
    assert_eq!(wait, 1, "held off at last, for as long as it takes");
    // Neither her socket nor others at the same address are concerned, nor is health.
    live.rpc("task_list.create", json!({"name": "live"})).await.unwrap();
    assert_eq!(status(me(&app, &bob.token, "")).await, 200);
    assert_eq!(status(Client::new().get(format!("{}/livez", app.url()))).await, 200);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(status(me(&app, &ada.token, "")).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_counted_by_address_and_cannot_choose_it() {
    let app = strict(0).await;
    for name in ["ada", "bob", "cleo"] {
        assert_eq!(status(sign_up(&app, name, "")).await, 201);
    }
    let wait = held_off(sign_up(&app, "dora", "").send().await.unwrap()).await;
    assert!((1_000..=1_200).contains(&wait), "{wait}");
    for forged in ["6.6.6.6", "1.1.1.1, 2.2.2.2", "2001:db8::1"] {
        held_off(sign_up(&app, "dora", forged).send().await.unwrap()).await;
    }
    // Tokens that nobody has do not make anybody out of a stranger.
    let mut answers = Vec::new();
    for number in 0..40_u8 {
        use base64::Engine;
        let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([number; 32]);
        answers.push(status(me(&app, &format!("shs_{token}"), "6.6.6.6")).await);
    }
    assert!(answers.contains(&401) && answers.ends_with(&[429]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_is_believed_for_its_own_entry() {
    let app = strict(1).await;
    for number in 0..3 {
        assert_eq!(status(sign_up(&app, &format!("one{number}"), "9.9.9.9, 1.2.3.4")).await, 201);
    }
    for forged in ["1.2.3.4", "8.8.8.8, 1.2.3.4", "1.2.3.4:999", "::ffff:1.2.3.4"] {
        held_off(sign_up(&app, "more", forged).send().await.unwrap()).await;
    }
    for number in 0..3 {
        let address = format!("2001:db8:1:2::{number}");
        assert_eq!(status(sign_up(&app, &format!("six{number}"), &address)).await, 201);
    }
    held_off(sign_up(&app, "more", "[2001:db8:1:2:ffff::9]:443").send().await.unwrap()).await;
    assert_eq!(status(sign_up(&app, "more", "2001:db8:1:3::9")).await, 201);
}
