//! The demo world: people who study, their lists, their rooms and their feed, made by the same commands that people use, so that
//! every event of it is in the log.
//!
//! Running it again changes nothing. Each person's id follows from the username, so that nobody else's account of that
//! name is taken for one of the demo; each command's operation id follows from the command, so that a repetition, also
//! after a crash half way, is answered from memory. When operations may have been forgotten, people are left alone.

mod company;
mod crowd;
mod files;
mod sql;

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Days, NaiveTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use studyhall_protocol::Command;
use studyhall_protocol::accounts::NewAccount;
use studyhall_protocol::check::Check;
use uuid::{Builder, Uuid};

pub use company::keep_company;
pub use crowd::{Member, Wanted, make_crowd};
use files::World;

use super::accounts;
use crate::db::{Db, Writer};
use crate::error::Result;
use crate::http::AppState;

/// When demo tasks are due on their day.
const DUE_AT: NaiveTime = NaiveTime::from_hms_opt(18, 0, 0).expect("a time of the day");

/// What the demo world came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// People who were made just now.
    pub people: usize,
    /// Usernames that belong to somebody else; nothing was made for them.
    pub taken: Vec<String>,
    /// Commands that ran, or had run before.
    pub commands: usize,
    /// Commands that were refused, such as a task for a list that was deleted meanwhile.
    pub refused: usize,
}

/// Whether nobody has an account here.
pub async fn is_empty(db: &Db) -> Result<bool> {
    sql::is_empty(db.pool()).await
}

/// Makes the demo world that is in the binary.
pub async fn demo(state: &AppState) -> anyhow::Result<Report> {
    seed(state, None).await
}

/// Name and password of the first person of the demo world, if that person is here and has not changed the password.
pub async fn demo_sign_in(db: &Db) -> anyhow::Result<Option<(String, String)>> {
    let people = World::read(None)?.people;
    let Some(first) = people.people.into_iter().next() else {
        return Ok(None);
    };
    let holder = sql::holder(db.pool(), &first.username).await?;
    let ours = holder.is_some_and(|holder| holder.id == person_id(&first.username) && holder.first_password);
    Ok(ours.then_some((first.username, people.password)))
}

/// Makes a demo world where it is not there yet: the one in the binary, or the one whose files are in `from`.
pub async fn seed(state: &AppState, from: Option<&Path>) -> anyhow::Result<Report> {
    let world = World::read(from)?;
    let mut seeder = Seeder { writer: &state.writer, people: HashMap::new(), report: Report::default() };
    let turn = state.passwords.turn().await?;
    let hash = state.passwords.hash(turn, world.people.password.clone()).await?;
    for person in world.people.people {
        let name = person.username.clone();
        seeder.person(&state.db, &world.people.password, &hash, person).await.with_context(|| name)?;
    }
    for list in world.lists {
        let name = list.owner.clone();
        seeder.list(list).await.with_context(|| format!("a list of {name}"))?;
    }
    for room in world.rooms {
        let name = room.owner.clone();
        seeder.room(room).await.with_context(|| format!("a room of {name}"))?;
    }
    for follows in world.feed.follows {
        seeder.follows(follows).await.context("who follows whom")?;
    }
    for (place, post) in world.feed.posts.into_iter().enumerate() {
        let name = post.author.clone();
        seeder.post(place, post).await.with_context(|| format!("a post of {name}"))?;
    }
    Ok(seeder.report)
}

struct Seeder<'a> {
    writer: &'a Writer,
    /// By username.
    people: HashMap<String, Known>,
    report: Report,
}

/// Somebody of the demo world.
#[derive(Clone, Copy)]
struct Known {
    id: Uuid,
    created_at: DateTime<Utc>,
    /// Commands of theirs can be repeated without effect.
    repeatable: bool,
}

impl Seeder<'_> {
    async fn person(&mut self, db: &Db, password: &str, hash: &str, person: files::Person) -> anyhow::Result<()> {
        let id = person_id(&person.username);
        if sql::holder(db.pool(), &person.username).await?.is_none() {
            self.make(id, &person.username, password, hash).await?;
        }
        let holder = sql::holder(db.pool(), &person.username).await?.filter(|holder| holder.id == id);
        let Some(holder) = holder else {
            self.report.taken.push(person.username);
            return Ok(());
        };
        let known = Known { id, created_at: holder.created_at, repeatable: holder.recent };
        self.people.insert(person.username, known);
        if known.repeatable {
            self.command(id, "", "profile.update", Value::Object(person.profile)).await?;
        }
        Ok(())
    }

    async fn make(&mut self, id: Uuid, username: &str, password: &str, hash: &str) -> Result<()> {
        let (username, password) = (username.to_owned(), password.to_owned());
        let new = NewAccount { username, password, email: None, full_name: None };
        new.check()?;
        let hash = hash.to_owned();
        let made = self.writer.run(id, move |tx| {
            let (new, hash) = (new.clone(), hash.clone());
            Box::pin(async move { accounts::make_account(tx, id, &new, &hash).await })
        });
        match made.await {
            Ok(_) => self.report.people += 1,
            // At the same moment, by somebody else or by another run of this.
            Err(error) if error.code() == "username_taken" => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn list(&mut self, list: files::List) -> anyhow::Result<()> {
        let Some(owner) = self.repeatable(&list.owner) else {
            return Ok(());
        };
        let Some(id) = self.command(owner.id, "", "task_list.create", Value::Object(list.list)).await? else {
            return Ok(());
        };
        for (place, mut task) in list.tasks.into_iter().enumerate() {
            task.task.insert("list_id".into(), json!(id));
            if let Some(days) = task.due_in_days {
                let day = owner.created_at.date_naive().checked_add_days(Days::new(days.into()));
                let due_at = day.context("due_in_days is too far away")?.and_time(DUE_AT).and_utc();
                task.task.insert("due_at".into(), json!(due_at));
            }
            let place = place.to_string();
            let made = self.command(owner.id, &place, "task.create", Value::Object(task.task)).await?;
            if let (Some(id), true) = (made, task.is_completed) {
                self.command(owner.id, "", "task.update", json!({"id": id, "is_completed": true})).await?;
            }
        }
        Ok(())
    }

    async fn room(&mut self, room: files::Room) -> anyhow::Result<()> {
        let Some(owner) = self.repeatable(&room.owner) else {
            return Ok(());
        };
        let Some(id) = self.command(owner.id, "", "workspace.create", Value::Object(room.room)).await? else {
            return Ok(());
        };
        for name in room.members {
            if let Some(member) = self.people.get(&name) {
                let fields = json!({"workspace_id": id, "user_id": member.id});
                self.command(owner.id, "", "member.add", fields).await?;
            }
        }
        for (place, mut widget) in room.widgets.into_iter().enumerate() {
            widget.insert("workspace_id".into(), json!(id));
            self.command(owner.id, &place.to_string(), "widget.create", Value::Object(widget)).await?;
        }
        Ok(())
    }

    async fn follows(&mut self, follows: files::Follows) -> anyhow::Result<()> {
        let Some(follower) = self.repeatable(&follows.follower) else {
            return Ok(());
        };
        for name in follows.followees {
            if let Some(followee) = self.people.get(&name) {
                self.command(follower.id, "", "user.follow", json!({"user_id": followee.id})).await?;
            }
        }
        Ok(())
    }

    async fn post(&mut self, place: usize, post: files::Post) -> anyhow::Result<()> {
        let Some(author) = self.repeatable(&post.author) else {
            return Ok(());
        };
        let Some(id) = self.command(author.id, &place.to_string(), "post.create", Value::Object(post.post)).await?
        else {
            return Ok(());
        };
        for name in post.likes {
            if let Some(liker) = self.repeatable(&name) {
                self.command(liker.id, "", "post.like", json!({"post_id": id})).await?;
            }
        }
        for (place, comment) in post.comments.into_iter().enumerate() {
            if let Some(person) = self.repeatable(&comment.author) {
                let fields = json!({"post_id": id, "body": comment.body});
                self.command(person.id, &place.to_string(), "comment.create", fields).await?;
            }
        }
        Ok(())
    }

    fn repeatable(&self, username: &str) -> Option<Known> {
        self.people.get(username).copied().filter(|person| person.repeatable)
    }

    /// Runs a command as `actor` and returns the id of what it made. `place` tells equal commands apart. `None` when
    /// it was refused: somebody changed the demo world since.
    async fn command(&mut self, actor: Uuid, place: &str, method: &str, data: Value) -> anyhow::Result<Option<Uuid>> {
        let op = derived(method, &format!("{actor}/{place}/{data}"));
        let command = Command::read(method, data).map_err(|error| anyhow::anyhow!("{method}: {error:?}"))?;
        match self.writer.execute(actor, Some(op), command).await {
            Ok(answer) => {
                self.report.commands += 1;
                let answer: Value = serde_json::from_str(answer.get())?;
                Ok(answer["data"]["id"].as_str().and_then(|id| id.parse().ok()))
            }
            Err(error) if error.http_status().is_client_error() && !error.is_temporary() => {
                tracing::warn!(method, %error, "a part of the demo world was refused");
                self.report.refused += 1;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn person_id(username: &str) -> Uuid {
    derived("person", username)
}

/// An id that follows from its words alone.
fn derived(kind: &str, words: &str) -> Uuid {
    let digest = Sha256::digest(format!("studyhall demo/{kind}/{words}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_words() {
        assert_eq!(derived("person", "aiko"), derived("person", "aiko"));
        assert_ne!(derived("person", "aiko"), derived("person", "eli"));
        assert_eq!(derived("person", "aiko").get_version_num(), 8);
    }
}
