//! People who run commands at the write door, without sockets and HTTP, and the one question that matters:
//! does what they saw before, moved on by the log, equal what they see now?

use std::sync::Arc;

use serde_json::Value;
use studyhall::db::{Db, Perform, Writer};
use studyhall::domain;
use studyhall_protocol::dashboard::Dashboard;
use studyhall_protocol::state::{UserState, WorkspaceState};
use studyhall_protocol::workspaces::Room;
use studyhall_protocol::{Channel, Command, Event, EventRecord, Position};
use uuid::Uuid;

/// A database of its own with a write door.
#[derive(Clone)]
pub struct Place {
    pub db: Db,
    pub writer: Writer,
}

/// Somebody in the database.
#[derive(Clone)]
pub struct Actor {
    pub id: Uuid,
    place: Place,
}

pub async fn place() -> Place {
    let database = crate::harness::database().await;
    let db = Db::connect(&database.url, 8).await.unwrap();
    db.migrate().await.unwrap();
    let perform: Perform = Arc::new(|tx, command| Box::pin(domain::perform(tx, command)));
    let writer = Writer::new(db.clone(), 1_000, perform, Arc::new(|_| {})).with_drain(domain::drain());
    Place { db, writer }
}

impl Place {
    pub async fn actor(&self, username: &str) -> Actor {
        let id = Uuid::now_v7();
        let insert = "with u as (insert into users (id, username) values ($1, $2) returning id),
            s as (insert into user_settings (user_id) select id from u)
            insert into presence_settings (user_id) select id from u";
        let insert = sqlx::query(insert).bind(id).bind(username);
        insert.execute(self.db.pool()).await.unwrap();
        Actor { id, place: self.clone() }
    }

    /// What happened on a channel behind `from`, up to and including `to`.
    pub async fn between(&self, from: &Position, to: &Position) -> Vec<Event> {
        assert_eq!((from.channel, &from.epoch), (to.channel, &to.epoch));
        let page = self.db.read_log(from.channel, from.offset, 100_000).await.unwrap();
        let offsets: Vec<u64> = page.events.iter().map(|event| event.offset).collect();
        assert!(offsets.iter().copied().eq(from.offset + 1..=from.offset + offsets.len() as u64), "{offsets:?}");
        let wanted = page.events.iter().filter(|event| event.offset <= to.offset);
        wanted.map(|event| serde_json::from_slice::<EventRecord>(&event.payload).unwrap().event).collect()
    }

    /// snapshot(p) + events(p, q] = snapshot(q), for a person.
    pub async fn assert_person(&self, before: Dashboard, after: Dashboard) {
        let channel = Channel::User(after.me.user.id);
        let at = |page: &Dashboard| page.positions.iter().find(|p| p.channel == channel).unwrap().clone();
        let (from, to) = (at(&before), at(&after));
        let mut state = UserState::from(before);
        for event in self.between(&from, &to).await {
            state.apply(&event).unwrap();
        }
        assert_eq!(state, UserState::from(after));
    }

    /// snapshot(p) + events(p, q] = snapshot(q), for a room.
    pub async fn assert_room(&self, before: Room, after: Room) {
        let (from, to) = (before.positions[0].clone(), after.positions[0].clone());
        let mut state = WorkspaceState::from(before);
        for event in self.between(&from, &to).await {
            state.apply(&event).unwrap();
        }
        assert_eq!(state, WorkspaceState::from(after));
    }
}

impl Actor {
    /// Runs a command and returns its whole answer, or the error as text that begins with the status and the code.
    pub async fn call(&self, method: &str, data: Value) -> Result<Value, String> {
        let command = Command::read(method, data).map_err(|error| format!("{error:?}"))?;
        let answer = self.place.writer.execute(self.id, None, command).await;
        answer.map(|answer| serde_json::from_str(answer.get()).unwrap()).map_err(|error| error.to_string())
    }

    /// Runs a command that must work and returns its `data`.
    pub async fn ok(&self, method: &str, data: Value) -> Value {
        let answer = self.call(method, data.clone()).await;
        answer.unwrap_or_else(|error| panic!("{method} {data}: {error}"))["data"].take()
    }

    /// Runs a command that must make something and returns its id.
    pub async fn make(&self, method: &str, data: Value) -> String {
        self.ok(method, data).await["id"].as_str().unwrap().to_owned()
    }

    /// Runs a command that must be refused.
    pub async fn refused(&self, method: &str, data: Value, why: &str) {
        let answer = self.call(method, data.clone()).await;
        assert!(answer.as_ref().is_err_and(|error| error.starts_with(why)), "{method} {data}: {answer:?}, not {why}");
    }

    /// Runs a command and returns where its channels stand afterwards.
    pub async fn stand(&self, method: &str, data: Value) -> Value {
        self.call(method, data).await.unwrap()["positions"].take()
    }

    pub async fn dashboard(&self) -> Dashboard {
        domain::dashboard::dashboard(self.place.db.pool(), self.id).await.unwrap()
    }

    pub async fn room(&self, id: &str) -> Option<Room> {
        domain::workspaces::room(self.place.db.pool(), self.id, id.parse().unwrap()).await.ok()
    }
}

/// Numbers that look random and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}
