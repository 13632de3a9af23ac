//! What one does by one door, others hear by the other.

use serde_json::{Value, json};

use super::{comment, position, post};
use crate::harness::{self, Live, Person};

fn profile(person: &Person) -> String {
    format!("profile:{}", person.id)
}

/// The next event, which must be of this type and stand at the position of the answer.
async fn hears(live: &mut Live, kind: &str) -> (u64, Value) {
    let (offset, event) = live.event().await;
    assert_eq!(event["type"], kind, "{event}");
    (offset, event["data"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_made_edited_and_deleted_before_everybodys_eyes() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let before = bob.get(&format!("/users/{}/posts", ada.id)).await.expect(200);
    let (mut hers, mut his) = (ada.live().await, bob.live().await);
    hers.subscribe(&ada.channel()).await;
    his.subscribe_from(&profile(&ada), &position(&before, &profile(&ada))).await.unwrap();
    let body = json!({"content": "Read chapter 4", "book_title": "Rust", "study_duration": "45m", "subject": "Systems",
        "image_url": "https://e.example/a.png", "tags": ["#Rust", "reading", "rust"],
        "media": [{"media_type": "image", "url": "https://e.example/b.png", "metadata": {"width": 3}}]});
    let made = ada.post("/posts", body).await.expect(201);
    let post = &made["data"];
    assert_eq!(
        (&post["tags"], &post["like_count"], &post["comment_count"]),
        (&json!(["reading", "Rust"]), &json!(0), &json!(0))
    );
    assert_eq!((&post["media"][0]["metadata"], &post["created_at"]), (&json!({"width": 3}), &post["updated_at"]));
    let (_, heard) = hears(&mut his, "post.created").await;
    assert_eq!(&heard, post);
    let (offset, user) = hears(&mut his, "profile.updated").await;
    assert_eq!((&user["posts_count"], &json!(offset)), (&json!(1), &position(&made, &profile(&ada))["offset"]));
    let (offset, me) = hears(&mut hers, "user.updated").await;
    assert_eq!((&me["posts_count"], &json!(offset)), (&json!(1), &position(&made, &ada.channel())["offset"]));
    let id = post["id"].as_str().unwrap();
    let seen = bob.get(&format!("/posts/{id}")).await.expect(200);
    assert_eq!((&seen["data"]["author"]["username"], &seen["data"]["liked_by_me"]), (&json!("ada"), &json!(false)));
    assert_eq!(position(&seen, &profile(&ada)), position(&made, &profile(&ada)));
    position(&seen, &bob.channel());

    let patch = json!({"id": id, "content": "Read it all", "subject": null, "tags": ["done"], "media": []});
    let edited = hers.rpc("post.update", patch.clone()).await.unwrap();
    let (offset, heard) = hears(&mut his, "post.updated").await;
    assert_eq!((&heard, &json!(offset)), (&edited["data"], &position(&edited, &profile(&ada))["offset"]));
    assert_eq!((&heard["subject"], &heard["tags"], &heard["media"]), (&json!(null), &json!(["done"]), &json!([])));
    assert_eq!((&heard["book_title"], &heard["created_at"]), (&json!("Rust"), &post["created_at"]));
    assert!(heard["updated_at"].as_str() > post["updated_at"].as_str());
    let again = hers.rpc("post.update", patch).await.unwrap();
    assert_eq!(again, edited, "nothing changed, so nothing happened");

    let gone = ada.delete(&format!("/posts/{id}")).await.expect(200);
    assert_eq!(hears(&mut his, "post.deleted").await.1, json!({"id": id}));
    assert_eq!(hears(&mut his, "profile.updated").await.1["posts_count"], 0);
    let (offset, me) = hears(&mut hers, "user.updated").await;
    assert_eq!((&me["posts_count"], &json!(offset)), (&json!(0), &position(&gone, &ada.channel())["offset"]));
    bob.get(&format!("/posts/{id}")).await.expect(404);
    assert_eq!(his.drain().await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_about_a_post_is_heard_where_the_post_is() {
    let app = harness::app().await;
    let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
    let id = post(&ada, "Finished!").await;
    let before = cleo.get(&format!("/posts/{id}/comments")).await.expect(200);
    let (mut tab, mut his) = (cleo.live().await, bob.live().await);
    tab.subscribe_from(&profile(&ada), &position(&before, &profile(&ada))).await.unwrap();
    let said = his.rpc("comment.create", json!({"post_id": id, "body": "Well done"})).await.unwrap();
    let (offset, heard) = hears(&mut tab, "comment.created").await;
    assert_eq!((&heard, &json!(offset)), (&said["data"], &position(&said, &profile(&ada))["offset"]));
    assert_eq!((&heard["comment_count"], &heard["author_id"]), (&json!(1), &json!(bob.id)));
    let first = heard["id"].as_str().unwrap().to_owned();
    let path = format!("/comments/{first}");
    let edited = bob.patch(&path, json!({"body": "Well done!"})).await.expect(200);
    assert_eq!(hears(&mut tab, "comment.updated").await.1, edited["data"]);
    assert_eq!(bob.patch(&path, json!({"body": "Well done!"})).await.expect(200), edited, "nothing happened");
    let second = comment(&ada, &id, "Thank you").await;
    assert_eq!(hears(&mut tab, "comment.created").await.1["comment_count"], 2);
    let page = cleo.get(&format!("/posts/{id}/comments")).await.expect(200);
    let said: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| &item["author"]["username"]).collect();
    assert_eq!(said, ["bob", "ada"]);
    for person in [&ada, &bob] {
        position(&page, &profile(person));
    }
    assert_eq!(cleo.get(&format!("/posts/{id}")).await.expect(200)["data"]["comment_count"], 2);
    // The author of the post may take away what others said about it.
    ada.delete(&path).await.expect(200);
    let (_, heard) = hears(&mut tab, "comment.deleted").await;
    assert_eq!(heard, json!({"id": first, "post_id": id, "comment_count": 1}));
    ada.delete(&format!("/comments/{second}")).await.expect(200);
    assert_eq!(hears(&mut tab, "comment.deleted").await.1["comment_count"], 0);
    assert_eq!(tab.drain().await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let app = harness::app().await;
    let ada = app.person("ada").await;
    let media = json!([{"media_type": "image", "url": "https://e.example/1", "metadata": {"a": 1}},
        {"media_type": "video", "url": "https://e.example/2"}]);
    let body = json!({"content": "x", "tags": ["b", "A"], "media": media, "subject": "Mathe"});
    let made = ada.post("/posts", body).await.expect(201)["data"].clone();
    let path = format!("/posts/{}", made["id"].as_str().unwrap());
    let head = |answer: &Value| answer["positions"][0]["offset"].as_u64().unwrap();
    let start = head(&ada.patch(&path, json!({})).await.expect(200));
    // The same in other words.
    for same in [json!({"tags": ["#A", "b"]}), json!({"media": media}), json!({"content": "x", "book_title": null})] {
        let answer = ada.patch(&path, same).await.expect(200);
        assert_eq!((head(&answer), &answer["data"]), (start, &made));
    }
    for (turn, (patch, field, value)) in [
        (json!({"tags": ["a", "b"]}), "tags", json!(["a", "b"])),
        (json!({"tags": ["c", "b", "C"]}), "tags", json!(["b", "c"])),
        (json!({"tags": []}), "tags", json!([])),
        (json!({"subject": ""}), "subject", json!("")),
        (json!({"image_url": "https://e.example/3"}), "image_url", json!("https://e.example/3")),
        (json!({"image_url": null}), "image_url", json!(null)),
    ]
    .into_iter()
    .enumerate()
    {
        let before = ada.get(&path).await.expect(200)["data"].clone();
        let answer = ada.patch(&path, patch).await.expect(200);
        assert_eq!(head(&answer), start + turn as u64 + 1);
        let after = ada.get(&path).await.expect(200)["data"].clone();
        assert_eq!(after[field], value);
        for (name, value) in before.as_object().unwrap() {
            assert!(name == field || name == "updated_at" || after[name] == *value, "{name}");
        }
        assert!(after["updated_at"].as_str() > before["updated_at"].as_str());
    }
    let turned = json!([media[1], media[0]]);
    let answer = ada.patch(&path, json!({"media": turned})).await.expect(200);
    let urls: Vec<_> = answer["data"]["media"].as_array().unwrap().iter().map(|item| &item["url"]).collect();
    assert_eq!(urls, ["https://e.example/2", "https://e.example/1"]);
}
