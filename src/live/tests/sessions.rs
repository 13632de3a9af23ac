//! Sign-ins that end close their sockets, whenever the event comes and by whatever way.

use serde_json::json;
use studyhall_protocol::error::Disconnect;

use super::*;
use crate::live::backend::Effect;

fn signed_out(engine: &Engine, session: u128) -> LogEvent {
    let why = Disconnect::SIGNED_OUT;
    let ended = Effect::EndSessions { user_id: user(1), session_ids: vec![Uuid::from_u128(session)], why };
    engine.toy.commit(Channel::User(user(1)), vec![ended])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sign_in_of_several() {
    let engine = Engine::start().await;
    let mut ended = engine.client().await;
    ended.connect("u1:5").await;
    let mut other = engine.client().await;
    other.connect("u1:6").await;
    engine.hub.apply(vec![signed_out(&engine, 5)]);
    assert_eq!(ended.close_code().await, 4501);
    other.all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_being_checked() {
    let engine = Engine::start().await;
    engine.toy.authenticating.shut();
    let mut client = engine.client().await;
    client.send(&json!({"id": 1, "connect": {"token": "u1:5"}}).to_string()).await;
    engine.toy.authenticating.arrived(1).await;
    engine.hub.apply(vec![signed_out(&engine, 5)]);
    engine.toy.authenticating.open();
    assert_eq!(client.close_code().await, 4501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_being_refreshed() {
    let engine = Engine::start().await;
    let mut client = engine.connected(1).await;
    engine.toy.authenticating.shut();
    client.send(&json!({"id": 8, "refresh": {"token": "u1:5"}}).to_string()).await;
    engine.toy.authenticating.arrived(2).await;
    engine.hub.apply(vec![signed_out(&engine, 5)]);
    engine.toy.authenticating.open();
    assert_eq!(client.close_code().await, 4501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_log_when_the_event_itself_was_lost() {
    let engine = Engine::start().await;
    let mut client = engine.client().await;
    client.connect("u1:5").await;
    client.subscribe(Channel::User(user(1))).await;
    let _lost = signed_out(&engine, 5);
    engine.publish(Channel::User(user(1)), 1);
    assert_eq!(client.close_code().await, 4501);
}
