//! Coming back after any number of events, at a node that has nothing in memory.

use futures_util::FutureExt;
use serde_json::json;
use studyhall_protocol::tasks::TaskList;
use studyhall_protocol::{Channel, Event};

use super::reader::Reader;
use super::{Three, log, tasks};
use crate::harness;

/// As many as the largest page of the log over REST, one more, and many pages of any kind.
const MISSED: [u64; 5] = [1, 100, 500, 501, 1_500];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_missed_events() {
    let three = Three::start().await;
    let ada = harness::sign_up(&three.url(0), "ada").await;
    tasks(&ada, 0).await;
    let list: TaskList = serde_json::from_value(ada.get("/task-lists").await.expect(200)["items"][0].clone()).unwrap();
    let epoch = log_epoch(&three).await;
    let channel = ada.channel();
    let mut head = log(&ada, &channel, 0).await.len() as u64;
    for missed in MISSED {
        let (from, me, list) = (head, Channel::User(ada.id), list.clone());
        let many = three.nodes[0].app.state.writer.run(ada.id, move |tx| {
            let list = list.clone();
            async move {
                tx.lock(&[me]).await?;
                (0..missed).for_each(|_| tx.emit(me, Event::TaskListUpdated(list.clone())));
                Ok(())
            }
            .boxed()
        });
        many.await.unwrap();
        head += missed;
        let items = log(&ada, &channel, from).await;
        for node in 0..3 {
            let position = json!({"offset": from, "epoch": epoch});
            let mut reader = Reader::open(&three.url(node), &ada, &channel, Some(&position)).await.unwrap();
            reader.until(head).await;
            assert_eq!((reader.seen.len() as u64, items.len() as u64), (head - from, missed));
            // And it goes on.
            ada.patch(&format!("/task-lists/{}", list_id(&items)), json!({"name": format!("{node} {missed}")}))
                .await
                .expect(200);
            head += 1;
            reader.until(head).await;
        }
    }
    // Beyond what is kept: an explicit no at every node, and the oldest position that is good still is.
    let floor = head - 700;
    let trim = sqlx::query("select trim_channel($1, $2)").bind(&channel).bind(floor.cast_signed());
    trim.execute(three.pool()).await.unwrap();
    for node in 0..3 {
        let at = |offset: u64| json!({"offset": offset, "epoch": epoch});
        for beyond in [0, floor - 500, floor - 2] {
            let refused = Reader::open(&three.url(node), &ada, &channel, Some(&at(beyond))).await.err();
            assert_eq!(refused, Some(112), "from {beyond}, kept from {floor}");
        }
        let mut reader = Reader::open(&three.url(node), &ada, &channel, Some(&at(floor - 1))).await.unwrap();
        reader.until(head).await;
        assert_eq!(reader.seen.len(), 701);
    }
}

async fn log_epoch(three: &Three) -> String {
    sqlx::query_scalar("select epoch from log_epoch").fetch_one(three.pool()).await.unwrap()
}

fn list_id(items: &[serde_json::Value]) -> &str {
    items[0]["data"]["id"].as_str().unwrap()
}
