//! Notifications: who is told of what, what collapses, what is taken back, what is read.

mod batches;
pub mod folding;

use serde_json::json;
use studyhall_protocol::Channel;
use studyhall_protocol::dashboard::Dashboard;
use studyhall_protocol::notifications::Notification;
use studyhall_protocol::state::UserState;
use uuid::Uuid;

use crate::actors::{Actor, Place, place};
use crate::harness;

async fn post(author: &Actor) -> String {
    author.make("post.create", json!({"content": "chapter 3"})).await
}

/// What somebody has of a kind: newest first.
async fn of(person: &Actor, kind: &str) -> Vec<Notification> {
    let page = person.dashboard().await;
    folding::assert_counted(&page);
    page.notifications.into_iter().filter(|one| one.kind == kind).collect()
}

/// How many, by whom the latest, and whether unread.
async fn brief(person: &Actor, kind: &str) -> Vec<(i32, Option<Uuid>, bool)> {
    of(person, kind).await.iter().map(|one| (one.count, one.actor_id, one.read_at.is_none())).collect()
}

/// Folds from what was there before to what is there now.
async fn folds(place: &Place, person: &Actor, before: &Dashboard) {
    assert_folds(place, before.clone(), person.dashboard().await).await;
}

/// snapshot(p) + events(p, q] = snapshot(q), but for one's own likes, which are not in the home page.
async fn assert_folds(place: &Place, before: Dashboard, after: Dashboard) {
    let channel = Channel::User(after.me.user.id);
    let at = |page: &Dashboard| page.positions.iter().find(|at| at.channel == channel).unwrap().clone();
    let (from, to) = (at(&before), at(&after));
    let mut state = UserState::from(before);
    for event in place.between(&from, &to).await {
        state.apply(&event).unwrap();
    }
    state.liked.clear();
    assert_eq!(state, UserState::from(after));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_do_is_heard_and_read_on_every_device() {
    let app = harness::app().await;
    let (ada, bob, eve) = (app.person("ada").await, app.person("bob").await, app.person("eve").await);
    let post = ada.post("/posts", json!({"content": "chapter 3"})).await.expect(201)["data"]["id"].clone();
    let post = post.as_str().unwrap();
    let (mut desk, mut phone) = (ada.live().await, ada.live().await);
    phone.subscribe(&ada.channel()).await;
    let mut next = async |kind: &str| loop {
        let (_, event) = phone.event().await;
        if event["type"] == kind {
            return event["data"].clone();
        }
    };
    let like = bob.put(&format!("/posts/{post}/like")).await.expect(200);
    let channels: Vec<&str> =
        like["positions"].as_array().unwrap().iter().map(|at| at["channel"].as_str().unwrap()).collect();
    assert_eq!(channels, [bob.channel(), format!("profile:{}", ada.id)], "not where the private channel of ada stands");
    let one = next("notification.created").await;
    assert_eq!((&one["kind"], &one["actor_id"], &one["post_id"]), (&json!("like"), &json!(bob.id), &json!(post)));
    let again = eve.live().await.rpc("post.like", json!({"post_id": post})).await.unwrap();
    assert_eq!(again["positions"].as_array().unwrap().len(), 2);
    let two = next("notification.updated").await;
    assert_eq!((&two["id"], &two["count"], &two["actor_id"]), (&one["id"], &json!(2), &json!(eve.id)));
    let said = bob.post(&format!("/posts/{post}/comments"), json!({"body": "well"})).await.expect(201);
    assert_eq!(said["positions"].as_array().unwrap().len(), 1);
    let comment = next("notification.created").await;
    assert_eq!((&comment["kind"], &comment["comment_id"]), (&json!("comment"), &said["data"]["id"]));
    bob.put(&format!("/users/{}/follow", ada.id)).await.expect(200);
    let follow = next("notification.created").await;
    assert_eq!((&follow["kind"], &follow["actor_id"]), (&json!("follow"), &json!(bob.id)));
    let room = eve.post("/workspaces", json!({"name": "room"})).await.expect(201)["data"]["id"].clone();
    eve.put(&format!("/workspaces/{}/members/{}", room.as_str().unwrap(), ada.id)).await.expect(201);
    let invitation = next("notification.created").await;
    assert_eq!((&invitation["kind"], &invitation["workspace_id"]), (&json!("invitation"), &room));
    // Newest first, in pages.
    let page = ada.get("/notifications?limit=3").await.expect(200);
    assert_eq!(page["items"], json!([invitation, follow, comment]));
    let rest = format!("/notifications?limit=3&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(ada.get(&rest).await.expect(200)["items"], json!([two]));
    let count = async || ada.get("/notifications/unread-count").await.expect(200)["data"]["unread_count"].clone();
    assert_eq!(count().await, 4);
    // One, a second time, up to a time, all.
    let path = format!("/notifications/{}/read", follow["id"].as_str().unwrap());
    let read = ada.put(&path).await.expect(200);
    assert_eq!((&read["data"]["ids"], &read["data"]["unread_count"]), (&json!([follow["id"]]), &json!(3)));
    assert_eq!(next("notifications.read").await, read["data"]);
    assert_eq!(ada.put(&path).await.expect(200)["data"]["ids"], json!([]));
    let up_to = json!({"up_to": comment["updated_at"]});
    let some = desk.rpc("notification.read_all", up_to).await.unwrap()["data"].clone();
    assert_eq!((&some["ids"], &some["unread_count"]), (&json!([comment["id"], two["id"]]), &json!(1)));
    assert_eq!(next("notifications.read").await, some);
    let all = ada.post("/notifications/read", json!({})).await.expect(200)["data"].clone();
    assert_eq!((&all["ids"], count().await), (&json!([invitation["id"]]), json!(0)));
    // Reading moves nothing.
    assert_eq!(ada.get("/notifications?limit=1").await.expect(200)["items"][0]["updated_at"], invitation["updated_at"]);
    // Somebody else's are not there.
    assert_eq!(eve.put(&path).await.expect(404)["code"], "not_found");
    assert_eq!(eve.get("/notifications").await.expect(200)["items"], json!([]));
    for up_to in ["0000-01-01T00:00:00Z", "+10000-01-01T00:00:00Z"] {
        assert_eq!(ada.post("/notifications/read", json!({"up_to": up_to})).await.expect(422)["field"], "up_to");
    }
}

#[tokio::test]
async fn likes_collapse_until_they_are_read_and_are_taken_back() {
    let place = place().await;
    let (ada, bob, cleo, dan) =
        (place.actor("ada").await, place.actor("bob").await, place.actor("cleo").await, place.actor("dan").await);
    let (post, before) = (json!({"post_id": post(&ada).await}), ada.dashboard().await);
    ada.ok("post.like", post.clone()).await;
    assert_eq!(brief(&ada, "like").await, [], "one's own");
    for fan in [&bob, &cleo, &dan] {
        fan.ok("post.like", post.clone()).await;
    }
    ada.ok("post.unlike", post.clone()).await;
    assert_eq!(brief(&ada, "like").await, [(3, Some(dan.id), true)]);
    bob.ok("post.like", post.clone()).await;
    assert_eq!(brief(&ada, "like").await, [(3, Some(dan.id), true)], "twice is once");
    dan.ok("post.unlike", post.clone()).await;
    assert_eq!(brief(&ada, "like").await, [(2, Some(cleo.id), true)], "the latest of those who are left");
    bob.ok("post.unlike", post.clone()).await;
    folds(&place, &ada, &before).await;
    ada.ok("notification.read_all", json!({})).await;
    // What was read stays as it was, and what is new begins anew.
    dan.ok("post.like", post.clone()).await;
    assert_eq!(brief(&ada, "like").await, [(1, Some(dan.id), true), (1, Some(cleo.id), false)]);
    cleo.ok("post.unlike", post.clone()).await;
    assert_eq!(brief(&ada, "like").await, [(1, Some(dan.id), true), (1, Some(cleo.id), false)]);
    dan.ok("post.unlike", post.clone()).await;
    assert_eq!(brief(&ada, "like").await, [(1, Some(cleo.id), false)], "taken away");
    bob.ok("post.like", post.clone()).await;
    folds(&place, &ada, &before).await;
    let id = json!({"id": post["post_id"]});
    ada.ok("post.delete", id).await;
    assert_eq!(brief(&ada, "like").await, []);
    folds(&place, &ada, &before).await;
}

#[tokio::test]
async fn comments_collapse_and_go_with_what_was_said() {
    let place = place().await;
    let (ada, bob, cleo) = (place.actor("ada").await, place.actor("bob").await, place.actor("cleo").await);
    let post = post(&ada).await;
    let before = ada.dashboard().await;
    let say = async |who: &Actor| who.make("comment.create", json!({"post_id": post, "body": "well"})).await;
    let own = say(&ada).await;
    assert_eq!(brief(&ada, "comment").await, [], "one's own");
    let (one, two, three) = (say(&bob).await, say(&cleo).await, say(&cleo).await);
    assert_eq!(brief(&ada, "comment").await, [(3, Some(cleo.id), true)]);
    assert_eq!(of(&ada, "comment").await[0].comment_id.unwrap().to_string(), three);
    cleo.ok("comment.delete", json!({"id": three})).await;
    assert_eq!(of(&ada, "comment").await[0].comment_id.unwrap().to_string(), two);
    ada.ok("comment.delete", json!({"id": two})).await;
    ada.ok("comment.delete", json!({"id": own})).await;
    assert_eq!(brief(&ada, "comment").await, [(1, Some(bob.id), true)]);
    folds(&place, &ada, &before).await;
    ada.ok("notification.read_all", json!({})).await;
    let four = say(&cleo).await;
    // What was read of is named no more; what was not is less by one.
    bob.ok("comment.delete", json!({"id": one})).await;
    let left = of(&ada, "comment").await;
    assert_eq!((left.len(), left[0].count, left[1].comment_id), (2, 1, None));
    folds(&place, &ada, &before).await;
    cleo.ok("comment.delete", json!({"id": four})).await;
    assert_eq!(brief(&ada, "comment").await, [(1, Some(bob.id), false)]);
    folds(&place, &ada, &before).await;
}

#[tokio::test]
async fn follows_and_rooms_are_told_and_taken_back() {
    let place = place().await;
    let (ada, bob, cleo) = (place.actor("ada").await, place.actor("bob").await, place.actor("cleo").await);
    let before = ada.dashboard().await;
    for fan in [&bob, &cleo] {
        fan.ok("user.follow", json!({"user_id": ada.id})).await;
        fan.ok("user.follow", json!({"user_id": ada.id})).await;
    }
    assert_eq!(brief(&ada, "follow").await, [(1, Some(cleo.id), true), (1, Some(bob.id), true)]);
    cleo.ok("user.unfollow", json!({"user_id": ada.id})).await;
    ada.ok("notification.read_all", json!({})).await;
    bob.ok("user.unfollow", json!({"user_id": ada.id})).await;
    assert_eq!(brief(&ada, "follow").await, [(1, Some(bob.id), false)], "what was read stays");
    folds(&place, &ada, &before).await;
    let mut rooms = Vec::new();
    for name in ["one", "two"] {
        let room = bob.make("workspace.create", json!({"name": name})).await;
        for member in [&ada, &cleo] {
            bob.ok("member.add", json!({"workspace_id": room, "user_id": member.id})).await;
        }
        rooms.push(room);
    }
    assert_eq!(brief(&ada, "invitation").await.len(), 2);
    folds(&place, &ada, &before).await;
    // Whoever is out has no invitation, and no room has guests when it is gone.
    bob.ok("member.remove", json!({"workspace_id": rooms[0], "user_id": ada.id})).await;
    assert_eq!(of(&ada, "invitation").await[0].workspace_id.unwrap().to_string(), rooms[1]);
    folds(&place, &ada, &before).await;
    let theirs = cleo.dashboard().await;
    for room in rooms {
        bob.ok("workspace.delete", json!({"id": room})).await;
    }
    assert_eq!((brief(&ada, "invitation").await, brief(&cleo, "invitation").await), (vec![], vec![]));
    folds(&place, &ada, &before).await;
    folds(&place, &cleo, &theirs).await;
}

#[tokio::test]
async fn a_block_takes_away_what_they_caused() {
    let place = place().await;
    let (ada, bob, cleo) = (place.actor("ada").await, place.actor("bob").await, place.actor("cleo").await);
    let (one, two) = (post(&ada).await, post(&ada).await);
    let (before, theirs) = (ada.dashboard().await, bob.dashboard().await);
    cleo.ok("post.like", json!({"post_id": one})).await;
    for post in [&one, &two] {
        bob.ok("post.like", json!({"post_id": post})).await;
        bob.ok("comment.create", json!({"post_id": post, "body": "well"})).await;
    }
    bob.ok("user.follow", json!({"user_id": ada.id})).await;
    ada.ok("user.follow", json!({"user_id": bob.id})).await;
    assert_eq!(ada.dashboard().await.notifications.len(), 5);
    ada.ok("user.block", json!({"user_id": bob.id})).await;
    // What others did too stays, and names nobody; what is told of them is gone on both sides.
    assert_eq!(brief(&ada, "like").await, [(2, None, true)]);
    assert_eq!((ada.dashboard().await.notifications.len(), bob.dashboard().await.notifications.len()), (1, 0));
    folds(&place, &ada, &before).await;
    folds(&place, &bob, &theirs).await;
    for (method, data) in [
        ("post.like", json!({"post_id": one})),
        ("post.unlike", json!({"post_id": one})),
        ("comment.create", json!({"post_id": one, "body": "well"})),
        ("user.follow", json!({"user_id": ada.id})),
    ] {
        bob.refused(method, data, "404 not_found").await;
    }
    assert_eq!(ada.dashboard().await.notifications.len(), 1);
    // Afterwards they are counted as they were.
    ada.ok("user.unblock", json!({"user_id": bob.id})).await;
    bob.ok("post.unlike", json!({"post_id": one})).await;
    assert_eq!(brief(&ada, "like").await, [(1, Some(cleo.id), true)]);
    folds(&place, &ada, &before).await;
}

#[tokio::test]
async fn a_hundred_are_kept() {
    let place = place().await;
    let (ada, bob) = (place.actor("ada").await, place.actor("bob").await);
    let post = post(&ada).await;
    let fill = "insert into notifications (user_id, kind, actor_id, created_at, updated_at)
        select $1, 'follow', $2, now() - make_interval(days => n), now() - make_interval(days => n)
        from generate_series(1, 99) n";
    sqlx::query(fill).bind(ada.id).bind(bob.id).execute(place.db.pool()).await.unwrap();
    let before = ada.dashboard().await;
    let oldest = before.notifications.last().unwrap().id;
    bob.ok("post.like", json!({"post_id": post})).await;
    let full = ada.dashboard().await;
    assert_eq!((full.notifications.len(), full.unread_count), (100, 100));
    bob.ok("comment.create", json!({"post_id": post, "body": "well"})).await;
    let after = ada.dashboard().await;
    assert_eq!((after.notifications.len(), after.unread_count), (100, 100));
    assert!(after.notifications.iter().all(|one| one.id != oldest));
    folds(&place, &ada, &before).await;
    // More of the same is none more.
    bob.ok("comment.create", json!({"post_id": post, "body": "well"})).await;
    assert_eq!(ada.dashboard().await.notifications.last(), after.notifications.last());
    folds(&place, &ada, &before).await;
}

#[tokio::test]
async fn whatever_is_read_often_is_read_by_an_index() {
    let place = place().await;
    let (ada, bob) = (place.actor("ada").await, place.actor("bob").await);
    for person in [ada.id, bob.id] {
        let fill = "insert into notifications (user_id, kind, updated_at)
            select $1, 'follow', now() - make_interval(mins => n) from generate_series(1, 5000) n";
        sqlx::query(fill).bind(person).execute(place.db.pool()).await.unwrap();
    }
    sqlx::query("analyze notifications").execute(place.db.pool()).await.unwrap();
    let of = format!("select * from notifications where user_id = '{}'", ada.id);
    for question in [
        format!("{of} order by updated_at desc, id desc limit 51"),
        format!("{of} and kind = 'like' and read_at is null and post_id = '{}'", bob.id),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("explain {question}"));
        let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(place.db.pool()).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("Index Scan") && !plan.contains("Seq Scan") && !plan.contains("Sort"), "{plan}");
    }
    let answer = ada.call("notification.read_all", json!({})).await.unwrap();
    assert_eq!(answer["data"]["unread_count"], 0);
    assert_eq!(answer["positions"].as_array().map(Vec::len), Some(1));
}
