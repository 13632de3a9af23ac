//! Courses: shared, changed by their owner alone, heard by everybody in them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{all, ear, hears, id, refused};
use crate::actors::place;
use crate::harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_course_is_shared_and_everybody_in_it_hears_of_it() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (mut of_ada, mut of_bob) = (ear(&ada).await, ear(&bob).await);
    let made = ada.post("/courses", json!({"name": "Linear Algebra", "emoji": "📐"})).await.expect(201);
    let course = id(&made);
    assert_eq!(hears(&mut of_ada, "course.created").await, made["data"]);
    assert_eq!(made["data"]["member_ids"], json!([ada.id]));
    let path = format!("/courses/{course}");
    assert_eq!(ada.get(&path).await.expect(200), made, "the same, with the same position");

    let member = json!({"course_id": course, "user_id": bob.id});
    let joined = of_ada.rpc("course_member.add", member.clone()).await.unwrap();
    assert_eq!(joined["data"]["member_ids"], json!([ada.id, bob.id]));
    assert_eq!(hears(&mut of_ada, "course.updated").await, joined["data"]);
    assert_eq!(hears(&mut of_bob, "course.created").await, joined["data"]);
    let mine = all(&bob, "/courses").await;
    assert_eq!((mine.len(), &mine[0]), (1, &joined["data"]));
    // Once more changes nothing.
    let again = ada.put(&format!("{path}/members/{}", bob.id)).await.expect(200);
    assert_eq!(again["data"], joined["data"]);

    let renamed = ada.patch(&path, json!({"name": "Algebra", "emoji": null})).await.expect(200);
    assert_eq!((&renamed["data"]["name"], &renamed["data"]["emoji"]), (&json!("Algebra"), &Value::Null));
    for live in [&mut of_ada, &mut of_bob] {
        assert_eq!(hears(live, "course.updated").await, renamed["data"]);
    }
    assert_eq!(ada.patch(&path, json!({"name": "Algebra"})).await.expect(200), renamed, "nothing changed");

    // Bob leaves, and what is due for him is in no course any more.
    let due = bob.post("/assignments", json!({"course_id": course, "title": "Sheet 1"})).await.expect(201);
    assert_eq!(hears(&mut of_bob, "assignment.created").await, due["data"]);
    let left = of_bob.rpc("course_member.remove", member.clone()).await.unwrap();
    assert_eq!(left["data"], member);
    let freed = hears(&mut of_bob, "assignment.updated").await;
    assert_eq!((&freed["id"], &freed["course_id"]), (&due["data"]["id"], &Value::Null));
    assert_eq!(hears(&mut of_bob, "course.deleted").await, json!({"id": course}));
    assert_eq!(hears(&mut of_ada, "course.updated").await["member_ids"], json!([ada.id]));
    bob.get(&path).await.expect(404);

    // Let in again, with something due for both; then the course goes.
    ada.put(&format!("{path}/members/{}", bob.id)).await.expect(200);
    for (person, live) in [(&ada, &mut of_ada), (&bob, &mut of_bob)] {
        person.post("/assignments", json!({"course_id": course, "title": "Sheet 2"})).await.expect(201);
        live.drain().await;
    }
    assert_eq!(ada.delete(&path).await.expect(200)["data"], json!({"id": course}));
    for live in [&mut of_ada, &mut of_bob] {
        assert_eq!(hears(live, "assignment.updated").await["course_id"], Value::Null);
        assert_eq!(hears(live, "course.deleted").await, json!({"id": course}));
        assert_eq!(live.drain().await, Vec::<Value>::new());
    }
    for person in [&ada, &bob] {
        let page = person.get("/dashboard").await.expect(200);
        assert_eq!((&page["courses"], &page["assignments"][0]["course_id"]), (&json!([]), &Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_decides_members_look_strangers_find_nothing() {
    let app = harness::app().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (cleo, eve) = (app.person("cleo").await, app.person("eve").await);
    let course = id(&ada.post("/courses", json!({"name": "Rust"})).await.expect(201));
    let path = format!("/courses/{course}");
    let member = |person: Uuid| (format!("{path}/members/{person}"), json!({"course_id": course, "user_id": person}));
    for person in [&bob, &cleo] {
        ada.put(&member(person.id).0).await.expect(200);
    }
    for (who, status, code) in [(&bob, 403, "owner_only"), (&eve, 404, "not_found")] {
        let name = json!({"name": "mine"});
        let update = json!({"id": course, "name": "mine"});
        refused(who, ("PATCH", &path, Some(name)), ("course.update", update), status, code).await;
        refused(who, ("DELETE", &path, None), ("course.delete", json!({"id": course})), status, code).await;
        for other in [eve.id, cleo.id, ada.id] {
            let (at, data) = member(other);
            refused(who, ("PUT", &at, None), ("course_member.add", data.clone()), status, code).await;
            if other != who.id {
                refused(who, ("DELETE", &at, None), ("course_member.remove", data), status, code).await;
            }
        }
    }
    eve.get(&path).await.expect(404);
    bob.get(&path).await.expect(200);
    let (at, data) = member(ada.id);
    refused(&ada, ("DELETE", &at, None), ("course_member.remove", data), 409, "owner_stays").await;
    let (at, data) = member(eve.id);
    refused(&ada, ("DELETE", &at, None), ("course_member.remove", data), 404, "not_found").await;
    // Whom a block parts from the owner, whoever blocked whom, is nobody; and nobody gets no channel.
    eve.put(&format!("/users/{}/block", ada.id)).await.expect(200);
    let (at, data) = member(eve.id);
    refused(&ada, ("PUT", &at, None), ("course_member.add", data), 404, "not_found").await;
    let nobody = Uuid::new_v4();
    let (at, data) = member(nobody);
    refused(&ada, ("PUT", &at, None), ("course_member.add", data), 404, "not_found").await;
    let heads = sqlx::query_scalar::<_, i64>("select count(*) from channel_heads where channel = $1");
    let heads = heads.bind(format!("user:{nobody}")).fetch_one(&app.database.pool).await.unwrap();
    assert_eq!(heads, 0);
    assert_eq!(ada.delete(&member(cleo.id).0).await.expect(200)["data"], member(cleo.id).1);
    assert_eq!(all(&cleo, "/courses").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_come_and_go_at_once() {
    let place = place().await;
    let ada = place.actor("ada").await;
    let course = ada.make("course.create", json!({"name": "Rust"})).await;
    let before = ada.dashboard().await;
    let mut others = Vec::new();
    for number in 0..8 {
        others.push(place.actor(&format!("other{number}")).await);
    }
    let tasks = others.iter().cloned().enumerate().map(|(number, other)| {
        let (ada, course) = (ada.clone(), course.clone());
        tokio::spawn(async move {
            let member = json!({"course_id": course, "user_id": other.id});
            let before = other.dashboard().await;
            ada.ok("course_member.add", member.clone()).await;
            if number % 2 == 0 {
                other.ok("assignment.create", json!({"title": "x", "course_id": course})).await;
                other.ok("course_member.remove", member).await;
            }
            (other, before)
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (other, before) = task.await.unwrap();
        place.assert_person(before, other.dashboard().await).await;
    }
    let after = ada.dashboard().await;
    let mut inside = after.courses[0].member_ids.clone();
    inside.sort_unstable();
    let mut expected: Vec<Uuid> = others.iter().skip(1).step_by(2).map(|other| other.id).chain([ada.id]).collect();
    expected.sort_unstable();
    assert_eq!(inside, expected);
    place.assert_person(before, after).await;
}

#[tokio::test]
async fn so_many_courses_so_many_members() {
    let place = place().await;
    let (ada, bob) = (place.actor("ada").await, place.actor("bob").await);
    let course = ada.make("course.create", json!({"name": "full"})).await;
    let fill =
        "with u as (insert into users (id, username) select gen_random_uuid(), 'u' || n from generate_series(2, 50) n
            returning id)
        insert into course_members (course_id, user_id, role) select $1, id, 'member' from u";
    sqlx::query(fill).bind(course.parse::<Uuid>().unwrap()).execute(place.db.pool()).await.unwrap();
    let member = json!({"course_id": course, "user_id": bob.id});
    ada.refused("course_member.add", member, "409 limit_reached").await;
    let fill =
        "with c as (insert into courses (user_id, name) select $1, 'x' from generate_series(1, 200) returning id)
        insert into course_members (course_id, user_id, role) select id, $1, 'owner' from c";
    sqlx::query(fill).bind(bob.id).execute(place.db.pool()).await.unwrap();
    bob.refused("course.create", json!({"name": "x"}), "409 limit_reached").await;
    let other = ada.make("course.create", json!({"name": "other"})).await;
    ada.refused("course_member.add", json!({"course_id": other, "user_id": bob.id}), "409 limit_reached").await;
}
