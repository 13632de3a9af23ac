//! Ticks, changes and drops that share a transaction: each keeps its promises as if it were alone.

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::faults::postgres::{Commits, Road};
use crate::harness::{self, Person, TestApp};
use crate::likes::log;

/// The channel of somebody or something, in the hands of another transaction.
async fn hold(app: &TestApp, channel: &str) -> Transaction<'static, Postgres> {
    let mut lock = app.database.pool.begin().await.unwrap();
    let take = sqlx::query("select from channel_heads where channel = $1 for update");
    assert_eq!(take.bind(channel).execute(&mut *lock).await.unwrap().rows_affected(), 1);
    lock
}

async fn until(mut there: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + harness::PATIENCE;
    while !there().await {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// Until one transaction of the server waits for a lock.
async fn somebody_waits(app: &TestApp) {
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    until(async || {
        let pool = &app.database.pool;
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() == 1
    })
    .await;
}

async fn in_flight(app: &TestApp, commands: usize) {
    until(async || app.app.state.writer.in_flight() == commands).await;
}

/// Widgets of a room beyond one for each member.
const SPARE: usize = 5;

/// A room with these members; its id and those of its widgets.
async fn room(owner: &Person, members: &[&Person]) -> (String, Vec<String>) {
    let id = |answer: Value| answer["data"]["id"].as_str().unwrap().to_owned();
    let room = id(owner.post("/workspaces", json!({"name": "together"})).await.expect(201));
    for member in members {
        owner.put(&format!("/workspaces/{room}/members/{}", member.id)).await.expect(201);
    }
    let mut widgets = Vec::new();
    for column in 0..members.len() + SPARE {
        let body = json!({"type": "clock", "grid_x": column, "grid_y": 0, "grid_w": 1, "grid_h": 1});
        widgets.push(id(owner.post(&format!("/workspaces/{room}/widgets"), body).await.expect(201)));
    }
    (room, widgets)
}

/// A task of this person's.
async fn task(owner: &Person) -> String {
    let list = owner.post("/task-lists", json!({"name": "list"})).await.expect(201)["data"]["id"].clone();
    let path = format!("/task-lists/{}/tasks", list.as_str().unwrap());
    let task = owner.post(&path, json!({"description": "tick me"})).await.expect(201);
    task["data"]["id"].as_str().unwrap().to_owned()
}

/// The transactions that these operations were committed in.
async fn transactions(app: &TestApp, ops: &[Uuid]) -> Vec<String> {
    let query = sqlx::query_scalar("select distinct xid::text from events where op = any($1)");
    query.bind(ops).fetch_all(&app.database.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_command_fails_alone() {
    let app = harness::app().await;
    let (ada, bob, eve) = (app.person("ada").await, app.person("bob").await, app.person("eve").await);
    let (room, widgets) = room(&ada, &[&bob]).await;
    let channel = format!("workspace:{room}");
    let paths: Vec<String> = widgets.iter().map(|widget| format!("/widgets/{widget}")).collect();
    let to = format!("{}/move", paths[5]);
    let titled = |title: &str| Some(json!({"title": title}));
    let ops: Vec<Uuid> = (0..6).map(|_| Uuid::new_v4()).collect();
    ada.call("POST", "/task-lists", Some(json!({"name": "x"})), Some(ops[4])).await.expect(201);
    ada.call("PATCH", &paths[1], titled("as it is"), None).await.expect(200);
    let before = log(&ada, &channel).await.len();
    let lock = hold(&app, &channel).await;
    // The first one waits for the lock, and all others for the first one.
    let first = ada.call("PATCH", &paths[0], titled("first"), Some(ops[0]));
    let others = async {
        somebody_waits(&app).await;
        let others = async {
            tokio::join!(
                bob.call("PATCH", &paths[2], titled("second"), Some(ops[1])),
                eve.call("PATCH", &paths[3], titled("a stranger's"), Some(ops[2])),
                ada.call("PATCH", &paths[1], titled("as it is"), Some(ops[3])),
                ada.call("PATCH", &paths[4], titled("under an old id"), Some(ops[4])),
                ada.call("POST", &to, Some(json!({"grid_x": 7, "grid_y": 7})), Some(ops[5])),
            )
        };
        let release = async {
            until(async || app.app.state.writer.waiting() == 5).await;
            lock.rollback().await.unwrap();
        };
        tokio::join!(others, release).0
    };
    let (first, (second, stranger, unchanged, reused, moved)) = tokio::join!(first, others);
    let at = |answer: &Value| answer["positions"][0]["offset"].as_u64().unwrap() as usize;
    let (first, second, moved) = (first.expect(200), second.expect(200), moved.expect(200));
    assert_eq!(stranger.expect(404)["code"], "not_found");
    assert_eq!(reused.expect(422)["code"], "op_reused");
    assert_eq!(unchanged.expect(200)["data"]["title"], "as it is");
    let events = log(&ada, &channel).await;
    assert_eq!(events.len(), before + 3, "one event for each command that did something");
    for (answer, op) in [(&first, ops[0]), (&second, ops[1]), (&moved, ops[5])] {
        let event = &events[at(answer) - 1];
        assert_eq!((&event["op"], &event["data"]), (&json!(op), &answer["data"]));
    }
    assert_eq!(transactions(&app, &[ops[1], ops[5]]).await.len(), 1, "they were together");
    let kept: BTreeSet<Uuid> = sqlx::query_scalar("select op from operations where op = any($1)")
        .bind(&ops)
        .fetch_all(&app.database.pool)
        .await
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(kept, BTreeSet::from([ops[0], ops[1], ops[3], ops[4], ops[5]]), "what is refused may be sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_put_out_while_their_command_waits_writes_nothing() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (room, widgets) = room(&ada, &[&bob]).await;
    let channel = format!("workspace:{room}");
    let before = log(&ada, &channel).await.len();
    for (method, path, body) in [
        ("PATCH", format!("/widgets/{}", widgets[0]), json!({"title": "too late"})),
        ("POST", format!("/widgets/{}/move", widgets[0]), json!({"grid_x": 9, "grid_y": 9, "drag_id": Uuid::new_v4()})),
    ] {
        let mut lock = hold(&app, &channel).await;
        let late = bob.call(method, &path, Some(body), None);
        let put_out = async {
            somebody_waits(&app).await;
            let gone = sqlx::query("delete from workspace_members where user_id = $1").bind(bob.id);
            gone.execute(&mut *lock).await.unwrap();
            lock.commit().await.unwrap();
        };
        let (late, ()) = tokio::join!(late, put_out);
        assert_eq!(late.expect(404)["code"], "not_found");
        let back = sqlx::query("insert into workspace_members values ($1::uuid, $2, 'member')").bind(&room);
        back.bind(bob.id).execute(&app.database.pool).await.unwrap();
    }
    assert_eq!(log(&ada, &channel).await.len(), before);
    let drags: i64 =
        sqlx::query_scalar("select count(*) from widget_drags").fetch_one(&app.database.pool).await.unwrap();
    assert_eq!(drags, 0, "a drag that nobody was allowed to end is not over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_channel_keeps_nobody_else_waiting() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (mine, theirs) = (task(&ada).await, task(&bob).await);
    let lock = hold(&app, &ada.channel()).await;
    let ticked = |done: bool| Some(json!({"is_completed": done}));
    let path = format!("/tasks/{mine}");
    let waits = ada.call("PATCH", &path, ticked(true), None);
    let others = async {
        in_flight(&app, 1).await;
        for round in 0..10 {
            bob.call("PATCH", &format!("/tasks/{theirs}"), ticked(round % 2 == 0), None).await.expect(200);
        }
        assert_eq!(app.app.state.writer.in_flight(), 1, "the first one still waits");
        lock.rollback().await.unwrap();
    };
    let (waited, ()) = tokio::join!(waits, others);
    assert_eq!(waited.expect(200)["data"]["is_completed"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_operation_id_at_once_on_two_nodes_and_by_both_doors() {
    let one = harness::app().await;
    let two = one.beside(|_| {}).await;
    let ada = one.person("ada").await;
    let there = ada.at(&two.url());
    let id = task(&ada).await;
    let before = log(&ada, &ada.channel()).await.len();
    let (mut here, mut beyond) = (ada.live().await, there.live().await);
    for round in 0..40 {
        let op = Uuid::new_v4();
        let body = json!({"is_completed": round % 2 == 0});
        let rpc = json!({"id": id, "is_completed": round % 2 == 0, "op": op});
        let path = format!("/tasks/{id}");
        let (first, second, third, fourth) = tokio::join!(
            ada.call("PATCH", &path, Some(body.clone()), Some(op)),
            there.call("PATCH", &path, Some(body.clone()), Some(op)),
            here.rpc("task.update", rpc.clone()),
            beyond.rpc("task.update", rpc.clone()),
        );
        let first = first.expect(200);
        assert_eq!(first, second.expect(200));
        assert_eq!((&first, &first), (&third.unwrap(), &fourth.unwrap()));
        assert_eq!(here.rpc("task.update", rpc).await.unwrap(), first, "a later retry gets the same answer");
    }
    let events = log(&ada, &ada.channel()).await;
    assert_eq!(events.len(), before + 40);
    assert_eq!(events.iter().map(|event| event["op"].to_string()).collect::<BTreeSet<_>>().len(), events.len());
}

/// Twenty people who tick, and rename and drag what hangs in one room, again and again with the same operation id until
/// there is an answer that is not temporary. Everything that must be true of it, from the logs.
/// `begin` is called when all are there.
async fn crowd(app: &TestApp, commands: usize, begin: impl FnOnce()) {
    let owner = app.person("owner").await;
    let people = join_all((0..20).map(async |number| app.person(&format!("person{number}")).await)).await;
    let (room, widgets) = room(&owner, &people.iter().collect::<Vec<_>>()).await;
    let channel = format!("workspace:{room}");
    let mut listener = owner.live().await;
    listener.subscribe(&channel).await;
    let before = log(&owner, &channel).await.len();
    let ready = join_all(people.iter().map(async |person| (task(person).await, person.live().await))).await;
    begin();
    let sent = join_all(people.iter().zip(&widgets).zip(ready).map(async |((person, widget), (id, mut live))| {
        let mut sent = Vec::new();
        for number in 0..commands {
            let op = Uuid::new_v4();
            let (own, method, data) = match number % 4 {
                0 => (true, "task.update", json!({"id": id, "description": format!("{number}"), "op": op})),
                1 => (false, "widget.update", json!({"id": widget, "title": format!("{number}"), "op": op})),
                2 => (false, "widget.move", json!({"id": widget, "grid_x": number, "grid_y": 1, "op": op})),
                // The same for everybody.
                _ => (
                    false,
                    "widget.move",
                    json!({"id": widgets[20], "grid_x": number, "grid_y": 1,
                    "drag_id": op, "op": op}),
                ),
            };
            let answer = loop {
                match live.rpc(method, data.clone()).await {
                    Ok(answer) => break answer,
                    Err(error) => assert_eq!(error["temporary"], true, "{error}"),
                }
            };
            sent.push((if own { person.channel() } else { channel.clone() }, op, answer));
        }
        sent
    }))
    .await;
    let mut logs = std::collections::HashMap::from([(channel.clone(), log(&owner, &channel).await)]);
    for person in &people {
        logs.insert(person.channel(), log(person, &person.channel()).await);
    }
    for (channel, op, answer) in sent.iter().flatten() {
        let position = &answer["positions"][0];
        assert_eq!((answer["positions"].as_array().unwrap().len(), &position["channel"]), (1, &json!(channel)));
        let event = &logs[channel][position["offset"].as_u64().unwrap() as usize - 1];
        assert_eq!((&event["op"], &event["data"]), (&json!(op), &answer["data"]));
    }
    for (name, events) in &logs {
        let made = if *name == channel { before } else { 0 };
        // Whoever was let into the room was told so, too, by the same operation.
        let own = events[made..].iter().filter(|event| event["type"] != "notification.created");
        let ops: Vec<String> = own.map(|event| event["op"].to_string()).collect();
        assert_eq!(ops.iter().collect::<BTreeSet<_>>().len(), ops.len(), "an operation was done twice");
    }
    let room = &logs[&channel];
    assert_eq!(room.len(), before + sent.iter().flatten().filter(|sent| sent.0 == channel).count());
    for item in &room[before..] {
        let (offset, mut event) = listener.event().await;
        event["offset"] = offset.into();
        assert_eq!(event, *item, "what is pushed is what the log says");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once() {
    let app = harness::app().await;
    crowd(&app, 20, || {}).await;
    let mixed: i64 = sqlx::query_scalar(
        "select count(*) from (select from events group by xid having count(distinct channel) > 2) together",
    )
    .fetch_one(&app.database.pool)
    .await
    .unwrap();
    assert!(mixed > 0, "commands of several people were never together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_whose_answer_is_lost_are_found_out_about() {
    let database = harness::database().await;
    let road = Road::start(&database.url);
    let app = harness::app_at(database, |config| config.database_url = Some(road.url.clone())).await;
    road.one_in(3);
    crowd(&app, 8, || road.commits(Commits::Lose)).await;
    println!("{} commits, {} lost", road.seen(), road.hits());
    assert!(road.hits() > 0);
}
