//! Everybody and everything of a day, made once over REST: accounts that watch each other, rooms, lists, posts.

use anyhow::{Context, Result, bail};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Common;
use crate::setup::{Account, Api, Room};

/// Requests under way at a time.
const AT_ONCE: usize = 8;
/// Tasks that everybody has.
const TASKS: usize = 8;

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// People who come and go.
    pub people: usize,
    /// People who never come, but are watched.
    pub strangers: usize,
    /// Whom everybody follows: so many of the people, and all strangers.
    pub followed: usize,
    /// People of a room.
    pub room: usize,
}

/// What there is.
pub struct World {
    /// The REST side of the server.
    pub api: Api,
    /// How much.
    pub size: Size,
    /// The people, and behind them the strangers.
    pub accounts: Vec<Account>,
    /// Everybody has a seat, and a widget of their own there.
    pub rooms: Vec<Room>,
    /// One of each person.
    pub posts: Vec<Uuid>,
    /// Those of each person.
    pub tasks: Vec<Vec<Uuid>>,
}

impl World {
    /// Makes what is missing.
    pub async fn make(common: &Common, size: Size) -> Result<Self> {
        if size.followed >= size.people {
            bail!("nobody can watch {} of {} people", size.followed, size.people);
        }
        let api = Api::new(&common.url)?;
        let pool = Common { pool: size.people + size.strangers, ..common.clone() };
        let accounts = api.accounts(&pool).await?;
        api.sweep(&accounts).await?;
        api.show_presence(&accounts).await?;
        let mut world = Self { api, size, accounts, rooms: Vec::new(), posts: Vec::new(), tasks: Vec::new() };
        world.follow().await?;
        world.posts = world.each(async |person| world.post(person).await).await?;
        world.tasks = world.each(async |person| world.list(person).await).await?;
        let people = &world.accounts[..size.people - size.people % size.room];
        world.rooms = world.api.rooms(people, people.len() / size.room, size.room, size.room).await?;
        Ok(world)
    }

    /// Takes rooms and lists away; accounts and posts stay.
    pub async fn leave(&self) -> Result<()> {
        self.api.sweep(&self.accounts).await
    }

    /// Whom a person watches: those behind them in line, so that everybody is watched by as many, and then strangers.
    pub fn watched(&self, person: usize, online: usize, all: usize) -> Vec<usize> {
        let next = (1..=online).map(|step| (person + step) % self.size.people);
        let others = (0..all.saturating_sub(online)).map(|stranger| self.size.people + stranger);
        next.chain(others).collect()
    }

    /// A request of a person.
    pub async fn call(&self, person: usize, method: Method, path: &str, body: Value) -> Result<Value> {
        self.api.call(method, path, Some(&self.accounts[person].token), body).await
    }

    async fn each<T>(&self, make: impl AsyncFn(usize) -> Result<T>) -> Result<Vec<T>> {
        stream::iter(0..self.size.people).map(|person| make(person)).buffered(AT_ONCE).try_collect().await
    }

    async fn follow(&self) -> Result<()> {
        let following = async |person: usize| {
            let dashboard = self.call(person, Method::GET, "/dashboard", Value::Null).await?;
            let known: Vec<Uuid> = serde_json::from_value(dashboard["following"].clone()).unwrap_or_default();
            for other in self.watched(person, self.size.followed, self.size.followed + self.size.strangers) {
                let id = self.accounts[other].id;
                if !known.contains(&id) {
                    self.call(person, Method::PUT, &format!("/users/{id}/follow"), Value::Null).await?;
                }
            }
            Ok(())
        };
        self.each(following).await.map(drop)
    }

    async fn post(&self, person: usize) -> Result<Uuid> {
        let path = format!("/users/{}/posts?limit=1", self.accounts[person].id);
        let known = self.call(person, Method::GET, &path, Value::Null).await?;
        if let Some(id) = known.pointer("/items/0/id").and_then(Value::as_str) {
            return Ok(id.parse()?);
        }
        let body = json!({"content": "Two chapters done, one to go.", "subject": "Biology", "study_duration": "45m"});
        id_of(&self.call(person, Method::POST, "/posts", body).await?)
    }

    async fn list(&self, person: usize) -> Result<Vec<Uuid>> {
        let list = id_of(&self.call(person, Method::POST, "/task-lists", json!({"name": crate::setup::NAME})).await?)?;
        let mut tasks = Vec::with_capacity(TASKS);
        for number in 0..TASKS {
            let body = json!({"description": format!("Read chapter {number}")});
            tasks.push(id_of(&self.call(person, Method::POST, &format!("/task-lists/{list}/tasks"), body).await?)?);
        }
        Ok(tasks)
    }
}

fn id_of(answer: &Value) -> Result<Uuid> {
    let id = answer.pointer("/data/id").and_then(Value::as_str);
    id.and_then(|id| id.parse().ok()).with_context(|| format!("no id in {answer}"))
}
