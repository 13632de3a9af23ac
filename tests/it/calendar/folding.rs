//! What the histories of `folding.rs` have of the calendar.

use chrono::{Days, TimeDelta, Utc};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::Person;

/// The calendars of a history.
#[derive(Default)]
pub struct Calendar {
    events: Vec<(usize, Uuid)>,
    reminders: Vec<(usize, Uuid)>,
}

impl Calendar {
    /// Runs one random command: on days that the home page shows, and on others.
    pub async fn step(&mut self, random: &mut StdRng, people: &[Person]) {
        let me = random.random_range(0..people.len());
        let day =
            Utc::now().date_naive() - Days::new(40) + Days::new(*[0, 38, 39, 40, 41, 130].choose(random).unwrap());
        let text = format!("{} 日本語 \"quoted\" \\", random.random_range(0..100));
        let (event, other) = (self.events.choose(random).copied(), self.events.choose(random).copied());
        let reminder = self.reminders.choose(random).copied();
        match (random.random_range(0..10), event, reminder) {
            (0..3, ..) | (_, None, _) => {
                let body = json!({"event_date": day, "title": text, "starts_at": "2026-11-24T08:00:00.5Z"});
                let made = people[me].post("/calendar-events", body).await.expect(201);
                self.events.push((me, id(&made)));
            }
            (3, Some((owner, id)), _) => {
                let bodies =
                    [json!({"notes": text, "title": null}), json!({"event_date": day}), json!({"starts_at": null})];
                people[owner].patch(&format!("/calendar-events/{id}"), bodies.choose(random).unwrap().clone()).await;
            }
            (4 | 5, Some((owner, id)), _) => {
                let bodies = [
                    json!({"after_id": other.map(|other| other.1)}),
                    json!({}),
                    json!({"event_date": day}),
                    json!({"event_date": day, "after_id": other.map(|other| other.1)}),
                ];
                let path = format!("/calendar-events/{id}/move");
                people[owner].post(&path, bodies.choose(random).unwrap().clone()).await;
            }
            (6, Some((owner, id)), _) if self.events.len() > 5 => {
                people[owner].delete(&format!("/calendar-events/{id}")).await;
                self.events.retain(|(_, other)| *other != id);
            }
            (9, _, Some((owner, id))) => {
                people[owner].delete(&format!("/reminders/{id}")).await;
                self.reminders.retain(|(_, other)| *other != id);
            }
            (_, Some((owner, event)), _) => {
                // Some ring at once, some soon, some never.
                let at = Utc::now() + TimeDelta::seconds(*[-3_600, 1, 2, 3_600, 86_400].choose(random).unwrap());
                let path = format!("/calendar-events/{event}/reminders");
                let made = people[owner].post(&path, json!({"remind_at": at})).await;
                if made.status == 201 {
                    self.reminders.push((owner, id(&made.body)));
                }
            }
        }
    }
}

fn id(made: &Value) -> Uuid {
    made["data"]["id"].as_str().unwrap().parse().unwrap()
}
