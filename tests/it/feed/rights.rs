//! Who may do what with posts and comments, and whom a block keeps away.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{all, block, comment, follow, like, post};
use crate::harness::{self, Person};

/// By REST and by rpc, with the same word.
async fn refused(who: &Person, method: &str, path: &str, command: &str, data: Value, expected: (u16, &str)) {
    let mut body = data.clone();
    for field in ["id", "post_id"] {
        body.as_object_mut().unwrap().remove(field);
    }
    let body = (method != "DELETE").then_some(body);
    let answer = who.call(method, path, body, None).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (expected.0, Some(expected.1)), "{method} {path}");
    let error = who.live().await.rpc(command, data).await.unwrap_err();
    assert_eq!(error["code"], 1_000 + expected.0, "{command}: {error}");
    assert!(error["message"].as_str().unwrap().starts_with(expected.1), "{command}: {error}");
}

/// Every change of a post and a comment that are not one's own.
async fn changes(who: &Person, post: &str, comment: &str, expected: (u16, &str)) {
    let (at, about) = (format!("/posts/{post}"), format!("/comments/{comment}"));
    refused(who, "PATCH", &at, "post.update", json!({"id": post, "content": "mine"}), expected).await;
    refused(who, "DELETE", &at, "post.delete", json!({"id": post}), expected).await;
    refused(who, "PATCH", &about, "comment.update", json!({"id": comment, "body": "mine"}), expected).await;
    refused(who, "DELETE", &about, "comment.delete", json!({"id": comment}), expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_mine_is_there_and_stays() {
    let app = harness::app().await;
    let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
    let post = post(&ada, "mine").await;
    let comment = comment(&bob, &post, "his").await;
    let before = cleo.get(&format!("/channels/profile:{}/events", ada.id)).await.expect(200);
    changes(&cleo, &post, &comment, (403, "author_only")).await;
    // On a post of hers she may delete what he said, and not put words into his mouth.
    let words = json!({"id": comment, "body": "hers"});
    refused(&ada, "PATCH", &format!("/comments/{comment}"), "comment.update", words, (403, "author_only")).await;
    let nothing = Uuid::new_v4().to_string();
    changes(&cleo, &nothing, &nothing, (404, "not_found")).await;
    let path = format!("/posts/{nothing}/comments");
    let said = json!({"post_id": nothing, "body": "x"});
    refused(&cleo, "POST", &path, "comment.create", said, (404, "not_found")).await;
    for path in
        [path, format!("/posts/{nothing}/likes"), format!("/posts/{nothing}"), format!("/users/{nothing}/posts")]
    {
        assert_eq!(cleo.get(&path).await.expect(404)["code"], "not_found");
    }
    assert_eq!(cleo.get(&format!("/channels/profile:{}/events", ada.id)).await.expect(200), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_block_parts_does_not_exist() {
    for turn in [false, true] {
        let app = harness::app().await;
        let (ada, bob, cleo) = (app.person("ada").await, app.person("bob").await, app.person("cleo").await);
        let hers = post(&ada, "hers").await;
        let body = json!({"content": "tagged", "tags": ["x"], "subject": "y"});
        ada.post("/posts", body).await.expect(201);
        let neutral = post(&cleo, "of somebody else").await;
        let (said, there) = (comment(&bob, &hers, "his").await, comment(&ada, &neutral, "hers").await);
        for (who, what) in [(&bob, &hers), (&ada, &neutral), (&bob, &neutral)] {
            like(&app, who, what).await;
        }
        follow(&app, &bob, &ada).await;
        follow(&app, &bob, &cleo).await;
        if turn {
            block(&app, &bob, &ada).await
        } else {
            block(&app, &ada, &bob).await
        }
        changes(&bob, &hers, &said, (404, "not_found")).await;
        let answer = json!({"post_id": hers, "body": "x"});
        refused(&bob, "POST", &format!("/posts/{hers}/comments"), "comment.create", answer, (404, "not_found")).await;
        // A comment of hers elsewhere is as far away as she is.
        let path = format!("/comments/{there}");
        refused(&bob, "DELETE", &path, "comment.delete", json!({"id": there}), (404, "not_found")).await;
        for path in ["", "/comments", "/likes"] {
            bob.get(&format!("/posts/{hers}{path}")).await.expect(404);
        }
        bob.get(&format!("/users/{}/posts", ada.id)).await.expect(404);
        for (path, expected) in [
            ("/feed", vec![&neutral]),
            ("/posts", vec![&neutral]),
            ("/me/likes", vec![&neutral]),
            ("/posts?tag=x", vec![]),
            ("/posts?subject=y", vec![]),
            ("/posts?tag=x&subject=y", vec![]),
        ] {
            let found: Vec<_> =
                all(&bob, path, 50).await.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{path}");
        }
        let about = format!("/posts/{neutral}");
        assert_eq!(all(&bob, &format!("{about}/comments"), 50).await, Vec::<Value>::new());
        let likers = all(&bob, &format!("{about}/likes"), 50).await;
        assert_eq!(likers.iter().map(|liker| &liker["user"]["username"]).collect::<Vec<_>>(), ["bob"]);
        // She deletes on her own post what he said, whoever blocked whom.
        assert_eq!(all(&ada, &format!("/posts/{hers}/comments"), 50).await, Vec::<Value>::new());
        ada.delete(&format!("/comments/{said}")).await.expect(200);
        assert_eq!(all(&cleo, &format!("{about}/comments"), 50).await.len(), 1);
    }
}
