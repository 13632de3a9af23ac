//! Values at their limits: B13, B19, B20. Lengths are characters; what is taken comes back byte by byte.

use serde_json::{Value, json};

use super::CALLS;
use super::stage::stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_count_characters_and_come_back_as_they_were() {
    let stage = stage().await;
    for (turn, call) in CALLS.iter().filter(|call| !call.texts.is_empty() && call.path != "/accounts").enumerate() {
        for (field, max) in call.texts {
            for letter in ["a", "日", "🦀", "e\u{301}", "\u{202e}b", "\u{1}\u{7f}", "\u{200b}x", "İ"] {
                let good: String = letter.chars().cycle().take(*max).collect();
                let mut body = call.body(&stage).unwrap();
                body[*field] = json!(format!("{good}x"));
                let before = stage.dump().await;
                let reply = stage.send(call.method, &call.path(&stage), &[], body.to_string()).await;
                let problem = reply.problem(422, "invalid_field");
                assert_eq!(problem["field"], *field);
                assert_eq!(stage.dump().await, before);
                body[*field] = json!(good);
                let reply = stage.send(call.method, &call.path(&stage), &[], body.to_string()).await;
                if *field == "background_value" && good.starts_with('\u{1}') {
                    reply.problem(422, "invalid_field");
                    continue;
                }
                assert!(reply.status < 300, "{} {field} {letter:?} {turn}: {}", call.path, reply.body);
                assert_eq!(reply.body["data"][*field], json!(good), "{} {field}", call.path);
            }
        }
    }
    // By the log too.
    let log = stage.ada.get(&format!("/channels/{}/events?limit=500", stage.ada.channel())).await.expect(200);
    assert!(log["items"].as_array().unwrap().iter().any(|event| event["data"]["name"] == "🦀".repeat(50)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_web_addresses() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let long = format!("https://e.example/{}", "a".repeat(8_192));
    let bad = [
        "javascript:alert(1)",
        "JaVa\tScript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<b>",
        "vbscript:x",
        "file:///etc",
        "//evil.example/x",
        "/\\evil.example/x",
        "\\\\evil.example",
        "http:\\\\evil.example",
        "https://",
        "https:///x",
        "https://user:secret@e.example",
        "https://user@e.example/",
        "https://a b.example/",
        " https://e.example",
        "ftp://e.example",
        "https:e.example",
        "https://e.example/\u{1}",
        "https://e.example/\u{a0}",
        "https://?x",
        "https://#x",
        &long,
    ];
    let (room, post) = (stage.fill("/workspaces/{room}"), stage.fill("/posts/{post}"));
    for address in bad {
        let media = json!({"media": [{"media_type": "image", "url": address}]});
        let reply = stage.send("PATCH", &post, &[], media.to_string()).await;
        assert_eq!(reply.problem(422, "invalid_field")["field"], "media.url", "{address:?}");
        for (path, field) in [
            ("/me", "profile_image_url"),
            ("/me", "banner_image_url"),
            (&*room, "background_value"),
            (&*post, "image_url"),
        ] {
            let reply = stage.send("PATCH", path, &[], json!({field: address}).to_string()).await;
            assert_eq!(reply.problem(422, "invalid_field")["field"], field, "{address:?}");
        }
        let error = stage.live.rpc("profile.update", json!({"banner_image_url": address})).await.unwrap_err();
        assert_eq!(error["code"], 1_422, "{address:?}");
    }
    for email in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", &format!("{}@b", "a".repeat(254))] {
        let reply = stage.send("PATCH", "/me", &[], json!({"email": email}).to_string()).await;
        assert_eq!(reply.problem(422, "invalid_field")["field"], "email", "{email:?}");
    }
    for color in ["", "#", "#12", "#12345", "#gggggg", "red", "#١٢٣", "#ffffff ", "#1e293b;x:y"] {
        let reply = stage.send("PATCH", &room, &[], json!({"background_color": color}).to_string()).await;
        assert_eq!(reply.problem(422, "invalid_field")["field"], "background_color", "{color:?}");
    }
    stage.unchanged(&before, "addresses").await;
    for address in ["https://münchen.example/ü", "http://[::1]:8080/x", "https://xn--mnchen-3ya.example/?a=b#c"] {
        let reply = stage.send("PATCH", "/me", &[], json!({"profile_image_url": address}).to_string()).await;
        assert_eq!(reply.body["data"]["profile_image_url"], address);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_and_places_have_bounds() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({"a": inner}));
    let fat = |bytes: usize| json!({"a": "x".repeat(bytes - 8)});
    let (room, widget) = (stage.fill("/workspaces/{room}"), stage.fill("/widgets/{widget}"));
    for path in [&room, &widget] {
        for settings in [nested(33), nested(100), fat(16 * 1024 + 1), json!([]), json!("x"), json!({"\0": 1})] {
            let reply = stage.send("PATCH", path, &[], json!({"settings": settings}).to_string()).await;
            reply.problem(422, "invalid_field");
        }
    }
    for (field, value) in [("grid_x", 100_001), ("grid_y", -100_001), ("grid_w", 0), ("grid_h", 1_001), ("grid_w", -1)]
    {
        let mut to = json!({"grid_x": 0, "grid_y": 0});
        to[field] = json!(value);
        let reply = stage.send("POST", &format!("{widget}/move"), &[], to.to_string()).await;
        assert_eq!(reply.problem(422, "invalid_field")["field"], field);
    }
    for due_at in
        ["0000-12-31T23:59:59Z", "+10000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "-262143-01-01T00:00:00Z"]
    {
        let reply = stage.send("PATCH", &stage.fill("/tasks/{task}"), &[], json!({"due_at": due_at}).to_string()).await;
        assert_eq!(reply.problem(422, "invalid_field")["field"], "due_at", "{due_at}");
    }
    stage.unchanged(&before, "bounds").await;
    let numbers: Value =
        serde_json::from_str(r#"{"a":[1e308,-0.0,1e-320,9007199254740993,18446744073709551615,1.5]}"#).unwrap();
    for settings in [nested(32), fat(16 * 1024), numbers] {
        let reply = stage.send("PATCH", &widget, &[], json!({"settings": settings}).to_string()).await;
        assert_eq!((reply.status, &reply.body["data"]["settings"]), (200, &settings));
        let shown = stage.ada.get(&room).await.expect(200);
        assert_eq!(shown["widgets"][0]["settings"], settings);
    }
    let to = json!({"grid_x": 100_000, "grid_y": -100_000, "grid_w": 1_000, "grid_h": 1});
    assert_eq!(stage.send("POST", &format!("{widget}/move"), &[], to.to_string()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_and_media_have_bounds() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let post = stage.fill("/posts/{post}");
    let media =
        |kind: &str, metadata: Value| json!({"media_type": kind, "url": "https://e.example", "metadata": metadata});
    let nested = (1..40).fold(json!({}), |inner, _| json!({"a": inner}));
    for (field, value, named) in [
        ("tags", json!(vec!["a"; 21]), "tags"),
        ("tags", json!(vec!["a"; 20_000]), "tags"),
        ("tags", json!([""]), "tags"),
        ("tags", json!(["# # \u{a0}#"]), "tags"),
        ("tags", json!(["日".repeat(51)]), "tags"),
        ("media", json!(vec![media("image", json!({})); 11]), "media"),
        ("media", json!([media("", json!({}))]), "media.media_type"),
        ("media", json!([media(&"x".repeat(21), json!({}))]), "media.media_type"),
        ("media", json!([media("image", json!([]))]), "media.metadata"),
        ("media", json!([media("image", nested)]), "media.metadata"),
        ("media", json!([media("image", json!({"a": "x".repeat(16 * 1024)}))]), "media.metadata"),
        ("content", json!(" \n"), "content"),
    ] {
        let mut body = json!({"content": "x"});
        body[field] = value;
        let reply = stage.send("POST", "/posts", &[], body.to_string()).await;
        assert_eq!(reply.problem(422, "invalid_field")["field"], named);
        let reply = stage.send("PATCH", &post, &[], json!({field: body[field]}).to_string()).await;
        assert_eq!(reply.problem(422, "invalid_field")["field"], named);
        body["id"] = json!(stage.id("post"));
        assert_eq!(stage.live.rpc("post.update", body).await.unwrap_err()["code"], 1_422);
    }
    for (field, value) in [("content", json!(null)), ("tags", json!(null)), ("media", json!([{"media_type": "image"}]))]
    {
        let reply = stage.send("PATCH", &post, &[], json!({field: value}).to_string()).await;
        reply.problem(400, "bad_request");
    }
    let comments = stage.fill("/posts/{post}/comments");
    let empty = stage.send("POST", &comments, &[], json!({"body": "\t"}).to_string()).await;
    assert_eq!(empty.problem(422, "invalid_field")["field"], "body");
    stage.unchanged(&before, "bounds").await;
    let most: Vec<String> = (0..20).map(|number| format!(" # #{}{number:02}", "日".repeat(48))).collect();
    let numbers: Value =
        serde_json::from_str(r#"{"a":[1e308,-0.0,1e-320,9007199254740993,18446744073709551615,1.5]}"#).unwrap();
    let body = json!({"tags": most, "media": vec![media("image", numbers.clone()); 10]});
    let reply = stage.send("PATCH", &post, &[], body.to_string()).await;
    assert_eq!(reply.body["data"]["tags"].as_array().unwrap().len(), 20, "{}", reply.body);
    assert_eq!(reply.body["data"]["media"][9]["metadata"], numbers);
    assert_eq!(stage.ada.get(&post).await.expect(200)["data"]["media"], reply.body["data"]["media"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_may_be_so_many_and_no_more() {
    let mut stage = stage().await;
    let lists = "insert into task_lists (user_id, name) select $1, n::text from generate_series(2, $2) n";
    let tasks = "insert into tasks (list_id, user_id, description, order_index)
        select l.id, l.user_id, n::text, n * 1024 from task_lists l, generate_series(3, $2) n where l.user_id = $1 and l.name = 'list'";
    let widgets = "insert into immersive_widgets (workspace_id, type, grid_x, grid_y, grid_w, grid_h)
        select w.id, 'clock', 0, n, 1, 1 from immersive_workspaces w, generate_series(2, $2) n where w.user_id = $1";
    for (fill, most) in [(lists, 200), (tasks, 2_000), (widgets, 500)] {
        let pool = &stage.app.database.pool;
        sqlx::query(fill).bind(stage.ada.id).bind(most).execute(pool).await.unwrap();
    }
    let before = stage.dump().await;
    for command in ["task_list.create", "task.create", "widget.create"] {
        let call = CALLS.iter().find(|call| call.command == command).unwrap();
        let (path, body) = (call.path(&stage), call.body(&stage));
        stage.send("POST", &path, &[], body.as_ref().unwrap().to_string()).await.problem(409, "limit_reached");
        let error = stage.live.rpc(command, call.data(&stage, body)).await.unwrap_err();
        assert_eq!(error["code"], 1_409, "{error}");
    }
    stage.unchanged(&before, "one more").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_accounts_are_checked() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let good = json!({"username": "zoe", "password": "12345678"});
    let long = "x".repeat(51);
    for username in
        ["", "ab", &long, "a b c", "zoé", "zoe\n", "ａｂｃ", "<b>", "zoe@x", "../..", "zoe%00", "\u{212a}im"]
    {
        let mut body = good.clone();
        body["username"] = json!(username);
        let reply = stage.bare("POST", "/accounts", &[("content-type", "application/json")], body.to_string()).await;
        assert_eq!(reply.problem(422, "invalid_field")["field"], "username", "{username:?}");
    }
    let long = "x".repeat(1_025);
    for password in ["", "1234567", "🦀🦀🦀🦀🦀🦀🦀", &long] {
        for path in ["/accounts", "/me/password"] {
            let body = match path {
                "/accounts" => json!({"username": "zoe", "password": password}),
                _ => json!({"current_password": "correct horse battery", "new_password": password}),
            };
            let field = if path == "/accounts" { "password" } else { "new_password" };
            let reply = stage.send("POST", path, &[], body.to_string()).await;
            assert_eq!(reply.problem(422, "invalid_field")["field"], field);
        }
    }
    for (username, email, code, field) in
        [("ADA", None, "username_taken", "username"), ("zoe", Some("A@E.example"), "email_taken", "email")]
    {
        let profile = json!({"email": "a@e.example"});
        stage.ada.patch("/me", profile).await.expect(200);
        let body = json!({"username": username, "password": "12345678", "email": email});
        let reply = stage.send("POST", "/accounts", &[], body.to_string()).await;
        assert_eq!(reply.problem(409, code)["field"], field);
    }
    let mut after = stage.dump().await;
    // Ada's address, her events and heads changed; nobody was made.
    after.retain(|(table, _)| ["credentials", "sign_ins", "user_settings", "immersive_workspaces"].contains(&&**table));
    assert!(after.iter().all(|row| before.contains(row)));
    let body = json!({"username": "x.-_9".repeat(10), "password": "🦀".repeat(256), "email": null});
    let made = stage.send("POST", "/accounts", &[], body.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    stage.live.drain().await;
}
