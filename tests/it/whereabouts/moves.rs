//! Who comes to a room and goes, as one sees it who watches. Everybody comes and goes by turns, or it panics: this is so
//! in every test that watches by it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Live, PATIENCE, Person};

/// Who is in a room by what was told.
pub struct Moves {
    present: HashSet<Uuid>,
    /// Who came and went, in order.
    told: Vec<(Uuid, bool)>,
}

impl Moves {
    /// Begins with who is there; whatever was told before has been taken.
    pub async fn of(live: &mut Live, room: &str) -> Self {
        let present = listed(live, room).await;
        let mut moves = Self { present, told: Vec::new() };
        // Told between the reply and now.
        for push in live.drain().await {
            moves.take(&push);
        }
        moves
    }

    /// Who came (`true`) or went, if this is told here.
    pub fn take(&mut self, push: &Value) -> Option<(Uuid, bool)> {
        let data = &push["pub"]["data"];
        if data["type"] == "slots" {
            // More came and went at once than is kept for a reader: it begins anew.
            let people = data["data"]["people"].as_array().unwrap();
            assert_eq!(data["data"]["num_users"], people.len(), "not all are listed");
            self.present = people.iter().map(|info| info["user"].as_str().unwrap().parse().unwrap()).collect();
        }
        let (info, came) = match (push.get("join"), push.get("leave")) {
            (Some(join), _) => (&join["info"], true),
            (_, Some(leave)) => (&leave["info"], false),
            _ => return None,
        };
        let person: Uuid = info["user"].as_str().unwrap().parse().unwrap();
        self.told.push((person, came));
        let changed = if came { self.present.insert(person) } else { self.present.remove(&person) };
        let history: Vec<bool> = self.told.iter().filter(|(who, _)| *who == person).map(|(_, came)| *came).collect();
        assert!(changed, "{person} was told to come or go twice (came: {history:?})");
        Some((person, came))
    }
}

/// Who is in a room by the server's list.
pub async fn listed(live: &mut Live, room: &str) -> HashSet<Uuid> {
    let presence = live.request(json!({"presence": {"channel": room}})).await.unwrap();
    let people = presence["presence"]["presence"].as_object().unwrap();
    people.keys().map(|person| person.parse().unwrap()).collect()
}

/// Somebody who watches a room.
pub struct Lookout {
    pub live: Live,
    moves: Moves,
    room: String,
}

impl Lookout {
    pub async fn start(person: &Person, room: &str) -> Self {
        let mut live = person.live().await;
        live.request(json!({"subscribe": {"channel": room, "join_leave": true}})).await.unwrap();
        live.drain().await;
        let moves = Moves::of(&mut live, room).await;
        Self { live, moves, room: room.into() }
    }

    /// Waits until exactly these people are here, by what was told and by the list; how long that took.
    pub async fn until_here(&mut self, wanted: &HashSet<Uuid>) -> Duration {
        let since = Instant::now();
        loop {
            let listed = listed(&mut self.live, &self.room).await;
            self.look().await;
            if self.moves.present == *wanted && listed == *wanted {
                return since.elapsed();
            }
            let (missing, more) = (wanted.difference(&listed).count(), listed.difference(wanted).count());
            assert!(since.elapsed() < PATIENCE, "{missing} are missing, {more} are not here");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Takes what was told by now.
    pub async fn look(&mut self) {
        for push in self.live.drain().await {
            self.moves.take(&push);
        }
    }

    /// How often each came or went.
    pub fn counts(&self) -> HashMap<Uuid, usize> {
        let mut counts = HashMap::new();
        self.moves.told.iter().for_each(|(person, _)| *counts.entry(*person).or_default() += 1);
        counts
    }
}
