//! What holds for every roster of several nodes.

use std::sync::Arc;

use studyhall::cluster::Timing;
use studyhall::live::roster::{Others, Roster};
use studyhall_protocol::channel::Channel;
use uuid::Uuid;

use super::ears::{Ears, texts};
use super::server::Server;
use super::shards::Shards;
use super::{entry, hall, node_at, reached, room, until};

/// Three nodes, and what they hear.
struct Three {
    nodes: Vec<Arc<dyn Roster>>,
    ears: Vec<Arc<Ears>>,
}

#[tokio::test]
async fn in_one_process() {
    suite(async || {
        let ears: Vec<_> = (0..3).map(|_| Ears::new()).collect();
        Three { nodes: hall::hall(&ears), ears }
    })
    .await;
}

#[tokio::test]
async fn over_redis() {
    over(&Server::start().await.url).await;
}

#[tokio::test]
async fn over_a_redis_cluster() {
    // Whichever server is asked first.
    for url in Shards::start(0).await.urls() {
        over(&url).await;
    }
}

async fn over(url: &str) {
    suite(async || {
        let mut three = Three { nodes: Vec::new(), ears: Vec::new() };
        for _ in 0..3 {
            let (cluster, ears) = node_at(url, Timing::default());
            reached(&cluster).await;
            three.nodes.push(cluster);
            three.ears.push(ears);
        }
        three
    })
    .await;
}

async fn suite(make: impl AsyncFn() -> Three) {
    they_hear_each_other(make().await).await;
    the_last_value_counts(make().await).await;
    nobody_hears_themselves(make().await).await;
    who_comes_later_is_told_who_is_there(make().await).await;
    a_look_does_not_listen(make().await).await;
    what_is_deserted_is_heard_no_more(make().await).await;
}

fn named(seen: &[Others]) -> Vec<(Uuid, Vec<String>)> {
    let mut named: Vec<_> = seen.iter().map(|(person, entries)| (*person, texts(entries))).collect();
    named.sort();
    named
}

async fn seen(node: &Arc<dyn Roster>, place: Channel) -> Vec<(Uuid, Vec<String>)> {
    named(&node.look(vec![place]).await[0])
}

async fn they_hear_each_other(Three { nodes, ears }: Three) {
    let (place, ada, bob) = (room(), Uuid::new_v4(), Uuid::new_v4());
    for node in &nodes {
        assert_eq!(node.attend(vec![place]).await, [Vec::<Others>::new()]);
    }
    nodes[0].tell(place, ada, entry("ada on 0"));
    ears[1].hear(place, &[ada], &["ada on 0"]).await;
    ears[2].hear(place, &[ada], &["ada on 0"]).await;
    nodes[1].tell(place, bob, entry("bob on 1"));
    ears[0].hear(place, &[bob], &["bob on 1"]).await;
    nodes[1].tell(place, ada, entry("ada on 1"));
    ears[2].hear(place, &[ada], &["ada on 0", "ada on 1"]).await;
    ears[0].hear(place, &[ada], &["ada on 1"]).await;
    nodes[0].tell(place, ada, None);
    ears[2].hear(place, &[ada], &["ada on 1"]).await;
    ears[1].hear(place, &[ada], &[]).await;
}

async fn the_last_value_counts(Three { nodes, ears }: Three) {
    let (place, ada) = (room(), Uuid::new_v4());
    nodes[1].attend(vec![place]).await;
    for number in 0..200 {
        nodes[0].tell(place, ada, entry(&format!("{number:03}")));
        tokio::task::yield_now().await;
    }
    ears[1].hear(place, &[ada], &["199"]).await;
    let all = ears[1].of(place, ada);
    assert!(all.is_sorted(), "{all:?}");
    nodes[0].tell(place, ada, None);
    nodes[0].tell(place, ada, entry("again"));
    ears[1].hear(place, &[ada], &["again"]).await;
}

async fn nobody_hears_themselves(Three { nodes, ears }: Three) {
    let (place, ada, bob) = (room(), Uuid::new_v4(), Uuid::new_v4());
    nodes[0].attend(vec![place]).await;
    nodes[0].tell(place, ada, entry("here"));
    until("others see her", async || !seen(&nodes[1], place).await.is_empty()).await;
    nodes[1].tell(place, bob, entry("here"));
    ears[0].hear(place, &[bob], &["here"]).await;
    assert!(ears[0].of(place, ada).is_empty());
    assert_eq!(seen(&nodes[0], place).await, [(bob, vec!["here".to_owned()])]);
}

async fn who_comes_later_is_told_who_is_there(Three { nodes, .. }: Three) {
    let (first, empty, second, ada) = (room(), room(), Channel::Profile(Uuid::new_v4()), Uuid::new_v4());
    nodes[0].tell(first, ada, entry("in the first"));
    nodes[0].tell(second, ada, entry("in the second"));
    until("it is told", async || {
        let seen = nodes[2].look(vec![first, second]).await;
        seen.iter().all(|seen| !seen.is_empty())
    })
    .await;
    let there = nodes[1].attend(vec![first, empty, second]).await;
    assert_eq!(named(&there[0]), [(ada, vec!["in the first".to_owned()])]);
    assert_eq!(there[1], []);
    assert_eq!(named(&there[2]), [(ada, vec!["in the second".to_owned()])]);
    let again = nodes[1].look(vec![second, first]).await;
    assert_eq!(again, [there[2].clone(), there[0].clone()]);
    assert!(nodes[1].attend(Vec::new()).await.is_empty());
}

async fn a_look_does_not_listen(Three { nodes, ears }: Three) {
    let (attended, place, ada) = (room(), room(), Uuid::new_v4());
    nodes[1].attend(vec![attended]).await;
    nodes[0].tell(place, ada, entry("a"));
    until("it is seen", async || seen(&nodes[1], place).await == [(ada, vec!["a".to_owned()])]).await;
    nodes[0].tell(place, ada, entry("b"));
    until("the change is seen", async || seen(&nodes[1], place).await == [(ada, vec!["b".to_owned()])]).await;
    nodes[0].tell(attended, ada, entry("c"));
    ears[1].hear(attended, &[ada], &["c"]).await;
    assert!(!ears[1].mentions(place));
}

async fn what_is_deserted_is_heard_no_more(Three { nodes, ears }: Three) {
    let (left, attended, ada) = (room(), room(), Uuid::new_v4());
    nodes[1].attend(vec![left, attended]).await;
    nodes[1].desert(left);
    nodes[0].tell(left, ada, entry("a"));
    until("it is told", async || !seen(&nodes[2], left).await.is_empty()).await;
    nodes[0].tell(attended, ada, entry("b"));
    ears[1].hear(attended, &[ada], &["b"]).await;
    assert!(!ears[1].mentions(left));
    let back = nodes[1].attend(vec![left]).await;
    assert_eq!(named(&back[0]), [(ada, vec!["a".to_owned()])]);
    nodes[0].tell(left, ada, None);
    ears[1].hear(left, &[ada], &[]).await;
}
