//! Questions of many people in one statement: each gets their own answer, the one that they would get alone.

use serde_json::json;
use sqlx::AssertSqlSafe;
use studyhall::domain::{admit, admit_all, seed};
use studyhall_protocol::Channel;
use uuid::Uuid;

use crate::harness::{self, Person, TestApp};

async fn run(app: &TestApp, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&app.database.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_asked_for_together_are_judged_one_by_one() {
    let app = harness::app().await;
    let wanted = seed::Wanted { people: 60, room: 4, follows: 2 };
    let crowd = seed::make_crowd(&app.app.state.db, wanted).await.unwrap();
    let id = |n: usize| crowd[n].id;
    run(&app, &format!("update sign_ins set expires_at = now() - interval '1 day' where user_id = '{}'", id(1))).await;
    let end = "update sign_ins set ended_at = now(), end_reason = 'signed_out' where user_id";
    run(&app, &format!("{end} = '{}'", id(2))).await;
    run(&app, &format!("update credentials set disabled_at = now() where user_id = '{}'", id(3))).await;
    let unknown = studyhall::auth::Token::generate().unwrap().secret().to_owned();
    let sessions = &app.app.state.sessions;
    let before = app.app.state.db.counters().authentication_statements.get();
    let tokens = crowd.iter().map(|member| member.token.as_str()).chain([unknown.as_str(), "shs_no"]);
    let answers = futures_util::future::join_all(tokens.map(|token| sessions.authenticate(token))).await;
    use studyhall::live::backend::Refusal::{Expired, Unauthorized};
    for (n, answer) in answers.iter().enumerate() {
        match n {
            1 => assert_eq!(answer.as_ref().unwrap_err(), &Expired),
            2 | 3 | 60 | 61 => assert_eq!(answer.as_ref().unwrap_err(), &Unauthorized),
            _ => assert_eq!(answer.as_ref().unwrap().user_id, id(n)),
        }
    }
    let statements = app.app.state.db.counters().authentication_statements.get() - before;
    assert!(statements <= 4, "{statements} statements for 61 tokens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_who_are_admitted_together_get_their_own_rights() {
    let app = harness::app().await;
    let db = &app.app.state.db;
    let [ann, ben, eve] = [app.person("ann").await, app.person("ben").await, app.person("eve").await];
    let room = |answer: serde_json::Value| -> Uuid { answer["data"]["id"].as_str().unwrap().parse().unwrap() };
    let closed = room(ann.post("/workspaces", json!({"name": "closed"})).await.expect(201));
    let open = ann.post("/workspaces", json!({"name": "open", "settings": {"guests": true}})).await;
    let open = room(open.expect(201));
    ann.put(&format!("/workspaces/{closed}/members/{}", ben.id)).await.expect(201);
    ann.put(&format!("/users/{}/follow", ben.id)).await.expect(200);
    ben.put(&format!("/users/{}/block", eve.id)).await.expect(200);
    let ids = [ann.id, ben.id, eve.id, Uuid::new_v4()];
    let mut channels: Vec<Channel> = ids.into_iter().flat_map(|id| [Channel::User(id), Channel::Profile(id)]).collect();
    channels.extend([closed, open, Uuid::new_v4()].map(Channel::Workspace));
    let people = [&ann, &ben, &eve];
    // Each person in turn with their own selection, in another order each time.
    let asked: Vec<(Uuid, Vec<Channel>)> = (0..9)
        .map(|n| {
            let mut some = channels.clone();
            some.rotate_left(n);
            (people[n % 3].id, some)
        })
        .collect();
    let statements = db.counters().admission_statements.get();
    let together = admit_all(db, &asked).await.unwrap();
    assert_eq!(db.counters().admission_statements.get(), statements + 1);
    for ((who, channels), answers) in asked.iter().zip(&together) {
        assert_eq!(answers.len(), channels.len());
        for (channel, answer) in channels.iter().zip(answers) {
            let alone = admit(db, *who, &[*channel]).await.unwrap().pop().unwrap();
            assert_eq!(format!("{answer:?}"), format!("{alone:?}"), "{who} at {channel}");
        }
    }
    let of = |person: &Person, channel| {
        let (_, answers) = asked
            .iter()
            .zip(&together)
            .find(|((who, _), _)| *who == person.id)
            .map(|((_, asked), answers)| {
                (asked, asked.iter().zip(answers).find(|(other, _)| **other == channel).unwrap().1)
            })
            .unwrap();
        answers.as_ref().map(|admission| (format!("{:?}", admission.grant), admission.sees)).map_err(|error| error.code)
    };
    let member = |sees| Ok(("Member".to_owned(), sees));
    assert_eq!(of(&ben, Channel::Workspace(closed)), member(true));
    assert_eq!(of(&eve, Channel::Workspace(closed)), Err(102));
    assert_eq!(of(&eve, Channel::Workspace(open)), Ok(("Guest".to_owned(), true)));
    assert_eq!((of(&ann, Channel::User(ann.id)), of(&ben, Channel::User(ann.id))), (member(true), Err(103)));
    // Ann follows Ben, and both are in one room: each shows the other; Eve and Ben are parted by a block.
    assert_eq!((of(&ben, Channel::Profile(ann.id)), of(&eve, Channel::Profile(ann.id))), (member(true), member(false)));
    assert_eq!((of(&eve, Channel::Profile(ben.id)), of(&ben, Channel::Profile(eve.id))), (Err(102), Err(102)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_read_together_are_those_of_their_channels() {
    let app = harness::app().await;
    let db = &app.app.state.db;
    let ann = app.person("ann").await;
    let mut rooms = Vec::new();
    for events in [0, 3, 40] {
        let made = ann.post("/workspaces", json!({"name": "room"})).await.expect(201);
        let id: Uuid = made["data"]["id"].as_str().unwrap().parse().unwrap();
        for number in 0..events {
            ann.patch(&format!("/workspaces/{id}"), json!({"name": format!("room {number}")})).await.expect(200);
        }
        rooms.push(Channel::Workspace(id));
    }
    let trim = format!("select trim_channel('{}', 6)", rooms[2]);
    run(&app, &trim).await;
    let nowhere = Channel::Workspace(Uuid::new_v4());
    let wanted = [(rooms[2], 0), (rooms[1], 1), (nowhere, 0), (rooms[2], 32), (rooms[0], 0), (rooms[1], 99)];
    let reads = db.counters().log_reads.get();
    let pages = db.read_pages(&wanted, 32, u32::MAX >> 1).await.unwrap();
    assert_eq!(db.counters().log_reads.get(), reads + 1);
    for ((channel, after), page) in wanted.iter().zip(&pages) {
        let alone = db.read_log(*channel, *after, 32).await.unwrap();
        assert_eq!(format!("{:?}", page.as_ref().unwrap()), format!("{alone:?}"), "{channel} after {after}");
    }
    let first = pages[0].as_ref().unwrap();
    assert_eq!((first.events[0].offset, first.events.len(), first.floor), (6, 32, 6));
    // Whole pages or none: the first one always, then those that fit; an empty one takes no room.
    let some = db.read_pages(&wanted, 32, 1).await.unwrap();
    assert_eq!(some.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, false, false, false]);
    assert_eq!(some[0].as_ref().unwrap().events.len(), 32);
}
