//! Bodies that are wrong, made out of [`CALLS`]: B11, B12, S5, by both doors.

use serde_json::{Value, json};
use uuid::Uuid;

use super::stage::{Stage, stage};
use super::{CALLS, Call};

/// Fields that nobody may set, and some that would be somebody else's.
const FOREIGN: &[&str] = &[
    "id",
    "user_id",
    "owner_id",
    "role",
    "created_at",
    "updated_at",
    "is_admin",
    "list_id",
    "workspace_id",
    "completed_at",
    "order_index",
    "acl",
    "followers_count",
    "joined_at",
    "token",
    "__proto__",
    "constructor",
    "Name",
    "",
];

/// Sends `body` by both doors; both must refuse it with the same word. Returns the problem.
async fn refused(stage: &mut Stage, call: &Call, body: Value) -> Value {
    let path = call.path(stage);
    let reply = stage.send(call.method, &path, &[], body.to_string()).await;
    let (status, code) = (reply.status, reply.code().to_owned());
    let known = matches!((status, &*code), (400, "bad_request") | (422, "invalid_field"));
    assert!(known, "{} {path} {body}: {status} {}", call.method, reply.body);
    let problem = reply.problem(status, &code);
    if !call.command.is_empty() && body.is_object() {
        let data = call.data(stage, Some(body));
        by_rpc(stage, call.command, data, status, &code).await;
    }
    problem
}

/// Sends `data` by rpc, which must be refused like REST does.
async fn by_rpc(stage: &mut Stage, command: &str, data: Value, status: u16, code: &str) {
    let error = stage.live.rpc(command, data.clone()).await.expect_err(&format!("{command} {data}"));
    assert_eq!(error["code"], 1_000 + status, "{command} {data}: {error}");
    assert!(error["message"].as_str().unwrap().starts_with(code), "{command} {data}: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_json_or_no_object() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    for call in CALLS.iter().filter(|call| !call.body.is_empty()) {
        let (path, good) = (call.path(&stage), call.body(&stage).unwrap());
        let fields: Vec<&Value> = good.as_object().unwrap().values().collect();
        let (good, in_order) = (good.to_string(), json!(fields).to_string());
        let inside = |value: &str| good.replacen(":\"", &format!(":{value},\"x\":\""), 1).into_bytes();
        let malformed = [
            b"".to_vec(),
            b"{".to_vec(),
            b"nope".to_vec(),
            b"{'a':1}".to_vec(),
            b"{\"a\":\"\xff\xfe\"}".to_vec(),
            good[..good.len() - 1].to_owned().into_bytes(),
            format!("{good}x").into_bytes(),
            format!("{good}{good}").into_bytes(),
            format!("\u{feff}{good}").into_bytes(),
            good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "[".repeat(10_000).into_bytes(),
            format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)).into_bytes(),
            inside("NaN"),
            inside("-Infinity"),
            inside("1e400"),
            inside("01"),
            inside("\"\\ud800\""),
            inside("\"\\udc00\\ud800\""),
            inside("\"\n\""),
        ];
        for body in malformed {
            let shown = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
            let reply = stage.send(call.method, &path, &[], body).await;
            assert_eq!((reply.status, reply.code()), (400, "malformed_json"), "{} {path} {shown}", call.method);
        }
        for body in ["[]", "null", "1", "\"x\"", "true", &in_order, &format!("[{good}]")] {
            stage.send(call.method, &path, &[], body.to_owned()).await.problem(400, "bad_request");
        }
        stage.unchanged(&before, call.path).await;
    }
    for call in CALLS.iter().filter(|call| !call.command.is_empty()) {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for data in
            ["[]", "1", "\"x\"", "true", "[[]]", "{\"a\":1e400}", "{\"a\":\"\\ud800\"}", "{\"\\ud800\":1}", &deep]
        {
            let frame = format!("{{\"id\":900,\"rpc\":{{\"method\":\"{}\",\"data\":{data}}}}}", call.command);
            stage.live.send_raw(&frame).await;
            assert_eq!(stage.live.reply(900).await.unwrap_err()["code"], 1_400, "{frame:.200}");
        }
        stage.unchanged(&before, call.command).await;
    }
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_that_are_missing_or_not_ours() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    for call in CALLS {
        let ids = call.ids(&stage);
        if let Some(good) = call.body(&stage) {
            for field in FOREIGN.iter().filter(|field| good.get(field).is_none() && ids.get(field).is_none()) {
                let mut body = good.clone();
                body[*field] = json!(Uuid::new_v4());
                refused(&mut stage, call, body).await;
            }
            for field in call.required {
                for null in [false, true] {
                    let mut body = good.clone();
                    body.as_object_mut().unwrap().remove(*field);
                    if null {
                        body[*field] = Value::Null;
                    }
                    refused(&mut stage, call, body).await;
                }
            }
            for (field, _) in ids.as_object().unwrap() {
                let mut body = good.clone();
                body[field] = json!(Uuid::new_v4());
                let reply = stage.send(call.method, &call.path(&stage), &[], body.to_string()).await;
                assert_eq!(reply.problem(400, "bad_request")["field"], json!(field));
            }
        }
        if !call.command.is_empty() {
            let good = call.data(&stage, call.body(&stage));
            for field in FOREIGN.iter().filter(|field| good.get(field).is_none()) {
                let mut data = good.clone();
                data[*field] = json!("owner");
                by_rpc(&mut stage, call.command, data, 400, "bad_request").await;
            }
            // A tag is any text.
            for field in ids.as_object().unwrap().keys().filter(|field| *field != "tag") {
                for value in [Value::Null, json!(5), json!(""), json!("x"), json!([]), json!("00000000-0000-0000-0000")]
                {
                    let mut data = good.clone();
                    data[field] = value;
                    by_rpc(&mut stage, call.command, data, 400, "bad_request").await;
                }
            }
            for op in [json!(5), json!("x"), json!([]), json!({}), json!(true)] {
                let mut data = good.clone();
                data["op"] = op;
                by_rpc(&mut stage, call.command, data, 400, "bad_op").await;
            }
        }
        stage.unchanged(&before, call.path).await;
    }
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_another_type() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    for call in CALLS.iter().filter(|call| !call.body.is_empty()) {
        let good = call.body(&stage).unwrap();
        for (field, value) in good.as_object().unwrap() {
            let mut wrong = vec![json!([]), json!([[]]), json!(1.5), json!(1e308), json!(u64::MAX)];
            match value {
                Value::String(_) => wrong.extend([json!(1), json!(true), json!({}), json!([value])]),
                Value::Number(_) => wrong.extend(["1", "NaN", ""].map(Value::from)),
                Value::Bool(_) => wrong.extend([json!("true"), json!(1), json!({})]),
                _ => wrong.extend([json!("x"), json!(true), json!(7)]),
            }
            // No tags are as good as some.
            wrong.retain(|wrong| !(value.is_array() && *wrong == json!([])));
            if value.is_number() {
                wrong.extend([
                    json!(i64::from(i32::MAX) + 1),
                    json!(i64::from(i32::MIN) - 1),
                    json!(-1e308),
                    json!(-0.0),
                ]);
                wrong.extend([json!(1_000_001), json!({}), json!(true), json!(i64::MIN), json!(i32::MIN)]);
            }
            if [
                "list_id",
                "after_id",
                "drag_id",
                "due_at",
                "captured_at",
                "course_id",
                "provider",
                "background_type",
                "background_color",
            ]
            .contains(&&**field)
            {
                wrong.extend(["", "x", "0000", "2026-13-01T00:00:00Z", "#12", "sun", "#ggg", "Image"].map(Value::from));
            }
            for value in wrong {
                let mut body = good.clone();
                body[field] = value;
                refused(&mut stage, call, body).await;
            }
        }
        stage.unchanged(&before, call.path).await;
    }
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nul_character_is_named() {
    let mut stage = stage().await;
    let before = stage.dump().await;
    for call in CALLS.iter().filter(|call| !call.body.is_empty()) {
        let good = call.body(&stage).unwrap();
        for (field, value) in good.as_object().unwrap() {
            let (value, named) = match value {
                Value::String(text) => (json!(format!("{text}\0")), field.clone()),
                Value::Object(_) => (json!({"a": {"b": ["\0"]}}), format!("{field}.a.b")),
                Value::Array(_) => (json!(["a\0"]), field.clone()),
                _ => continue,
            };
            let mut body = good.clone();
            body[field] = value;
            let problem = refused(&mut stage, call, body).await;
            assert_eq!((&problem["code"], &problem["field"]), (&json!("invalid_field"), &json!(named)));
        }
        let mut body = good.clone();
        body["a\0b"] = json!(1);
        refused(&mut stage, call, body).await;
        stage.unchanged(&before, call.path).await;
    }
    stage.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_key_that_comes_twice_the_last_one_counts() {
    let mut stage = stage().await;
    let body = r#"{"name":5,"name":"last"}"#.to_owned();
    let made = stage.send("POST", "/task-lists", &[], body).await;
    assert_eq!((made.status, &made.body["data"]["name"]), (201, &json!("last")));
    let list = stage.fill(r#"{"id":"{room}","id":"{list}","name":"x"}"#);
    stage.live.send_raw(&format!(r#"{{"id":900,"rpc":{{"method":"task_list.update","data":{list}}}}}"#)).await;
    assert_eq!(stage.live.reply(900).await.unwrap()["rpc"]["data"]["data"]["id"], json!(stage.id("list")));
}
