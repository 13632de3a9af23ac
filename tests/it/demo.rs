//! The demo world.

use studyhall::domain::seed;
use studyhall::http::AppState;

use crate::actors::{Place, place};

async fn count(place: &Place) -> (i64, i64, i64, i64) {
    let count = "select (select count(*) from users), (select count(*) from tasks),
        (select count(*) from immersive_widgets), (select count(*) from events)";
    sqlx::query_as(count).fetch_one(place.db.pool()).await.unwrap()
}

#[tokio::test]
async fn making_it_again_changes_nothing() {
    let place = place().await;
    let state = AppState::new(&crate::harness::config(""), place.db.clone(), place.writer.clone()).unwrap();
    assert!(seed::is_empty(&place.db).await.unwrap());
    assert_eq!(seed::demo_sign_in(&place.db).await.unwrap(), None);
    let first = seed::demo(&state).await.unwrap();
    let world = count(&place).await;
    assert!(first.people >= 8 && first.taken.is_empty() && first.refused == 0, "{first:?}");
    assert!(world.0 >= 8 && world.1 >= 30 && world.2 >= 10 && world.3 >= 80, "{world:?}");
    let again = seed::demo(&state).await.unwrap();
    assert_eq!((again.people, again.commands, count(&place).await), (0, first.commands, world));
    assert!(!seed::is_empty(&place.db).await.unwrap());
    assert!(seed::demo_sign_in(&place.db).await.unwrap().is_some());
    // Days later the operations are forgotten; everybody is left alone.
    let aged = "update users set created_at = now() - interval '3 days'";
    sqlx::query(aged).execute(place.db.pool()).await.unwrap();
    sqlx::query("delete from operations").execute(place.db.pool()).await.unwrap();
    assert_eq!(seed::demo(&state).await.unwrap().commands, 0);
    assert_eq!(count(&place).await, world);
}

#[tokio::test]
async fn a_name_that_somebody_has_is_left_to_them() {
    let place = place().await;
    let state = AppState::new(&crate::harness::config(""), place.db.clone(), place.writer.clone()).unwrap();
    let stranger = place.actor("Aiko").await;
    assert_eq!(seed::demo(&state).await.unwrap().taken, ["aiko"]);
    let page = stranger.dashboard().await;
    assert!(page.task_lists.is_empty() && page.memberships.is_empty());
    assert_eq!(seed::demo_sign_in(&place.db).await.unwrap(), None);
}
