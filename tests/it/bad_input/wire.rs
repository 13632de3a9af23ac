//! What live connections get wrong: B6, B10, B11, S2, S20. What can be answered is answered and the connection goes on;
//! what cannot be ends that connection alone, with its code.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::stage::{Stage, stage};
use crate::harness;

/// The words that belong to the codes.
const WORDS: &[(u64, &str)] = &[
    (101, "unauthorized"),
    (102, "unknown_channel"),
    (103, "permission_denied"),
    (104, "method_not_found"),
    (105, "already_subscribed"),
    (106, "limit_exceeded"),
    (107, "bad_request: "),
    (108, "not_available"),
    (109, "token_expired"),
    (111, "too_many_requests"),
    (112, "unrecoverable_position"),
    (1_400, "bad_request: "),
];

/// The code of an error that carries its word.
fn code(error: &Value) -> u64 {
    let code = error["code"].as_u64().unwrap();
    let word = WORDS.iter().find(|(known, _)| *known == code).unwrap_or_else(|| panic!("{error}")).1;
    assert!(error["message"].as_str().unwrap().starts_with(word), "{error}");
    code
}

/// Sends a command with `id` 900 as it stands and returns the code of the error that must come.
async fn refused(stage: &mut Stage, request: &str) -> u64 {
    stage.live.send_raw(&format!(r#"{{"id":900,{request}}}"#)).await;
    let error = stage.live.reply(900).await.expect_err(request);
    assert!(error["message"].as_str().unwrap().chars().count() < 500, "{error}");
    code(&error)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publications_that_are_refused() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let (room, widget) = (stage.fill("workspace:{room}"), stage.id("widget").to_owned());
    stage.live.subscribe(&room).await;
    stage.live.subscribe(&stage.ada.channel()).await;
    let drag_id = Uuid::new_v4();
    let drag = |data: &str| format!(r#"{{"type":"drag","key":"{widget}","data":{data}}}"#);
    let place = |x: &str, more: &str| drag(&format!(r#"{{"drag_id":"{drag_id}","grid_x":{x},"grid_y":1{more}}}"#));
    let custom = |data: &str| format!(r#"{{"type":"custom","data":{data}}}"#);
    let mut bad: Vec<String> = ["null", "[]", r#"["typing"]"#, "1", r#""x""#, "{}", "true"].map(str::to_owned).into();
    let fields = [
        r#"{"type":"shout"}"#,
        r#"{"type":5}"#,
        r#"{"type":null}"#,
        r#"{"type":"\ud800"}"#,
        r#"{"type":"Drag"}"#,
        r#"{"kind":"typing"}"#,
        r#"{"type":"typing","data":1,"actor":"x"}"#,
        r#"{"type":"typing","type":"typing"}"#,
        r#"{"type":"typing","key":5}"#,
        r#"{"type":"pointer","key":"x","data":1}"#,
        r#"{"type":"drag","data":{}}"#,
        r#"{"type":"drag","key":"\u0000","data":{}}"#,
    ];
    bad.extend(fields.map(str::to_owned));
    bad.extend([r#"{}"#, "[]", "1", r#""x""#, r#"[1,2,3]"#, r#"{"drag_id":"x","grid_x":1,"grid_y":1}"#].map(drag));
    bad.push(format!(r#"{{"type":"drag","key":"{}","data":null}}"#, widget.to_uppercase()));
    for x in ["1e400", "1e308", "-1e308", "100001", r#""NaN""#, r#""1""#, "null", "true", "[1]", "-100000.0001"] {
        bad.push(place(x, ""));
    }
    for more in
        [r#","grid_w":0"#, r#","grid_h":-1"#, r#","grid_w":1001"#, r#","x":1"#, r#","grid_x":2"#, r#","grid_w":1e-400"#]
    {
        bad.push(place("1", more));
    }
    bad.push(place("1", &format!(r#","grid_w":1.{}"#, "0".repeat(1_024))));
    let (deep, large) =
        (format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), format!(r#""{}""#, "a".repeat(8_191)));
    for data in [r#""\ud800""#, r#"{"\udc00":1}"#, "1e400", "[[-1e309]]", &"9".repeat(400), &deep, &large] {
        bad.push(custom(data));
    }
    bad.push(format!(r#"{{"type":"custom","key":"{}"}}"#, "k".repeat(65)));
    bad.push(format!(r#"{{"type":"pointer","data":"{}"}}"#, "p".repeat(1_023)));
    for data in bad {
        assert_eq!(
            refused(&mut stage, &format!(r#""publish":{{"channel":"{room}","data":{data}}}"#)).await,
            107,
            "{data:.200}"
        );
        // The same by send, which has no answer.
        stage.live.send_raw(&format!(r#"{{"send":{{"data":{data}}}}}"#)).await;
        stage.unchanged(&before, "a refused publication").await;
    }
    assert_eq!(refused(&mut stage, &format!(r#""publish":{{"channel":"{room}"}}"#)).await, 107);
    let mine = stage.ada.channel();
    let other = Uuid::new_v4();
    for (channel, code) in
        [(&*mine, 103), (&format!("workspace:{other}"), 103), ("x", 102), ("", 102), ("workspace:*", 102)]
    {
        let request = format!(r#""publish":{{"channel":"{channel}","data":{{"type":"typing","data":1}}}}"#);
        assert_eq!(refused(&mut stage, &request).await, code, "{channel}");
    }
    stage.unchanged(&before, "publications").await;
    stage.goes_on().await;
}

/// Requests that can be read and not be done, and the code of each.
fn odd_requests(stage: &Stage) -> Vec<(String, u64)> {
    let mine = stage.ada.channel();
    let profile = format!("profile:{}", stage.bob.id);
    let max = u64::MAX;
    vec![
        (format!(r#""subscribe":{{"channel":"{profile}","type":1}}"#), 108),
        (format!(r#""subscribe":{{"channel":"{profile}","tf":{{}}}}"#), 107),
        (format!(r#""subscribe":{{"channel":"{profile}","recover":true,"flag":3,"offset":{max},"epoch":"x"}}"#), 112),
        (format!(r#""subscribe":{{"channel":"{profile}","recover":true,"flag":3,"offset":{max}}}"#), 112),
        (format!(r#""subscribe":{{"channel":"{profile}","recover":true,"offset":-1}}"#), 107),
        (format!(r#""subscribe":{{"channel":"{profile}","recover":true,"offset":18446744073709551616}}"#), 107),
        (format!(r#""subscribe":{{"channel":"{profile}","offset":1e400}}"#), 107),
        (format!(r#""subscribe":{{"channel":"{profile}","recover":"yes"}}"#), 107),
        (r#""subscribe":{"channel":5}"#.into(), 107),
        (r#""subscribe":["x"]"#.into(), 107),
        (r#""subscribe":"x""#.into(), 107),
        (r#""subscribe":{"channel":"\ud800"}"#.into(), 107),
        (r#""subscribe":{"channel":"a","channel":"b"}"#.into(), 107),
        (format!(r#""history":{{"channel":"{mine}","since":{{"offset":{max},"epoch":"x"}}}}"#), 112),
        (format!(r#""history":{{"channel":"{mine}","since":{{"offset":1,"epoch":"x"}},"reverse":true}}"#), 112),
        (format!(r#""history":{{"channel":"{mine}","since":[1,"x"]}}"#), 107),
        (format!(r#""history":{{"channel":"{mine}","limit":"x"}}"#), 107),
        (format!(r#""presence":{{"channel":"{mine}"}}"#), 108),
        (format!(r#""presence_stats":{{"channel":"{mine}"}}"#), 108),
        (r#""sub_refresh":{}"#.into(), 108),
        (r#""nothing":{}"#.into(), 107),
        (r#""ping":null,"rpc":null"#.into(), 107),
        (r#""refresh":{}"#.into(), 101),
        (r#""refresh":{"token":"shs_x"}"#.into(), 101),
        (format!(r#""refresh":{{"token":"{}"}}"#, stage.bob.token), 101),
        (r#""rpc":{}"#.into(), 104),
        (r#""rpc":{"method":"task.fly","data":{}}"#.into(), 104),
        (r#""rpc":{"method":"Task.create","data":{}}"#.into(), 104),
        (r#""rpc":{"method":"\u0000","data":{}}"#.into(), 104),
        (r#""rpc":{"method":5}"#.into(), 107),
        (r#""rpc":["task_list.create",{"name":"x"}]"#.into(), 107),
        (r#""rpc":{"method":"task_list.create"}"#.into(), 1_400),
        (r#""rpc":{"method":"task_list.create","data":null}"#.into(), 1_400),
        (r#""rpc":{"method":"task_list.create","data":["x"]}"#.into(), 1_400),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_refused() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let (room, mine) = (stage.fill("workspace:{room}"), stage.ada.channel());
    stage.live.subscribe(&room).await;
    stage.live.subscribe(&mine).await;
    let theirs = stage.bob.channel();
    let missing = Uuid::new_v4();
    let garbage = [
        "",
        "x",
        ":",
        "user:",
        "workspace:*",
        "workspace:../",
        "*",
        "workspace:\\u0000",
        "user:me",
        "workspace:%00",
        "$x:y",
        "#a",
    ];
    let mut cases = vec![(format!("user:{missing}"), 103), (theirs, 103), (room.to_uppercase(), 102)];
    cases.extend([(format!("workspace:{missing}"), 102), (format!("profile:{missing}"), 102), (room.clone(), 105)]);
    cases.extend([(format!("workspace:{}", missing.simple()), 102), (format!("workspace:{{{missing}}}"), 102)]);
    cases.extend(garbage.map(|name| (name.to_owned(), 102)));
    for (channel, code) in &cases {
        assert_eq!(refused(&mut stage, &format!(r#""subscribe":{{"channel":"{channel}"}}"#)).await, *code, "{channel}");
        for (request, code) in [("history", 103), ("presence", 103), ("presence_stats", 103)] {
            if *channel != room {
                let asked = refused(&mut stage, &format!(r#""{request}":{{"channel":"{channel}"}}"#)).await;
                assert!(asked == code || asked == 102, "{request} {channel}: {asked}");
            }
        }
    }
    for (request, code) in odd_requests(&stage) {
        assert_eq!(refused(&mut stage, &request).await, code, "{request}");
    }
    // Limits that are too high or too low are brought within bounds.
    for limit in [i64::MIN, -1, 0, 1, i64::MAX] {
        let history = json!({"history": {"channel": mine, "limit": limit, "reverse": true}});
        stage.live.request(history).await.unwrap();
    }
    stage.unchanged(&before, "requests").await;
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_have_a_limit() {
    let stage = stage().await;
    let mut live = stage.eve.live().await;
    let lines =
        (1_002..=1_514).map(|id| format!(r#"{{"id":{id},"subscribe":{{"channel":"workspace:{}"}}}}"#, Uuid::new_v4()));
    live.send_raw(&lines.collect::<Vec<_>>().join("\n")).await;
    assert_eq!(code(&live.reply(1_514).await.unwrap_err()), 106);
    assert_eq!(live.request(json!({"ping": {}})).await.unwrap()["ping"], json!({}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_cannot_be_answered_end_their_connection_alone() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let open = stage.app.app.hub.counts().0;
    let good = r#"{"id":900,"rpc":{"method":"task_list.create","data":{"name":"never"}}}"#;
    let deep = "[".repeat(60 * 1024);
    let frames = [
        "",
        "\n",
        " ",
        "nope",
        "[]",
        "[{}]",
        "null",
        "1",
        r#""x""#,
        "{",
        "{}}",
        "{}{}",
        &deep,
        "\u{feff}{}",
        "\0",
        "{\"id\":1,\"x\":NaN}",
        r#"{"id":0,"ping":{}}"#,
        r#"{"ping":{}}"#,
        r#"{"id":-1,"ping":{}}"#,
        r#"{"id":4294967296,"ping":{}}"#,
        r#"{"id":1.5,"ping":{}}"#,
        r#"{"id":"1","ping":{}}"#,
        r#"{"id":[1],"ping":{}}"#,
        r#"{"id":1,"id":2,"ping":{}}"#,
        r#"{"id":1,"connect":{}}"#,
        "{\"id\":1,\n\"ping\":{}}",
        r#"{"id":1,"ping":{}"#,
        &good.replace(r#""name":"#, "\"name\":\n"),
        &good.replace("900", "0"),
    ];
    for frame in frames {
        let mut live = stage.ada.live().await;
        live.send_raw(frame).await;
        assert_eq!(live.close_code().await, (3501, "bad request".to_owned()), "{frame:.100}");
    }
    // Nothing but connect comes first; what stands behind a refused connect is not run.
    for first in [
        good,
        r#"{"id":1,"ping":{}}"#,
        "{}",
        r#"{"id":1,"subscribe":{"channel":"x"}}"#,
        r#"{"id":1,"connect":{"token":5}}"#,
        r#"{"id":1,"connect":[]}"#,
    ] {
        let mut socket = stage.ada.socket().await;
        socket
            .send_raw(&format!("{first}\n{{\"id\":2,\"connect\":{{\"token\":\"{}\"}}}}\n{good}", stage.ada.token))
            .await;
        assert_eq!(socket.close_code().await.0, 3501, "{first}");
    }
    let mut socket = stage.ada.socket().await;
    socket.send_raw(&format!("{{\"id\":1,\"connect\":{{\"token\":\"x\"}}}}\n{good}")).await;
    assert_eq!(code(&socket.reply(1).await.unwrap_err()), 101);
    socket.bye().await;
    // None of them is stuck.
    let deadline = Instant::now() + harness::PATIENCE;
    while stage.app.app.hub.counts().0 != open {
        assert!(Instant::now() < deadline, "{:?} {open}", stage.app.app.hub.counts());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.unchanged(&before, "frames").await;
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_text_of_bounded_size() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    let good = r#"{"id":900,"rpc":{"method":"task_list.create","data":{"name":"never"}}}"#;
    let mut live = stage.ada.live().await;
    live.send_message(Message::binary(good.as_bytes().to_vec())).await;
    assert_eq!(live.close_code().await.0, 1003);
    let sized = |bytes: usize| format!(r#"{{"id":900,"ping":{{}},"x":"{}"}}"#, "x".repeat(bytes - 27));
    let mut live = stage.ada.live().await;
    assert_eq!(sized(256 * 1024).len(), 256 * 1024);
    live.send_raw(&sized(256 * 1024)).await;
    live.reply(900).await.unwrap();
    live.send_raw(&sized(256 * 1024 + 1)).await;
    assert_eq!(live.close_code().await, (1009, "message too big".to_owned()));
    stage.unchanged(&before, "messages").await;
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_too_fast_is_told_and_then_put_out() {
    let app = harness::app_with(|config| {
        config.commands_per_second = 1;
        config.commands_burst = 600;
    })
    .await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (mut fast, mut other) = (ada.live().await, bob.live().await);
    let pings = (1_000..2_000).map(|id| format!(r#"{{"id":{id},"ping":{{}}}}"#)).collect::<Vec<_>>().join("\n");
    fast.send_raw(&pings).await;
    fast.reply(1_500).await.unwrap();
    let error = fast.reply(1_999).await.unwrap_err();
    assert_eq!((code(&error), &error["temporary"]), (111, &Value::Bool(true)));
    fast.send_raw(&pings).await;
    assert_eq!(fast.close_code().await, (3013, "too many requests".to_owned()));
    other.request(json!({"ping": {}})).await.unwrap();
}
