//! Who may see whose presence: what admission says, what the database says, and what was meant are the same.

use serde_json::json;
use studyhall::domain;
use studyhall_protocol::Channel;
use uuid::Uuid;

use crate::actors::{Actor, Dice, Place, place};

/// Whether `viewer` is admitted to each `profile:`, and whether they may see the presence there.
async fn admitted(place: &Place, viewer: &Actor, people: &[Actor]) -> Vec<Option<bool>> {
    let channels: Vec<Channel> = people.iter().map(|person| Channel::Profile(person.id)).collect();
    let answers = domain::admit(&place.db, viewer.id, &channels).await.unwrap();
    answers.into_iter().map(|answer| answer.ok().map(|admission| admission.sees)).collect()
}

#[tokio::test]
async fn presence_is_for_those_whom_its_owner_lets() {
    let place = place().await;
    let (viewer, owner) = (place.actor("viewer").await, place.actor("owner").await);
    let room = viewer.make("workspace.create", json!({"name": "room"})).await;
    let both = [owner.clone(), viewer.clone()];
    for (visibility, stranger, known) in
        [("everyone", true, true), ("following", false, true), ("nobody", false, false)]
    {
        owner.ok("settings.update", json!({"presence_visibility": visibility})).await;
        let sees = async || {
            let sees = admitted(&place, &viewer, &both).await;
            assert_eq!(sees[1], Some(true), "themselves always");
            sees[0]
        };
        assert_eq!(sees().await, Some(stranger), "{visibility}: a stranger");
        viewer.ok("user.follow", json!({"user_id": owner.id})).await;
        assert_eq!(sees().await, Some(stranger), "{visibility}: who follows them");
        viewer.ok("user.unfollow", json!({"user_id": owner.id})).await;
        owner.ok("user.follow", json!({"user_id": viewer.id})).await;
        assert_eq!(sees().await, Some(known), "{visibility}: whom they follow");
        owner.ok("user.unfollow", json!({"user_id": viewer.id})).await;
        let membership = json!({"workspace_id": room, "user_id": owner.id});
        viewer.ok("member.add", membership.clone()).await;
        assert_eq!(sees().await, Some(known), "{visibility}: who shares a room");
        for (one, other) in [(&owner, &viewer), (&viewer, &owner)] {
            one.ok("user.block", json!({"user_id": other.id})).await;
            assert_eq!(sees().await, None, "{visibility}: whom a block parts from them");
            one.ok("user.unblock", json!({"user_id": other.id})).await;
        }
        viewer.ok("member.remove", membership).await;
    }
    let answers = domain::admit(&place.db, viewer.id, &[Channel::User(viewer.id)]).await.unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap().sees), "of other channels always");
}

#[tokio::test]
async fn one_statement_and_one_rule() {
    let place = place().await;
    let mut people = Vec::new();
    for n in 0..24 {
        people.push(place.actor(&format!("p{n}")).await);
    }
    let mut dice = Dice(5);
    for _ in 0..80 {
        let (one, other) = (&people[dice.roll(24)], &people[dice.roll(24)]);
        let word = ["everyone", "following", "nobody"][dice.roll(3)];
        one.ok("settings.update", json!({"presence_visibility": word})).await;
        let command = ["user.follow", "user.follow", "user.block"][dice.roll(3)];
        let _ = one.call(command, json!({"user_id": other.id})).await;
        if dice.roll(4) == 0 {
            let room = one.make("workspace.create", json!({"name": "room"})).await;
            let _ = one.call("member.add", json!({"workspace_id": room, "user_id": other.id})).await;
        }
    }
    let rule = "select p.id, are_blocked($1, p.id), may_see_presence($1, p.id) from unnest($2::uuid[]) p (id)";
    let ids: Vec<Uuid> = people.iter().map(|person| person.id).collect();
    let mut seen = [0, 0, 0];
    for viewer in &people {
        let rows = sqlx::query_as::<_, (Uuid, bool, bool)>(rule).bind(viewer.id).bind(&ids);
        let rows = rows.fetch_all(place.db.pool()).await.unwrap();
        let expected: Vec<Option<bool>> = rows.iter().map(|(_, parted, sees)| (!parted).then_some(*sees)).collect();
        assert_eq!(admitted(&place, viewer, &people).await, expected);
        expected.iter().for_each(|sees| seen[sees.map_or(0, |sees| 1 + usize::from(sees))] += 1);
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}
