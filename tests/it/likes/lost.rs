//! Connections to the database that break, at the worst moment of all: nothing is lost, nothing is done twice.

use std::sync::atomic::{AtomicBool, Ordering};

use super::hot::Crowd;
use crate::faults::postgres::{Commits, Road};
use crate::harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_whose_answer_is_lost_are_found_out_about() {
    let database = harness::database().await;
    let road = Road::start(&database.url);
    let crowd = Crowd::at(harness::app_at(database, |config| config.database_url = Some(road.url.clone())).await).await;
    let clients = crowd.clients().await;
    road.one_in(3);
    road.commits(Commits::Lose);
    let sent = crowd.run(clients, 10).await;
    road.commits(Commits::Pass);
    println!("{} commits for {} commands, {} lost", road.seen(), sent.len(), road.hits());
    assert!(road.hits() > 0);
    crowd.verify(&sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_anywhere_lose_and_double_nothing() {
    let crowd = Crowd::at(harness::app().await).await;
    let (clients, done) = (crowd.clients().await, AtomicBool::new(false));
    let breaking = async {
        let mut broken = 0_i64;
        while !done.load(Ordering::Relaxed) {
            let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and application_name = 'studyhall'
                    and (state like 'idle in%' or state = 'active')";
            broken += sqlx::query_scalar::<_, i64>(kill).fetch_one(&crowd.app.database.pool).await.unwrap();
            // Often enough to meet every part of a transaction, seldom enough that some get through.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        broken
    };
    let running = async {
        let sent = crowd.run(clients, 20).await;
        done.store(true, Ordering::Relaxed);
        sent
    };
    let (sent, broken) = tokio::join!(running, breaking);
    println!("{broken} connections were broken");
    crowd.verify(&sent).await;
}
