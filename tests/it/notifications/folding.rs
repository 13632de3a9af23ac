//! What the histories of `folding.rs` have of notifications: others cause them; here they are read.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;
use studyhall_protocol::dashboard::Dashboard;
use studyhall_protocol::state::UserState;

use crate::harness::Person;

/// Somebody reads one of theirs, or all of a time, or all.
pub async fn step(random: &mut StdRng, people: &[Person]) {
    let me = people.choose(random).unwrap();
    let page = me.get("/notifications?limit=20").await.expect(200);
    let Some(one) = page["items"].as_array().unwrap().choose(random) else { return };
    match random.random_range(0..6) {
        0..4 => drop(me.put(&format!("/notifications/{}/read", one["id"].as_str().unwrap())).await.expect(200)),
        4 => {
            let body = json!({"up_to": one["updated_at"]});
            me.post("/notifications/read", body).await.expect(200);
        }
        _ => drop(me.post("/notifications/read", json!({})).await.expect(200)),
    }
}

/// The count in the home page is that of what is in it.
pub fn assert_counted(page: &Dashboard) {
    assert_eq!(page.unread_count, UserState::from(page.clone()).unread_count());
    assert!(page.notifications.is_sorted_by_key(|one| std::cmp::Reverse((one.updated_at, one.id))));
}
