//! What the histories of `folding.rs` have of what people study: random steps that bring out every event of it.

use chrono::{TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde_json::{Value, json};

use super::id;
use crate::harness::Person;

/// What was made in a history: whose, and its id.
#[derive(Default)]
pub struct Study {
    courses: Vec<(usize, String)>,
    assignments: Vec<(usize, String)>,
    /// Of the three lists in a person's own order.
    rows: [Vec<(usize, String)>; 3],
    metrics: Vec<(usize, String)>,
}

const PATHS: [&str; 3] = ["/resources", "/focus-entries", "/playlists"];

impl Study {
    /// Runs one random command; what is refused is part of the history too.
    pub async fn step(&mut self, random: &mut StdRng, people: &[Person]) {
        let me = random.random_range(0..people.len());
        let text = format!("{} 日本語 \"quoted\" \\", random.random_range(0..100));
        match random.random_range(0..12) {
            0..3 => self.course(random, people, me, &text).await,
            3..6 => self.assignment(random, people, me, &text).await,
            6..9 => self.list(random, people, me, &text).await,
            9 | 10 => self.metric(random, people, me).await,
            _ => {
                let tag = ["Rust", "rust", "%C3%84rger", "%C3%A4rger", "zoo"].choose(random).unwrap();
                let method = ["PUT", "PUT", "DELETE"].choose(random).unwrap();
                people[me].call(method, &format!("/me/tags/{tag}"), None, None).await.expect(200);
            }
        }
    }

    async fn course(&mut self, random: &mut StdRng, people: &[Person], me: usize, text: &str) {
        let other = random.random_range(0..people.len());
        let course = self.courses.choose(random).cloned();
        match (random.random_range(0..9), course) {
            (0 | 1, _) | (_, None) => {
                let made = people[me].post("/courses", json!({"name": text, "emoji": "📐"})).await.expect(201);
                self.courses.push((me, id(&made)));
            }
            (2, Some((owner, id))) => {
                people[owner].patch(&format!("/courses/{id}"), json!({"name": text, "emoji": null})).await.expect(200);
            }
            (3, Some((owner, id))) if self.courses.len() > 2 => {
                people[owner].delete(&format!("/courses/{id}")).await.expect(200);
                self.courses.retain(|(_, other)| *other != id);
            }
            (4 | 5, Some((owner, id))) => {
                let by = if random.random_bool(0.5) { owner } else { other };
                people[by].delete(&format!("/courses/{id}/members/{}", people[other].id)).await;
            }
            (_, Some((owner, id))) => {
                drop(people[owner].put(&format!("/courses/{id}/members/{}", people[other].id)).await)
            }
        }
    }

    async fn assignment(&mut self, random: &mut StdRng, people: &[Person], me: usize, text: &str) {
        let day = Utc::now().date_naive() + TimeDelta::days(random.random_range(-5..60));
        let course = self.courses.choose(random).map(|(_, id)| id.clone());
        match (random.random_range(0..6), self.assignments.choose(random).cloned()) {
            (0..3, _) | (_, None) => {
                let body = json!({"title": text, "due_at": day, "course_id": course, "notes": text});
                let made = people[me].post("/assignments", body).await;
                if made.status == 201 {
                    self.assignments.push((me, id(&made.body)));
                }
            }
            (3 | 4, Some((owner, id))) => {
                let mut patch = json!({"status": text, "due_at": day, "course_id": course, "notes": null});
                patch.as_object_mut().unwrap().retain(|_, _| random.random_bool(0.5));
                people[owner].patch(&format!("/assignments/{id}"), patch).await;
            }
            (_, Some((owner, id))) => {
                people[owner].delete(&format!("/assignments/{id}")).await.expect(200);
                self.assignments.retain(|(_, other)| *other != id);
            }
        }
    }

    async fn list(&mut self, random: &mut StdRng, people: &[Person], me: usize, text: &str) {
        let which = random.random_range(0..3);
        let (path, rows) = (PATHS[which], &mut self.rows[which]);
        let row = rows.choose(random).cloned();
        match (random.random_range(0..8), row) {
            (0..2, _) | (_, None) => {
                let made = people[me].post(path, body(which, text)).await.expect(201);
                rows.push((me, id(&made)));
            }
            (2, Some((owner, id))) => {
                let name = if which == 0 { "label" } else { "title" };
                people[owner].patch(&format!("{path}/{id}"), json!({name: text})).await.expect(200);
            }
            (3, Some((owner, id))) => {
                people[owner].delete(&format!("{path}/{id}")).await.expect(200);
                rows.retain(|(_, other)| *other != id);
            }
            (_, Some((owner, id))) => {
                let others: Vec<&String> = rows.iter().filter(|row| row.0 == owner).map(|row| &row.1).collect();
                let after = others.choose(random).filter(|_| random.random_bool(0.8));
                people[owner].post(&format!("{path}/{id}/move"), json!({"after_id": after})).await;
            }
        }
    }

    async fn metric(&mut self, random: &mut StdRng, people: &[Person], me: usize) {
        match (random.random_range(0..3), self.metrics.choose(random).cloned()) {
            (0, Some((owner, id))) => {
                people[owner].delete(&format!("/progress-metrics/{id}")).await.expect(200);
                self.metrics.retain(|(_, other)| *other != id);
            }
            _ => {
                let scope = ["day", "week", "日"].choose(random).unwrap();
                let day = format!("2026-11-{:02}", random.random_range(1..8));
                let body = json!({"scope": scope, "value": random.next_u32() % 100, "captured_at": day});
                let made = people[me].call("PUT", "/progress-metrics", Some(body), None).await.expect(200);
                let made = (me, id(&made));
                if !self.metrics.contains(&made) {
                    self.metrics.push(made);
                }
            }
        }
    }
}

fn body(which: usize, text: &str) -> Value {
    match which {
        0 => json!({"label": text, "emoji": "📐", "url": "https://e.example"}),
        1 => json!({"title": text, "description": text}),
        _ => json!({"title": text, "provider": "vimeo", "embed_url": "https://player.vimeo.com/video/1"}),
    }
}
