//! All people of a day, and what each of them does when it is time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use studyhall_protocol::Channel;
use studyhall_protocol::client;
use studyhall_protocol::presence::METHOD;
use uuid::Uuid;

use super::found::{Found, add};
use super::person::Person;
use super::world::World;
use crate::capacity::mix::{Kind, Mix};
use crate::capacity::random::Random;
use crate::scenario::settle;

/// Connections that are opened at a time.
const AT_ONCE: usize = 32;
/// Draws until somebody is found who can do it.
const DRAWS: usize = 64;
/// Everything is answered by then, or never.
const SETTLE: Duration = Duration::from_secs(8);

/// The people, and what connects them.
pub struct Crowd {
    /// What there is.
    pub world: Rc<World>,
    /// Everybody.
    pub people: Vec<Rc<Person>>,
    /// What they found.
    pub found: Rc<Found>,
    /// Requests under way.
    pub requests: Rc<Cell<usize>>,
    /// Whom to watch, who is in rooms.
    pub mix: Mix,
    random: RefCell<Random>,
}

impl Crowd {
    /// Connects `people`, subscribed as the mix says.
    pub async fn gather(world: &Rc<World>, people: usize, mix: &Mix, seed: u64) -> Result<Self> {
        let size = world.size;
        let strangers = mix.profiles - mix.profiles_online;
        if people > size.people
            || mix.profiles_online > size.followed
            || strangers > size.strangers
            || mix.rooms.size > size.room
        {
            bail!("the mix asks for more people, profiles or places in a room than were made");
        }
        let person = |index: usize| Rc::new(Person::new(world.accounts[index].id, index));
        let crowd = Self {
            world: world.clone(),
            people: (0..people).map(person).collect(),
            found: Rc::new(Found::new()),
            requests: Rc::default(),
            mix: mix.clone(),
            random: RefCell::new(Random::new(seed)),
        };
        let rooms = crowd.rooms();
        if rooms * size.room > people {
            bail!(
                "rooms.share: {people} people have {} seats in {rooms} rooms of {}",
                rooms * mix.rooms.size,
                mix.rooms.size
            );
        }
        let coming = stream::iter(0..people).map(|person| Ok(crowd.come(person, Instant::now())));
        coming.try_buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        if !settle(SETTLE * 4, || crowd.people.iter().all(|person| person.is_here())).await {
            let here = crowd.people.iter().filter(|person| person.is_here()).count();
            bail!("only {here} of {people} people are here: {:?}", crowd.found.first_error.borrow());
        }
        Ok(crowd)
    }

    fn rooms(&self) -> usize {
        (self.people.len() as f64 * self.mix.rooms.share / self.mix.rooms.size as f64).round() as usize
    }

    /// The room and the widget of a person.
    fn seat(&self, person: usize) -> Option<(Channel, Uuid)> {
        let (room, place) = (person / self.world.size.room, person % self.world.size.room);
        if room >= self.rooms() || place >= self.mix.rooms.size {
            return None;
        }
        self.world.rooms.get(room).map(|room| (room.channel, room.widgets[place]))
    }

    /// Comes: connects and subscribes.
    pub async fn come(&self, person: usize, due: Instant) -> Result<()> {
        let account = &self.world.accounts[person];
        let mut channels = vec![Channel::User(account.id)];
        let watched = self.world.watched(person, self.mix.profiles_online, self.mix.profiles);
        channels.extend(watched.into_iter().map(|other| Channel::Profile(self.world.accounts[other].id)));
        channels.extend(self.seat(person).map(|(room, _)| room));
        let (host, found) = (self.world.api.host.clone(), self.found.clone());
        self.people[person].clone().come(&host, &account.token, &channels, due, found).await
    }

    /// Everybody goes.
    pub async fn part(self) {
        self.people.iter().for_each(|person| person.go());
        // Until it is told, and forgotten.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    /// Somebody who can do it now.
    pub fn somebody(&self, kind: Kind) -> Option<usize> {
        let mut random = self.random.borrow_mut();
        let seats = if kind.in_rooms() { self.rooms() * self.world.size.room } else { self.people.len() };
        (0..DRAWS).map(|_| random.below(seats)).find(|index| {
            let person = &self.people[*index];
            let free =
                !matches!(kind, Kind::Visit | Kind::Gesture) || (!person.drags.get() && person.unanswered() == 0);
            person.is_here() && free && (!kind.in_rooms() || self.seat(*index).is_some())
        })
    }

    /// Until the next of so many a second.
    pub fn wait(&self, rate: f64) -> Duration {
        Duration::try_from_secs_f64(self.random.borrow_mut().wait(rate)).unwrap_or(Duration::MAX / 4)
    }

    /// Whether something happens that has this chance.
    pub fn happens(&self, chance: f64) -> bool {
        self.random.borrow_mut().unit() <= chance
    }

    /// Does what takes one message.
    pub fn act(&self, kind: Kind, person: usize, due: Instant) {
        let who = &self.people[person];
        match kind {
            Kind::Visit => {
                who.go();
                self.found.truth.borrow_mut().insert(who.id, None);
            }
            Kind::Dashboard => self.load(person, "dashboard", "/dashboard".into(), due),
            Kind::Feed => self.load(person, "feed", "/feed".into(), due),
            Kind::RoomLoad => {
                if let Some((room, _)) = self.seat(person) {
                    self.load(person, "room", format!("/workspaces/{}", room.id()), due);
                }
            }
            Kind::Task => {
                let tasks = &self.world.tasks[person];
                let task = tasks[self.random.borrow_mut().below(tasks.len())];
                let ticked = self.flip(person, task);
                self.command(
                    person,
                    ("task", "task_seen"),
                    "task.update",
                    json!({"id": task, "is_completed": ticked}),
                    due,
                );
            }
            Kind::Like => {
                let post = self.post_near(person);
                let method = if self.flip(person, post) { "post.like" } else { "post.unlike" };
                self.command(person, ("like", "like_seen"), method, json!({"post_id": post}), due);
            }
            Kind::Comment => {
                let data = json!({"post_id": self.post_near(person), "body": "Well done, and on to the next."});
                self.command(person, ("comment", "comment_seen"), "comment.create", data, due);
            }
            Kind::Post => {
                let data = json!({"content": "Another chapter done.", "subject": "Biology", "study_duration": "45m"});
                self.command(person, ("post", "post_seen"), "post.create", data, due);
            }
            Kind::Status => {
                let said = self.found.micros(due).to_string();
                let data = json!({"activity": said});
                who.send("status", due, |id| client::rpc(id, METHOD, &data), &self.found);
                self.found.truth.borrow_mut().insert(who.id, Some(said));
            }
            Kind::Pointer => self.stamp(person, ("pointer", "pointer"), due),
            Kind::Broadcast => self.stamp(person, ("broadcast", "reaction"), due),
            // Takes a while: see `drag` and `let_go`.
            Kind::Gesture => who.drags.set(true),
        }
    }

    /// One value of a gesture.
    pub fn drag(&self, person: usize, gesture: Uuid, number: u64, due: Instant) {
        let Some((room, widget)) = self.seat(person) else { return };
        let at = self.found.micros(due) as f64 / 1e6;
        let value = json!({"type": "drag", "key": widget,
            "data": {"drag_id": gesture, "grid_x": at, "grid_y": number as f64}});
        self.people[person].send("drag", due, |id| client::publish(id, room, &value), &self.found);
    }

    /// The end of a gesture.
    pub fn let_go(&self, person: usize, gesture: Uuid, due: Instant) {
        self.people[person].drags.set(false);
        let Some((_, widget)) = self.seat(person) else { return };
        let column = self.random.borrow_mut().below(12);
        let data = json!({"id": widget, "grid_x": column, "grid_y": 1, "drag_id": gesture});
        self.command(person, ("drop", "drop_seen"), "widget.move", data, due);
    }

    /// Takes back the last one, or the next one new.
    fn flip(&self, person: usize, what: Uuid) -> bool {
        let mut flips = self.people[person].flips.borrow_mut();
        let flip = flips.entry(what).or_default();
        *flip = !*flip;
        *flip
    }

    /// The post of somebody whom this person watches.
    fn post_near(&self, person: usize) -> Uuid {
        let step = 1 + self.random.borrow_mut().below(self.mix.profiles_online);
        self.world.posts[(person + step) % self.world.size.people]
    }

    fn command(
        &self,
        person: usize,
        (reply, seen): (&'static str, &'static str),
        method: &str,
        mut data: Value,
        due: Instant,
    ) {
        let op = Uuid::new_v4();
        data["op"] = json!(op);
        self.found.operations.borrow_mut().insert(op, (seen, due));
        self.people[person].send(reply, due, |id| client::rpc(id, method, &data), &self.found);
    }

    fn stamp(&self, person: usize, (what, kind): (&'static str, &str), due: Instant) {
        let Some((room, _)) = self.seat(person) else { return };
        let who = &self.people[person];
        // Pointers and broadcasts are numbered apart, or one would look like a hole in the other.
        let number = if kind == "pointer" { &who.published } else { &who.told };
        let value = json!({"type": kind, "data": {"at": self.found.micros(due), "n": number.get()}});
        number.set(number.get() + 1);
        who.send(what, due, |id| client::publish(id, room, &value), &self.found);
    }

    fn load(&self, person: usize, what: &'static str, path: String, due: Instant) {
        let (world, found, requests) = (self.world.clone(), self.found.clone(), self.requests.clone());
        requests.set(requests.get() + 1);
        tokio::task::spawn_local(async move {
            match world.call(person, Method::GET, &path, Value::Null).await {
                Ok(_) => found.record(what, due, Instant::now()),
                Err(error) => {
                    add(&found.faults.refused, 1);
                    found.complain(format!("{error:#}"));
                }
            }
            requests.set(requests.get() - 1);
        });
    }

    /// Waits until nothing is under way; what is still missing then is lost.
    pub async fn rest(&self) -> [(&'static str, u64); 3] {
        let unanswered =
            || self.people.iter().map(|person| person.unanswered()).sum::<u64>() + self.requests.get() as u64;
        let lost = || self.people.iter().map(|person| person.behind(&self.found)).sum::<u64>();
        let wrong = || self.people.iter().map(|person| self.wrong_pills(person)).sum::<u64>();
        settle(SETTLE, || unanswered() == 0 && lost() == 0 && wrong() == 0).await;
        [("unanswered", unanswered()), ("lost", lost()), ("wrong_pills", wrong())]
    }

    fn wrong_pills(&self, person: &Person) -> u64 {
        let online = self.mix.profiles_online;
        let watched = self.world.watched(person.index, online, online);
        // Whoever was made and does not take part never comes.
        let here = watched.iter().filter_map(|other| self.people.get(*other)).map(|other| &other.id);
        person.wrong_pills(here, &self.found)
    }
}
