//! Random steps with files, for the folding of histories.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;
use uuid::Uuid;

use crate::harness::Person;

/// Files of people.
#[derive(Default)]
pub struct Files(Vec<(usize, String)>);

impl Files {
    pub async fn step(&mut self, random: &mut StdRng, people: &[Person], rooms: &[(usize, Uuid)]) {
        let me = random.random_range(0..people.len());
        let any = self.0.choose(random).cloned();
        match (random.random_range(0..6), any) {
            (0 | 1, _) | (_, None) => self.0.push((me, super::file(&people[me]).await)),
            (2 | 3, Some((owner, id))) => {
                if let Some((_, room)) = rooms.choose(random) {
                    let to = json!({"parent": "workspace", "parent_id": room});
                    people[owner].post(&format!("/attachments/{id}/link"), to).await;
                }
            }
            (4, Some((owner, id))) => {
                let bodies = [json!({}), json!({"parent": "profile"})];
                people[owner].post(&format!("/attachments/{id}/link"), bodies.choose(random).unwrap().clone()).await;
            }
            (_, Some((owner, id))) => {
                people[owner].delete(&format!("/attachments/{id}")).await;
                self.0.retain(|(_, other)| *other != id);
            }
        }
    }
}
