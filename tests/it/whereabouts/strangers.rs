//! Who is here is for those who may know it, and nobody is here in another's name.

use serde_json::json;

use super::Stage;
use super::moves::listed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_asks_and_a_member_pretends() {
    let mut stage = Stage::set(2).await;
    let stranger = stage.here.person("stranger").await;
    let mut outside = stranger.live().await;
    for (word, code) in [("subscribe", 102), ("presence", 103), ("presence_stats", 103)] {
        let refused = outside.request(json!({word: {"channel": stage.room}})).await.unwrap_err();
        assert_eq!(refused["code"], code, "{word}: {refused}");
    }
    let refused = outside.publish(&stage.room, json!({"type": "pointer", "key": "x", "data": {}})).await;
    assert!(refused.is_err());
    // A member says to be somebody else, in all places where a name could be.
    let mut ben = stage.aiko.at(&stage.there.url()).live().await;
    let connect = json!({"subscribe": {"channel": stage.room, "join_leave": true, "data": {"user": stranger.id},
        "info": {"user": stranger.id}}});
    let _ = ben.request(connect).await;
    stage.watch.expect(std::time::Instant::now(), &["online", "join"]).await;
    let here = listed(&mut stage.watch.live, &stage.room).await;
    assert!(!here.contains(&stranger.id) && here.contains(&stage.aiko.id), "{here:?}");
    stage.watch.live.drain().await;
    let forged = json!({"type": "pointer", "actor": stranger.id, "user_id": stranger.id, "data": {"x": 1, "y": 1}});
    if ben.publish(&stage.room, forged).await.is_ok() {
        for push in stage.watch.live.drain().await {
            assert!(!push.to_string().contains(&stranger.id.to_string()), "{push}");
        }
    }
    stage.watch.expect_no_more().await;
}
