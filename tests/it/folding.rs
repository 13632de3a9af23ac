//! P4: snapshot(p) + events(p, q] = snapshot(q), for generated histories and every event type.

use std::collections::{BTreeSet, HashMap};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sqlx::PgPool;
use studyhall_protocol::dashboard::Dashboard;
use studyhall_protocol::state::{ProfileState, UserState, WorkspaceState};
use studyhall_protocol::workspaces::Room;
use studyhall_protocol::{Channel, Command, Event, EventRecord, Position};
use uuid::Uuid;

use crate::attachments::folding as attachments;
use crate::calendar::folding as calendar;
use crate::feed::folding as feed;
use crate::harness::{self, Person};
use crate::notifications::folding as notifications;
use crate::study::folding as study;

const COMMANDS: usize = 400;
const SNAPSHOT_EVERY: usize = 10;
/// After a room or a person is gone nobody may read the log, and the end of sign-ins shows in no snapshot.
const UNSEEN: &[&str] = &["workspace.deleted", "session.ended", "profile.deleted", "event.erased"];

/// The state of one channel at a position.
#[derive(Debug, Clone, PartialEq)]
enum State {
    User(Box<UserState>),
    Profile(Box<ProfileState>),
    Workspace(Box<WorkspaceState>),
}

impl State {
    fn apply(&mut self, event: &Event) {
        let applied = match self {
            State::User(state) => state.apply(event),
            State::Profile(state) => state.apply(event),
            State::Workspace(state) => state.apply(event),
        };
        assert!(applied.is_ok(), "{} is on the wrong kind of channel", event.name());
    }
}

impl State {
    /// Whether both are about the same days: at midnight the home page shows others, and its state begins anew.
    fn is_as_far(&self, other: &State) -> bool {
        match (self, other) {
            (State::User(one), State::User(other)) => one.calendar_from == other.calendar_from,
            _ => true,
        }
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn position(positions: &[Position], channel: &str) -> Position {
    positions.iter().find(|position| position.channel.to_string() == channel).cloned().unwrap()
}

/// Everything that this person can load, with its positions.
async fn snapshots(pool: &PgPool, person: &Person, rooms: &[Uuid]) -> Vec<(Position, State)> {
    let page: Dashboard = read(person.get("/dashboard").await.expect(200));
    notifications::assert_counted(&page);
    let user = position(&page.positions, &person.channel());
    let profile = position(&page.positions, &format!("profile:{}", person.id));
    let mut public = ProfileState { user: Some(page.me.user.clone()), ..ProfileState::default() };
    feed::load(person, &serde_json::to_value(&profile).unwrap(), &mut public).await;
    let mut private = UserState::from(page);
    private.liked = feed::liked(pool, person).await;
    let mut found = vec![(user, State::User(Box::new(private))), (profile, State::Profile(Box::new(public)))];
    for id in rooms {
        let answer = person.get(&format!("/workspaces/{id}")).await;
        if answer.status == 200 {
            let room: Room = read(answer.body);
            let at = position(&room.positions, &format!("workspace:{id}"));
            found.push((at, State::Workspace(Box::new(room.into()))));
        }
    }
    found
}

/// The events after `from` up to `to`, as the log has them.
async fn events(person: &Person, from: &Position, to: u64) -> Vec<EventRecord> {
    let mut events = Vec::new();
    let mut since = from.offset;
    while since < to {
        let path = format!("/channels/{}/events?since={since}&epoch={}&limit=50", from.channel, from.epoch);
        let page = person.get(&path).await.expect(200);
        for item in page["items"].as_array().unwrap() {
            let offset = item["offset"].as_u64().unwrap();
            assert_eq!(offset, since + 1, "a hole in {}", from.channel);
            since = offset;
            if offset <= to {
                events.push(read(item.clone()));
            }
        }
    }
    events
}

/// People and what they made, so that commands can be about it.
struct World {
    random: StdRng,
    people: Vec<Person>,
    lists: Vec<(usize, Uuid)>,
    tasks: Vec<(usize, Uuid)>,
    rooms: Vec<(usize, Uuid)>,
    widgets: Vec<(usize, Uuid)>,
    feed: feed::Feed,
    study: study::Study,
    files: attachments::Files,
    calendar: calendar::Calendar,
}

impl World {
    fn any(&mut self, which: fn(&World) -> &Vec<(usize, Uuid)>) -> Option<(usize, Uuid)> {
        let index = self.random.random_range(0..which(self).len().max(1));
        which(self).get(index).copied()
    }

    fn text(&mut self) -> String {
        let words = ["read", "日本語", "🧪 test", "näher", "\"quoted\" \\ back", "tab\there", "plain"];
        format!("{} {}", words.choose(&mut self.random).unwrap(), self.random.random_range(0..100))
    }

    /// Runs one random command; what is refused is part of the history too.
    async fn step(&mut self) {
        if self.random.random_ratio(1, 6) {
            return self.calendar.step(&mut self.random, &self.people).await;
        }
        if self.random.random_ratio(1, 12) {
            return notifications::step(&mut self.random, &self.people).await;
        }
        let choice = self.random.random_range(0..46);
        match choice {
            0..10 => self.private_step(choice).await,
            10..20 => self.shared_step(choice).await,
            20..24 => self.people_step().await,
            24..31 => self.feed.step(&mut self.random, &self.people).await,
            31..34 => self.files.step(&mut self.random, &self.people, &self.rooms).await,
            _ => self.study.step(&mut self.random, &self.people).await,
        }
    }

    async fn people_step(&mut self) {
        let (me, other) =
            (self.random.random_range(0..self.people.len()), self.random.random_range(0..self.people.len()));
        let (me, other) = (&self.people[me], self.people[other].id);
        match self.random.random_range(0..10) {
            0..4 => drop(me.put(&format!("/users/{other}/follow")).await),
            4 => drop(me.delete(&format!("/users/{other}/follow")).await),
            5 => drop(me.put(&format!("/users/{other}/block")).await),
            6 | 7 => drop(me.delete(&format!("/users/{other}/block")).await),
            choice => {
                let body = json!({"theme": format!("theme {choice}"), "invisible": other.as_bytes()[0] > 99});
                me.patch("/me/settings", body).await.expect(200);
            }
        }
    }

    async fn private_step(&mut self, choice: u32) {
        let me = self.random.random_range(0..self.people.len());
        let text = self.text();
        match choice {
            0 => {
                let body = json!({"full_name": text, "email": format!("{me}-{}@example.org", self.random.next_u32())});
                self.people[me].patch("/me", body).await.expect(200);
            }
            1 | 2 => {
                let made = self.people[me].post("/task-lists", json!({"name": text})).await.expect(201);
                self.lists.push((me, read(made["data"]["id"].clone())));
            }
            3 => {
                if let Some((owner, id)) = self.any(|world| &world.lists) {
                    let body = json!({"description": if id.as_bytes()[0] > 99 { json!(text) } else { json!(null) }});
                    self.people[owner].patch(&format!("/task-lists/{id}"), body).await;
                }
            }
            4 if self.lists.len() > 3 => {
                let at = self.random.random_range(0..self.lists.len());
                let (owner, id) = self.lists.swap_remove(at);
                self.people[owner].delete(&format!("/task-lists/{id}")).await.expect(200);
            }
            4..=6 => {
                if let Some((owner, list)) = self.any(|world| &world.lists) {
                    let path = format!("/task-lists/{list}/tasks");
                    let made = self.people[owner].post(&path, json!({"description": text})).await.expect(201);
                    self.tasks.push((owner, read(made["data"]["id"].clone())));
                }
            }
            7 => {
                if let Some((owner, id)) = self.any(|world| &world.tasks) {
                    let body = json!({"is_completed": self.random.random_bool(0.5), "due_at": "2026-12-24T18:00:00Z"});
                    self.people[owner].patch(&format!("/tasks/{id}"), body).await;
                }
            }
            8 => {
                let (task, list, after) =
                    (self.any(|world| &world.tasks), self.any(|world| &world.lists), self.any(|world| &world.tasks));
                if let (Some((owner, id)), Some((_, list)), Some((_, after))) = (task, list, after) {
                    let bodies = [json!({"list_id": list}), json!({"after_id": after}), json!({})];
                    let body = bodies.choose(&mut self.random).unwrap().clone();
                    self.people[owner].post(&format!("/tasks/{id}/move"), body).await;
                }
            }
            _ => {
                if let Some((owner, id)) = self.any(|world| &world.tasks) {
                    self.people[owner].delete(&format!("/tasks/{id}")).await;
                }
            }
        }
    }

    async fn shared_step(&mut self, choice: u32) {
        let (me, other) =
            (self.random.random_range(0..self.people.len()), self.random.random_range(0..self.people.len()));
        let text = self.text();
        let (x, y) = (self.random.random_range(-5..40), self.random.random_range(0..40));
        let room = self.any(|world| &world.rooms);
        let widget = self.any(|world| &world.widgets);
        match (choice, room, widget) {
            (10, ..) | (_, None, _) => {
                let made = self.people[me].post("/workspaces", json!({"name": text})).await.expect(201);
                self.rooms.push((me, read(made["data"]["id"].clone())));
            }
            (11, Some((owner, id)), _) => {
                let body =
                    json!({"name": text, "settings": {"guests": x > 30, "volume": y}, "background_color": "#112233"});
                self.people[owner].patch(&format!("/workspaces/{id}"), body).await;
            }
            (12, Some((owner, id)), _) if self.rooms.len() > 3 => {
                self.people[owner].delete(&format!("/workspaces/{id}")).await;
                self.rooms.retain(|(_, other)| *other != id);
            }
            (12 | 13, Some((owner, id)), _) => {
                let path = format!("/workspaces/{id}/members/{}", self.people[other].id);
                self.people[owner].put(&path).await;
            }
            (14, Some((owner, id)), _) => {
                let path = format!("/workspaces/{id}/members/{}", self.people[other].id);
                self.people[owner].delete(&path).await;
            }
            (15 | 16, Some((owner, id)), _) | (_, Some((owner, id)), None) => {
                let body = json!({"type": "clock", "title": text, "grid_x": x, "grid_y": y, "grid_w": 2, "grid_h": 2});
                let answer = self.people[owner].post(&format!("/workspaces/{id}/widgets"), body).await;
                if answer.status == 201 {
                    self.widgets.push((owner, read(answer.body["data"]["id"].clone())));
                }
            }
            (17, _, Some((owner, id))) => {
                let body = json!({"title": null, "settings": {"text": text}});
                self.people[owner].patch(&format!("/widgets/{id}"), body).await;
            }
            (18, _, Some((owner, id))) => {
                let body = json!({"grid_x": x, "grid_y": y, "drag_id": Uuid::new_v4()});
                self.people[owner].post(&format!("/widgets/{id}/move"), body).await;
            }
            (_, _, Some((owner, id))) => {
                if x > 25 {
                    self.people[owner].delete(&format!("/widgets/{id}")).await;
                }
            }
        }
    }
}

/// Each command that made events has a line in the record, and no other one has.
async fn every_command_is_on_record(pool: &PgPool) {
    let done: Vec<(Uuid, i64)> = sqlx::query_as(
        // Reminders ring by themselves.
        "select actor, count(distinct op) from events where actor is not null
             and op not in (select op from events where type = 'reminder.fired') group by actor order by actor",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let recorded: Vec<(Uuid, i64)> = sqlx::query_as(
        "select actor_id, count(*) from audit_logs where action = any($1) or action = 'attachment.create' group by actor_id order by actor_id",
    )
    .bind(Command::NAMES)
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(!done.is_empty());
    assert_eq!(recorded, done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_and_events_make_the_next_snapshot() {
    let seed = harness::seed();
    println!("SEED={seed}");
    let app = harness::app().await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        people.push(app.person(name).await);
    }
    let random = StdRng::seed_from_u64(seed);
    let feed = feed::Feed::new(app.person("reader").await);
    let study = study::Study::default();
    let (lists, tasks, rooms, widgets) = (vec![], vec![], vec![], vec![]);
    let files = attachments::Files::default();
    let calendar = calendar::Calendar::default();
    let mut world = World { random, people, lists, tasks, rooms, widgets, feed, study, files, calendar };
    let mut last: HashMap<String, (Position, State)> = HashMap::new();
    let mut seen: BTreeSet<&'static str> = BTreeSet::new();
    let mut pairs = 0;
    let complete = |seen: &BTreeSet<&str>| Event::NAMES.iter().all(|name| UNSEEN.contains(name) || seen.contains(name));
    for step in 0.. {
        if step >= 20 * COMMANDS || (step >= COMMANDS && complete(&seen)) {
            break;
        }
        world.step().await;
        if step % SNAPSHOT_EVERY != 0 {
            continue;
        }
        for person in &world.people {
            let rooms: Vec<Uuid> = world.rooms.iter().map(|(_, id)| *id).collect();
            for (to, expected) in snapshots(&app.database.pool, person, &rooms).await {
                // A room's log begins with nothing; an account begins before its log.
                let empty = Position { offset: 0, ..to.clone() };
                let beginning =
                    matches!(to.channel, Channel::Workspace(_)).then(|| (empty, State::Workspace(Box::default())));
                let before = last.remove(&to.channel.to_string()).filter(|(_, state)| state.is_as_far(&expected));
                if let Some((from, mut state)) = before.or(beginning) {
                    for record in events(person, &from, to.offset).await {
                        seen.insert(record.event.name());
                        state.apply(&record.event);
                    }
                    if let State::User(state) = &mut state {
                        feed::forget_deleted(&app.database.pool, state).await;
                    }
                    assert_eq!(state, expected, "{}: {} + events != {}", to.channel, from.offset, to.offset);
                    pairs += 1;
                }
                last.insert(to.channel.to_string(), (to, expected));
            }
        }
    }
    every_command_is_on_record(&app.database.pool).await;
    // Every sign-in but the current one ends: an event that no snapshot shows.
    let change = json!({"current_password": "correct horse battery", "new_password": "another horse battery"});
    world.people[0].post("/me/password", change).await.expect(200);
    println!("{pairs} pairs of snapshots, {} event types", seen.len());
    assert!(pairs > 100);
    for name in Event::NAMES {
        assert!(UNSEEN.contains(name) || seen.contains(name), "{name} was never in a history; SEED={seed}");
    }
}
